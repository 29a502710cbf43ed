// LZMA2: chunks of at most 2 MiB, which are LZMA, or plain where that would be longer. The window holds what chunks may
// refer to, and room behind it; it grows as it fills, and when it may not, moves to its beginning.
import { LzmaDecoder } from './lzma.ts';
import { damaged, type Waiting, type XzInput } from './xz-input.ts';

const ROOM_BYTES_MIN = 8 * 1024 * 1024; // for some chunks, so that a window moves seldom
/** The decoder looks at the lowest bits of a place: it moves by a multiple of this. */
const STEP_BYTES = 16;

const END = 0x00;
const PLAIN_ANEW = 0x01;
const PLAIN = 0x02;
const LZMA = 0x80;
const LZMA_RESET = 0xa0;
const LZMA_CONFIGURED = 0xc0;
const LZMA_ANEW = 0xe0;

export class Lzma2Decoder {
  readonly dictionaryBytes: number;
  readonly #windowBytesMax: number;
  #window = new Uint8Array(0);
  readonly #lzma: LzmaDecoder;
  #at = 0;
  /** What the next chunk has to do, at least. */
  #owes: 'anew' | 'configured' | 'nothing' = 'anew';

  constructor(dictionaryBytes: number, lzma: LzmaDecoder) {
    this.#lzma = lzma;
    this.dictionaryBytes = dictionaryBytes;
    this.#windowBytesMax = dictionaryBytes + Math.max(ROOM_BYTES_MIN, dictionaryBytes / 4);
  }

  /** The bytes of one block, chunk by chunk; each piece is the receiver's. */
  *block(input: XzInput): Generator<Uint8Array | undefined, void> {
    this.#owes = 'anew';
    for (;;) {
      const control = (yield* input.take(1))[0] as number;
      if (control === END) return;
      if (control > PLAIN && control < LZMA) damaged('a chunk is of no known kind');
      const from = yield* control < LZMA ? this.#plain(input, control) : this.#packed(input, control);
      yield this.#window.slice(from, this.#at);
    }
  }

  *#plain(input: XzInput, control: number): Waiting<number> {
    const head = yield* input.take(2);
    const size = (((head[0] as number) << 8) | (head[1] as number)) + 1;
    if (control === PLAIN_ANEW) this.#begin();
    else if (this.#owes === 'anew') damaged('it does not begin anew where it has to');
    const bytes = yield* input.take(size);
    const from = this.#place(size);
    this.#window.set(bytes, from);
    return from;
  }

  *#packed(input: XzInput, control: number): Waiting<number> {
    const head = yield* input.take(control >= LZMA_CONFIGURED ? 5 : 4);
    const [high = 0, middle = 0, packedHigh = 0, packedLow = 0, properties] = [...head];
    const size = (((control & 0x1f) << 16) | (high << 8) | middle) + 1;
    this.#prepare(control, properties ?? 0);
    const packed = yield* input.take(((packedHigh << 8) | packedLow) + 1);
    const from = this.#place(size);
    if (!this.#lzma.decode(packed, this.#window, { from, to: this.#at, reach: this.dictionaryBytes }))
      damaged('a chunk is not what it says');
    return from;
  }

  #prepare(control: number, properties: number): void {
    if (control >= LZMA_ANEW) this.#begin();
    else if (this.#owes === 'anew') damaged('it does not begin anew where it has to');
    if (control >= LZMA_CONFIGURED) {
      if (!this.#lzma.configure(properties)) damaged('a chunk has properties that there are not');
    } else if (this.#owes === 'configured') damaged('a chunk lacks its properties');
    if (control >= LZMA_RESET) this.#lzma.reset();
    this.#owes = 'nothing';
  }

  /** Nothing before this is referred to any more. */
  #begin(): void {
    this.#at = 0;
    this.#owes = 'configured';
  }

  /** Makes room for so many bytes, and says where. */
  #place(size: number): number {
    if (this.#at + size > this.#window.length && this.#window.length < this.#windowBytesMax)
      this.#grow(this.#at + size);
    if (this.#at + size > this.#window.length) this.#move();
    this.#at += size;
    return this.#at - size;
  }

  #grow(wanted: number): void {
    const length = Math.min(Math.max(wanted, 2 * this.#window.length), this.#windowBytesMax);
    const larger = new Uint8Array(length);
    larger.set(this.#window.subarray(0, this.#at));
    this.#window = larger;
  }

  #move(): void {
    const from = Math.floor((this.#at - this.dictionaryBytes) / STEP_BYTES) * STEP_BYTES;
    this.#window.copyWithin(0, from, this.#at);
    this.#at -= from;
  }
}
