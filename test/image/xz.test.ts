// xz undone: what its program packed, what somebody damaged, what is more than we hold, and a reader that goes away.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readSync } from 'node:fs';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { codeOf } from '../../base/errors.ts';
import { seededRandom } from '../../base/random.ts';
import { compressionOf, decompressor } from '../../runtime/image/compression.ts';
import { gathered } from '../../runtime/image/gathered.ts';
import { XzDecoder } from '../../runtime/image/xz.ts';

const TEXT = 'hello hello hello aaaaaaaaaaaaaaaaaa bbbb\n';
const bytesOf = (base64: string): Buffer => Buffer.from(base64, 'base64');
const PACKED = bytesOf(
  '/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4AApABJdADQZSe6N6VCV8MKIC74WXIEAAAAAAHei3+clPgdOAAEuKtF1OvAftvN9AQAAAAAEWVo=',
);
const UNCHECKED = bytesOf(
  '/Td6WFoAAAD/EtlBAgAhARYAAAB0L+Wj4AApABJdADQZSe6N6VCV8MKIC74WXIEAAAAAAAABJirZ/+M4BnKeegEAAAAAAFla',
);
const DATA_AT = 24; // behind the heads of the stream and of the block
const PROPERTIES_AT = DATA_AT + 5;
const VARIANTS = {
  'no check': UNCHECKED,
  'CRC-32': bytesOf(
    '/Td6WFoAAAFpIt42AgAhARYAAAB0L+Wj4AApABJdADQZSe6N6VCV8MKIC74WXIEAAAAAAFBeEJwAASoq1bBWlJBCmQ0BAAAAAAFZWg==',
  ),
  'CRC-64': PACKED,
  'SHA-256': bytesOf(
    '/Td6WFoAAArh+wyhAgAhARYAAAB0L+Wj4AApABJdADQZSe6N6VCV8MKIC74WXIEAAAAAAGkGlnIGe7QH8NRoccwIhQvahRxQfxkyk9+RSZW1hOxYAAFGKn6UHl0Ym0uaAQAAAAAKWVo=',
  ),
  'three blocks that name their sizes': bytesOf(
    '/Td6WFoAAATm1rRGAsATECEBFgCTt2wL4AAPAAtdADQZSe6N6U5mpeAAAACCWU6VIysXGALAEBAhARYAPcX4jeAADwAIXQA3iAg7MAAAAAClnigwJ7ce/ALADgohARYA9Sl0ngEACWFhYWEgYmJiYgoAAAB4JSx/R3RTVQADJxAkECIK31OSWrHEZ/sCAAAAAARZWg==',
  ),
};
const FOR_ARM = bytesOf(
  '/Td6WFoAAATm1rRGAgEHACEBFgCj9KGZ4AApABJdADQZSe6N6VCV8MKIC74WXIEAAAAAAHei3+clPgdOAAEuKtF1OvAftvN9AQAAAAAEWVo=',
);
const WITH_192_MIB = bytesOf(
  '/Td6WFoAAATm1rRGAgAhAR8AAAD+YO3e4AApABJdADQZSe6N6VCV8MKIC74WXIEAAAAAAHei3+clPgdOAAEuKtF1OvAftvN9AQAAAAAEWVo=',
);
const HAS_PROGRAM = spawnSync('xz', ['--help']).status === 0;

function unpacked(packed: Uint8Array, step = 100_000): Buffer {
  const decoder = new XzDecoder();
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < packed.length; at += step) pieces.push(...decoder.take(packed.subarray(at, at + step)));
  return Buffer.concat([...pieces, ...decoder.take(undefined)]);
}

const pack = (plain: Uint8Array, ...options: readonly string[]): Buffer =>
  spawnSync('xz', ['-c', '-T1', ...options], { input: plain, maxBuffer: 64 << 20 }).stdout;

/** Code and tables, as they are in images. */
function partOfNode(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const file = openSync(process.execPath, 'r');
  readSync(file, bytes, 0, length, 20_000_000);
  closeSync(file);
  return bytes;
}

const manyLines = (length: number): Buffer =>
  Buffer.from(Array.from({ length: length / 9 }, (_, index) => `${index}`.padStart(8) + '\n').join(''));

describe('xz', () => {
  it('is known by its head', () => {
    assert.equal(compressionOf(PACKED), 'xz');
    assert.equal(compressionOf(Buffer.from('7zXZ is how this file begins')), 'none');
  });

  for (const [what, packed] of Object.entries(VARIANTS)) {
    it(`is undone, in pieces of any size, with ${what}`, () => {
      for (const step of [1, 7, 1_000]) assert.equal(unpacked(packed, step).toString(), TEXT);
    });
  }

  it('is undone over several streams, with fours of zeros between and after them', () => {
    const [none, four, eight] = [0, 4, 8].map((length) => Buffer.alloc(length));
    for (const zeros of [none, four, eight] as Buffer[]) {
      const twice = Buffer.concat([PACKED, zeros, UNCHECKED, zeros]);
      for (const step of [1, 1_000]) assert.equal(unpacked(twice, step).toString(), TEXT + TEXT);
    }
    for (const rest of [Buffer.alloc(3), Buffer.from('and rubbish'), Buffer.from('\0\0\0and')])
      assert.throws(() => unpacked(Buffer.concat([PACKED, rest])), { code: 'invalid' });
  });

  for (const [what, plain, ...options] of [
    ['nothing', () => Buffer.alloc(0)],
    ['one byte many times', () => Buffer.alloc(5_000_000, 'x')],
    ['what can not be packed', () => Buffer.from(seededRandom(3).bytes(200_000)), '-0'],
    ['a program, its quick way', () => partOfNode(400_000), '-0'],
    ['a program, its best way', () => partOfNode(400_000), '-9e'],
    ['a program, by context of its place', () => partOfNode(500_000), '--lzma2=preset=1,lc=0,lp=4,pb=0'],
    ['a program, by context of the byte before', () => partOfNode(500_000), '--lzma2=preset=1,lc=4,lp=0,pb=4'],
    ['a program, block by block', () => partOfNode(500_000), '-1', '--block-size=100000'],
    ['more than the window', () => manyLines(9_000_000), '--lzma2=preset=0,dict=4KiB'],
  ] as const) {
    it(`is undone as its program packed ${what}`, function () {
      if (!HAS_PROGRAM) this.skip();
      const bytes = plain();
      assert.ok(unpacked(pack(bytes, ...options)).equals(bytes));
    });
  }

  it('comes in pieces of at most 2 MiB, each when it is asked for, however much there is in a few bytes', function () {
    if (!HAS_PROGRAM) this.skip();
    const bomb = pack(Buffer.alloc(16 << 20), '-0');
    assert.ok(bomb.length < 5_000);
    const pieces = new XzDecoder().take(bomb);
    let total = 0;
    for (const piece of pieces) {
      assert.ok(piece.length <= 2 << 20);
      assert.equal(piece.buffer.byteLength, piece.length); // and nothing hangs on it
      total += piece.length;
      if (total > 4 << 20) break;
    }
    assert.ok(total < 7 << 20);
  });

  it('is refused when it is cut anywhere', () => {
    for (const packed of [PACKED, VARIANTS['three blocks that name their sizes']])
      for (let length = 0; length < packed.length; length += 1)
        assert.throws(
          () => unpacked(packed.subarray(0, length)),
          { code: 'invalid', message: /^the xz archive can not be read: it ends too early$/ },
          String(length),
        );
  });

  it('is refused, or says what it said, with any bit turned over', () => {
    for (let bit = 0; bit < PACKED.length * 8; bit += 1) {
      try {
        assert.equal(unpacked(turned(PACKED, bit)).toString(), TEXT);
        assert.equal(bit >> 3, PROPERTIES_AT); // other contexts, in which the same comes out
      } catch (error) {
        assert.equal(codeOf(error), 'invalid', `${bit}: ${String(error)}`);
      }
    }
  });

  it('is refused, or is as long as it says, with any bit turned over that no check sum sees', () => {
    for (let bit = DATA_AT * 8; bit < UNCHECKED.length * 8; bit += 1) {
      try {
        assert.equal(unpacked(turned(UNCHECKED, bit)).length, TEXT.length);
      } catch (error) {
        assert.equal(codeOf(error), 'invalid', String(error));
      }
    }
  });

  it('is refused for rubbish behind a right head', () => {
    const random = seededRandom(5);
    for (let round = 0; round < 300; round += 1) {
      const right = DATA_AT + random.below(16);
      const rubbish = Buffer.concat([UNCHECKED.subarray(0, right), random.bytes(2_000)]);
      assert.throws(() => unpacked(rubbish), { code: 'invalid' });
    }
  });

  it('is refused for a chunk of rubbish that may be as long as there are any', () => {
    const random = seededRandom(7);
    for (let round = 0; round < 40; round += 1) {
      const chunk = Buffer.from([0xff, 0xff, 0xff, 0x3f, 0xff, random.below(225), 0]);
      const rubbish = Buffer.concat([UNCHECKED.subarray(0, DATA_AT), chunk, random.bytes(0x3fff), Buffer.alloc(4)]);
      assert.throws(() => unpacked(rubbish), { code: 'invalid' });
    }
  });

  it('says what it does not read', () => {
    for (const [packed, message] of [
      [FOR_ARM, /the filter arm are not read/],
      [WITH_192_MIB, /a dictionary of 192 MiB, and 128 MiB is the most/],
    ] as const)
      assert.throws(() => unpacked(packed), { code: 'not-implemented', message });
  });

  it('is a step of a pipeline, with a thread of its own', async () => {
    assert.equal((await buffer(Readable.from([PACKED]).pipe(decompressor('xz')))).toString(), TEXT);
    const damaged = Readable.from([PACKED.subarray(0, 20)]).pipe(decompressor('xz'));
    await assert.rejects(buffer(damaged), { code: 'invalid', message: /ends too early/ });
  });

  it('is brought over in few pieces, into however many it was cut', async () => {
    const [streams, pieces] = [20_000, [] as Buffer[]];
    const cut = Buffer.concat(Array.from({ length: streams }, () => PACKED));
    for await (const piece of Readable.from([cut]).pipe(decompressor('xz'))) pieces.push(piece as Buffer);
    assert.equal(Buffer.concat(pieces).toString(), TEXT.repeat(streams));
    assert.ok(pieces.length <= Math.ceil((TEXT.length * streams) / 60_000), `${pieces.length} pieces`);
  });

  it('passes long pieces as they are, and keeps their order', () => {
    const given = [1, 3, 9, 4, 4, 4, 8, 1].map((length, at) => new Uint8Array(length).fill(at));
    const joined = [...gathered(given, 8)];
    assert.deepEqual(Buffer.concat(joined), Buffer.concat(given));
    assert.deepEqual(
      joined.map(({ length }) => length),
      [4, 9, 8, 4, 8, 1],
    );
    assert.deepEqual([...gathered([], 8)], []);
  });
});

function turned(packed: Uint8Array, bit: number): Buffer {
  const damaged = Buffer.from(packed);
  damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
  return damaged;
}
