// Watching: no gap, commit order, commit marks, and `resync` instead of an unbounded queue.
import { strict as assert } from 'node:assert';
import type { ChangeOrResync, Kind } from '../../manager/store/contract.ts';
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

  it('tells a reader that fell too far behind to scan again, and goes on from there', async () => {
    const { store } = createMemoryStore();
    const { take } = watcher(store, ['task']);
    for (let batch = 0; batch < 101; batch += 1) {
      await store.update((tx) => {
        for (let number = 0; number < 200; number += 1) tx.tasks.put(aTask({ id: anId('task', batch * 200 + number) }));
      });
    }
    const [first] = await take(1);
    assert.equal(first, 'resync');
  });

  it('ends with code aborted when its reader is stopped', async () => {
    const { store } = createMemoryStore();
    const { take, abort } = watcher(store, ['task']);
    const reading = take(1);
    abort.abort();
    await assert.rejects(reading, { code: 'aborted' });
  });
});
