// The range decoder of LZMA: bits by adaptive probabilities. Each method holds its state in variables while it works, which
// is twice as fast as fields. Range and code are unsigned numbers of 32 bits, kept as signed ones.

const EVEN = 1024; // of 2048
const CHUNK_BYTES_MAX = 65_536;
/** No symbol takes as many; the decoder looks for the end of its input between symbols. */
const SLACK_BYTES = 64;

export class RangeDecoder {
  readonly probabilities: Uint16Array;
  readonly #bytes = new Uint8Array(CHUNK_BYTES_MAX + SLACK_BYTES);
  #at = 0;
  #end = 0;
  #range = 0;
  #code = 0;

  constructor(probabilities: number) {
    this.probabilities = new Uint16Array(probabilities);
  }

  reset(): void {
    this.probabilities.fill(EVEN);
  }

  /** False when it can not begin so. */
  begin(chunk: Uint8Array): boolean {
    const bytes = this.#bytes;
    bytes.set(chunk);
    bytes.fill(0, chunk.length, chunk.length + SLACK_BYTES);
    this.#range = -1;
    this.#code = new DataView(bytes.buffer).getInt32(1);
    this.#at = 5;
    this.#end = chunk.length;
    return chunk.length >= 5 && bytes[0] === 0;
  }

  get isWithin(): boolean {
    return this.#at <= this.#end;
  }

  /** All was used, and the encoder ended here. */
  get isFinished(): boolean {
    this.direct(0);
    return this.#at === this.#end && this.#code === 0;
  }

  bit(index: number): number {
    const probabilities = this.probabilities;
    let range = this.#range;
    let code = this.#code;
    if ((range & 0xff000000) === 0) {
      range <<= 8;
      code = (code << 8) | (this.#bytes[this.#at++] as number);
    }
    const probability = probabilities[index] as number;
    const bound = Math.imul(range >>> 11, probability);
    if (code >>> 0 < bound >>> 0) {
      probabilities[index] = probability + ((2048 - probability) >> 5);
      this.#range = bound;
      this.#code = code;
      return 0;
    }
    probabilities[index] = probability - (probability >> 5);
    this.#range = (range - bound) | 0;
    this.#code = (code - bound) | 0;
    return 1;
  }

  /** `count` bits, the highest first, each with probabilities of its own for every beginning. */
  tree(base: number, count: number): number {
    const probabilities = this.probabilities;
    const bytes = this.#bytes;
    let at = this.#at;
    let range = this.#range;
    let code = this.#code;
    const limit = 1 << count;
    let symbol = 1;
    while (symbol < limit) {
      if ((range & 0xff000000) === 0) {
        range <<= 8;
        code = (code << 8) | (bytes[at++] as number);
      }
      const index = base + symbol;
      const probability = probabilities[index] as number;
      const bound = Math.imul(range >>> 11, probability);
      if (code >>> 0 < bound >>> 0) {
        probabilities[index] = probability + ((2048 - probability) >> 5);
        range = bound;
        symbol <<= 1;
      } else {
        probabilities[index] = probability - (probability >> 5);
        range = (range - bound) | 0;
        code = (code - bound) | 0;
        symbol = (symbol << 1) | 1;
      }
    }
    this.#at = at;
    this.#range = range;
    this.#code = code;
    return symbol - limit;
  }

  /** As a tree of eight bits, with other probabilities as long as it goes the way of `match`. */
  matched(base: number, match: number): number {
    const probabilities = this.probabilities;
    const bytes = this.#bytes;
    let at = this.#at;
    let range = this.#range;
    let code = this.#code;
    let symbol = 1;
    let offset = 0x100;
    let rest = match;
    while (symbol < 0x100) {
      if ((range & 0xff000000) === 0) {
        range <<= 8;
        code = (code << 8) | (bytes[at++] as number);
      }
      rest <<= 1;
      const expected = rest & offset;
      const index = base + offset + expected + symbol;
      const probability = probabilities[index] as number;
      const bound = Math.imul(range >>> 11, probability);
      if (code >>> 0 < bound >>> 0) {
        probabilities[index] = probability + ((2048 - probability) >> 5);
        range = bound;
        symbol <<= 1;
        offset &= ~expected;
      } else {
        probabilities[index] = probability - (probability >> 5);
        range = (range - bound) | 0;
        code = (code - bound) | 0;
        symbol = (symbol << 1) | 1;
        offset &= expected;
      }
    }
    this.#at = at;
    this.#range = range;
    this.#code = code;
    return symbol & 0xff;
  }

  /** As a tree, the lowest bit first. */
  reverse(base: number, count: number): number {
    let symbol = 1;
    let value = 0;
    for (let bit = 0; bit < count; bit += 1) {
      const one = this.bit(base + symbol);
      symbol = (symbol << 1) | one;
      value |= one << bit;
    }
    return value;
  }

  /** `count` bits that are as often one as zero. */
  direct(count: number): number {
    const bytes = this.#bytes;
    let at = this.#at;
    let range = this.#range;
    let code = this.#code;
    let value = 0;
    for (let left = count; ; left -= 1) {
      if ((range & 0xff000000) === 0) {
        range <<= 8;
        code = (code << 8) | (bytes[at++] as number);
      }
      if (left === 0) break;
      range >>>= 1;
      code = (code - range) | 0;
      const below = code >> 31; // all ones when it was below
      code = (code + (range & below)) | 0;
      value = (value << 1) + below + 1;
    }
    this.#at = at;
    this.#range = range;
    this.#code = code;
    return value;
  }
}
