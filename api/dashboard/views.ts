// The cluster's objects as the page shows them: no more than it draws.
import type { ClusterChange, ManagerState } from '../../proto/control.ts';
import type { Node, PortConfig, Service, Task } from '../../proto/objects.ts';
import type { ManagerView, NodeView, ServiceView, TaskView, ViewChange } from '../types/dashboard-feed.ts';

export function nodeView(node: Node): NodeView {
  return {
    id: node.id,
    hostname: node.description?.hostname ?? node.id,
    role: node.spec.role,
    state: node.status.state,
    availability: node.spec.availability,
    nanoCpus: node.description?.resources.nanoCpus ?? 0,
    memoryBytes: node.description?.resources.memoryBytes ?? 0,
  };
}

export function serviceView(service: Service): ServiceView {
  const { mode, task } = service.spec;
  return {
    id: service.id,
    name: service.spec.name,
    image: task.runtime.container.image,
    replicas: mode.kind === 'global' ? 'global' : mode.replicas,
    ports: (service.endpointPorts ?? []).map(portText),
    update: service.updateStatus?.state ?? '',
  };
}

const portText = (port: PortConfig): string => `${port.publishedPort}→${port.targetPort}/${port.protocol}`;

export function taskView(task: Task): TaskView {
  return {
    id: task.id,
    serviceId: task.serviceId,
    nodeId: task.nodeId ?? '',
    name: `${task.serviceName}.${identityText(task)}`,
    image: task.spec.runtime.container.image,
    state: task.status.state,
    desired: task.desired,
    error: task.status.error ?? '',
    memoryBytes: task.spec.reservations?.memoryBytes ?? 0,
    nanoCpus: task.spec.reservations?.nanoCpus ?? 0,
  };
}

function identityText({ identity }: Task): string {
  switch (identity.kind) {
    case 'slot':
      return String(identity.slot);
    case 'node':
      return identity.nodeId;
    case 'job':
      return `${identity.iteration}.${identity.index}`;
  }
}

export const managerView = ({ nodeId, leader, reachable }: ManagerState): ManagerView => ({
  nodeId,
  leader,
  reachable,
});

/** Undefined for kinds that the page does not show. */
export function viewChange(change: Exclude<ClusterChange, { kind: 'resync' }>): ViewChange | undefined {
  const { id } = change.object;
  const removed = change.action === 'remove';
  switch (change.kind) {
    case 'node':
      return removed ? { kind: 'node', id } : { kind: 'node', id, view: nodeView(change.object) };
    case 'service':
      return removed ? { kind: 'service', id } : { kind: 'service', id, view: serviceView(change.object) };
    case 'task':
      return removed ? { kind: 'task', id } : { kind: 'task', id, view: taskView(change.object) };
    case 'network':
      return undefined;
  }
}
