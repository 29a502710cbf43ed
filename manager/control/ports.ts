// Which published ports are taken. Two services cannot share an ingress port, nor can an ingress and a host-mode port of
// one number; host-mode ports of several services are the scheduler's business, node by node.
// Source of rules and wording: SwarmKit's control API.
import { fail } from '../../base/errors.ts';
import type { PortConfig, Service, ServiceId, ServiceSpec } from '../../proto/objects.ts';
import type { View } from '../store/contract.ts';

export function checkPortConflicts(view: View, spec: ServiceSpec, self: ServiceId | undefined): void {
  const wanted = new Map(numbered(spec.endpoint.ports).map((port) => [keyOf(port), port]));
  if (wanted.size === 0) return;
  for (const service of view.services.all()) {
    if (service.id !== self) checkAgainst(service, wanted);
  }
}

function checkAgainst(service: Service, wanted: ReadonlyMap<string, PortConfig>): void {
  for (const taken of numbered([...service.spec.endpoint.ports, ...(service.endpointPorts ?? [])])) {
    const asked = wanted.get(keyOf(taken));
    if (!asked || (asked.publishMode === 'host' && taken.publishMode === 'host')) continue;
    const mode = taken.publishMode === 'host' ? 'a host-published' : 'an ingress';
    fail(
      'invalid',
      `port '${taken.publishedPort}' is already in use by service '${service.spec.name}' (${service.id}) as ${mode} port`,
    );
  }
}

const numbered = (ports: readonly PortConfig[]): readonly PortConfig[] =>
  ports.filter((port) => port.publishedPort !== 0);
const keyOf = (port: PortConfig): string => `${port.publishedPort}/${port.protocol}`;
