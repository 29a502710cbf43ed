// What a group of tasks asks of a node, read once for the whole group. Tasks of one service and specification version
// are alike, so they are scheduled together.
import { type Constraint, parseConstraint } from '../../proto/constraints.ts';
import { isPredefinedNetwork } from '../../proto/defaults.ts';
import type { PortConfig, Resources, ServiceId, Task } from '../../proto/objects.ts';

export interface PlacementRequest {
  readonly serviceId: ServiceId;
  readonly reservations: Pick<Resources, 'nanoCpus' | 'memoryBytes'>;
  /** Undefined: one of them cannot be read, so no node satisfies them. */
  readonly constraints: readonly Constraint[] | undefined;
  readonly platforms: readonly { readonly os: string; readonly architecture: string }[];
  readonly hostPorts: readonly string[];
  /** Whose bridges get a port for the task, on whatever node it runs. */
  readonly bridges: readonly string[];
  readonly replicasPerNodeMax: number;
  readonly spreadOver: readonly string[];
}

export function requestOf(task: Task): PlacementRequest {
  const { placement } = task.spec;
  return {
    serviceId: task.serviceId,
    reservations: reservationsOf(task),
    constraints: readConstraints(placement.constraints),
    platforms: placement.platforms ?? [],
    hostPorts: hostPortsOf(task.ports),
    bridges: bridgesOf(task),
    replicasPerNodeMax: placement.replicasPerNodeMax,
    spreadOver: placement.preferences.map((preference) => preference.spread),
  };
}

const NO_RESERVATIONS = { nanoCpus: 0, memoryBytes: 0 };

export const reservationsOf = (task: Task): PlacementRequest['reservations'] =>
  task.spec.reservations ?? NO_RESERVATIONS;

/** Ports that the task opens on its node itself; 0 is chosen there and cannot collide. */
export const hostPortsOf = (ports: readonly PortConfig[]): readonly string[] =>
  ports
    .filter((port) => port.publishMode === 'host' && port.publishedPort !== 0)
    .map((port) => `${port.publishedPort}/${port.protocol}`);

/** Every task has its node's own bridge as the way outside, unless it asked for the node's links or for none. */
export function bridgesOf({ spec, attachments = [] }: Task): readonly string[] {
  const own = spec.networks.some(({ target }) => isPredefinedNetwork(target) && target !== 'bridge') ? [] : ['bridge'];
  return [...own, ...attachments.map(({ networkId }) => networkId)];
}

function readConstraints(texts: readonly string[]): readonly Constraint[] | undefined {
  try {
    return texts.map(parseConstraint);
  } catch {
    return undefined; // refused by the control API; what got past it must not stop the loop
  }
}
