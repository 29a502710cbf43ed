// Watching: no gap, commit order, commit marks, and `resync` instead of an unbounded queue.
import { strict as assert } from 'node:assert';
import { coalesce } from '../../manager/store/change-queue.ts';
import type { Change, ChangeOrResync, Kind, Transaction } from '../../manager/store/contract.ts';
import type { TaskState } from '../../proto/objects.ts';
import { createMemoryStore } from '../support/memory-store.ts';
import { aNode, aService, aTask, anId } from '../support/objects.ts';

const brief = (change: ChangeOrResync): string =>
  change.kind === 'resync' ? 'resync' : `${change.action} ${change.kind}${change.endsCommit ? '.' : ''}`;

function watcher(store: ReturnType<typeof createMemoryStore>['store'], kinds: readonly Kind[]) {
  const abort = new AbortController();
  const { changes } = store.viewAndWatch(kinds, { abort: abort.signal });
  const iterator = changes[Symbol.asyncIterator]();
  const take = async (count: number): Promise<string[]> => {
    const seen: string[] = [];
    while (seen.length < count) {
      const { value, done } = await iterator.next();
      if (done) break;
      seen.push(brief(value));
    }
    return seen;
  };
  return { take, abort };
}

function putTasks(tx: Transaction, count: number, state: TaskState): void {
  const status = { state, atMs: 0, message: '' };
  for (let number = 0; number < count; number += 1) tx.tasks.put(aTask({ id: anId('task', number), status }));
}

describe('a watch', () => {
  it('shows commits in order, only its kinds, and marks the last change of each', async () => {
    const { store } = createMemoryStore();
    const { take } = watcher(store, ['service', 'task']);
    await store.update((tx) => {
      tx.services.put(aService());
      tx.tasks.put(aTask());
      tx.nodes.put(aNode());
    });
    await store.update((tx) => tx.nodes.put(aNode({ role: 'manager' })));
    await store.update((tx) => tx.tasks.put(aTask({ desired: 'shutdown' })));
    await store.update((tx) => tx.tasks.remove(aTask().id));
    assert.deepEqual(await take(4), ['create service', 'create task.', 'update task.', 'remove task.']);
  });

  it('carries the previous object with an update and the last one with a removal', async () => {
    const { store } = createMemoryStore();
    const { changes } = store.viewAndWatch(['task'], { abort: new AbortController().signal });
    const iterator = changes[Symbol.asyncIterator]();
    await store.update((tx) => tx.tasks.put(aTask()));
    await store.update((tx) => tx.tasks.put(aTask({ desired: 'remove' })));
    await store.update((tx) => tx.tasks.remove(aTask().id));
    await iterator.next();
    const { value: update } = await iterator.next();
    const { value: removal } = await iterator.next();
    assert.ok(update?.kind === 'task' && removal?.kind === 'task');
    assert.deepEqual([update.previous?.desired, update.object.desired, update.version], ['running', 'remove', 2]);
    assert.deepEqual([removal.action, removal.object.desired, removal.version], ['remove', 'remove', 3]);
  });

  it('starts with a view to which its first change is the next', async () => {
    const { store } = createMemoryStore();
    await store.update((tx) => tx.services.put(aService()));
    const { view } = store.viewAndWatch(['service'], { abort: new AbortController().signal });
    assert.equal(view.services.size, 1);
    const { take } = watcher(store, ['service']);
    await store.update((tx) => tx.services.remove(aService().id));
    assert.deepEqual(await take(1), ['remove service.']);
  });

  it('gives a slow reader its backlog as one commit with each object once', async () => {
    const { store } = createMemoryStore();
    const { take } = watcher(store, ['task']);
    const states = ['pending', 'assigned', 'running', 'complete'] as const;
    await store.update((tx) => putTasks(tx, 4_500, 'new'));
    for (const state of states) await store.update((tx) => putTasks(tx, 4_500, state));
    const seen = await take(4_500);
    assert.deepEqual(new Set(seen.slice(0, -1)), new Set(['create task']));
    assert.equal(seen.at(-1), 'create task.');
  });

  it('tells a reader that fell too far behind to scan again, and goes on from there', async () => {
    const { store } = createMemoryStore();
    const { take } = watcher(store, ['task']);
    for (let first = 0; first <= 20_000; first += 4_000) {
      await store.update((tx) => {
        for (let number = first; number < first + 4_000; number += 1) tx.tasks.put(aTask({ id: anId('task', number) }));
      });
    }
    await store.update((tx) => tx.tasks.remove(anId('task', 1)));
    assert.deepEqual(await take(2), ['resync', 'remove task.']);
  });

  it('ends with code aborted when its reader is stopped', async () => {
    const { store } = createMemoryStore();
    const { take, abort } = watcher(store, ['task']);
    await store.update((tx) => tx.tasks.put(aTask()));
    assert.deepEqual(await take(1), ['create task.']);
    await store.update((tx) => tx.tasks.put(aTask({ desired: 'shutdown' })));
    abort.abort();
    await assert.rejects(take(1), { code: 'aborted' });
  });
});

describe('coalescing', () => {
  const stored = (desired: 'running' | 'shutdown' | 'remove') => ({
    ...aTask({ desired }),
    version: 1,
    createdAtMs: 0,
    updatedAtMs: 0,
  });
  const [a, b, c] = [stored('running'), stored('shutdown'), stored('remove')];
  const common = { kind: 'task', version: 1, endsCommit: true } as const;
  const created: Change = { ...common, action: 'create', object: a };
  const updated: Change = { ...common, action: 'update', object: b, previous: a };
  const again: Change = { ...common, action: 'update', object: c, previous: b };
  const removed: Change = { ...common, action: 'remove', object: c };

  for (const [what, changes, expected] of [
    ['a creation and its updates are a creation', [created, updated, again], [{ ...created, object: c }]],
    ['updates are one, from the first state to the last', [updated, again], [{ ...again, previous: a }]],
    ['an update before a removal is a removal', [again, removed], [removed]],
    ['what came and went was never there', [created, updated, removed], []],
    [
      'what went and came back is an update',
      [removed, created],
      [{ ...common, action: 'update', object: a, previous: c }],
    ],
  ] as const) {
    it(what, () => assert.deepEqual(coalesce(changes), expected));
  }
});
