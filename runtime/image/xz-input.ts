// What came of an xz file and was not used yet. Who needs more than is here hands `undefined` up, and goes on when it is.
import { fail } from '../../base/errors.ts';

export const damaged = (how: string): never => fail('invalid', `the xz archive can not be read: ${how}`);

/** Yields when it has to wait for more of the file. */
export type Waiting<T> = Generator<undefined, T>;

const CAPACITY_BYTES = 64 * 1024; // to begin with; a chunk of as many is the most that is needed at once
const NUMBER_BYTES_MAX = 9;

export class XzInput {
  #bytes = new Uint8Array(CAPACITY_BYTES);
  #at = 0;
  #end = 0;
  #complete = false;
  #takenBytes = 0;

  /** Behind what is left, which moves to the front or to a larger place where there is no room. `undefined`: it was all. */
  add(more: Uint8Array | undefined): void {
    if (!more) {
      this.#complete = true;
      return;
    }
    const left = this.#end - this.#at;
    if (this.#end + more.length > this.#bytes.length) {
      const place = left + more.length > this.#bytes.length ? new Uint8Array(2 * (left + more.length)) : this.#bytes;
      place.set(this.#bytes.subarray(this.#at, this.#end));
      this.#bytes = place;
      this.#at = 0;
      this.#end = left;
    }
    this.#bytes.set(more, this.#end);
    this.#end += more.length;
  }

  /** How many bytes were taken since the file began. */
  get takenBytes(): number {
    return this.#takenBytes;
  }

  /** The next bytes, which stay where they are until more is added. */
  *take(count: number): Waiting<Uint8Array> {
    yield* this.#until(count);
    this.#at += count;
    this.#takenBytes += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  *peek(): Waiting<number> {
    yield* this.#until(1);
    return this.#bytes[this.#at] as number;
  }

  /** The bytes of a number of variable length. */
  *takeNumber(): Waiting<Uint8Array> {
    let count = 1;
    for (; count < NUMBER_BYTES_MAX; count += 1) {
      yield* this.#until(count);
      if ((this.#bytes[this.#at + count - 1] as number) < 0x80) break;
    }
    return yield* this.take(count);
  }

  /** True when nothing is left and nothing comes. */
  *isAtEnd(): Waiting<boolean> {
    while (this.#at === this.#end) {
      if (this.#complete) return true;
      yield;
    }
    return false;
  }

  *#until(count: number): Waiting<void> {
    while (this.#end - this.#at < count) {
      if (this.#complete) damaged('it ends too early');
      yield;
    }
  }
}

/** Numbers in an array of bytes. */
export class XzCursor {
  readonly bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  byte(): number {
    return this.bytes[this.at++] ?? damaged('a number leaves its place');
  }

  /** Seven bits a byte, the lowest first; the highest bit says that there are more. */
  number(): number {
    let value = 0;
    for (let count = 0; count < NUMBER_BYTES_MAX; count += 1) {
      const byte = this.byte();
      if (byte === 0 && count > 0) damaged('a number is longer than it need be');
      value += (byte & 0x7f) * 2 ** (7 * count);
      if (byte < 0x80) return value <= Number.MAX_SAFE_INTEGER ? value : damaged('it names a size that nothing has');
    }
    return damaged('a number is too long');
  }
}

export const littleEndian32 = (bytes: Uint8Array, at: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);

export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
