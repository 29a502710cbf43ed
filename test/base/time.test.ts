import assert from 'node:assert/strict';
import { backoffMs } from '../../base/backoff.ts';
import { systemClock } from '../../base/clock.ts';
import { codeOf } from '../../base/errors.ts';
import { ManualClock } from '../../base/manual-clock.ts';
import { seededRandom } from '../../base/random.ts';

describe('a manual clock', () => {
  it('fires timers in order of time, then of creation', () => {
    const clock = new ManualClock();
    const fired: string[] = [];
    clock.after(20, () => fired.push('late'));
    clock.after(10, () => fired.push('first'));
    clock.after(10, () => fired.push('second'));
    clock.advance(15);
    assert.deepEqual(fired, ['first', 'second']);
    assert.equal(clock.untilNextMs(), 5);
  });

  it('fires what a timer sets, within the same advance', () => {
    const clock = new ManualClock();
    const fired: number[] = [];
    clock.after(1, () => {
      fired.push(clock.monotonicMs());
      clock.after(1, () => fired.push(clock.monotonicMs()));
    });
    clock.advance(5);
    assert.deepEqual(fired, [1, 2]);
  });

  it('ends a sleep when it is aborted, and leaves no timer', async () => {
    const clock = new ManualClock();
    const controller = new AbortController();
    const sleeping = clock.sleep(1_000, { abort: controller.signal });
    controller.abort();
    await assert.rejects(sleeping, (error) => codeOf(error) === 'aborted');
    assert.equal(clock.untilNextMs(), undefined);
  });

  it('gives a deadline that fires with its parent or at its time, and none once disposed', () => {
    const clock = new ManualClock();
    const parent = new AbortController();
    const byTime = clock.deadline(undefined, 10);
    const byParent = clock.deadline(parent.signal, 1_000);
    const done = clock.deadline(undefined, 10);
    done[Symbol.dispose]();
    parent.abort(new Error('gone'));
    clock.advance(10);
    assert.equal(codeOf(byTime.signal.reason), 'deadline');
    assert.equal((byParent.signal.reason as Error).message, 'gone');
    assert.equal(done.signal.aborted, false);
  });
});

describe('the system clock', () => {
  it('ends a sleep when it is aborted', async () => {
    await assert.rejects(
      systemClock.sleep(10_000, { abort: AbortSignal.abort() }),
      (error) => codeOf(error) === 'aborted',
    );
  });
});

describe('back-off', () => {
  it('grows to its maximum and never falls below half its base', () => {
    const random = seededRandom(1);
    const policy = { baseMs: 100, maxMs: 8_000 };
    const waits = Array.from({ length: 200 }, (_, attempt) => backoffMs(attempt, policy, random));
    assert.ok(waits.every((wait) => wait >= 50 && wait <= 8_000));
    assert.ok(Math.max(...waits) > 4_000);
  });
});

describe('seeded randomness', () => {
  it('repeats itself for a seed and differs between seeds', () => {
    const draw = (seed: number): string => Buffer.from(seededRandom(seed).bytes(32)).toString('hex');
    assert.equal(draw(7), draw(7));
    assert.notEqual(draw(7), draw(8));
  });

  it('spreads over its range', () => {
    const random = seededRandom(3);
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 10_000; i++) counts[random.below(10)]! += 1;
    assert.ok(
      counts.every((count) => count > 850 && count < 1_150),
      String(counts),
    );
  });
});
