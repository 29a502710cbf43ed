// The cluster's cabling: a bridge in a namespace of its own, one cable to each node's namespace and one to the host.
import { existsSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { ClusterPlan, NodePlan } from './plan.ts';
import { attempt, run } from './shell.ts';

const namespacePath = (name: string): string => `/run/netns/${name}`;

/** Third numbers of 198.18.X.0/24 that this machine already uses. */
export function subnetsInUse(): Set<number> {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const matches = addresses.map(({ address }) => /^198\.18\.(\d+)\./.exec(address)?.[1]);
  return new Set(matches.filter((match) => match !== undefined).map(Number));
}

/** Makes what is missing; leaves what is there. */
export async function makeNetwork(plan: ClusterPlan): Promise<void> {
  const { network } = plan;
  if (!existsSync(namespacePath(network.switchNamespace))) await makeSwitch(plan);
  await Promise.all(plan.nodes.map((node) => makeNodeLink(plan, node)));
}

async function makeSwitch({ network }: ClusterPlan): Promise<void> {
  const { switchNamespace: inside, bridge, hostLink, hostAddress, prefixLength } = network;
  await run('ip', ['netns', 'add', inside]);
  await ip(inside, [`link add ${bridge} type bridge`, `link set ${bridge} up`, 'link set lo up']);
  await attempt('ip', ['link', 'del', hostLink]); // left by a run that was cut short
  await run('ip', ['link', 'add', hostLink, 'type', 'veth', 'peer', 'name', 'host', 'netns', inside]);
  await ip(inside, [`link set host master ${bridge}`, 'link set host up']);
  await run('ip', ['addr', 'add', `${hostAddress}/${prefixLength}`, 'dev', hostLink]);
  await run('ip', ['link', 'set', hostLink, 'up']);
}

async function makeNodeLink({ network }: ClusterPlan, node: NodePlan): Promise<void> {
  if (existsSync(namespacePath(node.namespace))) return;
  const { switchNamespace, bridge, prefixLength } = network;
  await run('ip', ['netns', 'add', node.namespace]);
  await ip(switchNamespace, [`link add ${node.switchPort} type veth peer name eth0 netns ${node.namespace}`]);
  await ip(switchNamespace, [`link set ${node.switchPort} master ${bridge}`, `link set ${node.switchPort} up`]);
  await ip(node.namespace, [
    'link set lo up',
    `addr add ${node.address}/${prefixLength} dev eth0`,
    'link set eth0 up',
    `route add default via ${network.hostAddress}`,
  ]);
}

export async function removeNetwork(plan: ClusterPlan): Promise<void> {
  const { network } = plan;
  await attempt('ip', ['link', 'del', network.hostLink]);
  for (const name of [...plan.nodes.map((node) => node.namespace), network.switchNamespace]) {
    if (existsSync(namespacePath(name))) await run('ip', ['netns', 'del', name]);
  }
}

async function ip(namespace: string, commands: readonly string[]): Promise<void> {
  await run('ip', ['-n', namespace, '-batch', '-'], `${commands.join('\n')}\n`);
}
