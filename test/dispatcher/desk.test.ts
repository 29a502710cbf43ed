import assert from 'node:assert/strict';
import { silentLog } from '../../base/log.ts';
import { Desk } from '../../manager/dispatcher/desk.ts';
import type { TaskReport } from '../../manager/dispatcher/task-status.ts';
import type { NodeId, TaskId } from '../../proto/objects.ts';
import { createMemoryStore } from '../support/memory-store.ts';
import { anId, aService, aTask } from '../support/objects.ts';

const nodeId = anId('node', 1) as NodeId;
const taskId = anId('task', 1) as TaskId;
const status = (state: 'pending' | 'assigned' | 'running') => ({ state, atMs: 1, message: '' });
const running: TaskReport = { nodeId, taskId, status: status('running') };

async function bench() {
  const { store, clock } = createMemoryStore();
  const desk = new Desk({ store, clock, log: silentLog, index: () => store.view().version });
  const service = aService();
  await store.update((tx) => {
    tx.services.put(service);
    tx.tasks.put(aTask({ id: taskId, status: status('pending') }, service));
  });
  const { nodeId: _, ...pending } = store.view().tasks.get(taskId)!;
  await store.update((tx) => tx.tasks.put({ ...pending, status: status('pending') }));
  const { version } = store.view();
  const report = (managerIndex: number) =>
    desk.report({ managerId: nodeId, managerIndex, beats: [], reports: [running] });
  const assign = () =>
    store.update((tx) => {
      const task = tx.tasks.get(taskId);
      if (task) tx.tasks.put({ ...task, nodeId, status: status('assigned') });
    });
  return { store, clock, version, report, assign, state: () => store.view().tasks.get(taskId)?.status.state };
}

describe('the desk', () => {
  it('keeps a report from a manager that is ahead of it until it has the assignment itself', async () => {
    const { report, assign, state, version } = await bench();
    const reported = report(version + 1);
    await assign();
    await reported;
    assert.equal(state(), 'running');
  });

  it('refuses it after a second, for its manager to make it again', async () => {
    const { clock, report, state, version } = await bench();
    const reported = assert.rejects(report(version + 1));
    clock.advance(1_000);
    await reported;
    assert.equal(state(), 'pending');
  });

  it('drops a report on a task that is not the node’s, where it knows as much as the manager', async () => {
    const { report, state, version } = await bench();
    await report(version);
    assert.equal(state(), 'pending');
  });
});
