import assert from 'node:assert/strict';
import { tasksToDelete } from '../../manager/orchestrator/task-reaper.ts';
import type { DesiredState, NodeId, Task, TaskId, TaskState } from '../../proto/objects.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { anId, aTask, aTaskSpec } from '../support/objects.ts';

function aStored(number: number, desired: DesiredState, state: TaskState, slot = 1): Task {
  const status = { state, atMs: 0, message: '' };
  const id = anId('task', number) as TaskId;
  const nodeId = anId('node', 1) as NodeId;
  return {
    ...aTask({ id, desired, status, nodeId, identity: { kind: 'slot', slot } }),
    version: 1,
    createdAtMs: number,
    updatedAtMs: number,
  };
}
const numbers = (tasks: readonly { id: string }[]): number[] => tasks.map((task) => Number(task.id.slice(-4)));

describe('the reaper', () => {
  const history = [1, 2, 3, 4].map((number) => aStored(number, 'shutdown', 'failed'));

  for (const [what, tasks, limit, deleted] of [
    ['keeps the last few of a slot', [...history, aStored(5, 'running', 'running')], 2, [2, 1]],
    ['keeps none where none is asked for', [...history, aStored(5, 'running', 'running')], 0, [4, 3, 2, 1]],
    ['keeps the last one of a slot that has no living task', history, 0, [3, 2, 1]],
    ['keeps all for a negative limit', history, -1, []],
    ['keeps what still stops', [aStored(1, 'shutdown', 'running'), aStored(2, 'running', 'running')], 0, []],
    ['keeps what is to be removed and still runs', [aStored(1, 'remove', 'running')], 5, []],
    ['deletes what was removed and has stopped', [aStored(1, 'remove', 'shutdown')], 5, [1]],
    ['deletes even without history', [aStored(1, 'remove', 'orphaned')], -1, [1]],
  ] as const) {
    it(what, () => assert.deepEqual(numbers(tasksToDelete(tasks, limit)), deleted));
  }

  it('bounds what a crash loop leaves', async () => {
    await using plane = await ControlPlane.start({ nodes: 1 });
    const restart = { condition: 'any', delayMs: 100, attemptsMax: 0, windowMs: 0 } as const;
    const id = await plane.create({ task: aTaskSpec({ container: { image: 'crash:1' }, restart }) });
    for (let second = 0; second < 20; second += 1) {
      await plane.pass(1_000);
      assert.ok(plane.tasks(id).length <= 7, `${plane.tasks(id).length}`);
    }
    assert.ok((plane.agents.starts.get('crash:1') ?? 0) > 8);
  });
});
