// Changes of the cluster as events: Docker announces services, nodes and networks, never tasks.
import type { ClusterChange } from '../../proto/control.ts';
import type { Node, Service } from '../../proto/objects.ts';
import type { RuntimeEvent } from '../../runtime/contract.ts';

export function clusterEvent(change: ClusterChange, nowMs: number): RuntimeEvent | undefined {
  if (change.kind === 'resync' || change.kind === 'task') return undefined;
  const base = {
    action: change.action,
    id: change.object.id,
    scope: 'swarm',
    timeNs: BigInt(nowMs) * 1_000_000n,
  } as const;
  switch (change.kind) {
    case 'service':
      return { ...base, type: 'service', attributes: serviceAttributes(change.object, change.previous) };
    case 'node':
      return { ...base, type: 'node', attributes: nodeAttributes(change.object, change.previous) };
    case 'network':
      return { ...base, type: 'network', attributes: { name: change.object.spec.name } };
  }
}

function serviceAttributes(service: Service, previous: Service | undefined): Record<string, string> {
  return {
    name: service.spec.name,
    ...changed('replicas', previous && replicas(previous), replicas(service)),
    ...changed('image', previous && image(previous), image(service)),
    ...changed('updatestate', previous && (previous.updateStatus?.state ?? ''), service.updateStatus?.state ?? ''),
  };
}

function nodeAttributes(node: Node, previous: Node | undefined): Record<string, string> {
  return {
    name: node.description?.hostname ?? '',
    ...changed('state', previous?.status.state, node.status.state),
    ...changed('availability', previous?.spec.availability, node.spec.availability),
    ...changed('role', previous?.role, node.role),
  };
}

function changed(what: string, before: string | undefined, now: string): Record<string, string> {
  if (before === undefined || before === now) return {};
  return { [`${what}.new`]: now, ...(before === '' ? {} : { [`${what}.old`]: before }) };
}

const replicas = ({ spec }: Service): string => (spec.mode.kind === 'replicated' ? String(spec.mode.replicas) : '');
const image = ({ spec }: Service): string => spec.task.runtime.container.image;
