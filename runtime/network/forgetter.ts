// Makes the kernel forget tracked connections. Where it can not choose them itself, and for many filters, that is a walk
// over its table, which takes 9 ms and more even when it is empty, for one filter as for a hundred: filters are gathered.
import type { Background } from '../../base/background.ts';
import type { Clock, Timer } from '../../base/clock.ts';
import type { Netd } from './netd.ts';
import type { ConnectionFilter } from './netd-protocol.ts';

const FILTERS_MAX = 1_000;
const SOON_MS = 500;

export interface ForgetterParts {
  readonly netd: () => Netd;
  readonly clock: Pick<Clock, 'after'>;
  readonly background: Background;
}

export class Forgetter {
  readonly #parts: ForgetterParts;
  #pending: ConnectionFilter[] = [];
  #inFlight: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #soon: ConnectionFilter[] = [];
  #timer: Timer | undefined;

  constructor(parts: ForgetterParts) {
    this.#parts = parts;
  }

  /** Resolves when the connections that matched are gone. */
  forget(filters: readonly ConnectionFilter[]): Promise<void> {
    if (filters.length === 0) return Promise.resolve();
    this.#pending.push(...filters);
    if (this.#inFlight) {
      this.#next ??= this.#afterCurrent();
      return this.#next;
    }
    return this.#start();
  }

  /** Within half a second, together with others: for what nobody waits for. */
  forgetSoon(filters: readonly ConnectionFilter[]): void {
    this.#soon.push(...filters);
    this.#timer ??= this.#parts.clock.after(SOON_MS, () => {
      this.#timer = undefined;
      this.#parts.background.run('forget-connections', () => this.flush());
    });
  }

  /** Forgets at once what was to be forgotten soon. */
  async flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    await this.forget(this.#soon.splice(0));
  }

  /** Drops what was to be forgotten soon: the connections end with their links. */
  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#soon = [];
  }

  #start(): Promise<void> {
    this.#inFlight = this.#walk().finally(() => {
      this.#inFlight = undefined;
    });
    return this.#inFlight;
  }

  async #afterCurrent(): Promise<void> {
    await this.#inFlight?.catch(() => undefined);
    this.#next = undefined;
    await this.#start();
  }

  async #walk(): Promise<void> {
    while (this.#pending.length > 0) {
      const filters = this.#pending.splice(0, FILTERS_MAX);
      await this.#parts.netd().doAside('forgetting connections', { do: 'forget-connections', filters });
    }
  }
}
