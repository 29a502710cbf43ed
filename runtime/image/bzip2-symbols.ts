// The symbols of one bzip2 block: Huffman codes, runs of the front byte, and move to front undone.
import { fail } from '../../base/errors.ts';
import type { BitReader } from './bzip2-bits.ts';

const GROUP_SYMBOLS = 50;
const LENGTH_MAX = 20;
const RUN_A = 0;
const RUN_B = 1;

const damaged = (how: string): never => fail('invalid', `the bzip2 archive can not be read: ${how}`);

/** The bytes of the block, still sorted, each in an entry of its own. */
export function symbolsOf(bits: BitReader, bytesMax: number): Uint32Array {
  const front = usedBytes(bits);
  const symbols = front.length + 2;
  const tables = bits.read(3);
  if (tables < 2 || tables > 6) damaged(`a block has ${tables} tables`);
  const selectors = selectorsOf(bits, tables);
  const codes = Array.from({ length: tables }, () => codeOf(bits, symbols));
  const block = new Uint32Array(bytesMax);
  let length = 0;
  let run = 0;
  let weight = 1;
  for (let read = 0; ; read += 1) {
    const code = codes[selectors[Math.floor(read / GROUP_SYMBOLS)] ?? tables];
    if (!code) damaged('a block has more symbols than it says');
    const symbol = nextSymbol(bits, code as Code);
    if (symbol === RUN_A || symbol === RUN_B) {
      run += weight * (symbol + 1);
      weight *= 2;
      if (run > bytesMax - length) damaged('a block is longer than it may be');
      continue;
    }
    block.fill(front[0] as number, length, length + run);
    length += run;
    run = 0;
    weight = 1;
    if (symbol === symbols - 1) return block.subarray(0, length);
    if (length >= bytesMax) damaged('a block is longer than it may be');
    const value = front[symbol - 1] as number;
    front.copyWithin(1, 0, symbol - 1);
    front[0] = value;
    block[length] = value;
    length += 1;
  }
}

/** Which bytes occur: sixteen bits for the sixteens that do, and sixteen for each of these. */
function usedBytes(bits: BitReader): Uint8Array {
  const sixteens = bits.read(16);
  const used: number[] = [];
  for (let high = 0; high < 16; high += 1) {
    if (!(sixteens & (0x8000 >> high))) continue;
    const ones = bits.read(16);
    for (let low = 0; low < 16; low += 1) if (ones & (0x8000 >> low)) used.push(high * 16 + low);
  }
  if (used.length === 0) damaged('a block has no bytes');
  return Uint8Array.from(used);
}

/** Which table each fifty symbols use, moved to front. */
function selectorsOf(bits: BitReader, tables: number): Uint8Array {
  const count = bits.read(15);
  if (count === 0) damaged('a block has no symbols');
  const order = Uint8Array.from({ length: tables }, (_, index) => index);
  return Uint8Array.from({ length: count }, () => {
    let place = 0;
    while (bits.read(1) === 1) if (++place >= tables) damaged('a block names a table that it has not');
    const table = order[place] as number;
    order.copyWithin(1, 0, place);
    order[0] = table;
    return table;
  });
}

/** By length of a code: the last one of it, and how far its symbols are from it. */
interface Code {
  readonly shortest: number;
  readonly limits: Int32Array;
  readonly offsets: Int32Array;
  readonly sorted: Uint16Array;
}

function codeOf(bits: BitReader, symbols: number): Code {
  const lengths = new Uint8Array(symbols);
  let length = bits.read(5);
  for (let symbol = 0; symbol < symbols; symbol += 1) {
    for (;;) {
      if (length < 1 || length > LENGTH_MAX) damaged('a code is too long');
      if (bits.read(1) === 0) break;
      length += bits.read(1) === 0 ? 1 : -1;
    }
    lengths[symbol] = length;
  }
  return tableOf(lengths);
}

function tableOf(lengths: Uint8Array): Code {
  const counts = new Int32Array(LENGTH_MAX + 1);
  for (const length of lengths) counts[length] = (counts[length] as number) + 1;
  const limits = new Int32Array(LENGTH_MAX + 1).fill(-1);
  const offsets = new Int32Array(LENGTH_MAX + 1);
  let code = 0;
  let before = 0;
  for (let length = 1; length <= LENGTH_MAX; length += 1) {
    const count = counts[length] as number;
    offsets[length] = before - code;
    if (count > 0) limits[length] = code + count - 1;
    before += count;
    code = (code + count) << 1;
  }
  const order = [...lengths.keys()].sort((a, b) => (lengths[a] as number) - (lengths[b] as number) || a - b);
  const shortest = counts.findIndex((count) => count > 0);
  return { shortest, limits, offsets, sorted: Uint16Array.from(order) };
}

function nextSymbol(bits: BitReader, { shortest, limits, offsets, sorted }: Code): number {
  let code = bits.read(shortest);
  for (let length = shortest; length <= LENGTH_MAX; length += 1) {
    if (code <= (limits[length] as number)) {
      const symbol = sorted[code + (offsets[length] as number)];
      if (symbol !== undefined) return symbol;
    }
    code = (code << 1) | bits.read(1);
  }
  return damaged('a code that there is not');
}
