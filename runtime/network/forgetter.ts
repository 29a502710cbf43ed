// Makes the kernel forget tracked connections. The table is walked once for all filters that gathered meanwhile,
// as a walk costs the same for one filter as for a hundred.
import type { Netd } from './netd.ts';
import type { ConnectionFilter } from './netd-protocol.ts';

const FILTERS_MAX = 1_000;

export class Forgetter {
  readonly #netd: () => Netd;
  #pending: ConnectionFilter[] = [];
  #inFlight: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(netd: () => Netd) {
    this.#netd = netd;
  }

  /** Resolves when the connections that matched are gone. */
  forget(filters: readonly ConnectionFilter[]): Promise<void> {
    if (filters.length === 0) return Promise.resolve();
    this.#pending.push(...filters);
    if (this.#inFlight) {
      this.#next ??= this.#afterCurrent();
      return this.#next;
    }
    this.#inFlight = this.#walk().finally(() => {
      this.#inFlight = undefined;
    });
    return this.#inFlight;
  }

  async #afterCurrent(): Promise<void> {
    await this.#inFlight?.catch(() => undefined);
    this.#next = undefined;
    this.#inFlight = this.#walk().finally(() => {
      this.#inFlight = undefined;
    });
    await this.#inFlight;
  }

  async #walk(): Promise<void> {
    while (this.#pending.length > 0) {
      const filters = this.#pending.splice(0, FILTERS_MAX);
      await this.#netd().doAside('forgetting connections', { do: 'forget-connections', filters });
    }
  }
}
