// Published ports of services (ingress mode): every port gets a number. Pure.
// Invariant: a number, once given, stays with the service while its specification asks for that port.
import type { PortConfig, PortProtocol, Service } from '../../proto/objects.ts';
import { answersPort } from '../../proto/published-ports.ts';

/** Where numbers are taken from when the specification leaves them open. Source: Docker's range. */
const DYNAMIC = { first: 30_000, last: 32_767 } as const;

export type PortAnswer =
  | { readonly ok: true; readonly ports: readonly PortConfig[] }
  | { readonly ok: false; readonly reason: string };

/** Who holds a port, by `number/protocol`. */
export type PortOwners = ReadonlyMap<string, Service>;

export function allocatePorts(service: Service, owners: PortOwners): PortAnswer {
  const ports: PortConfig[] = [];
  const taken = new Set<string>();
  for (const wanted of service.spec.endpoint.ports) {
    const port = numbered(wanted, service, owners, taken);
    if (typeof port === 'string') return { ok: false, reason: port };
    if (port.publishMode === 'ingress') taken.add(portKey(port));
    ports.push(port);
  }
  return { ok: true, ports };
}

/** The port with its number, or the reason why there is none. */
function numbered(
  wanted: PortConfig,
  service: Service,
  owners: PortOwners,
  taken: ReadonlySet<string>,
): PortConfig | string {
  if (wanted.publishMode === 'host') return wanted;
  const isFree = (number: number): boolean => {
    const key = portKey({ publishedPort: number, protocol: wanted.protocol });
    const owner = owners.get(key);
    return !taken.has(key) && (owner === undefined || owner.id === service.id);
  };
  if (wanted.publishedPort !== 0) {
    return isFree(wanted.publishedPort) ? wanted : takenReason(wanted, owners, service);
  }
  const before = service.endpointPorts?.find((port) => answersPort(wanted, port) && isFree(port.publishedPort));
  if (before) return before;
  for (let number = DYNAMIC.first; number <= DYNAMIC.last; number += 1) {
    if (isFree(number)) return { ...wanted, publishedPort: number };
  }
  return `no port from ${DYNAMIC.first} to ${DYNAMIC.last} is free for ${wanted.protocol}`;
}

function takenReason(wanted: PortConfig, owners: PortOwners, service: Service): string {
  const owner = owners.get(portKey(wanted));
  const by = owner && owner.id !== service.id ? `service '${owner.spec.name}'` : 'this service a second time';
  return `port ${wanted.publishedPort}/${wanted.protocol} is already published by ${by}`;
}

export const portKey = (port: { publishedPort: number; protocol: PortProtocol }): string =>
  `${port.publishedPort}/${port.protocol}`;

/** Every ingress port that a service has been given or asks for by number. */
export function portOwners(services: Iterable<Service>): Map<string, Service> {
  const owners = new Map<string, Service>();
  for (const service of services) {
    for (const port of [...(service.endpointPorts ?? []), ...service.spec.endpoint.ports]) {
      if (port.publishMode !== 'ingress' || port.publishedPort === 0) continue;
      const key = portKey(port);
      if (!owners.has(key)) owners.set(key, service);
    }
  }
  return owners;
}
