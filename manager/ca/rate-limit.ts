// How often a stranger may ask: one bucket for each address and one for all, refilled steadily.
import type { Clock } from '../../base/clock.ts';

interface Bucket {
  tokens: number;
  atMs: number;
}

export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

const ADDRESSES_MAX = 1_000;

export class RateLimit {
  readonly #clock: Clock;
  readonly #each: Rate;
  readonly #all: Rate;
  readonly #total: Bucket;
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: { clock: Clock; each: Rate; all: Rate }) {
    this.#clock = options.clock;
    this.#each = options.each;
    this.#all = options.all;
    this.#total = { tokens: options.all.burst, atMs: options.clock.monotonicMs() };
  }

  /** True if `address` may ask now; takes its turn then. */
  admit(address: string): boolean {
    const nowMs = this.#clock.monotonicMs();
    const own = this.#buckets.get(address) ?? { tokens: this.#each.burst, atMs: nowMs };
    // Oldest out: an address that comes back finds a full bucket, but never more than the one for all allows.
    this.#buckets.delete(address);
    this.#buckets.set(address, own);
    for (const oldest of this.#buckets.keys()) {
      if (this.#buckets.size <= ADDRESSES_MAX) break;
      this.#buckets.delete(oldest);
    }
    refill(own, this.#each, nowMs);
    refill(this.#total, this.#all, nowMs);
    if (own.tokens < 1 || this.#total.tokens < 1) return false;
    own.tokens -= 1;
    this.#total.tokens -= 1;
    return true;
  }
}

function refill(bucket: Bucket, rate: Rate, nowMs: number): void {
  const gained = ((nowMs - bucket.atMs) / 1_000) * rate.perSecond;
  bucket.tokens = Math.min(rate.burst, bucket.tokens + gained);
  bucket.atMs = nowMs;
}
