// Time is handed in. `nowMs` is wall-clock time for records that people and other machines read;
// `monotonicMs` never jumps and is what periods and deadlines are measured with.
import { setTimeout as delay } from 'node:timers/promises';
import { CodedError } from './errors.ts';

export interface Timer extends Disposable {
  cancel(): void;
}

/** A signal that fires at a time or with its parent, whichever is first. Dispose it when the work is done. */
export interface Deadline extends Disposable {
  readonly signal: AbortSignal;
}

export interface Clock {
  nowMs(): number;
  monotonicMs(): number;
  /** Resolves after `ms`; rejects with code `aborted` as soon as `abort` fires. */
  sleep(ms: number, options?: { abort?: AbortSignal | undefined }): Promise<void>;
  /** Calls `then` once after `ms`, unless cancelled. */
  after(ms: number, then: () => void): Timer;
  deadline(abort: AbortSignal | undefined, ms: number): Deadline;
}

/** What a loop that waits is given: its clock and the signal that ends it. */
export interface Loop {
  clock: Clock;
  abort: AbortSignal;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  async sleep(ms, options) {
    try {
      await delay(ms, undefined, options?.abort ? { signal: options.abort } : {});
    } catch (cause) {
      throw new CodedError('aborted', 'the wait was cancelled', { cause });
    }
  },
  after(ms, then) {
    const handle = setTimeout(then, ms);
    const cancel = (): void => clearTimeout(handle);
    return { cancel, [Symbol.dispose]: cancel };
  },
  deadline(abort, ms) {
    return deadlineOn(systemClock, abort, ms);
  },
};

/** A deadline built from a clock's `after`; for implementations of Clock. */
export function deadlineOn(clock: Pick<Clock, 'after'>, abort: AbortSignal | undefined, ms: number): Deadline {
  const controller = new AbortController();
  const timer = clock.after(ms, () =>
    controller.abort(new CodedError('deadline', `no answer within ${Math.round(ms)} ms`)),
  );
  const onAbort = (): void => controller.abort(abort?.reason);
  if (abort?.aborted) onAbort();
  else abort?.addEventListener('abort', onAbort, { once: true });
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      timer.cancel();
      abort?.removeEventListener('abort', onAbort);
    },
  };
}
