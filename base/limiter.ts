// At most so many at a time, in order of arrival. Waiting for a turn can be given up; work that began goes to its end.
import { CodedError } from './errors.ts';

export class Limiter {
  readonly #max: number;
  #running = 0;
  readonly #waiting = new Set<() => void>();

  constructor(max: number) {
    this.#max = max;
  }

  async run<T>(work: () => Promise<T>, options: { abort?: AbortSignal | undefined } = {}): Promise<T> {
    await this.#enter(options.abort);
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  async #enter(abort: AbortSignal | undefined): Promise<void> {
    if (abort?.aborted) throw new CodedError('aborted', 'the turn was given up', { cause: abort.reason });
    if (this.#running < this.#max) {
      this.#running += 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const onTurn = (): void => {
        abort?.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#waiting.delete(onTurn);
        reject(new CodedError('aborted', 'the turn was given up', { cause: abort?.reason }));
      };
      abort?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(onTurn);
    });
  }

  /** Hands the turn on without letting go of it, so that nobody slips in between. */
  #leave(): void {
    const [next] = this.#waiting;
    if (!next) {
      this.#running -= 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
