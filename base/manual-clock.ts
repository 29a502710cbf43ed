// A clock that moves only when told to: for simulations and tests.
// Timers fire in order of time, then of creation, so a run is reproducible.
import { type Clock, type Deadline, deadlineOn, type Timer } from './clock.ts';
import { CodedError } from './errors.ts';

interface Entry {
  atMs: number;
  order: number;
  run: () => void;
}

export class ManualClock implements Clock {
  #elapsedMs = 0;
  #order = 0;
  readonly #startMs: number;
  readonly #entries = new Set<Entry>();

  constructor(options: { startMs?: number } = {}) {
    this.#startMs = options.startMs ?? 1_700_000_000_000;
  }

  nowMs(): number {
    return this.#startMs + this.#elapsedMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  async sleep(ms: number, options?: { abort?: AbortSignal | undefined }): Promise<void> {
    const abort = options?.abort;
    const cancelled = (): CodedError => new CodedError('aborted', 'the wait was cancelled');
    if (abort?.aborted) throw cancelled();
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        timer.cancel();
        reject(cancelled());
      };
      const timer = this.after(ms, () => {
        abort?.removeEventListener('abort', onAbort);
        resolve();
      });
      abort?.addEventListener('abort', onAbort, { once: true });
    });
  }

  after(ms: number, run: () => void): Timer {
    const entry: Entry = { atMs: this.#elapsedMs + Math.max(0, ms), order: this.#order++, run };
    this.#entries.add(entry);
    const cancel = (): void => void this.#entries.delete(entry);
    return { cancel, [Symbol.dispose]: cancel };
  }

  deadline(abort: AbortSignal | undefined, ms: number): Deadline {
    return deadlineOn(this, abort, ms);
  }

  /** Milliseconds until the next timer, or undefined when none is set. */
  untilNextMs(): number | undefined {
    const next = this.#next();
    return next && next.atMs - this.#elapsedMs;
  }

  /** Moves time forward by `ms`, firing what falls due, in order. Promise reactions run only when the caller yields. */
  advance(ms: number): void {
    const targetMs = this.#elapsedMs + ms;
    for (let next = this.#next(); next && next.atMs <= targetMs; next = this.#next()) {
      this.#elapsedMs = next.atMs;
      this.#entries.delete(next);
      next.run();
    }
    this.#elapsedMs = targetMs;
  }

  #next(): Entry | undefined {
    let best: Entry | undefined;
    for (const entry of this.#entries) {
      if (!best || entry.atMs < best.atMs || (entry.atMs === best.atMs && entry.order < best.order)) best = entry;
    }
    return best;
  }
}
