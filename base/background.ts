// Background work has a name and an owner; its failure is somebody's business.
import { setMaxListeners } from 'node:events';
import { codeOf } from './errors.ts';

export type BackgroundFailure = (name: string, error: unknown) => void;

/** A group of named background jobs that end together. */
export class Background implements AsyncDisposable {
  readonly #controller = new AbortController();
  readonly #running = new Set<Promise<void>>();
  readonly #onFailure: BackgroundFailure;

  constructor(options: { onFailure: BackgroundFailure }) {
    this.#onFailure = options.onFailure;
    setMaxListeners(0, this.#controller.signal); // every job that waits listens: many are no leak
  }

  get abort(): AbortSignal {
    return this.#controller.signal;
  }

  /** Starts `job`; a failure other than our own abort goes to `onFailure` with the job's name. */
  run(name: string, job: (abort: AbortSignal) => Promise<unknown>): void {
    const done = this.#guard(name, job).finally(() => this.#running.delete(done));
    this.#running.add(done);
  }

  /** Aborts all jobs and waits until each has ended. */
  async stop(): Promise<void> {
    this.#controller.abort();
    await Promise.all(this.#running);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #guard(name: string, job: (abort: AbortSignal) => Promise<unknown>): Promise<void> {
    try {
      await job(this.#controller.signal);
    } catch (error) {
      if (this.#controller.signal.aborted && codeOf(error) === 'aborted') return;
      this.#onFailure(name, error);
    }
  }
}
