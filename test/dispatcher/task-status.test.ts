import assert from 'node:assert/strict';
import { mergeReports } from '../../manager/dispatcher/task-status.ts';
import type { NodeId, TaskStatus } from '../../proto/objects.ts';
import { createMemoryStore } from '../support/memory-store.ts';
import { anId, aTask } from '../support/objects.ts';

const nodeId = anId('node', 1) as NodeId;

async function afterReports(...reports: readonly TaskStatus[]): Promise<TaskStatus | undefined> {
  const { store } = createMemoryStore();
  const task = aTask({ nodeId, status: { state: 'assigned', atMs: 0, message: '' } });
  await store.update((tx) => tx.tasks.put(task));
  for (const status of reports) await store.update((tx) => mergeReports(tx, [{ nodeId, taskId: task.id, status }]));
  return store.view().tasks.get(task.id)?.status;
}

describe('a reported status', () => {
  it('keeps when the task first ran', async () => {
    const status = await afterReports(
      { state: 'running', atMs: 100, message: 'started' },
      { state: 'failed', atMs: 900, message: 'exited', exitCode: 1 },
    );
    assert.deepEqual(status, { state: 'failed', atMs: 900, message: 'exited', exitCode: 1, runningAtMs: 100 });
  });

  it('says nothing of it for a task that never ran', async () => {
    assert.equal((await afterReports({ state: 'failed', atMs: 5, message: '' }))?.runningAtMs, undefined);
  });

  it('is not written again when it is repeated', async () => {
    const { store } = createMemoryStore();
    const task = aTask({ nodeId, status: { state: 'assigned', atMs: 0, message: '' } });
    await store.update((tx) => tx.tasks.put(task));
    const report = { nodeId, taskId: task.id, status: { state: 'running', atMs: 1, message: '' } } as const;
    await store.update((tx) => mergeReports(tx, [report]));
    const before = store.view().version;
    await store.update((tx) => mergeReports(tx, [report]));
    assert.equal(store.view().version, before);
  });
});
