// Reading and writing of fixed binary layouts. Reading past the end or a number that is too large is an error, never a guess.
import { fail } from '../../base/errors.ts';

export class ByteWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(sizeHint = 256) {
    this.#buffer = Buffer.allocUnsafe(Math.max(16, sizeHint));
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    this.#length = this.#room(1).writeUInt8(value, this.#length);
    return this;
  }

  u32(value: number): this {
    this.#length = this.#room(4).writeUInt32BE(value, this.#length);
    return this;
  }

  /** A whole number up to 2^53 in eight bytes. */
  u64(value: number): this {
    return this.u32(Math.floor(value / 2 ** 32)).u32(value % 2 ** 32);
  }

  raw(bytes: Uint8Array): this {
    this.#room(bytes.length).set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** Length and bytes. */
  blob(bytes: Uint8Array): this {
    return this.u32(bytes.length).raw(bytes);
  }

  text(value: string): this {
    return this.blob(Buffer.from(value, 'utf8'));
  }

  take(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  #room(bytes: number): Buffer {
    const needed = this.#length + bytes;
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, this.#length);
      this.#buffer = larger;
    }
    return this.#buffer;
  }
}

export class ByteReader {
  readonly #buffer: Buffer;
  #offset: number;

  constructor(bytes: Uint8Array, offset = 0) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#offset = offset;
  }

  get offset(): number {
    return this.#offset;
  }
  get left(): number {
    return this.#buffer.length - this.#offset;
  }

  u8(): number {
    return this.#buffer.readUInt8(this.#move(1));
  }

  u32(): number {
    return this.#buffer.readUInt32BE(this.#move(4));
  }

  u64(): number {
    const value = this.u32() * 2 ** 32 + this.u32();
    return Number.isSafeInteger(value) ? value : fail('internal', 'a number is larger than 2^53');
  }

  raw(length: number): Buffer {
    const at = this.#move(length);
    return this.#buffer.subarray(at, at + length);
  }

  blob(): Buffer {
    return this.raw(this.u32());
  }

  text(): string {
    return this.blob().toString('utf8');
  }

  #move(bytes: number): number {
    const at = this.#offset;
    if (bytes > this.left) fail('internal', 'the data ends too early');
    this.#offset += bytes;
    return at;
  }
}
