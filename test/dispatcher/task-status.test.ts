import assert from 'node:assert/strict';
import { tells } from '../../manager/dispatcher/task-status.ts';
import type { NodeId, Task, TaskId, TaskStatus } from '../../proto/objects.ts';
import { anId, aTask } from '../support/objects.ts';

const node = anId('node', 1) as NodeId;
const at = (state: TaskStatus['state'], changes: Partial<TaskStatus> = {}): TaskStatus => ({
  state,
  atMs: 5,
  message: '',
  ...changes,
});
const task = (status: TaskStatus): Task => ({
  ...aTask({ nodeId: node, status }),
  version: 1,
  createdAtMs: 0,
  updatedAtMs: 0,
});
const report = (status: TaskStatus, nodeId: NodeId = node) => ({ nodeId, taskId: anId('task', 1) as TaskId, status });

describe('a task report', () => {
  for (const [before, after, counts] of [
    ['assigned', 'running', true],
    ['running', 'failed', true],
    ['running', 'starting', false],
    ['failed', 'running', false],
    ['shutdown', 'complete', false],
  ] as const) {
    it(`of ${after} ${counts ? 'replaces' : 'does not lower'} ${before}`, () => {
      assert.equal(tells(task(at(before)), report(at(after))), counts);
    });
  }

  it('counts from the task’s own node only', () => {
    assert.equal(tells(task(at('assigned')), report(at('running'), anId('node', 2) as NodeId)), false);
  });

  it('may not give the states that are the managers’', () => {
    assert.equal(tells(task(at('running')), report(at('orphaned'))), false);
  });

  it('that says the same again is not written', () => {
    const status = at('running', { containerId: 'c', runningAtMs: 5 });
    assert.equal(tells(task(status), report({ ...status })), false);
    assert.equal(tells(task(status), report({ ...status, pid: 7, atMs: 6 })), true);
  });
});
