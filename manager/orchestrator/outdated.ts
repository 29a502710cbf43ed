// In what a task differs from its service's present specification. Pure.
import { equalData } from '../../base/equal.ts';
import type { Service, Task } from '../../proto/objects.ts';
import { answersPorts } from '../../proto/published-ports.ts';

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
  if (!equalData(withOwnConstraints, task.spec)) return 'specification';
  return equalData(present.placement.constraints, task.spec.placement.constraints) ? 'none' : 'constraints';
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
