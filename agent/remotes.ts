// The managers that this node knows, and which to try next: at random, by how well they answered so far. The one on this
// machine comes first while it answers.
import type { Random } from '../base/random.ts';

const WEIGHT_MAX = 8;
const WEIGHT_MIN = 1;

export class Remotes {
  readonly #random: Random;
  readonly #preferred: () => string | undefined;
  #weights = new Map<string, number>();
  #lastFailed = '';

  constructor(options: { random: Random; preferred?: () => string | undefined; addresses: readonly string[] }) {
    this.#random = options.random;
    this.#preferred = options.preferred ?? (() => undefined);
    this.learn(options.addresses);
  }

  addresses(): readonly string[] {
    return [...this.#weights.keys()];
  }

  /** The cluster's managers as one of them names them. An empty list is not believed. */
  learn(addresses: readonly string[]): void {
    if (addresses.length === 0) return;
    this.#weights = new Map(addresses.map((address) => [address, this.#weights.get(address) ?? WEIGHT_MAX / 2]));
  }

  next(): string | undefined {
    const preferred = this.#preferred();
    if (preferred !== undefined && preferred !== this.#lastFailed) return preferred;
    const candidates = [...this.#weights].filter(([address]) => address !== this.#lastFailed);
    const choice = candidates.length > 0 ? candidates : [...this.#weights];
    const total = choice.reduce((sum, [, weight]) => sum + weight, 0);
    let at = this.#random.fraction() * total;
    for (const [address, weight] of choice) {
      at -= weight;
      if (at < 0) return address;
    }
    return choice[0]?.[0] ?? preferred;
  }

  succeeded(address: string): void {
    this.#lastFailed = '';
    this.#adjust(address, (weight) => Math.min(WEIGHT_MAX, weight * 2));
  }

  failed(address: string): void {
    this.#lastFailed = address;
    this.#adjust(address, (weight) => Math.max(WEIGHT_MIN, weight / 2));
  }

  #adjust(address: string, change: (weight: number) => number): void {
    const weight = this.#weights.get(address);
    if (weight !== undefined) this.#weights.set(address, change(weight));
  }
}
