// Bits of a stream that comes in pieces, the highest first.
import { fail } from '../../base/errors.ts';

const CAPACITY_BYTES = 64 * 1024; // to begin with

export class BitReader {
  #bytes = new Uint8Array(CAPACITY_BYTES);
  #at = 0;
  #end = 0;
  #hold = 0; // the bits of the byte before #at that were not read yet
  #held = 0;

  /** What is left moves to the front when there is no room behind it, and to a larger place when there is none at all. */
  add(more: Uint8Array): void {
    const left = this.bytesLeft;
    if (left + more.length > this.#bytes.length) {
      const larger = new Uint8Array(2 * (left + more.length));
      larger.set(this.#bytes.subarray(this.#at, this.#end));
      this.#bytes = larger;
      [this.#at, this.#end] = [0, left];
    } else if (this.#end + more.length > this.#bytes.length) {
      this.#bytes.copyWithin(0, this.#at, this.#end);
      [this.#at, this.#end] = [0, left];
    }
    this.#bytes.set(more, this.#end);
    this.#end += more.length;
  }

  /** Whole bytes that were not touched. */
  get bytesLeft(): number {
    return this.#end - this.#at;
  }

  /** At most 24. */
  read(count: number): number {
    while (this.#held < count) {
      if (this.#at === this.#end) fail('invalid', 'the bzip2 archive can not be read: it ends too early');
      this.#hold = ((this.#hold << 8) | (this.#bytes[this.#at] as number)) & 0x7fffffff;
      this.#at += 1;
      this.#held += 8;
    }
    this.#held -= count;
    const value = (this.#hold >>> this.#held) & ((1 << count) - 1);
    this.#hold &= (1 << this.#held) - 1;
    return value;
  }

  toByte(): void {
    this.#held = 0;
    this.#hold = 0;
  }

  drop(): void {
    this.#at = this.#end;
    this.toByte();
  }
}
