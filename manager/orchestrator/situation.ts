// Everything a planner looks at: one service, its tasks and the nodes, at one moment. Read-only.
import type { Random } from '../../base/random.ts';
import type { Node, Service, ServiceSpec, UpdateConfig } from '../../proto/objects.ts';
import { portConflict } from '../../proto/port-conflict.ts';
import type { View } from '../store/contract.ts';
import { type Fitness, fitnessOf, type NodeLookup } from './fitness.ts';
import { type Difference, differences, outdatedIn } from '../../proto/outdated.ts';
import type { PlanTask, TaskLookup } from './slots.ts';

export interface Situation {
  readonly service: Service;
  readonly tasks: readonly PlanTask[];
  readonly nowMs: number;
  readonly random: Random;
  readonly node: NodeLookup;
  readonly nodes: () => Iterable<Node>;
  readonly task: TaskLookup;
  readonly fitness: (task: PlanTask) => Fitness;
  readonly differenceOf: (task: PlanTask) => Difference;
  /** The task must be replaced to be as its service says. */
  readonly isOutdated: (task: PlanTask) => boolean;
  /** Why the service could not have this specification again: others have its ports now. */
  readonly hindrance: (spec: ServiceSpec) => string | undefined;
}

export function situationOf(view: View, service: Service, given: { nowMs: number; random: Random }): Situation {
  const node: NodeLookup = (id) => view.nodes.get(id);
  const differenceOf = differences(service);
  const fitness = fitnessOf({ service, node, differenceOf });
  return {
    ...given,
    service,
    tasks: view.tasks.ofService(service.id),
    node,
    nodes: () => view.nodes.all(),
    task: (id) => view.tasks.get(id),
    fitness,
    differenceOf,
    isOutdated: outdatedIn(service, node, differenceOf),
    hindrance: (spec) => portConflict(view.services.all(), spec, service.id),
  };
}

/** The rules of the rollout that is going on, or would be: a rollback has its own. */
export function rolloutConfig(service: Service): UpdateConfig {
  return service.updateStatus?.state.startsWith('rollback') ? service.spec.rollback : service.spec.update;
}
