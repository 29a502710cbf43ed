// Length-prefixed bytes, little-endian: what entries and snapshot chunks are made of.
import { fail } from '../../base/errors.ts';

export class ByteWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(capacity = 1024) {
    this.#buffer = Buffer.allocUnsafe(capacity);
  }

  u8(value: number): void {
    this.#room(1);
    this.#length = this.#buffer.writeUInt8(value, this.#length);
  }

  u32(value: number): void {
    this.#room(4);
    this.#length = this.#buffer.writeUInt32LE(value, this.#length);
  }

  /** Versions and times: whole numbers up to 2^53. */
  number(value: number): void {
    this.#room(8);
    this.#length = this.#buffer.writeDoubleLE(value, this.#length);
  }

  text(value: string): void {
    const size = Buffer.byteLength(value);
    this.#room(4 + size);
    this.#length = this.#buffer.writeUInt32LE(size, this.#length);
    this.#length += this.#buffer.write(value, this.#length, 'utf8');
  }

  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  #room(size: number): void {
    if (this.#length + size <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + size));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

export class ByteReader {
  readonly #buffer: Buffer;
  readonly #what: string;
  #at = 0;

  /** `what` names the source in the error of a read past its end. */
  constructor(bytes: Uint8Array, what: string) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  get done(): boolean {
    return this.#at >= this.#buffer.length;
  }

  u8(): number {
    return this.#buffer.readUInt8(this.#take(1));
  }

  u32(): number {
    return this.#buffer.readUInt32LE(this.#take(4));
  }

  number(): number {
    return this.#buffer.readDoubleLE(this.#take(8));
  }

  text(): string {
    const size = this.u32();
    const at = this.#take(size);
    return this.#buffer.toString('utf8', at, at + size);
  }

  #take(size: number): number {
    const at = this.#at;
    if (at + size > this.#buffer.length) fail('internal', `${this.#what} is cut short at byte ${at}`);
    this.#at = at + size;
    return at;
  }
}
