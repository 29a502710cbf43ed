// Netlink messages as bytes. Numbers are in host order, which is little-endian on every machine Shoal runs on,
// unless a name says `big`. Source: Linux include/uapi/linux/netlink.h.

export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;

const HEADER_LENGTH = 16;
const ATTRIBUTE_LENGTH = 4; // of its head
const NESTED = 0x8000;
const TYPE_MASK = 0x3fff;

const aligned = (length: number): number => (length + 3) & ~3;

/** Builds a string of messages. Sequence numbers are netd's. */
export class MessageWriter {
  #bytes = Buffer.alloc(1024);
  #length = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get length(): number {
    return this.#length;
  }

  /** What was written after `from`. */
  since(from: number): Buffer {
    return this.#bytes.subarray(from, this.#length);
  }

  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** `family` is the fixed header that follows the netlink header: ifinfomsg, nfgenmsg, … */
  message(type: number, flags: number, family: Uint8Array, body?: () => void): void {
    const start = this.#length;
    this.#grow(HEADER_LENGTH);
    this.#bytes.writeUInt16LE(type, start + 4);
    this.#bytes.writeUInt16LE(flags | NLM_F_REQUEST, start + 6);
    this.#count += 1;
    this.#append(family);
    body?.();
    this.#bytes.writeUInt32LE(this.#length - start, start);
  }

  nested(type: number, body: () => void): void {
    const start = this.#open(type | NESTED);
    body();
    this.#close(start);
  }

  bytes(type: number, value: Uint8Array): void {
    const start = this.#open(type);
    this.#append(value, false);
    this.#close(start);
  }

  /** With the ending NUL. */
  text(type: number, value: string): void {
    const start = this.#open(type);
    this.#grow(Buffer.byteLength(value) + 1);
    this.#bytes.write(value, start + ATTRIBUTE_LENGTH);
    this.#close(start);
  }

  u8(type: number, value: number): void {
    const at = this.#number(type, 1);
    this.#bytes.writeUInt8(value, at);
  }

  u16big(type: number, value: number): void {
    const at = this.#number(type, 2);
    this.#bytes.writeUInt16BE(value, at);
  }

  u32(type: number, value: number): void {
    const at = this.#number(type, 4);
    this.#bytes.writeUInt32LE(value >>> 0, at);
  }

  u32big(type: number, value: number): void {
    const at = this.#number(type, 4);
    this.#bytes.writeUInt32BE(value >>> 0, at);
  }

  /** Raw bytes inside the open attribute: for attributes that begin with a fixed header. */
  raw(value: Uint8Array): void {
    this.#append(value);
  }

  /** An attribute of this length; answers where its value stands. The buffer may have been replaced by a larger one. */
  #number(type: number, length: number): number {
    const start = this.#open(type);
    this.#grow(length);
    this.#close(start);
    return start + ATTRIBUTE_LENGTH;
  }

  /** By hand, as thousands of back ends are tens of thousands of attributes. */
  #write16(value: number, at: number): void {
    this.#bytes[at] = value & 255;
    this.#bytes[at + 1] = value >> 8;
  }

  #open(type: number): number {
    const start = this.#length;
    this.#grow(ATTRIBUTE_LENGTH);
    this.#write16(type, start + 2);
    return start;
  }

  #close(start: number): void {
    const length = this.#length - start;
    if (length > 0xffff) throw new RangeError(`netlink attribute of ${length} bytes`);
    this.#write16(length, start);
    this.#grow(aligned(this.#length) - this.#length);
  }

  #append(value: Uint8Array, pad = true): void {
    const start = this.#length;
    this.#grow(pad ? aligned(value.length) : value.length);
    this.#bytes.set(value, start);
  }

  #grow(length: number): void {
    const needed = this.#length + length;
    if (needed > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(needed, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    this.#length = needed; // what is behind was never written to
  }
}

export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly body: Buffer; // from the fixed header on
}

export function* readMessages(bytes: Buffer): Generator<Message, void, void> {
  for (let at = 0; at + HEADER_LENGTH <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    if (length < HEADER_LENGTH || at + length > bytes.length) return;
    yield {
      type: bytes.readUInt16LE(at + 4),
      flags: bytes.readUInt16LE(at + 6),
      body: bytes.subarray(at + HEADER_LENGTH, at + length),
    };
    at += aligned(length);
  }
}

/** Attributes by type; of a repeated type the last. */
export function readAttributes(bytes: Buffer): Map<number, Buffer> {
  return new Map(eachAttribute(bytes));
}

export function* eachAttribute(bytes: Buffer): Generator<[type: number, value: Buffer], void, void> {
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > bytes.length) return;
    yield [bytes.readUInt16LE(at + 2) & TYPE_MASK, bytes.subarray(at + 4, at + length)];
    at += aligned(length);
  }
}

export function readText(value: Buffer | undefined): string {
  if (!value) return '';
  const end = value.indexOf(0);
  return value.toString('utf8', 0, end < 0 ? value.length : end);
}
