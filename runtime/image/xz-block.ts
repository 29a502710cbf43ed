// A block of an xz file: its head, what LZMA2 and filters make of its bytes, and whether that is what the head and the check
// say. Bounds: a dictionary of 128 MiB, which is twice what `xz -9` asks for, and a quarter
// of it as room behind it.
import { crc32 } from 'node:zlib';
import { fail } from '../../base/errors.ts';
import { LzmaDecoder } from './lzma.ts';
import { Lzma2Decoder } from './lzma2.ts';
import type { Check } from './xz-checks.ts';
import { type XzFilter, xzFilter } from './xz-filters.ts';
import { damaged, equalBytes, littleEndian32, type Waiting, XzCursor, type XzInput } from './xz-input.ts';

const DICTIONARY_BYTES_MAX = 128 * 1024 * 1024;
const LZMA2 = 0x21;
const RESERVED_FLAGS = 0x3c;
const HAS_PACKED_SIZE = 0x40;
const HAS_PLAIN_SIZE = 0x80;

/** As the index repeats them. */
export interface BlockSizes {
  readonly unpaddedBytes: number;
  readonly plainBytes: number;
}

interface BlockHead {
  readonly packedBytes: number | undefined;
  readonly plainBytes: number | undefined;
  readonly filters: readonly XzFilter[]; // in the order in which they are undone
  readonly dictionaryBytes: number;
}

export class XzBlocks {
  /** Blocks of a file mostly have dictionaries of the same size. */
  #decoder: Lzma2Decoder | undefined;
  readonly #lzma = new LzmaDecoder();

  *next(input: XzInput, check: Check): Generator<Uint8Array | undefined, BlockSizes> {
    const start = input.takenBytes;
    const head = yield* headOf(input);
    const packedStart = input.takenBytes;
    const sum = check.begin();
    let plainBytes = 0;
    for (const piece of this.#pieces(input, head)) {
      if (piece) {
        plainBytes += piece.length;
        sum.add(piece);
      }
      yield piece;
    }
    const packedBytes = input.takenBytes - packedStart;
    if (packedBytes !== (head.packedBytes ?? packedBytes)) damaged('a block is not as long as it says');
    if (plainBytes !== (head.plainBytes ?? plainBytes)) damaged('what is in a block is not as long as it says');
    const padding = yield* input.take(-packedBytes & 3);
    if (padding.some((byte) => byte !== 0)) damaged('there is something between two blocks');
    if (!equalBytes(yield* input.take(check.sizeBytes), sum.end())) damaged('the check sum of a block is wrong');
    return { unpaddedBytes: packedStart - start + packedBytes + check.sizeBytes, plainBytes };
  }

  *#pieces(input: XzInput, { filters, dictionaryBytes }: BlockHead): Generator<Uint8Array | undefined> {
    if (this.#decoder?.dictionaryBytes !== dictionaryBytes) {
      this.#decoder = undefined; // goes before the next one is made
      this.#decoder = new Lzma2Decoder(dictionaryBytes, this.#lzma);
    }
    for (const piece of this.#decoder.block(input)) {
      if (piece) for (const filter of filters) filter.undo(piece);
      yield piece;
    }
  }
}

function* headOf(input: XzInput): Waiting<BlockHead> {
  const size = ((yield* input.peek()) + 1) * 4;
  const bytes = yield* input.take(size);
  if (crc32(bytes.subarray(0, size - 4)) !== littleEndian32(bytes, size - 4))
    damaged('the check sum of a block’s head is wrong');
  const cursor = new XzCursor(bytes.subarray(1, size - 4));
  const flags = cursor.byte();
  if (flags & RESERVED_FLAGS) fail('not-implemented', 'the xz archive has blocks of a kind that is not known');
  const packedBytes = flags & HAS_PACKED_SIZE ? cursor.number() : undefined;
  const plainBytes = flags & HAS_PLAIN_SIZE ? cursor.number() : undefined;
  if (packedBytes === 0) damaged('a block says that it is empty');
  const listed = Array.from({ length: (flags & 3) + 1 }, () => filterOf(cursor));
  if (cursor.bytes.subarray(cursor.at).some((byte) => byte !== 0)) damaged('a block’s head goes on after its end');
  const last = listed.pop();
  if (last?.id !== LZMA2) fail('not-implemented', 'the xz archive is packed by something else than LZMA2');
  const filters = listed.reverse().map(({ id, properties }) => xzFilter(id, properties));
  return { packedBytes, plainBytes, filters, dictionaryBytes: dictionaryBytesOf(last?.properties ?? new Uint8Array()) };
}

function filterOf(cursor: XzCursor): { id: number; properties: Uint8Array } {
  const id = cursor.number();
  const size = cursor.number();
  const properties = cursor.bytes.subarray(cursor.at, cursor.at + size);
  if (properties.length !== size) damaged('a filter leaves its place');
  cursor.at += size;
  return { id, properties };
}

/** 4 KiB, 6 KiB, 8 KiB, 12 KiB, 16 KiB and so on. */
function dictionaryBytesOf(properties: Uint8Array): number {
  const size = properties[0] ?? damaged('the size of the dictionary is missing');
  if (properties.length !== 1 || size > 40) damaged('it names a size of the dictionary that there is not');
  const bytes = (2 | (size & 1)) * 2 ** ((size >> 1) + 11);
  if (bytes > DICTIONARY_BYTES_MAX)
    fail('not-implemented', `the xz archive needs a dictionary of ${bytes / 2 ** 20} MiB, and 128 MiB is the most`);
  return bytes;
}
