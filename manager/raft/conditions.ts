// Waiting until something about the core is so: looked at after each of its steps, with a deadline.
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';

interface Condition {
  readonly holds: () => boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Conditions {
  readonly #clock: Clock;
  readonly #waiting = new Set<Condition>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves once `holds` answers true; rejects with what it throws, or with `deadline` after `timeoutMs`. */
  async until(holds: () => boolean, timeoutMs: number, what: string): Promise<void> {
    if (holds()) return;
    await new Promise<void>((resolve, reject) => {
      const timer = this.#clock.after(timeoutMs, () => {
        this.#waiting.delete(condition);
        reject(new CodedError('deadline', `${what}: not within ${Math.round(timeoutMs / 1000)} s`));
      });
      const settle = (then: () => void): void => {
        timer.cancel();
        this.#waiting.delete(condition);
        then();
      };
      const condition: Condition = {
        holds,
        resolve: () => settle(resolve),
        reject: (error) => settle(() => reject(error)),
      };
      this.#waiting.add(condition);
    });
  }

  /** Something may have changed. */
  check(): void {
    for (const condition of [...this.#waiting]) {
      try {
        if (condition.holds()) condition.resolve();
      } catch (error) {
        condition.reject(error);
      }
    }
  }

  /** Nothing will change any more. */
  failAll(error: unknown): void {
    for (const condition of [...this.#waiting]) condition.reject(error);
  }
}
