// The beat of the core. After a pause of the process there is one beat, not all that were missed, and it comes after what
// waited in the sockets: else a machine that slept would start an election with the leader's heartbeats unread.
import { setImmediate } from 'node:timers';
import type { Clock, Timer } from '../../base/clock.ts';

export class Ticker {
  readonly #clock: Clock;
  readonly #periodMs: number;
  readonly #tick: () => void;
  #timer: Timer | undefined;
  #dueMs = 0;
  #stopped = false;

  constructor(clock: Clock, periodMs: number, tick: () => void) {
    this.#clock = clock;
    this.#periodMs = periodMs;
    this.#tick = tick;
  }

  start(): void {
    this.#dueMs = this.#clock.monotonicMs();
    this.#next();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #next(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#dueMs = Math.max(this.#dueMs + this.#periodMs, nowMs + this.#periodMs / 4);
    this.#timer = this.#clock.after(this.#dueMs - nowMs, () => this.#fire());
  }

  #fire(): void {
    const lateMs = this.#clock.monotonicMs() - this.#dueMs;
    if (lateMs > this.#periodMs) {
      this.#dueMs = this.#clock.monotonicMs();
      setImmediate(() => this.#beat()); // runs after the poll phase, which reads the sockets
    } else this.#beat();
  }

  #beat(): void {
    if (this.#stopped) return;
    this.#tick();
    this.#next();
  }
}
