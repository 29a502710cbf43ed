// A queue with a bound that says what happens at it. One consumer, by `for await`.
import { CodedError } from './errors.ts';

/** `fail`: push throws. `drop-and-resync`: the queue is emptied and the consumer next gets `resync`. */
export type WhenFull = 'fail' | 'drop-and-resync';

export class BoundedQueue<T> {
  #items: (T | 'resync')[] = [];
  #wake: (() => void) | undefined;
  #ended = false;
  #error: unknown;
  readonly #lengthMax: number;
  readonly #whenFull: WhenFull;

  constructor(options: { lengthMax: number; whenFull: WhenFull }) {
    this.#lengthMax = options.lengthMax;
    this.#whenFull = options.whenFull;
  }

  get length(): number {
    return this.#items.length;
  }

  push(item: T): void {
    if (this.#ended) return;
    if (this.#items.length >= this.#lengthMax) {
      if (this.#whenFull === 'fail') throw new CodedError('exhausted', `the queue is full (${this.#lengthMax})`);
      this.#items = ['resync'];
    } else {
      this.#items.push(item);
    }
    this.#wake?.();
  }

  /** No more items; with an error the consumer's loop throws it after what is queued. */
  end(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#wake?.();
  }

  async *drain(abort?: AbortSignal): AsyncGenerator<T | 'resync', void, void> {
    const onAbort = (): void => this.end(new CodedError('aborted', 'the reader went away'));
    if (abort?.aborted) onAbort();
    abort?.addEventListener('abort', onAbort, { once: true });
    try {
      for (;;) {
        const batch = this.#items;
        this.#items = [];
        for (const item of batch) yield item;
        if (this.#items.length > 0) continue;
        if (this.#ended) break;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
      if (this.#error !== undefined) throw this.#error;
    } finally {
      abort?.removeEventListener('abort', onAbort);
      this.end();
    }
  }
}
