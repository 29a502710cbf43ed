// A disk without space is the one failure that passes: nothing was written that would count, and it is tried again. Until
// then the member takes no writes; what it is asked for waits nowhere.
import type { Clock } from '../../base/clock.ts';
import { errnoOf, sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';

const FULL = ['ENOSPC', 'EDQUOT'];
const RETRY_MS = 200;

export const isDiskFull = (error: unknown): boolean => FULL.includes(errnoOf(error) ?? '');

/** What the log needs of whoever waits for space. */
export interface Space {
  /** Resolves when it is worth trying again; rejects when there will be no other try. */
  wait(error: unknown): Promise<void>;
  /** The try succeeded. */
  found(): void;
}

export class DiskSpace implements Space {
  readonly #deps: { readonly clock: Clock; readonly log: Log; readonly onFull: () => void };
  readonly #stopped = new AbortController();
  #isFull = false;

  constructor(deps: { clock: Clock; log: Log; onFull: () => void }) {
    this.#deps = deps;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  async wait(error: unknown): Promise<void> {
    const { clock, log, onFull } = this.#deps;
    if (!this.#isFull) {
      this.#isFull = true;
      log.error('the disk is full: this manager takes no writes until there is space', { reason: sentenceOf(error) });
      onFull();
    }
    await clock.sleep(RETRY_MS, { abort: this.#stopped.signal });
  }

  found(): void {
    this.#isFull = false;
    this.#deps.log.info('there is space on the disk again');
  }

  stop(): void {
    this.#stopped.abort();
  }
}
