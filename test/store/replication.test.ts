// One log, many machines: replay, snapshot and restore end in the same state.
import { strict as assert } from 'node:assert';
import { ManualClock } from '../../base/manual-clock.ts';
import { type Random, seededRandom } from '../../base/random.ts';
import type { ReplicatedStore, SnapshotChunk, Transaction } from '../../manager/store/contract.ts';
import { createStore } from '../../manager/store/store.ts';
import type { NodeId, Task, TaskState } from '../../proto/objects.ts';
import { TASK_STATE } from '../../proto/task-state.ts';
import { createMemoryProposer } from '../support/memory-proposer.ts';
import { createMemoryStore } from '../support/memory-store.ts';
import { aNode, aService, aServiceSpec, aTask, anId } from '../support/objects.ts';

function follower(): ReplicatedStore {
  return createStore({ proposer: createMemoryProposer(), clock: new ManualClock() });
}

async function collect(chunks: AsyncIterable<SnapshotChunk>): Promise<SnapshotChunk[]> {
  const all: SnapshotChunk[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

async function* replay(chunks: readonly SnapshotChunk[]): AsyncGenerator<SnapshotChunk> {
  yield* chunks;
}

const STATES = Object.keys(TASK_STATE) as TaskState[];

/** One random change to services, nodes and tasks that respects what the store promises. */
function randomChange(random: Random): (tx: Transaction) => void {
  const [number, kind, state] = [random.below(12), random.below(8), STATES[random.below(STATES.length)] ?? 'new'];
  const service = aService({
    id: anId('service', number % 4),
    spec: aServiceSpec({ name: `s${random.below(5)}`, labels: { a: String(random.below(3)) } }),
    specVersion: random.below(3),
  });
  return (tx) => {
    const task = tx.tasks.get(anId('task', number));
    if (kind === 0) tx.services.put(service);
    else if (kind === 1) tx.services.remove(service.id);
    else if (kind === 2) tx.nodes.put(aNode({ id: anId('node', number) }));
    else if (kind === 3) tx.tasks.remove(anId('task', number));
    else if (!task) tx.tasks.put(aTask({ id: anId('task', number) }, service));
    else if (TASK_STATE[state] > TASK_STATE[task.status.state]) tx.tasks.put(observed(task, state));
    else if (!task.nodeId) tx.tasks.put({ ...task, nodeId: anId('node', number % 3) as NodeId });
  };
}

const observed = (task: Task, state: TaskState): Task => ({ ...task, status: { ...task.status, state } });

describe('the state', () => {
  for (let seed = 1; seed <= 25; seed += 1) {
    it(`is the same by replay and by snapshot and suffix (seed ${seed})`, async () => {
      const random = seededRandom(seed);
      const { store, proposer, clock } = createMemoryStore();
      const steps = 150;
      const snapshotAt = random.below(steps);
      let snapshot: { index: number; chunks: SnapshotChunk[] } | undefined;
      for (let step = 0; step < steps; step += 1) {
        clock.advance(random.below(50));
        if (random.below(10) === 0) proposer.hold();
        const writes = Array.from({ length: 1 + random.below(4) }, () => store.update(randomChange(random)));
        proposer.release();
        await Promise.allSettled(writes);
        if (step === snapshotAt) snapshot = { index: store.view().version, chunks: await collect(store.snapshot()) };
      }
      assert.ok(snapshot);

      const replayed = follower();
      for (const { index, entry } of proposer.entries) replayed.apply(index, entry);
      assert.equal(replayed.stateDigest(), store.stateDigest());

      const restored = follower();
      await restored.restore(snapshot.index, replay(snapshot.chunks));
      for (const { index, entry } of proposer.entries) if (index > snapshot.index) restored.apply(index, entry);
      assert.equal(restored.stateDigest(), store.stateDigest());
      assert.deepEqual([...restored.view().tasks.all()].sort(byId), [...store.view().tasks.all()].sort(byId));
      for (const node of [0, 1, 2]) {
        const ids = (of: ReplicatedStore) =>
          of
            .view()
            .tasks.ofNode(anId('node', node))
            .map(({ id }) => id)
            .sort();
        assert.deepEqual(ids(restored), ids(store));
      }
    });
  }

  it('has another digest when a single field differs', async () => {
    const [one, two] = [createMemoryStore(), createMemoryStore()];
    await one.store.update((tx) => tx.tasks.put(aTask()));
    await two.store.update((tx) => tx.tasks.put(aTask({ status: { state: 'new', atMs: 0, message: 'made' } })));
    assert.notEqual(one.store.stateDigest(), two.store.stateDigest());
  });
});

const byId = (a: Task, b: Task): number => (a.id < b.id ? -1 : 1);

describe('a snapshot', () => {
  it('is of the moment it was asked for, whatever is applied while it is read', async () => {
    const { store } = createMemoryStore();
    await store.update((tx) => tx.services.put(aService()));
    const before = store.stateDigest();
    const chunks = store.snapshot();
    await store.update((tx) => tx.services.remove(aService().id));
    const restored = follower();
    await restored.restore(1, chunks);
    assert.equal(restored.stateDigest(), before);
  });

  it('may have an index above the last change: consensus has entries of its own', async () => {
    const { store } = createMemoryStore();
    await store.update((tx) => tx.services.put(aService()));
    const restored = follower();
    await restored.restore(4, store.snapshot());
    assert.equal(restored.stateDigest(), store.stateDigest());
    await assert.rejects(follower().restore(0, store.snapshot()), /the snapshot at 0 has changes up to 1/);
  });

  it('keeps what tasks share once', async () => {
    const { store } = createMemoryStore();
    const service = aService({ spec: aServiceSpec({ labels: { long: 'x'.repeat(5_000) } }) });
    await store.update((tx) => {
      for (let number = 0; number < 100; number += 1) tx.tasks.put(aTask({ id: anId('task', number) }, service));
    });
    const chunks = await collect(store.snapshot());
    assert.ok(chunks.reduce((sum, { bytes }) => sum + bytes.length, 0) < 50_000);
    const restored = follower();
    await restored.restore(1, replay(chunks));
    const [one, two] = restored.view().tasks.ofService(service.id);
    assert.ok(one && one.spec === two?.spec);
  });

  for (const [what, damage, text] of [
    ['has lost a chunk', (chunks: SnapshotChunk[]) => chunks.slice(1), /has 1 objects instead of 2/],
    ['has lost its end', (chunks: SnapshotChunk[]) => chunks.slice(0, -1), /has no end/],
    [
      'is cut short',
      ([first, ...rest]: SnapshotChunk[]) => [
        { kind: first?.kind ?? '', bytes: first?.bytes.subarray(0, 30) ?? new Uint8Array() },
        ...rest,
      ],
      /cut short/,
    ],
    [
      'holds an unknown kind',
      (chunks: SnapshotChunk[]) => [{ kind: 'secret', bytes: new Uint8Array([1]) }, ...chunks],
      /unknown kind 'secret'/,
    ],
  ] as const) {
    it(`that ${what} is refused, and the present state stays`, async () => {
      const { store } = createMemoryStore();
      await store.update((tx) => {
        tx.nodes.put(aNode());
        tx.services.put(aService());
      });
      const chunks = await collect(store.snapshot());
      const restored = follower();
      const before = restored.stateDigest();
      await assert.rejects(restored.restore(1, replay(damage(chunks))), text);
      assert.equal(restored.stateDigest(), before);
    });
  }

  it('tells every watcher to scan again', async () => {
    const { store } = createMemoryStore();
    await store.update((tx) => tx.services.put(aService()));
    const restored = follower();
    const { changes } = restored.viewAndWatch(['service'], { abort: new AbortController().signal });
    await restored.restore(1, store.snapshot());
    const { value } = await changes[Symbol.asyncIterator]().next();
    assert.equal(value?.kind, 'resync');
    assert.equal(restored.view().services.size, 1);
  });
});

describe('an entry', () => {
  const entryOf = async (): Promise<Buffer> => {
    const { store, proposer } = createMemoryStore();
    await store.update((tx) => tx.nodes.put(aNode()));
    return Buffer.from(proposer.entries[0]?.entry ?? []);
  };
  const nodeAt = (entry: Buffer): number => entry.indexOf('node');

  it('of an unknown kind halts and names it', async () => {
    const entry = await entryOf();
    entry.write('nose', nodeAt(entry));
    assert.throws(() => follower().apply(1, entry), /raft entry 1 holds an object of unknown kind 'nose'.*too old/);
  });

  it('in a newer format of a kind halts and names it', async () => {
    const entry = await entryOf();
    entry[nodeAt(entry) + 4] = 2;
    assert.throws(() => follower().apply(1, entry), /a node in format 2, this shoald reads up to 1/);
  });

  it('in a newer format of entries halts', async () => {
    const entry = await entryOf();
    entry[0] = 9;
    assert.throws(() => follower().apply(1, entry), /raft entry 1 has format 9/);
  });

  it('cannot come twice or out of order', async () => {
    const entry = await entryOf();
    const store = follower();
    store.apply(5, entry);
    assert.throws(() => store.apply(5, entry), /invariant broken/);
  });
});
