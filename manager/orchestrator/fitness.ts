// May a task stay where it is? Pure; nodes are read through a lookup.
import type { Node, NodeId, Service } from '../../proto/objects.ts';
import { type Difference, nodeMatcher } from '../../proto/outdated.ts';
import type { PlanTask } from './slots.ts';

/**
 * `fit`: it may stay. `leaving`: the node works, but the task should go (drained, constraints no longer met).
 * `lost`: nobody can say what becomes of it (node down or removed); its successor does not wait.
 */
export type Fitness = 'fit' | 'leaving' | 'lost';

export type NodeLookup = (id: NodeId) => Node | undefined;

export interface FitnessContext {
  readonly service: Service;
  readonly node: NodeLookup;
  readonly differenceOf: (task: PlanTask) => Difference;
}

export function fitnessOf(context: FitnessContext): (task: PlanTask) => Fitness {
  const matches = nodeMatcher(context.service);
  return (task) => {
    if (task.nodeId === undefined) return 'fit';
    const node = context.node(task.nodeId);
    if (isLost(node)) return 'lost';
    if (node.spec.availability === 'drain') return 'leaving';
    // While the constraints themselves are being changed, moving is the rollout's business, at the rollout's pace.
    if (context.differenceOf(task) !== 'none') return 'fit';
    return matches(node) ? 'fit' : 'leaving';
  };
}

export const isLost = (node: Node | undefined): node is undefined => node === undefined || node.status.state === 'down';
