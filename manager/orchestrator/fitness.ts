// May a task stay where it is? Pure; nodes are read through a lookup.
import { type Constraint, matchesConstraints, parseConstraint } from '../../proto/constraints.ts';
import type { Node, NodeId, Service } from '../../proto/objects.ts';
import type { Difference } from './outdated.ts';
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

/** Whether nodes satisfy the service's constraints. A constraint that cannot be read matches no node. */
export function nodeMatcher(service: Service): (node: Node) => boolean {
  const constraints = readConstraints(service.spec.task.placement.constraints);
  return (node) => constraints !== undefined && matchesConstraints(constraints, node);
}

function readConstraints(texts: readonly string[]): readonly Constraint[] | undefined {
  try {
    return texts.map(parseConstraint);
  } catch {
    return undefined; // the control API refuses such text; whatever got past it must not stop the loop
  }
}
