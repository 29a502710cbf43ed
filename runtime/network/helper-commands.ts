// One program has all the helpers of the network; its first argument says which. Here: from netd's command to the others'.
import type { NetworksOptions } from './networks-options.ts';

type Command = NetworksOptions['netd'];

/** The part that opens resolvers' sockets. */
export function namesCommand({ command, args }: Command): Command {
  return { command, args: args.map((word) => (word === 'netd' ? 'netd-names' : word)) };
}

/** The part that carries encrypted networks. */
export function tunnelCommand({ command, args }: Command): Command & { readonly sourceHash: string } {
  const at = args.indexOf('netd');
  return { command, args: [...args.slice(0, at), 'tunnel'], sourceHash: args[at + 1] ?? 'none' };
}
