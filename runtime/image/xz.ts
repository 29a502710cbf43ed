// xz undone: streams of blocks, each followed by an index that repeats their sizes, as the published description of the
// format has it (https://tukaani.org/xz/xz-file-format.txt). Pure; bytes are handed in as they come. Every check that the
// file has is made. Bounds: in xz-block.ts; one chunk of input; output in pieces of at most 2 MiB.
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { fail } from '../../base/errors.ts';
import { type BlockSizes, XzBlocks } from './xz-block.ts';
import { type Check, checkOf } from './xz-checks.ts';
import { damaged, equalBytes, littleEndian32, type Waiting, XzCursor, XzInput } from './xz-input.ts';

const MAGIC = Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00);
const FOOTER_MAGIC = Buffer.from('YZ');

export class XzDecoder {
  readonly #input = new XzInput();
  readonly #pieces = this.#file();

  /** What can be unpacked with these further bytes; with `undefined` the rest. */
  *take(bytes: Uint8Array | undefined): Generator<Uint8Array> {
    this.#input.add(bytes);
    for (;;) {
      const { value, done } = this.#pieces.next();
      if (done === true || value === undefined) return;
      yield value;
    }
  }

  /** Several streams may follow each other, with zeros between and behind them. */
  *#file(): Generator<Uint8Array | undefined, void> {
    const blocks = new XzBlocks();
    do yield* this.#stream(blocks);
    while (yield* this.#findNext());
  }

  *#stream(blocks: XzBlocks): Generator<Uint8Array | undefined, void> {
    const input = this.#input;
    const head = yield* input.take(12);
    if (!equalBytes(head.subarray(0, 6), MAGIC)) damaged('it is no xz file');
    if (crc32(head.subarray(6, 8)) !== littleEndian32(head, 8)) damaged('the check sum of its head is wrong');
    const flags = Uint8Array.from(head.subarray(6, 8));
    const check = checkOfFlags(flags);
    const found = new BlockList();
    while ((yield* input.peek()) !== 0) found.add(yield* blocks.next(input, check));
    const indexStart = input.takenBytes;
    yield* this.#index(found);
    yield* this.#footer(flags, input.takenBytes - indexStart);
  }

  /** It has to say the same as the blocks did. */
  *#index(found: BlockList): Waiting<void> {
    const input = this.#input;
    const start = input.takenBytes;
    let sum = crc32(yield* input.take(1));
    const number = function* (): Waiting<number> {
      const bytes = yield* input.takeNumber();
      sum = crc32(bytes, sum);
      return new XzCursor(bytes).number();
    };
    if ((yield* number()) !== found.count) damaged('its index names another number of blocks');
    const listed = new BlockList();
    while (listed.count < found.count) listed.add({ unpaddedBytes: yield* number(), plainBytes: yield* number() });
    if (!equalBytes(listed.end(), found.end())) damaged('its index names other sizes of blocks');
    const padding = yield* input.take((start - input.takenBytes) & 3);
    if (padding.some((byte) => byte !== 0)) damaged('its index goes on after its end');
    sum = crc32(padding, sum);
    if (littleEndian32(yield* input.take(4), 0) !== sum) damaged('the check sum of its index is wrong');
  }

  *#footer(flags: Uint8Array, indexBytes: number): Waiting<void> {
    const footer = yield* this.#input.take(12);
    if (!equalBytes(footer.subarray(10), FOOTER_MAGIC)) damaged('it does not end as it should');
    if (crc32(footer.subarray(4, 10)) !== littleEndian32(footer, 0)) damaged('the check sum of its end is wrong');
    if ((littleEndian32(footer, 4) + 1) * 4 !== indexBytes) damaged('its end names another size of the index');
    if (!equalBytes(footer.subarray(8, 10), flags)) damaged('its end is not that of its beginning');
  }

  /** False at the end of the file. */
  *#findNext(): Waiting<boolean> {
    const input = this.#input;
    while (!(yield* input.isAtEnd())) {
      if ((yield* input.peek()) !== 0) return true;
      if ((yield* input.take(4)).some((byte) => byte !== 0)) damaged('there is something after its end');
    }
    return false;
  }
}

function checkOfFlags(flags: Uint8Array): Check {
  const [first, second = 0] = flags;
  if (first !== 0 || second > 0x0f) fail('not-implemented', 'the xz archive is of a kind that is not known');
  return checkOf(second);
}

/** The sizes of blocks, however many, for a comparison. */
class BlockList {
  count = 0;
  readonly #hash = createHash('sha256');

  add({ unpaddedBytes, plainBytes }: BlockSizes): void {
    this.count += 1;
    this.#hash.update(Float64Array.of(unpaddedBytes, plainBytes));
  }

  end(): Uint8Array {
    return this.#hash.digest();
  }
}
