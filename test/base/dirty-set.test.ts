import assert from 'node:assert/strict';
import { DirtySet } from '../../base/dirty-set.ts';
import { ManualClock } from '../../base/manual-clock.ts';

const never = new AbortController().signal;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function setUp() {
  const clock = new ManualClock();
  return { clock, dirty: new DirtySet<string>(clock) };
}

describe('a dirty set', () => {
  it('hands out each key once, all together', async () => {
    const { dirty } = setUp();
    dirty.add('a');
    dirty.add('b');
    dirty.add('a');
    assert.deepEqual(await dirty.take(never), ['a', 'b']);
    assert.equal(dirty.size, 0);
  });

  it('wakes a waiting reader', async () => {
    const { dirty } = setUp();
    const taken = dirty.take(never);
    await turn();
    dirty.addAll(new Set(['x', 'y']));
    assert.deepEqual(await taken, ['x', 'y']);
  });

  it('hands out a key at its time, the earliest of several', async () => {
    const { clock, dirty } = setUp();
    dirty.addAt('a', clock.nowMs() + 500);
    dirty.addAt('a', clock.nowMs() + 100);
    dirty.addAt('a', clock.nowMs() + 300);
    const taken = dirty.take(never);
    clock.advance(99);
    await turn();
    assert.equal(dirty.size, 0);
    clock.advance(1);
    assert.deepEqual(await taken, ['a']);
  });

  it('forgets the later time of a key that is handed out', async () => {
    const { clock, dirty } = setUp();
    dirty.addAt('a', clock.nowMs() + 100);
    dirty.add('a');
    await dirty.take(never);
    clock.advance(1_000);
    assert.equal(dirty.size, 0);
  });

  it('keeps times further away than a timer reaches', async () => {
    const { clock, dirty } = setUp();
    const days = 40 * 24 * 3_600_000;
    dirty.addAt('a', clock.nowMs() + days);
    clock.advance(days - 1);
    assert.equal(dirty.size, 0);
    clock.advance(1);
    assert.deepEqual(await dirty.take(never), ['a']);
  });

  it('ends a wait when it is aborted', async () => {
    const { dirty } = setUp();
    const over = new AbortController();
    const taken = dirty.take(over.signal);
    await turn();
    over.abort();
    await assert.rejects(taken, { code: 'aborted' });
  });
});
