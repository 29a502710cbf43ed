// Addresses of one network: a bitmap, handed out next-fit, freed ones rested before they are used again. Pure.
// Invariant: an address is in use, resting, or free; the network, gateway and broadcast addresses are always in use.
import { CodedError } from '../../base/errors.ts';
import { contains, formatAddress, formatSubnet, sizeOf, type Subnet } from './addresses.ts';

const REST_MS = 30_000;

export class AddressPool {
  readonly subnet: Subnet;
  readonly #used: Uint8Array;
  readonly #resting: { readonly offset: number; readonly untilMs: number }[] = []; // oldest first
  #next = 1;
  #free: number;

  constructor(subnet: Subnet, gateway: number) {
    this.subnet = subnet;
    this.#used = new Uint8Array(Math.ceil(sizeOf(subnet) / 8));
    this.#free = sizeOf(subnet);
    const reserved = [subnet.base, gateway, subnet.base + sizeOf(subnet) - 1];
    for (const address of new Set(reserved)) this.#mark(address - subnet.base);
  }

  get freeCount(): number {
    return this.#free;
  }

  /** Code `exhausted` when there is none. */
  take(nowMs: number): number {
    this.#wake(nowMs);
    if (this.#free === 0) this.#wakeOne();
    if (this.#free === 0) {
      throw new CodedError(
        'exhausted',
        `no available IPv4 addresses on this network's address pools: ${formatSubnet(this.subnet)} is full`,
      );
    }
    const offset = this.#firstFree();
    this.#mark(offset);
    this.#next = (offset + 1) % sizeOf(this.subnet);
    return this.subnet.base + offset;
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
    this.#free += 1;
  }

  #firstFree(): number {
    const size = sizeOf(this.subnet);
    let offset = this.#next;
    while (this.#isUsed(offset)) {
      const wholeByteUsed = (offset & 7) === 0 && this.#used[offset >> 3] === 255;
      offset += wholeByteUsed ? 8 : 1;
      if (offset >= size) offset = 0;
    }
    return offset;
  }

  #isUsed(offset: number): boolean {
    return ((this.#used[offset >> 3] ?? 0) & (1 << (offset & 7))) !== 0;
  }

  #mark(offset: number): void {
    this.#used[offset >> 3] = (this.#used[offset >> 3] ?? 0) | (1 << (offset & 7));
    this.#free -= 1;
  }
}
