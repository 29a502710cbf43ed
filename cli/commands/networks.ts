// shoal network doctor
import type { Command } from 'commander';
import type { CommandContext } from '../context.ts';
import { table } from '../table.ts';

interface NetworkReport {
  readonly differences: readonly { readonly cause: string; readonly sentence: string }[];
  readonly repaired: Readonly<Record<string, number>>;
  readonly encryption: readonly { readonly means: string; readonly isThere: boolean; readonly reason: string }[];
  readonly pairs?: readonly {
    readonly network: string;
    readonly nodeId: string;
    readonly means: string;
    readonly reason?: string;
  }[];
  readonly unreached?: readonly { readonly network: string; readonly nodeId: string; readonly reason: string }[];
  readonly ingress?: {
    readonly hidden?: string;
    readonly nodes: readonly {
      readonly address: string;
      readonly keepsClient: boolean;
      readonly takesSix: boolean;
      readonly reasons: readonly string[];
    }[];
  };
  readonly paths: readonly {
    readonly address: string;
    readonly state: 'reached' | 'suspected' | 'silent';
    readonly roundTripMs?: number;
  }[];
}

const PATHS = {
  reached: 'reached',
  suspected: 'not reached: its tasks get no new connections from here while there are others',
  silent: 'not known: it has never answered (a firewall?)',
} as const;

export function addNetworkCommands(program: Command, context: () => CommandContext): void {
  const network = program.command('network').description('networks of this machine');
  network
    .command('doctor')
    .description('compare the kernel with what it should hold, and name each difference')
    .action(() => doctor(context()));
}

const milliseconds = (value: number | undefined): string => (value === undefined ? '' : `${value.toFixed(1)} ms`);

/** Ends with 1 when something differs or a node is not reached. The daemon repairs by itself; this only looks. */
async function doctor(context: CommandContext): Promise<void> {
  const {
    differences,
    repaired,
    encryption,
    pairs = [],
    unreached = [],
    ingress = { nodes: [] },
    paths,
  } = await context.engine.json<NetworkReport>('/shoal/networks/report');
  const counts = Object.entries(repaired).map(([cause, count]) => `${count} × ${cause}`);
  context.print(counts.length === 0 ? 'Nothing had to be repaired.' : `Repaired so far: ${counts.join(', ')}.`);
  const means = encryption.map(({ means: name, isThere, reason }) => [name, isThere ? 'yes' : 'no', reason]);
  context.print(table(['ENCRYPTION BY', 'THERE', ''], means));
  const carried = pairs.filter((pair) => pair.means !== 'none');
  if (carried.length > 0) {
    const rows = carried.map(({ network, nodeId, means: by, reason = '' }) => [network, nodeId, by, reason]);
    context.print(table(['ENCRYPTED NETWORK', 'REACHES', 'BY', ''], rows));
  }
  if (unreached.length > 0) {
    const rows = unreached.map(({ network, nodeId, reason }) => [network, nodeId, reason]);
    context.print(table(['ENCRYPTED NETWORK', 'DOES NOT REACH', 'AS'], rows));
    context.exitWith(1);
  }
  if (ingress.nodes.length > 0) {
    const rows = ingress.nodes.map(({ address, keepsClient, takesSix }) => [
      address,
      keepsClient ? 'see their clients’ addresses' : 'see this node',
      takesSix ? 'see their clients’ addresses' : 'are not asked',
    ]);
    context.print(table(['SERVICES ON', 'BY IPV4', 'BY IPV6'], rows));
  }
  if (paths.length > 0) {
    const rows = paths.map(({ address, state, roundTripMs }) => [address, PATHS[state], milliseconds(roundTripMs)]);
    context.print(table(['NODE', 'PATH', 'LAST ANSWER'], rows));
  }
  if (paths.some(({ state }) => state === 'suspected')) context.exitWith(1);
  if (differences.length === 0) return context.print('The kernel holds what it should.');
  context.print(
    table(
      ['CAUSE', 'DIFFERENCE'],
      differences.map(({ cause, sentence }) => [cause, sentence]),
    ),
  );
  context.exitWith(1);
}
