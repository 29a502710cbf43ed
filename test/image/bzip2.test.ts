// bzip2 undone: what its program packed, what somebody damaged, and a reader that goes away.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { codeOf } from '../../base/errors.ts';
import { seededRandom } from '../../base/random.ts';
import { Bzip2Decoder } from '../../runtime/image/bzip2.ts';
import { compressionOf, decompressor } from '../../runtime/image/compression.ts';

const TEXT = 'hello hello hello aaaaaaaaaaaaaaaaaa bbbb\n';
const PACKED = Buffer.from('QlpoOTFBWSZTWe/toP8AAApRAEARQAAyRKAAIbSh6CEAMI5sa4VB4NXhqPi7kinChId/bQf4', 'base64');
const HAS_PROGRAM = spawnSync('bzip2', ['--help']).status === 0;

function unpacked(packed: Uint8Array, step = 100_000): Buffer {
  const decoder = new Bzip2Decoder();
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < packed.length; at += step) pieces.push(...decoder.take(packed.subarray(at, at + step)));
  return Buffer.concat([...pieces, ...decoder.take(undefined)]);
}

const pack = (plain: Uint8Array, level: number): Buffer =>
  spawnSync('bzip2', [`-${level}c`], { input: plain, maxBuffer: 64 << 20 }).stdout;

describe('bzip2', () => {
  it('is known by its head, and not by three letters', () => {
    assert.equal(compressionOf(PACKED), 'bzip2');
    assert.equal(compressionOf(Buffer.from('BZh9 is how this file begins')), 'none');
  });

  it('is undone, in pieces of any size, and several streams after each other', () => {
    for (const step of [1, 7, 1_000]) assert.equal(unpacked(PACKED, step).toString(), TEXT);
    assert.equal(unpacked(Buffer.concat([PACKED, PACKED])).toString(), TEXT + TEXT);
    assert.equal(unpacked(Buffer.concat([PACKED, Buffer.from('and rubbish')])).toString(), TEXT);
  });

  for (const [what, plain] of [
    ['nothing', Buffer.alloc(0)],
    ['one byte many times', Buffer.alloc(2_000_000, 'x')],
    [
      'runs at the limits of their counts',
      Buffer.concat([4, 5, 254, 255, 256, 259, 260, 263].map((n) => Buffer.alloc(n, n))),
    ],
    ['what can not be packed', Buffer.from(seededRandom(3).bytes(200_000))],
  ] as const) {
    it(`is undone as its program packed ${what}`, function () {
      if (!HAS_PROGRAM) this.skip();
      for (const level of [1, 9]) assert.ok(unpacked(pack(plain, level)).equals(plain));
    });
  }

  it('is refused when it is cut anywhere', () => {
    for (let length = 0; length < PACKED.length; length += 1)
      assert.throws(
        () => unpacked(PACKED.subarray(0, length)),
        { code: 'invalid', message: /can not be read/ },
        String(length),
      );
  });

  it('is refused, or says what it said, with any bit turned over', () => {
    for (let bit = 0; bit < PACKED.length * 8; bit += 1) {
      const damaged = Buffer.from(PACKED);
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
      try {
        assert.equal(unpacked(damaged).toString(), TEXT);
      } catch (error) {
        assert.equal(codeOf(error), 'invalid', String(error));
      }
    }
  });

  it('is refused for rubbish behind a right head', () => {
    const random = seededRandom(5);
    for (let round = 0; round < 300; round += 1) {
      const rubbish = Buffer.concat([PACKED.subarray(0, 14 + random.below(8)), random.bytes(2_000)]);
      assert.throws(() => unpacked(rubbish), { code: 'invalid' });
    }
  });

  it('is a step of a pipeline, with a thread of its own', async () => {
    assert.equal((await buffer(Readable.from([PACKED]).pipe(decompressor('bzip2')))).toString(), TEXT);
    const damaged = Readable.from([PACKED.subarray(0, 20)]).pipe(decompressor('bzip2'));
    await assert.rejects(buffer(damaged), { code: 'invalid', message: /ends too early/ });
  });
});
