// Who waits for a container to exit or to be gone.
import { CodedError } from '../../base/errors.ts';

export interface Outcome {
  readonly exitCode: number;
  readonly error: string;
}

export type Occasion = 'exit' | 'down' | 'removed';

const WAITERS_MAX = 10_000;

export class Waiters {
  readonly #waiting = new Map<Occasion, Set<(outcome: Outcome) => void>>();

  /**
   * `exit`: the process has exited, even if it will be restarted. `down`: it has, and all of it is cleaned up.
   * Those who can cancel are clients, of whom there is a bound: whoever stops a container has to hear of it.
   */
  on(occasion: Occasion, abort?: AbortSignal): Promise<Outcome> {
    const waiting = this.#waiting.get(occasion) ?? new Set();
    this.#waiting.set(occasion, waiting);
    if (abort && waiting.size >= WAITERS_MAX) {
      return Promise.reject(new CodedError('exhausted', `more than ${WAITERS_MAX} clients wait for this container`));
    }
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        waiting.delete(settle);
        reject(new CodedError('aborted', 'the wait was cancelled'));
      };
      const settle = (outcome: Outcome): void => {
        abort?.removeEventListener('abort', onAbort);
        resolve(outcome);
      };
      if (abort?.aborted) return onAbort();
      abort?.addEventListener('abort', onAbort, { once: true });
      waiting.add(settle);
    });
  }

  tell(occasion: Occasion, outcome: Outcome): void {
    const waiting = this.#waiting.get(occasion);
    this.#waiting.delete(occasion);
    for (const settle of waiting ?? []) settle(outcome);
  }
}
