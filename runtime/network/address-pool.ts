// Addresses of one subnet: a bitmap, handed out next-fit, freed ones rested before they are used again. Pure.
// Invariant: an address is in use, resting, or free; the network, gateway and broadcast addresses are always in use.
import { CodedError } from '../../base/errors.ts';
import { contains, formatAddress, formatSubnet, sizeOf, type Subnet } from './addresses.ts';

const REST_MS = 30_000;

export interface PoolOptions {
  /** Never handed out: the gateway, and what the administrator gave to others. */
  readonly reserved: readonly number[];
  /** Only addresses in it are chosen; those that are asked for may lie outside. */
  readonly range?: Subnet;
}

export class AddressPool {
  readonly subnet: Subnet;
  readonly #first: number;
  readonly #last: number;
  readonly #used: Uint8Array;
  readonly #resting: { readonly offset: number; readonly untilMs: number }[] = []; // oldest first
  #next: number;
  #free: number; // in the range

  constructor(subnet: Subnet, options: number | PoolOptions) {
    const { reserved, range = subnet } = typeof options === 'number' ? { reserved: [options] } : options;
    this.subnet = subnet;
    this.#first = range.base - subnet.base;
    this.#last = this.#first + sizeOf(range) - 1;
    this.#used = new Uint8Array(Math.ceil(sizeOf(subnet) / 8));
    this.#free = sizeOf(range);
    this.#next = this.#first;
    // A pair of addresses has neither a network nor a broadcast address (RFC 3021).
    const ends = subnet.prefixLength < 31 ? [subnet.base, subnet.base + sizeOf(subnet) - 1] : [];
    for (const address of new Set([...ends, ...reserved])) this.#mark(address - subnet.base);
  }

  get freeCount(): number {
    return this.#free;
  }

  get restingCount(): number {
    return this.#resting.length;
  }

  /** One that nobody had for a while; undefined when there is none. */
  tryTake(nowMs: number): number | undefined {
    this.#wake(nowMs);
    if (this.#free === 0) return undefined;
    const offset = this.#firstFree();
    this.#mark(offset);
    this.#next = offset >= this.#last ? this.#first : offset + 1;
    return this.subnet.base + offset;
  }

  /** As `tryTake`, but rather one that still rests than none. */
  tryTakeTired(nowMs: number): number | undefined {
    while (this.#free === 0 && this.#resting.length > 0) this.#wakeOne();
    return this.tryTake(nowMs);
  }

  /** Code `exhausted` when there is none. */
  take(nowMs: number): number {
    return this.tryTake(nowMs) ?? this.tryTakeTired(nowMs) ?? failFull(formatSubnet(this.subnet), '');
  }

  /** Takes the address that was asked for; a resting one is allowed, as its owner may be the one who asks. */
  claim(address: number): void {
    if (!contains(this.subnet, address)) {
      throw new CodedError('invalid', `no configured subnet contains IP address ${formatAddress(address)}`);
    }
    const offset = address - this.subnet.base;
    const resting = this.#resting.findIndex((entry) => entry.offset === offset);
    if (resting >= 0) this.#resting.splice(resting, 1);
    else if (this.#isUsed(offset))
      throw new CodedError('conflict', `Address already in use: ${formatAddress(address)}`);
    else this.#mark(offset);
  }

  release(address: number, nowMs: number): void {
    const offset = address - this.subnet.base;
    if (!this.#isUsed(offset) || this.#resting.some((entry) => entry.offset === offset)) return;
    this.#resting.push({ offset, untilMs: nowMs + REST_MS });
  }

  #wake(nowMs: number): void {
    while (this.#resting[0] && this.#resting[0].untilMs <= nowMs) this.#wakeOne();
  }

  #wakeOne(): void {
    const entry = this.#resting.shift();
    if (!entry) return;
    this.#used[entry.offset >> 3] = (this.#used[entry.offset >> 3] ?? 0) & ~(1 << (entry.offset & 7));
    if (this.#isInRange(entry.offset)) this.#free += 1;
  }

  #firstFree(): number {
    let offset = this.#next;
    while (this.#isUsed(offset)) {
      const wholeByteUsed = (offset & 7) === 0 && this.#used[offset >> 3] === 255;
      offset += wholeByteUsed ? 8 : 1;
      if (offset > this.#last) offset = this.#first;
    }
    return offset;
  }

  #isUsed(offset: number): boolean {
    return ((this.#used[offset >> 3] ?? 0) & (1 << (offset & 7))) !== 0;
  }

  #mark(offset: number): void {
    this.#used[offset >> 3] = (this.#used[offset >> 3] ?? 0) | (1 << (offset & 7));
    if (this.#isInRange(offset)) this.#free -= 1;
  }

  #isInRange(offset: number): boolean {
    return offset >= this.#first && offset <= this.#last;
  }
}

export function failFull(what: string, detail: string, family: 4 | 6 = 4): never {
  throw new CodedError(
    'exhausted',
    `no available IPv${family} addresses on this network's address pools: ${what} is full${detail}`,
  );
}
