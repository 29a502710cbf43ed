// What goes with the node when it is deleted, and what nobody owns when a daemon starts.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../base/log.ts';
import { deleteLinkGroup } from './link-messages.ts';
import type { Netd } from './netd.ts';
import { NETLINK_ROUTE } from './netd-protocol.ts';
import { MessageWriter } from './netlink.ts';
import type { NetworksOptions } from './networks-options.ts';
import type { NetworksParts } from './networks-parts.ts';

type Roots = Pick<NetworksOptions, 'dataRoot' | 'execRoot'>;

/** Links, namespaces, rules, settings and files; netd ends last. */
export async function removeAll(parts: NetworksParts, netd: Netd, { dataRoot, execRoot }: Roots): Promise<void> {
  const { sandboxes, overlays, tunnel, ways, firewall, record, bridges, instance } = parts;
  await sandboxes.close();
  await Promise.all((await sandboxes.paths()).map((path) => sandboxes.discard(path)));
  await overlays.destroy();
  tunnel.close();
  await ways.close();
  await firewall.remove();
  await bridges.linkLocal.remove();
  await removeLinks(netd, instance.linkGroup);
  await record.restoreHost(instance.table);
  await netd.close();
  const leftovers = [
    join(execRoot, 'netns'),
    join(execRoot, 'overlay'),
    join(execRoot, 'ingress.json'),
    join(execRoot, 'encryption.json'),
    join(dataRoot, 'network'),
  ];
  for (const path of leftovers) await rm(path, { recursive: true, force: true });
}

/** One message for all of them: the kernel's grace period is paid once. Predefined names may be of an admin's making. */
async function removeLinks(netd: Netd, group: number): Promise<void> {
  const writer = new MessageWriter();
  deleteLinkGroup(writer, group);
  await netd.do('removing links', [
    { do: 'netlink', family: NETLINK_ROUTE, where: '', messages: writer.finish(), mayFail: true },
  ]);
}

export async function dropUnknownSandboxes({ endpoints, sandboxes }: NetworksParts, log: Log): Promise<void> {
  const known = new Set([...endpoints.sandboxPaths(), ...sandboxes.inUse()]);
  for (const path of await sandboxes.paths()) {
    if (known.has(path)) continue;
    log.info('a network namespace nobody owns is removed', { path });
    await sandboxes.discard(path);
  }
}
