// Frames of the zygote's and the shims' sockets (PROTOCOL.md): u32 length, u8 type, payload; little-endian.
// Invariant: nothing that arrives is believed before its bounds were checked.
import { fail } from '../../base/errors.ts';

export const PROTOCOL = { min: 1, max: 1 } as const;
export const FRAME_BYTES_MAX = 2 << 20;
const HEAD_BYTES = 5; // length and type
/** Standard input travels in frames of at most this many bytes. */
export const CHUNK_BYTES = 16_384;

export const FRAME = {
  hello: 1,
  launch: 2,
  unpack: 3,
  stop: 4,
  files: 5,
  remove: 6,
  start: 10,
  signal: 11,
  resize: 12,
  attach: 13,
  exec: 14,
  kill: 15,
  acknowledge: 16,
  stdin: 17,
  stdinClose: 18,
  ok: 64,
  fault: 65,
  status: 66,
  output: 67,
  end: 68,
  exited: 69,
  started: 70,
  file: 71,
  data: 72,
} as const;

export interface Frame {
  readonly type: number;
  readonly payload: Buffer;
}

/** Builds one frame. */
export class FrameWriter {
  #buffer: Buffer;
  #length = HEAD_BYTES;
  readonly #type: number;

  /** `bytes`: about as many as it will take. */
  constructor(type: number, bytes = 512) {
    this.#type = type;
    this.#buffer = Buffer.allocUnsafe(bytes);
  }

  u8(value: number): this {
    this.#length = this.#room(1).writeUInt8(value, this.#length);
    return this;
  }

  flag(value: boolean): this {
    return this.u8(value ? 1 : 0);
  }

  u16(value: number): this {
    this.#length = this.#room(2).writeUInt16LE(value, this.#length);
    return this;
  }

  u32(value: number): this {
    this.#length = this.#room(4).writeUInt32LE(value, this.#length);
    return this;
  }

  i32(value: number): this {
    this.#length = this.#room(4).writeInt32LE(value, this.#length);
    return this;
  }

  u64(value: bigint): this {
    this.#length = this.#room(8).writeBigUInt64LE(BigInt.asUintN(64, value), this.#length);
    return this;
  }

  string(text: string): this {
    const bytes = Buffer.byteLength(text);
    if (text.includes('\0')) fail('invalid', `'${text.replaceAll('\0', '\\0')}' holds a NUL`);
    this.u32(bytes);
    this.#length += this.#room(bytes + 1).write(text, this.#length);
    return this.u8(0);
  }

  /** Fields that were written before, by `fields`. */
  raw(fields: Buffer): this {
    this.#room(fields.length);
    this.#length += fields.copy(this.#buffer, this.#length);
    return this;
  }

  /** What was written, without the frame around it, to be written again. */
  fields(): Buffer {
    return Buffer.from(this.#buffer.subarray(HEAD_BYTES, this.#length));
  }

  list<T>(items: readonly T[], write: (item: T) => void): this {
    this.u32(items.length);
    for (const item of items) write(item);
    return this;
  }

  strings(items: readonly string[]): this {
    return this.list(items, (item) => this.string(item));
  }

  finish(): Buffer {
    if (this.#length > FRAME_BYTES_MAX) fail('invalid', 'the request is larger than 2 MiB');
    this.#buffer.writeUInt32LE(this.#length - 4, 0);
    this.#buffer.writeUInt8(this.#type, 4);
    return this.#buffer.subarray(0, this.#length);
  }

  #room(bytes: number): Buffer {
    const wanted = this.#length + bytes;
    if (wanted <= this.#buffer.length) return this.#buffer;
    const larger = Buffer.allocUnsafe(Math.max(wanted, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
    return larger;
  }
}

/** Reads one frame's payload; throws on anything that does not fit. */
export class FrameReader {
  #at = 0;
  readonly #payload: Buffer;

  constructor(payload: Buffer) {
    this.#payload = payload;
  }

  u8(): number {
    return this.#payload.readUInt8(this.#take(1));
  }

  u32(): number {
    return this.#payload.readUInt32LE(this.#take(4));
  }

  i32(): number {
    return this.#payload.readInt32LE(this.#take(4));
  }

  /** A number that has to be exact, such as a time or a count. */
  u64(): number {
    const value = this.#payload.readBigUInt64LE(this.#take(8));
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) fail('internal', 'a number of the frame is out of range');
    return Number(value);
  }

  /** As u64, for what may lie before 1970. */
  i64(): number {
    return Number(this.#payload.readBigInt64LE(this.#take(8)));
  }

  string(): string {
    const length = this.u32();
    const from = this.#take(length + 1);
    const bytes = this.#payload.subarray(from, from + length);
    if (bytes.includes(0) || this.#payload[from + length] !== 0) fail('internal', 'a string of the frame is malformed');
    return bytes.toString();
  }

  strings(): string[] {
    const count = this.u32();
    if (count * 5 > this.#payload.length - this.#at) fail('internal', 'a list is longer than its frame');
    return Array.from({ length: count }, () => this.string());
  }

  finish(): void {
    if (this.#at !== this.#payload.length) fail('internal', 'the frame has bytes left over');
  }

  #take(bytes: number): number {
    const from = this.#at;
    if (bytes > this.#payload.length - from) fail('internal', 'the frame ends too early');
    this.#at = from + bytes;
    return from;
  }
}

/** Cuts a byte stream into frames. */
export class FrameSplitter {
  #rest: Buffer = Buffer.alloc(0);

  /** The frames that are complete with these bytes; their payloads share memory with `bytes`. */
  push(bytes: Buffer): Frame[] {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const frames: Frame[] = [];
    let at = 0;
    while (all.length - at >= 4) {
      const length = all.readUInt32LE(at);
      if (length < 1 || length > FRAME_BYTES_MAX) fail('internal', `a frame claims ${length} bytes`);
      if (all.length - at - 4 < length) break;
      frames.push({ type: all.readUInt8(at + 4), payload: all.subarray(at + 5, at + 4 + length) });
      at += 4 + length;
    }
    this.#rest = at === all.length ? Buffer.alloc(0) : Buffer.from(all.subarray(at));
    return frames;
  }

  /** True if the stream may end here. */
  get isEmpty(): boolean {
    return this.#rest.length === 0;
  }
}
