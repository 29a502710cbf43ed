// Who is on a network of the cluster: nodes, services and their tasks, for `network inspect`.
import { contains, macOfAddress, parseAddress, parseSubnet } from '../base/ipv4.ts';
import type { ControlReply } from '../proto/control.ts';
import { poolsOf, sixOf } from '../proto/network-plan.ts';
import type { Network, Node, Task } from '../proto/objects.ts';
import { isTerminal } from '../proto/task-state.ts';
import type { OverlayPair } from '../runtime/network/contract.ts';
import type { ApiDeps } from './deps.ts';
import type { NetworkJson, NetworkPeerJson, NetworkServiceJson } from './types/network.ts';

export interface NetworkMembers extends ControlReply<'GetNetworkMembers'> {
  readonly network: Network;
  readonly tasks: readonly Task[];
  readonly nodes: readonly Node[];
  /** How this node reaches the others on an encrypted network. */
  readonly pairs: readonly OverlayPair[];
}

export async function membersOf(deps: ApiDeps, network: Network, abort: AbortSignal): Promise<NetworkMembers> {
  const control = deps.swarm.control();
  const [members, { tasks }, { nodes }, pairs] = await Promise.all([
    control.call('GetNetworkMembers', { network: network.id }, { abort }),
    control.call('ListTasks', { filter: {} }, { abort }),
    control.call('ListNodes', { filter: {} }, { abort }),
    deps.runtime.networks.overlays.pairs(network.id),
  ]);
  return { ...members, network, tasks, nodes, pairs };
}

/** Nodes that have a task or another container there. */
export function peersOf({ network, tasks, nodes, guests, index, applied, ...rest }: NetworkMembers): NetworkPeerJson[] {
  const on = new Set(tasks.flatMap((task) => (addressOn(task, network) === undefined ? [] : [task.nodeId])));
  const pairs = new Map(rest.pairs.map((pair) => [pair.nodeId, pair]));
  for (const { nodeId, address } of guests) if (address !== undefined) on.add(nodeId);
  return nodes
    .filter(({ id }) => on.has(id))
    .map((node) => ({
      Name: node.id,
      IP: addressOf(node),
      Lag: Math.max(0, index - (applied[node.id] ?? 0)),
      ...encryptionOf(pairs.get(node.id)),
    }));
}

/** Not part of Docker's answer: how this node reaches the other one on an encrypted network. */
function encryptionOf(pair: OverlayPair | undefined): Pick<NetworkPeerJson, 'Encryption'> {
  if (!pair) return {};
  const { means, reason, open, sent, received, replayed, altered } = pair;
  const counts = { Sent: sent, Received: received, Replayed: replayed, Altered: altered };
  return { Encryption: { Means: means, ...(reason !== undefined && { Reason: reason }), Open: open, ...counts } };
}

/** Containers of no service, on whichever node: those of others as far as the managers know them. */
export function guestsOn({ network, guests }: NetworkMembers): NonNullable<NetworkJson['Containers']> {
  return Object.fromEntries(
    guests.flatMap(({ id, containerId, name, address }) => {
      if (address === undefined) return [];
      const [MacAddress, IPv4Address] = [
        macOfAddress(parseAddress(address)),
        `${address}/${prefixLengthOf(network, address)}`,
      ];
      const six = sixOf(address, network);
      const IPv6Address = six === undefined ? '' : `${six.address}/${six.prefixLength}`;
      return [[containerId, { Name: name, EndpointID: id, MacAddress, IPv4Address, IPv6Address }]];
    }),
  );
}

function prefixLengthOf(network: Network, address: string): number {
  const subnets = poolsOf(network).map(({ subnet }) => parseSubnet(subnet));
  return subnets.find((subnet) => contains(subnet, parseAddress(address)))?.prefixLength ?? 32;
}

/** As `--verbose` shows them, by name. */
export async function servicesOn(
  deps: ApiDeps,
  { network, tasks, nodes }: NetworkMembers,
  abort: AbortSignal,
): Promise<Record<string, NetworkServiceJson>> {
  const { services } = await deps.swarm.control().call('ListServices', { filter: {}, status: false }, { abort });
  const addresses = new Map(nodes.map((node) => [node.id, addressOf(node)]));
  const found: Record<string, NetworkServiceJson> = {};
  for (const service of services) {
    if (!service.spec.task.networks.some(({ target }) => target === network.id)) continue;
    const virtual = service.virtualAddresses?.find(({ networkId }) => networkId === network.id);
    const places = tasks.flatMap((task) => {
      const address = task.serviceId === service.id ? addressOn(task, network) : undefined;
      if (address === undefined) return [];
      const host = task.nodeId === undefined ? '' : (addresses.get(task.nodeId) ?? '');
      return [{ Name: nameOf(task), EndpointID: '', EndpointIP: address, Info: { 'Host IP': host } }];
    });
    found[service.spec.name] = {
      VIP: virtual?.address ?? '<nil>',
      Ports: (service.endpointPorts ?? []).map((port) => `Target: ${port.targetPort}, Publish: ${port.publishedPort}`),
      LocalLBIndex: 0,
      Tasks: places,
    };
  }
  return found;
}

function addressOn(task: Task, network: Network): string | undefined {
  if (task.nodeId === undefined || isTerminal(task.status.state)) return undefined;
  return task.attachments?.find(({ networkId }) => networkId === network.id)?.address;
}

const addressOf = (node: Node): string => node.dataAddress ?? node.status.address;

function nameOf({ serviceName, identity, id }: Task): string {
  const place = identity.kind === 'slot' ? identity.slot : identity.kind === 'node' ? identity.nodeId : identity.index;
  return `${serviceName}.${place}.${id}`;
}
