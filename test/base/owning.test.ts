import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { owning } from '../../base/owning.ts';

describe('a stream that owns something', () => {
  let closed = 0;
  const close = (): void => {
    closed += 1;
  };
  beforeEach(() => {
    closed = 0;
  });

  async function* numbers(failAt = Infinity): AsyncGenerator<number> {
    for (let number = 0; number < 3; number += 1) {
      if (number === failAt) throw new Error('broken');
      yield await Promise.resolve(number);
    }
  }

  it('closes it once at the end', async () => {
    const seen: number[] = [];
    for await (const number of owning(numbers(), close)) seen.push(number);
    assert.deepEqual([seen, closed], [[0, 1, 2], 1]);
  });

  it('closes it once when the source fails, and says why', async () => {
    const read = async (): Promise<void> => {
      for await (const _ of owning(numbers(1), close));
    };
    await assert.rejects(read(), /broken/);
    assert.equal(closed, 1);
  });

  it('closes it when the reader leaves in the middle', async () => {
    for await (const _ of owning(numbers(), close)) break;
    assert.equal(closed, 1);
  });

  it('closes it when the reader leaves before the first value', async () => {
    const readable = Readable.from(owning(numbers(), close));
    readable.destroy();
    await assert.rejects(finished(readable), { code: 'ERR_STREAM_PREMATURE_CLOSE' });
    assert.equal(closed, 1);
  });

  it('gives nothing any more once it was left', async () => {
    const iterator = owning(numbers(), close)[Symbol.asyncIterator]();
    await iterator.return?.();
    assert.deepEqual(await iterator.next(), { done: true, value: undefined });
    assert.equal(closed, 1);
  });
});
