// Addresses of one IPv6 subnet. As address-pool.ts, but what is in use is listed: no bitmap holds 2^64. Pure.
// Invariant: the subnet's own address (that of any router) and the reserved ones are always in use.
import { CodedError } from '../../base/errors.ts';
import { contains6, formatAddress6, sizeOf6, type Subnet6 } from './addresses.ts';

const REST_MS = 30_000;

export class AddressPool6 {
  readonly subnet: Subnet6;
  readonly #range: Subnet6;
  readonly #used: Set<bigint>;
  readonly #resting: { readonly address: bigint; readonly untilMs: number }[] = []; // oldest first
  #next: bigint;

  constructor(subnet: Subnet6, reserved: readonly bigint[], range: Subnet6 = subnet) {
    this.subnet = subnet;
    this.#range = range;
    this.#next = range.base;
    this.#used = new Set([subnet.base, ...reserved]);
  }

  /** The address at this distance from the subnet's own, if it may be chosen and nobody had it for a while. */
  tryTakeAt(offset: bigint, nowMs: number): bigint | undefined {
    this.#wake(nowMs);
    const address = this.subnet.base + offset;
    if (!contains6(this.#range, address) || this.#used.has(address)) return undefined;
    this.#used.add(address);
    return address;
  }

  /** One that nobody had for a while; undefined when there is none. */
  tryTake(nowMs: number): bigint | undefined {
    this.#wake(nowMs);
    const size = sizeOf6(this.#range);
    // One of any `used + 1` addresses in a row is free, unless the range is smaller than that.
    for (let tries = this.#used.size; tries >= 0; tries -= 1) {
      const address = this.#next;
      this.#next = this.#range.base + ((address - this.#range.base + 1n) % size);
      if (this.#used.has(address)) continue;
      this.#used.add(address);
      return address;
    }
    return undefined;
  }

  /** As `tryTake`, but rather one that still rests than none. */
  tryTakeTired(nowMs: number): bigint | undefined {
    for (;;) {
      const address = this.tryTake(nowMs);
      const rested = address === undefined ? this.#resting.shift() : undefined;
      if (!rested) return address;
      this.#used.delete(rested.address);
    }
  }

  /** Takes the address that was asked for; a resting one is allowed, as its owner may be the one who asks. */
  claim(address: bigint): void {
    const resting = this.#resting.findIndex((entry) => entry.address === address);
    if (resting >= 0) this.#resting.splice(resting, 1);
    else if (this.#used.has(address))
      throw new CodedError('conflict', `Address already in use: ${formatAddress6(address)}`);
    else this.#used.add(address);
  }

  release(address: bigint, nowMs: number): void {
    if (!this.#used.has(address) || this.#resting.some((entry) => entry.address === address)) return;
    this.#resting.push({ address, untilMs: nowMs + REST_MS });
  }

  #wake(nowMs: number): void {
    for (let first = this.#resting[0]; first && first.untilMs <= nowMs; first = this.#resting[0]) {
      this.#used.delete(first.address);
      this.#resting.shift();
    }
  }
}
