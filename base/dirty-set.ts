// Keys that need attention, now or at a stored time. One reader. A key added twice is handed out once.
// The bound is the number of keys: each is here at most once.
import type { Clock, Timer } from './clock.ts';
import { CodedError } from './errors.ts';

/** setTimeout takes at most 2^31 ms; a longer wait is asked for again. */
const TIMER_MAX_MS = 24 * 3_600_000;

export class DirtySet<K> implements Disposable {
  readonly #clock: Clock;
  #ready = new Set<K>();
  readonly #later = new Map<K, number>();
  #timer: Timer | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #wake: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#ready.size;
  }

  add(key: K): void {
    this.#ready.add(key);
    this.#wake?.();
  }

  /** Adds all of them at once and empties `keys`. */
  addAll(keys: Set<K>): void {
    if (keys.size === 0) return;
    for (const key of keys) this.#ready.add(key);
    keys.clear();
    this.#wake?.();
  }

  /** Makes `key` due at the wall-clock time `atMs`; of several times the earliest counts. */
  addAt(key: K, atMs: number): void {
    const known = this.#later.get(key);
    if (known !== undefined && known <= atMs) return;
    this.#later.set(key, atMs);
    if (atMs < this.#timerAtMs) this.#arm(atMs);
  }

  /** Waits until at least one key is due and hands out all that are. Their later times are forgotten. */
  async take(abort: AbortSignal): Promise<K[]> {
    const onAbort = (): void => this.#wake?.();
    abort.addEventListener('abort', onAbort, { once: true });
    try {
      while (this.#ready.size === 0) {
        if (abort.aborted) throw new CodedError('aborted', 'the loop was ended');
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
    } finally {
      abort.removeEventListener('abort', onAbort);
    }
    const keys = [...this.#ready];
    this.#ready = new Set();
    for (const key of keys) this.#later.delete(key);
    return keys;
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#later.clear();
  }

  #arm(atMs: number): void {
    this.#timer?.cancel();
    this.#timerAtMs = atMs;
    const waitMs = Math.min(Math.max(0, atMs - this.#clock.nowMs()), TIMER_MAX_MS);
    this.#timer = this.#clock.after(waitMs, () => this.#promote());
  }

  #promote(): void {
    this.#timer = undefined;
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#clock.nowMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [key, atMs] of this.#later) {
      if (atMs > nowMs) nextMs = Math.min(nextMs, atMs);
      else {
        this.#later.delete(key);
        this.#ready.add(key);
      }
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#arm(nextMs);
    if (this.#ready.size > 0) this.#wake?.();
  }
}
