// Watching on from a version: nothing missed, nothing twice, and `compacted` where that can not be promised.
import { strict as assert } from 'node:assert';
import { codeOf } from '../../base/errors.ts';
import type { Change, ChangeOrResync, SnapshotChunk } from '../../manager/store/contract.ts';
import { RecentCommits } from '../../manager/store/recent.ts';
import { createMemoryStore } from '../support/memory-store.ts';
import { aNode, aService, aTask } from '../support/objects.ts';

async function take(changes: AsyncIterable<ChangeOrResync>, count: number): Promise<string[]> {
  const seen: string[] = [];
  for await (const change of changes) {
    seen.push(change.kind === 'resync' ? 'resync' : `${change.action} ${change.kind} at ${change.version}`);
    if (seen.length === count) break;
  }
  return seen;
}

const aChange = (version: number): Change => ({ version }) as unknown as Change;

describe('a watch from a version', () => {
  const abort = new AbortController().signal;

  it('gives what came after it, and then what comes', async () => {
    const { store } = createMemoryStore();
    await store.update((tx) => tx.services.put(aService()));
    const { version } = store.view();
    await store.update((tx) => tx.tasks.put(aTask()));
    await store.update((tx) => tx.nodes.put(aNode()));
    const changes = store.watchFrom(version, ['service', 'task', 'node'], { abort });
    assert.ok(changes !== 'compacted');
    await store.update((tx) => tx.tasks.remove(aTask().id));
    const after = (number: number): number => version + number;
    assert.deepEqual(await take(changes, 3), [
      `create task at ${after(1)}`,
      `create node at ${after(2)}`,
      `remove task at ${after(3)}`,
    ]);
  });

  it('gives nothing old from the present version, and only the kinds that were asked for', async () => {
    const { store } = createMemoryStore();
    await store.update((tx) => tx.services.put(aService()));
    const { version } = store.view();
    const changes = store.watchFrom(version, ['task'], { abort });
    assert.ok(changes !== 'compacted');
    await store.update((tx) => tx.nodes.put(aNode()));
    await store.update((tx) => tx.tasks.put(aTask()));
    assert.deepEqual(await take(changes, 1), [`create task at ${version + 2}`]);
  });

  it('is compacted before a restored snapshot, and goes on after it', async () => {
    const { store } = createMemoryStore();
    await store.update((tx) => tx.services.put(aService()));
    const chunks: SnapshotChunk[] = [];
    for await (const chunk of store.snapshot()) chunks.push(chunk);
    const { version } = store.view();
    const restored = createMemoryStore();
    await restored.store.restore(
      version,
      (async function* () {
        yield* chunks;
      })(),
    );
    assert.equal(restored.store.watchFrom(version - 1, ['service'], { abort }), 'compacted');
    assert.notEqual(restored.store.watchFrom(version, ['service'], { abort }), 'compacted');
  });

  it('is refused where the version is not reached yet', () => {
    const { store } = createMemoryStore();
    assert.throws(
      () => store.watchFrom(7, ['task'], { abort }),
      (error) => codeOf(error) === 'unavailable',
    );
  });

  it('forgets whole commits, the oldest first, and never more than it must', () => {
    const recent = new RecentCommits({ changesMax: 4 });
    for (let version = 1; version <= 4; version += 1) recent.add([aChange(version)]);
    assert.notEqual(recent.after(0), 'compacted');
    recent.add([aChange(5), aChange(5)]);
    assert.equal(recent.after(3), 'compacted');
    assert.deepEqual(recent.after(4), [{ version: 5, changes: [aChange(5), aChange(5)] }]);
    assert.deepEqual(recent.after(5), []);
  });
});
