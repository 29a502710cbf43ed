// The symbols of LZMA: literals, matches, and matches at one of the last four distances. The names follow the
// specification that Igor Pavlov published.
import { RangeDecoder } from './lzma-range.ts';

const STATES = 12;
const LITERAL_STATES = 7; // below: the last symbol was a literal
const POSITIONS = 16;
const LENGTH_MIN = 2;

/** Where each kind of probability begins. */
const IS_MATCH = 0;
const IS_REP = IS_MATCH + STATES * POSITIONS;
const IS_REP_0 = IS_REP + STATES;
const IS_REP_1 = IS_REP_0 + STATES;
const IS_REP_2 = IS_REP_1 + STATES;
const IS_REP_0_LONG = IS_REP_2 + STATES;
const SLOT = IS_REP_0_LONG + STATES * POSITIONS;
const SLOT_REST = SLOT + 4 * 64;
const ALIGN = SLOT_REST + 128;
const LENGTH = ALIGN + 16;
const REP_LENGTH = LENGTH + 2 + 2 * POSITIONS * 8 + 256;
const LITERAL = REP_LENGTH + 2 + 2 * POSITIONS * 8 + 256;
const LITERAL_CODERS_MAX = 1 << 4;
const PROBABILITIES = LITERAL + 0x300 * LITERAL_CODERS_MAX;

const LONG_COPY_BYTES = 48;

export class LzmaDecoder {
  readonly #coder = new RangeDecoder(PROBABILITIES);
  #contextBits = 0; // of the byte before
  #literalMask = 0;
  #positionMask = 0;
  #state = 0;
  #rep0 = 0;
  #rep1 = 0;
  #rep2 = 0;
  #rep3 = 0;

  /** False when there are no such properties. */
  configure(properties: number): boolean {
    const contextBits = properties % 9;
    const literalBits = Math.floor(properties / 9) % 5;
    const positionBits = Math.floor(properties / 45);
    this.#contextBits = contextBits;
    this.#literalMask = (1 << literalBits) - 1;
    this.#positionMask = (1 << positionBits) - 1;
    return positionBits <= 4 && contextBits + literalBits <= 4;
  }

  reset(): void {
    this.#coder.reset();
    this.#state = this.#rep0 = this.#rep1 = this.#rep2 = this.#rep3 = 0;
  }

  /**
   * Writes what the chunk says from `from` to `to`; distances reach `reach` bytes back, and never before the start. False
   * when it says something else than that.
   */
  decode(
    chunk: Uint8Array,
    window: Uint8Array,
    { from, to, reach }: { from: number; to: number; reach: number },
  ): boolean {
    const coder = this.#coder;
    if (!coder.begin(chunk)) return false;
    const contextShift = 8 - this.#contextBits;
    const contextBits = this.#contextBits;
    const literalMask = this.#literalMask;
    const positionMask = this.#positionMask;
    let state = this.#state;
    let rep0 = this.#rep0;
    let at = from;
    while (at < to && coder.isWithin) {
      const position = at & positionMask;
      if (coder.bit(IS_MATCH + (state << 4) + position) === 0) {
        const before = at === 0 ? 0 : (window[at - 1] as number);
        const base = LITERAL + 0x300 * (((at & literalMask) << contextBits) + (before >> contextShift));
        if (state < LITERAL_STATES) window[at] = coder.tree(base, 8);
        else window[at] = coder.matched(base, window[at - rep0 - 1] as number);
        at += 1;
        state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
        continue;
      }
      let length = 1;
      if (coder.bit(IS_REP + state) === 0) {
        this.#rep3 = this.#rep2;
        this.#rep2 = this.#rep1;
        this.#rep1 = rep0;
        length = this.#length(LENGTH, position);
        rep0 = this.#distance(length);
        state = state < LITERAL_STATES ? 7 : 10;
      } else {
        const isNear = coder.bit(IS_REP_0 + state) === 0;
        const isOneByte = isNear && coder.bit(IS_REP_0_LONG + (state << 4) + position) === 0;
        if (!isNear) rep0 = this.#again(rep0, state);
        if (!isOneByte) length = this.#length(REP_LENGTH, position);
        state = state >= LITERAL_STATES ? 11 : isOneByte ? 9 : 8;
      }
      if (rep0 >= at || rep0 >= reach || rep0 < 0 || length > to - at) return false;
      const source = at - rep0 - 1;
      const end = at + length;
      if (length >= LONG_COPY_BYTES && length <= rep0 + 1) {
        window.copyWithin(at, source, source + length);
        at = end;
      } else for (let copied = source; at < end; at += 1, copied += 1) window[at] = window[copied] as number;
    }
    this.#state = state;
    this.#rep0 = rep0;
    return at === to && coder.isFinished;
  }

  /** One of the three distances before the last one, which comes to the front. */
  #again(rep0: number, state: number): number {
    const coder = this.#coder;
    let distance = this.#rep1;
    if (coder.bit(IS_REP_1 + state) === 1) {
      distance = this.#rep2;
      if (coder.bit(IS_REP_2 + state) === 1) {
        distance = this.#rep3;
        this.#rep3 = this.#rep2;
      }
      this.#rep2 = this.#rep1;
    }
    this.#rep1 = rep0;
    return distance;
  }

  #length(base: number, position: number): number {
    const coder = this.#coder;
    const trees = base + 2;
    if (coder.bit(base) === 0) return LENGTH_MIN + coder.tree(trees + position * 8, 3);
    if (coder.bit(base + 1) === 0) return LENGTH_MIN + 8 + coder.tree(trees + (POSITIONS + position) * 8, 3);
    return LENGTH_MIN + 16 + coder.tree(trees + 2 * POSITIONS * 8, 8);
  }

  /** One less than how far back; the highest bits by a tree, the lowest four, too, when there are many, between them plain ones. */
  #distance(length: number): number {
    const coder = this.#coder;
    const slot = coder.tree(SLOT + Math.min(length - LENGTH_MIN, 3) * 64, 6);
    if (slot < 4) return slot;
    const bits = (slot >> 1) - 1;
    const start = (2 | (slot & 1)) << bits;
    if (slot < 14) return start + coder.reverse(SLOT_REST + start - slot, bits);
    return (start + (coder.direct(bits - 4) << 4) + coder.reverse(ALIGN, 4)) | 0;
  }
}
