// Which published ports are taken. Two services cannot share an ingress port, nor can an ingress and a host-mode port of
// one number; host-mode ports of several services are the scheduler's business, node by node.
// Source of rules and wording: SwarmKit's control API.
import type { PortConfig, Service, ServiceId, ServiceSpec } from './objects.ts';

/** The sentence that says which service has one of the ports that `spec` asks for; undefined when they are free. */
export function portConflict(
  services: Iterable<Service>,
  spec: ServiceSpec,
  self: ServiceId | undefined,
): string | undefined {
  const wanted = new Map(numbered(spec.endpoint.ports).map((port) => [keyOf(port), port]));
  if (wanted.size === 0) return undefined;
  for (const service of services) {
    const taken = service.id === self ? undefined : firstTaken(service, wanted);
    if (taken) return sentence(taken, service);
  }
  return undefined;
}

function firstTaken(service: Service, wanted: ReadonlyMap<string, PortConfig>): PortConfig | undefined {
  const all = numbered([...service.spec.endpoint.ports, ...(service.endpointPorts ?? [])]);
  return all.find((taken) => {
    const asked = wanted.get(keyOf(taken));
    return asked !== undefined && (asked.publishMode === 'ingress' || taken.publishMode === 'ingress');
  });
}

function sentence({ publishedPort, publishMode }: PortConfig, { id, spec }: Service): string {
  const mode = publishMode === 'host' ? 'a host-published' : 'an ingress';
  return `port '${publishedPort}' is already in use by service '${spec.name}' (${id}) as ${mode} port`;
}

const numbered = (ports: readonly PortConfig[]): readonly PortConfig[] =>
  ports.filter((port) => port.publishedPort !== 0);
const keyOf = (port: PortConfig): string => `${port.publishedPort}/${port.protocol}`;
