// When to stand for election, in ticks since a leader was last heard.
import type { Random } from '../../../base/random.ts';
import type { RaftLimits } from './types.ts';

export class ElectionTimer {
  readonly #limits: RaftLimits;
  readonly #random: Pick<Random, 'below'>;
  #elapsed = 0;
  #timeout = 0;

  constructor(limits: RaftLimits, random: Pick<Random, 'below'>) {
    this.#limits = limits;
    this.#random = random;
    this.reset();
  }

  /** Less than the shortest election timeout has passed: the leader may well be alive. */
  get isWithinLease(): boolean {
    return this.#elapsed < this.#limits.electionTicksMin;
  }

  /** True when it is time. */
  tick(): boolean {
    this.#elapsed += 1;
    return this.#elapsed >= this.#timeout;
  }

  /** A leader was heard, or a vote given. */
  heard(): void {
    this.#elapsed = 0;
  }

  /** Begins anew with another draw, so that members do not stand for election at once. */
  reset(): void {
    const { electionTicksMin: min, electionTicksMax: max } = this.#limits;
    this.#set(min + this.#random.below(max - min + 1));
  }

  /** With another draw, but what has passed counts on: somebody else's candidacy does not put off our own. */
  redraw(): void {
    const elapsed = this.#elapsed;
    this.reset();
    this.#elapsed = Math.min(elapsed, this.#timeout - 1);
  }

  /** A pre-vote changes nothing anywhere, so an unanswered one is soon repeated. */
  retrySoon(): void {
    this.#set(this.#limits.heartbeatTicks + this.#random.below(this.#limits.heartbeatTicks + 1));
  }

  /** A split vote need not cost a whole election timeout: nobody is leading that could be disturbed. */
  waitForVotes(): void {
    const { heartbeatTicks, electionTicksMin: min, electionTicksMax: max } = this.#limits;
    this.#set(heartbeatTicks + 1 + this.#random.below(max - min + 1));
  }

  /** The leader is known to be gone: at most a few ticks more, a different number for each. */
  hurry(): void {
    this.#elapsed = Math.max(this.#elapsed, this.#timeout - 1 - this.#random.below(3));
  }

  #set(timeout: number): void {
    this.#elapsed = 0;
    this.#timeout = timeout;
  }
}
