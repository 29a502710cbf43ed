// In what a task differs from its service's present specification, and whether it is to be replaced for that. Pure.
// Shared by the rollout, which replaces such tasks, and the control API, whose clients wait until there are none.
import { equalData } from '../base/equal.ts';
import { type Constraint, matchesConstraints, parseConstraint } from './constraints.ts';
import type { Node, NodeId, Service, Task, TaskSpec } from './objects.ts';
import { answersPorts } from './published-ports.ts';

/** `constraints`: only these differ, so the task may stay where its node satisfies the new ones. */
export type Difference = 'none' | 'constraints' | 'specification';

type Comparable = Pick<Task, 'spec' | 'specVersion' | 'ports'>;

export function differenceFrom(service: Service, task: Comparable): Difference {
  if (task.specVersion === service.specVersion) return 'none';
  const present = service.spec.task;
  if (!answersPorts(service.spec.endpoint.ports, task.ports)) return 'specification';
  const withOwnConstraints = {
    ...present,
    placement: { ...present.placement, constraints: task.spec.placement.constraints },
  };
  if (!equalData(withoutAuth(withOwnConstraints), withoutAuth(task.spec))) return 'specification';
  return equalData(present.placement.constraints, task.spec.placement.constraints) ? 'none' : 'constraints';
}

/** A container does not change with the password that its image was fetched with. */
function withoutAuth(spec: TaskSpec): Omit<TaskSpec, 'registryAuth'> {
  const { registryAuth, ...rest } = spec;
  return registryAuth === undefined ? spec : rest;
}

/** Tasks of one specification version are alike, so each version is compared once. */
export function differences(service: Service): (task: Comparable) => Difference {
  const known = new Map<number, Difference>();
  return (task) => {
    let difference = known.get(task.specVersion);
    if (difference === undefined) {
      difference = differenceFrom(service, task);
      known.set(task.specVersion, difference);
    }
    return difference;
  };
}

/** Whether tasks are to be replaced. Changed constraints alone do not replace a task whose node satisfies them. */
export function outdatedIn(
  service: Service,
  node: (id: NodeId) => Node | undefined,
  differenceOf: (task: Comparable) => Difference = differences(service),
): (task: Comparable & Pick<Task, 'nodeId'>) => boolean {
  const matches = nodeMatcher(service);
  return (task) => {
    switch (differenceOf(task)) {
      case 'none':
        return false;
      case 'specification':
        return true;
      case 'constraints': {
        const where = task.nodeId === undefined ? undefined : node(task.nodeId);
        return where === undefined || !matches(where);
      }
    }
  };
}

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
