import assert from 'node:assert/strict';
import { FakeExecutor } from '../support/fake-executor.ts';
import { assign, desire, stateOf, statusOf } from '../support/tasks.ts';
import { startTestManager } from '../support/test-manager.ts';
import { until } from '../support/until.ts';

describe('an agent and its manager', () => {
  it('joins with a token and is ready', async () => {
    await using manager = await startTestManager();
    const { nodeId } = await manager.agent(new FakeExecutor());
    await until('the node is ready', () => manager.store.view().nodes.get(nodeId)?.status.state === 'ready');
    assert.equal(manager.store.view().nodes.get(nodeId)?.description?.hostname, 'fake');
  });

  it('says what its node has come to be with a heartbeat, in the same session', async () => {
    await using manager = await startTestManager();
    const executor = new FakeExecutor();
    const { nodeId } = await manager.agent(executor);
    const node = () => manager.store.view().nodes.get(nodeId);
    await until('the node is ready', () => node()?.status.state === 'ready');
    const sessionId = node()?.sessionId;
    executor.description = { ...executor.description, lives: { net1: 'ab'.repeat(16) } };
    await until('the manager has heard', () => node()?.description?.lives?.['net1'] === 'ab'.repeat(16));
    assert.equal(node()?.sessionId, sessionId);
  });

  it('runs what it is assigned, and stops what is no longer wanted', async () => {
    await using manager = await startTestManager();
    const executor = new FakeExecutor();
    const { nodeId } = await manager.agent(executor);
    const id = await assign(manager, nodeId);
    await until('the task runs', () => stateOf(manager, id) === 'running');
    assert.equal(statusOf(manager, id)?.containerId, `c-${id}`);
    await desire(manager, id, 'shutdown');
    await until('the task is shut down', () => stateOf(manager, id) === 'shutdown');
    await manager.store.update((tx) => tx.tasks.remove(id));
    await until('nothing is left of it', () => executor.containers.size === 0);
    assert.deepEqual(executor.events, [`start ${id}`, `stop ${id}`, `remove ${id}`]);
  });

  it('holds a task in ready until it is let go', async () => {
    await using manager = await startTestManager();
    const { nodeId } = await manager.agent(new FakeExecutor());
    const id = await assign(manager, nodeId, { desired: 'ready' });
    await until('the task is prepared', () => stateOf(manager, id) === 'ready');
    await desire(manager, id, 'running');
    await until('the task runs', () => stateOf(manager, id) === 'running');
  });

  it('rejects what can not be prepared and fails what ends badly', async () => {
    await using manager = await startTestManager();
    const executor = new FakeExecutor({
      prepare: async (task) => {
        if (task.identity.kind === 'slot' && task.identity.slot === 2) throw new Error('No such image: nope:1');
      },
    });
    const { nodeId } = await manager.agent(executor);
    const good = await assign(manager, nodeId);
    const bad = await assign(manager, nodeId, { identity: { kind: 'slot', slot: 2 } });
    await until('the bad one is rejected', () => stateOf(manager, bad) === 'rejected');
    assert.equal(statusOf(manager, bad)?.error, 'No such image: nope:1');
    await until('the good one runs', () => stateOf(manager, good) === 'running');
    executor.end(good, { exitCode: 3 });
    await until('the good one failed', () => stateOf(manager, good) === 'failed');
    const status = statusOf(manager, good);
    assert.deepEqual([status?.exitCode, status?.error], [3, 'task: non-zero exit (3)']);
  });

  it('serves a hundred agents in one process', async () => {
    await using manager = await startTestManager();
    const agents = await Promise.all(
      Array.from({ length: 100 }, async () =>
        manager.agent(new FakeExecutor(), { credentials: await manager.worker() }),
      ),
    );
    const ids = await Promise.all(agents.map(({ nodeId }) => assign(manager, nodeId)));
    await until('all tasks run', () => ids.every((id) => stateOf(manager, id) === 'running'), { withinMs: 60_000 });
  }).timeout(90_000);
});
