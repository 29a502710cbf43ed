// What an agent does without its manager: goes on, remembers, and reports what was missed.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EMPTY_MEMORY, LocalDb } from '../../agent/local-db.ts';
import { systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { FakeExecutor } from '../support/fake-executor.ts';
import { assign, desire, stateOf, statusOf } from '../support/tasks.ts';
import { startTestManager } from '../support/test-manager.ts';
import { until } from '../support/until.ts';

describe('an agent on its own', () => {
  it('takes its tasks up again after a restart, and their containers run on', async () => {
    await using manager = await startTestManager();
    const executor = new FakeExecutor();
    const first = await manager.agent(executor);
    const id = await assign(manager, first.nodeId);
    await until('the task runs', () => stateOf(manager, id) === 'running');
    await first.agent.stop();
    const again = await manager.agent(executor, first);
    await until('it is connected again', () => again.agent.state.connectedTo !== undefined);
    assert.deepEqual(executor.events, [`start ${id}`]);
    executor.end(id, { exitCode: 9 });
    await until('the end is reported', () => stateOf(manager, id) === 'failed');
  });

  it('reports what happened while it was gone', async () => {
    await using manager = await startTestManager();
    const executor = new FakeExecutor();
    const first = await manager.agent(executor);
    const id = await assign(manager, first.nodeId);
    await until('the task runs', () => stateOf(manager, id) === 'running');
    await first.agent.stop();
    executor.end(id, { exitCode: 3 });
    await manager.agent(executor, first);
    await until('the failure is known', () => stateOf(manager, id) === 'failed');
    assert.equal(statusOf(manager, id)?.exitCode, 3);
  });

  it('stops what was given up while it was gone, and removes what nobody knows', async () => {
    await using manager = await startTestManager();
    const executor = new FakeExecutor();
    const first = await manager.agent(executor);
    const [stopped, removed] = [await assign(manager, first.nodeId), await assign(manager, first.nodeId)];
    await until('both run', () => [stopped, removed].every((id) => stateOf(manager, id) === 'running'));
    await first.agent.stop();
    await desire(manager, stopped, 'shutdown');
    await manager.store.update((tx) => tx.tasks.remove(removed));
    await manager.agent(executor, first);
    await until('one is shut down', () => stateOf(manager, stopped) === 'shutdown');
    await until('the other is gone', () => !executor.containers.has(removed));
  });

  it('finds its containers although its memory is lost', async () => {
    await using manager = await startTestManager();
    const executor = new FakeExecutor();
    const first = await manager.agent(executor);
    const [kept, unknown] = [await assign(manager, first.nodeId), await assign(manager, first.nodeId)];
    await until('both run', () => [kept, unknown].every((id) => stateOf(manager, id) === 'running'));
    await first.agent.stop();
    await manager.store.update((tx) => tx.tasks.remove(unknown));
    const again = await manager.agent(executor, { credentials: first.credentials });
    await until('the unknown one is gone', () => !executor.containers.has(unknown), { withinMs: 10_000 });
    assert.equal(again.nodeId, first.nodeId);
    assert.equal(executor.containers.get(kept)?.state, 'running');
    assert.equal(stateOf(manager, kept), 'running');
  }).timeout(15_000);
});

describe('the agent’s memory', () => {
  it('is empty where there is none, and refuses a newer format untouched', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'shoal-db-'));
    try {
      const db = new LocalDb({ directory, clock: systemClock, log: silentLog });
      assert.deepEqual(await db.load(), EMPTY_MEMORY);
      const newer = JSON.stringify({ ...EMPTY_MEMORY, format: 2 });
      await writeFile(join(directory, 'agent.json'), newer);
      await assert.rejects(db.load(), /has format 2; this version reads up to 1/);
      assert.equal(await readFile(join(directory, 'agent.json'), 'utf8'), newer);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it('comes back as it was written', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'shoal-db-'));
    try {
      const memory = { ...EMPTY_MEMORY, appliedIndex: 17, sessionId: 's', managers: ['10.0.0.1:2378'] };
      const db = new LocalDb({ directory, clock: systemClock, log: silentLog });
      db.keep(() => memory);
      db.touch();
      await db.flush();
      assert.deepEqual(await new LocalDb({ directory, clock: systemClock, log: silentLog }).load(), memory);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
