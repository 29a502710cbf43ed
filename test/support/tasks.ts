// Tasks of a test manager: assigned, wanted otherwise, looked at.
import { newId } from '../../base/id.ts';
import { systemRandom } from '../../base/random.ts';
import type { NodeId, Task, TaskId } from '../../proto/objects.ts';
import { aTask } from './objects.ts';
import type { TestManager } from './test-manager.ts';

type Managed = Pick<TestManager, 'store'>;

export async function assign({ store }: Managed, nodeId: NodeId, changes: Partial<Task> = {}): Promise<TaskId> {
  const id = newId<'task'>(systemRandom);
  const status = { state: 'assigned', atMs: 0, message: 'assigned' } as const;
  await store.update((tx) => tx.tasks.put(aTask({ id, nodeId, status, ...changes })));
  return id;
}

export async function desire({ store }: Managed, id: TaskId, desired: Task['desired']): Promise<void> {
  await store.update((tx) => {
    const task = tx.tasks.get(id);
    if (task) tx.tasks.put({ ...task, desired });
  });
}

export const statusOf = ({ store }: Managed, id: TaskId) => store.view().tasks.get(id)?.status;
export const stateOf = (manager: Managed, id: TaskId) => statusOf(manager, id)?.state;
