// What a change function sees and writes, and what the store refuses.
import { strict as assert } from 'node:assert';
import { CodedError } from '../../base/errors.ts';
import type { NodeId } from '../../proto/objects.ts';
import { createMemoryStore } from '../support/memory-store.ts';
import { aNode, aService, aServiceSpec, aTask, anId } from '../support/objects.ts';

const web = aService();
const coded = (code: string, text: RegExp) => (error: unknown) =>
  error instanceof CodedError && error.code === code && text.test(error.message);

describe('a transaction', () => {
  it('gives objects the index of their entry as version and the time of its proposal', async () => {
    const { store, clock } = createMemoryStore();
    await store.update((tx) => tx.services.put(web));
    clock.advance(500);
    await store.update((tx) => tx.services.put({ ...web, specVersion: 2 }));
    const stored = store.view().services.get(web.id);
    assert.equal(stored?.version, 2);
    assert.equal(stored.updatedAtMs - stored.createdAtMs, 500);
    assert.equal(store.view().version, 2);
  });

  it('reads its own writes through every look-up, and nobody else does before the commit', async () => {
    const { store } = createMemoryStore();
    const [first, second] = [aTask(), aTask({ id: anId('task', 2), nodeId: anId('node', 1) as NodeId })];
    await store.update((tx) => tx.tasks.put(first));
    await store.update((tx) => {
      tx.tasks.put(second);
      tx.services.put(web);
      assert.deepEqual(
        tx.tasks.ofService(web.id).map((task) => task.id),
        [first.id, second.id],
      );
      assert.deepEqual(
        tx.tasks.ofNode(anId('node', 1)).map((task) => task.id),
        [second.id],
      );
      assert.equal(tx.tasks.ofSlot(web.id, { kind: 'slot', slot: 1 }).length, 2);
      assert.equal(tx.services.byName('WEB')?.id, web.id);
      assert.equal(tx.tasks.size, 2);
      tx.tasks.remove(first.id);
      tx.tasks.remove(second.id);
      assert.equal(tx.tasks.size, 0);
      assert.equal([...tx.tasks.all()].length, 0);
      tx.tasks.put(second);
      assert.deepEqual(
        tx.tasks.byIdPrefix('task').map((task) => task.id),
        [second.id],
      );
      assert.equal(store.view().tasks.size, 1);
      assert.equal(store.view().services.byName('web'), undefined);
    });
    assert.deepEqual(
      [...store.view().tasks.all()].map((task) => task.id),
      [second.id],
    );
  });

  it('proposes nothing when nothing was written', async () => {
    const { store, proposer } = createMemoryStore();
    await store.update((tx) => tx.services.put(web));
    assert.equal(await store.update((tx) => tx.services.size), 1);
    await store.update((tx) => {
      const present = tx.services.get(web.id);
      if (present) tx.services.put(present);
      tx.services.remove('absent');
    });
    assert.equal(proposer.entries.length, 1);
  });

  it('leaves the state alone when the change throws', async () => {
    const { store, proposer } = createMemoryStore();
    const change = store.update((tx) => {
      tx.services.put(web);
      throw new CodedError('invalid', 'no');
    });
    await assert.rejects(change, coded('invalid', /no/));
    assert.equal(proposer.entries.length, 0);
  });

  it('refuses an object that was read before it changed', async () => {
    const { store } = createMemoryStore();
    await store.update((tx) => tx.services.put(web));
    const early = store.view().services.get(web.id);
    await store.update((tx) => tx.services.put({ ...web, specVersion: 2 }));
    assert.ok(early);
    await assert.rejects(
      store.update((tx) => tx.services.put(early)),
      coded('out-of-sequence', /was read at version 1, it is at 2 now/),
    );
  });

  it('refuses a second object with the same name, whatever the case', async () => {
    const { store } = createMemoryStore();
    await store.update((tx) => tx.services.put(web));
    const other = aService({ id: anId('service', 2), spec: aServiceSpec({ name: 'WEB' }) });
    await assert.rejects(
      store.update((tx) => tx.services.put(other)),
      coded('conflict', /name web is taken by service/),
    );
  });

  it('lets a name pass from one object to another in one step', async () => {
    const { store } = createMemoryStore();
    await store.update((tx) => tx.services.put(web));
    const heir = aService({ id: anId('service', 2) });
    await store.update((tx) => {
      tx.services.remove(web.id);
      tx.services.put(heir);
    });
    assert.equal(store.view().services.byName('web')?.id, heir.id);
  });

  for (const [what, before, after] of [
    [
      'an observed state',
      { status: { state: 'running', atMs: 1, message: '' } },
      { status: { state: 'ready', atMs: 2, message: '' } },
    ],
    ['a desired state', { desired: 'shutdown' }, { desired: 'running' }],
    ['a node', { nodeId: anId('node', 1) }, { nodeId: anId('node', 2) }],
  ] as const) {
    it(`never takes back ${what} of a task`, async () => {
      const { store } = createMemoryStore();
      await store.update((tx) => tx.tasks.put(aTask(before)));
      await assert.rejects(
        store.update((tx) => tx.tasks.put(aTask({ ...before, ...after }))),
        /invariant broken/,
      );
    });
  }

  it('says how large a change may be', async () => {
    const { store } = createMemoryStore();
    const labels = { big: 'x'.repeat(2_000_000) };
    await assert.rejects(
      store.update((tx) => tx.services.put(aService({ spec: aServiceSpec({ labels }) }))),
      coded('exhausted', /the most is 1572864: write it in parts/),
    );
  });

  it('writes what tasks have in common once per entry, and not at all for a status', async () => {
    const { store, proposer } = createMemoryStore();
    const service = aService({ spec: aServiceSpec({ labels: { long: 'x'.repeat(1_000) } }) });
    await store.update((tx) => {
      for (let number = 1; number <= 100; number += 1) tx.tasks.put(aTask({ id: anId('task', number) }, service));
    });
    await store.update((tx) => {
      for (const task of tx.tasks.ofService(service.id))
        tx.tasks.put({ ...task, status: { ...task.status, state: 'running' } });
    });
    assert.deepEqual(
      proposer.entries.map(({ entry }) => entry.length < 30_000),
      [true, true],
    );
    const [one, two] = store.view().tasks.ofService(service.id);
    assert.ok(one && two);
    assert.equal(one.serviceLabels, two.serviceLabels);
    assert.equal(one.serviceLabels['long']?.length, 1_000);
  });
});

describe('transactions at once', () => {
  it('run again on the new state when they write the same object, so none is lost', async () => {
    const { store, proposer } = createMemoryStore();
    await store.update((tx) => tx.services.put({ ...web, specVersion: 0 }));
    proposer.hold();
    const count = () =>
      store.update((tx) => {
        const service = tx.services.get(web.id);
        if (service) tx.services.put({ ...service, specVersion: service.specVersion + 1 });
      });
    const all = Promise.all(Array.from({ length: 10 }, count));
    proposer.release();
    await all;
    assert.equal(store.view().services.get(web.id)?.specVersion, 10);
  });

  it('travel together when the pipe is full', async () => {
    const { store, proposer } = createMemoryStore();
    proposer.hold();
    const all = Array.from({ length: 100 }, (_, number) =>
      store.update((tx) => tx.tasks.put(aTask({ id: anId('task', number) }))),
    );
    proposer.release();
    await Promise.all(all);
    assert.equal(proposer.entries.length, 9);
    assert.equal(store.view().tasks.size, 100);
  });

  it('decide a race for a name while applying: one wins, the other hears why', async () => {
    const { store, proposer } = createMemoryStore();
    proposer.hold();
    const create = (number: number) => store.update((tx) => tx.services.put(aService({ id: anId('service', number) })));
    const outcomes = Promise.allSettled([create(1), create(2)]);
    proposer.release();
    const [first, second] = await outcomes;
    assert.equal(first?.status, 'fulfilled');
    assert.equal(second?.status, 'rejected');
    assert.ok(coded('conflict', /name web is taken/)(second.reason));
    assert.equal(store.view().services.size, 1);
  });

  it('are refused by an entry from elsewhere that came first, and run again', async () => {
    const { store, proposer } = createMemoryStore();
    const other = createMemoryStore();
    await other.store.update((tx) => tx.nodes.put(aNode()));
    proposer.hold();
    let runs = 0;
    const update = store.update((tx) => {
      runs += 1;
      tx.nodes.put(aNode({ role: 'manager' }));
    });
    store.apply(1, other.proposer.entries[0]?.entry ?? new Uint8Array());
    proposer.skipTo(1);
    proposer.release();
    await update;
    assert.equal(runs, 2);
    assert.equal(store.view().nodes.get(aNode().id)?.role, 'manager');
  });

  it('keep an uncertain outcome uncertain', async () => {
    const { store, proposer } = createMemoryStore();
    proposer.hold();
    const update = store.update((tx) => tx.services.put(web));
    proposer.release(new CodedError('unknown-outcome', 'leadership was lost'));
    await assert.rejects(update, coded('unknown-outcome', /leadership/));
    await store.update((tx) => tx.services.put(web));
  });

  it('are refused, and forgotten, when too many wait already', async function () {
    this.timeout(20_000); // ten thousand of them, on whatever else the machine does
    const { store, proposer } = createMemoryStore();
    // One for each: a signal goes through all its listeners whenever one is added.
    const aborts: AbortController[] = [];
    const put = (number: number) => {
      const abort = new AbortController();
      aborts.push(abort);
      return store.update((tx) => tx.tasks.put(aTask({ id: anId('task', number) })), { abort: abort.signal });
    };
    proposer.hold();
    const waiting = Array.from({ length: 10_008 }, (_, number) => put(number));
    await assert.rejects(put(20_000), coded('exhausted', /10000 changes are already waiting to be written/));
    for (const abort of aborts) abort.abort();
    const outcomes = await Promise.allSettled(waiting);
    assert.ok(outcomes.every(({ status }) => status === 'rejected'));
    proposer.release();
    await store.update((tx) => tx.tasks.put(aTask({ id: anId('task', 20_000) })));
  });

  it('can be given up: before the proposal for certain, after it with an unknown outcome', async () => {
    const { store, proposer } = createMemoryStore();
    proposer.hold();
    const abort = new AbortController();
    const proposed = store.update((tx) => tx.services.put(web), { abort: abort.signal });
    const behind = store.update((tx) => tx.services.put({ ...web, specVersion: 9 }), { abort: abort.signal });
    abort.abort();
    await assert.rejects(proposed, coded('unknown-outcome', /may yet be committed/));
    proposer.release();
    await assert.rejects(behind, coded('aborted', /before it was proposed/));
    assert.equal(store.view().services.get(web.id)?.specVersion, 1);
  });
});
