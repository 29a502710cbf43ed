import assert from 'node:assert/strict';
import { CodedError } from '../../base/errors.ts';
import { together } from '../../base/together.ts';

const untilAborted = (abort: AbortSignal): Promise<void> =>
  new Promise((_, reject) => {
    const end = (): void => reject(new CodedError('aborted', 'over'));
    if (abort.aborted) end();
    else abort.addEventListener('abort', end, { once: true });
  });

describe('jobs that run together', () => {
  it('end with the first that fails, and its error is the answer', async () => {
    let ended = false;
    const waiting = (abort: AbortSignal) =>
      untilAborted(abort).finally(() => {
        ended = true;
      });
    const failing = (): Promise<void> => Promise.reject(new Error('a fault'));
    await assert.rejects(together(new AbortController().signal, [waiting, failing]), /a fault/);
    assert.equal(ended, true);
  });

  it('end when they are aborted', async () => {
    const over = new AbortController();
    const done = together(over.signal, [untilAborted, untilAborted]);
    over.abort();
    await assert.rejects(done, { code: 'aborted' });
  });
});
