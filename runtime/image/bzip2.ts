// bzip2 undone: the format as Julian Seward's program writes it, block by block. Pure; bytes are handed in as they come.
// Bounds: a block of 900 000 bytes and its links, input of three packed blocks, output in pieces of 256 KiB.
import { fail } from '../../base/errors.ts';
import { BitReader } from './bzip2-bits.ts';
import { symbolsOf } from './bzip2-symbols.ts';

const STREAM = 0x425a68; // BZh
const BLOCK = [0x314159, 0x265359] as const;
const END = [0x177245, 0x385090] as const;
const PIECE_BYTES = 256 * 1024;
/** No packed block is longer: 20 bits for a symbol, one symbol for a byte, and its tables. */
const PACKED_BLOCK_BYTES_MAX = 2_500_000;

export class Bzip2Decoder {
  readonly #bits = new BitReader();
  #blockBytes = 0; // 0: before the head of a stream
  #streamSum = 0;
  #streams = 0;

  /** What can be unpacked with these further bytes; with `undefined` the rest. */
  *take(bytes: Uint8Array | undefined): Generator<Uint8Array> {
    if (bytes) this.#bits.add(bytes);
    while (bytes ? this.#bits.bytesLeft > PACKED_BLOCK_BYTES_MAX : this.#bits.bytesLeft > 0) {
      if (this.#blockBytes > 0) yield* this.#block();
      else if (!this.#begin()) return;
    }
    if (!bytes && (this.#blockBytes > 0 || this.#streams === 0)) damaged('it ends too early');
  }

  /** Several streams may follow each other; what is none after the first is ignored, as bzip2 does. */
  #begin(): boolean {
    const bits = this.#bits;
    if (this.#streams > 0 && (bits.bytesLeft < 4 || bits.read(24) !== STREAM)) {
      bits.drop();
      return false;
    }
    if (this.#streams === 0 && bits.read(24) !== STREAM) damaged('it is no bzip2 file');
    const level = bits.read(8) - 0x30;
    if (level < 1 || level > 9) damaged('it names a size of blocks that there is not');
    this.#blockBytes = level * 100_000;
    this.#streamSum = 0;
    this.#streams += 1;
    return true;
  }

  *#block(): Generator<Uint8Array> {
    const bits = this.#bits;
    const [high, low] = [bits.read(24), bits.read(24)];
    const sum = ((bits.read(16) << 16) | bits.read(16)) >>> 0;
    if (high === END[0] && low === END[1]) {
      if (sum !== this.#streamSum) damaged('its check sum is wrong');
      bits.toByte();
      this.#blockBytes = 0;
      return;
    }
    if (high !== BLOCK[0] || low !== BLOCK[1]) damaged('a block does not begin as one');
    if (bits.read(1) === 1) damaged('it has randomised blocks, which no program writes any more');
    const origin = bits.read(24);
    const block = symbolsOf(bits, this.#blockBytes);
    if (origin >= block.length) damaged('a block begins outside of itself');
    const found = yield* unpacked(block, origin);
    if (found !== sum) damaged('the check sum of a block is wrong');
    this.#streamSum = (((this.#streamSum << 1) | (this.#streamSum >>> 31)) ^ sum) >>> 0;
  }
}

const damaged = (how: string): never => fail('invalid', `the bzip2 archive can not be read: ${how}`);

/** Undoes the sorting and the runs: after four equal bytes, one says how many more there are. Returns the check sum. */
function* unpacked(block: Uint32Array, origin: number): Generator<Uint8Array, number> {
  link(block);
  let piece = new Uint8Array(PIECE_BYTES);
  let filled = 0;
  let sum = 0xffffffff;
  let at = (block[origin] as number) >>> 8;
  let last = -1;
  let run = 0;
  for (let left = block.length; left > 0; left -= 1) {
    const entry = block[at] as number;
    at = entry >>> 8;
    const byte = entry & 0xff;
    const count = run === 4 ? byte : 1;
    const value = run === 4 ? last : byte;
    run = run === 4 ? 0 : value === last ? run + 1 : 1;
    // A count ends the run, so that the next byte begins a new one even if it is the same.
    last = run === 0 ? -1 : value;
    for (let i = 0; i < count; i += 1) {
      piece[filled] = value;
      filled += 1;
      sum = ((sum << 8) ^ (SUMS[((sum >>> 24) ^ value) & 0xff] as number)) | 0;
    }
    if (filled > PIECE_BYTES - 256) {
      yield piece.subarray(0, filled);
      piece = new Uint8Array(PIECE_BYTES);
      filled = 0;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
  return ~sum >>> 0;
}

/** Each entry keeps its byte below and gets, above it, where the next byte stands. */
function link(block: Uint32Array): void {
  const starts = new Uint32Array(257);
  for (const entry of block) starts[(entry & 0xff) + 1] = (starts[(entry & 0xff) + 1] as number) + 1;
  for (let value = 0; value < 256; value += 1)
    starts[value + 1] = (starts[value + 1] as number) + (starts[value] as number);
  for (let index = 0; index < block.length; index += 1) {
    const value = (block[index] as number) & 0xff;
    const place = starts[value] as number;
    starts[value] = place + 1;
    block[place] = (block[place] as number) | (index << 8);
  }
}

/** CRC-32 as bzip2 has it: the highest bit first. */
const SUMS = Uint32Array.from({ length: 256 }, (_, value) => {
  let sum = value << 24;
  for (let bit = 0; bit < 8; bit += 1) sum = sum & 0x80000000 ? (sum << 1) ^ 0x04c11db7 : sum << 1;
  return sum >>> 0;
});
