// A task is born here: a copy of its service's specification with a place in it.
import { newId } from '../../base/id.ts';
import type { Random } from '../../base/random.ts';
import type { DesiredState, NodeId, Service, TaskId, TaskIdentity } from '../../proto/objects.ts';
import { clusterNetworks } from '../../proto/network-plan.ts';
import { knownPorts } from '../../proto/published-ports.ts';
import type { PlanTask } from './slots.ts';

export interface Birth {
  readonly service: Service;
  readonly identity: TaskIdentity;
  readonly desired: Extract<DesiredState, 'ready' | 'running'>;
  readonly nowMs: number;
  readonly random: Random;
  readonly replaces?: TaskId | undefined;
  readonly holdUntilMs?: number | undefined;
  readonly overlapUntilMs?: number | undefined;
  readonly restartTimesMs?: readonly number[] | undefined;
}

/** Born `pending` where the allocator has nothing left to do, so that a task costs one commit less; else `new`. */
export function newTask(birth: Birth): PlanTask {
  const { service, identity, nowMs } = birth;
  const ports = knownPorts(service);
  const isComplete = ports !== undefined && clusterNetworks(service.spec.task.networks).length === 0;
  return {
    id: newId<'task'>(birth.random),
    serviceId: service.id,
    serviceName: service.spec.name,
    serviceLabels: service.spec.labels,
    identity,
    ...presetNode(identity),
    spec: service.spec.task,
    specVersion: service.specVersion,
    desired: birth.desired,
    status: isComplete
      ? { state: 'pending', atMs: nowMs, message: 'pending task scheduling' }
      : { state: 'new', atMs: nowMs, message: 'created' },
    ports: ports ?? service.spec.endpoint.ports,
    createdAtMs: nowMs,
    ...(birth.replaces !== undefined && { replaces: birth.replaces }),
    ...(birth.holdUntilMs !== undefined && { holdUntilMs: birth.holdUntilMs }),
    ...(birth.overlapUntilMs !== undefined && { overlapUntilMs: birth.overlapUntilMs }),
    ...(birth.restartTimesMs !== undefined && { restartTimesMs: birth.restartTimesMs }),
  };
}

/** A global service's task belongs to its node from birth. */
function presetNode(identity: TaskIdentity): { nodeId?: NodeId } {
  return identity.kind === 'node' ? { nodeId: identity.nodeId } : {};
}
