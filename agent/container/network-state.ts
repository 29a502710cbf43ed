// What the managers say of a network, as the machine wants it: who is where, who stands behind a virtual address, and
// what the names mean. Pure.
import type { EndpointEntry, NetworkServiceEntry } from '../../proto/assignment.ts';
import type { NameRecord, OverlayNode, OverlayState } from '../../runtime/network/contract.ts';
import type { NetworkPicture } from '../executor.ts';

/** A virtual address stays with its service; who is behind it is not asked again. */
const VIRTUAL_TTL_SECONDS = 10;
const USUAL_PORT = 4789;

export function overlayState({ nodeId, network, services, endpoints }: NetworkPicture): OverlayState {
  const ready = new Map<string, string[]>();
  for (const { serviceId, address, ready: isReady } of endpoints) {
    if (isReady) ready.set(serviceId, [...(ready.get(serviceId) ?? []), address]);
  }
  const { encryption, ...rest } = network;
  return {
    ...(encryption && { encryption: { nodeId, ...encryption, ...selfIn(endpoints, nodeId) } }),
    network: {
      ...rest,
      id: network.networkId,
      port: ownPort(endpoints, nodeId),
      attachable: network.attachable ?? false,
    },
    endpoints: endpoints.map((endpoint) => ({
      address: endpoint.address,
      lost: endpoint.lost,
      ...(endpoint.nodeId !== nodeId && { node: nodeOf(endpoint) }),
    })),
    services: services.flatMap(({ serviceId, virtualAddress, affinity }) =>
      virtualAddress === undefined
        ? []
        : [{ virtualAddress, targets: ready.get(serviceId) ?? [], ...(affinity && { affinity }) }],
    ),
    names: merged([
      ...services.flatMap((service) => namesOf(service, ready.get(service.serviceId) ?? [])),
      ...endpoints.flatMap((endpoint) => (endpoint.nodeId === nodeId ? [] : taskNames(endpoint))),
    ]),
  };
}

const nodeOf = ({ nodeId, nodeAddress, nodePort, nodeMeans, nodeLife, nodeWireguardPort }: EndpointEntry) => ({
  id: nodeId,
  address: nodeAddress,
  port: nodePort || USUAL_PORT,
  ...(nodeMeans && { means: nodeMeans }),
  ...(nodeLife !== undefined && { life: nodeLife }),
  ...(nodeWireguardPort !== undefined && { wireguardPort: nodeWireguardPort }),
});

/** What the managers have told the others of this node: both ends of a pair go by that. */
function selfIn(endpoints: readonly EndpointEntry[], nodeId: string): { readonly self?: OverlayNode } {
  const own = endpoints.find((endpoint) => endpoint.nodeId === nodeId);
  return own ? { self: nodeOf(own) } : {};
}

const ownPort = (endpoints: readonly EndpointEntry[], nodeId: string): number =>
  endpoints.find((endpoint) => endpoint.nodeId === nodeId)?.nodePort || USUAL_PORT;

function namesOf({ name, aliases, virtualAddress }: NetworkServiceEntry, tasks: readonly string[]): NameRecord[] {
  const names = [...new Set([name, ...aliases])];
  const addresses = virtualAddress === undefined ? tasks : [virtualAddress];
  const ttlSeconds = virtualAddress === undefined ? 0 : VIRTUAL_TTL_SECONDS;
  const own = names.map((each, index): NameRecord => {
    const reverse = index === 0 && virtualAddress !== undefined;
    return { name: each, addresses, reverse, ttlSeconds };
  });
  const each = names.map(
    (of): NameRecord => ({ name: `tasks.${of}`, addresses: tasks, reverse: false, ttlSeconds: 0 }),
  );
  return [...own, ...each].filter((record) => record.addresses.length > 0);
}

/** Containers of this machine are put by the machine itself. */
function taskNames({ name, aliases = [], address, lost }: EndpointEntry): NameRecord[] {
  if (lost) return [];
  return [...new Set([name, ...aliases])].map((each) => {
    return { name: each, addresses: [address], reverse: each === name, ttlSeconds: 0 };
  });
}

/** Several services may share an alias: it then means all of them. */
function merged(records: readonly NameRecord[]): NameRecord[] {
  const byName = new Map<string, NameRecord>();
  for (const record of records) {
    const key = record.name.toLowerCase();
    const known = byName.get(key);
    const addresses = [...new Set([...(known?.addresses ?? []), ...record.addresses])].sort();
    byName.set(key, { ...(known ?? record), addresses });
  }
  return [...byName.values()];
}
