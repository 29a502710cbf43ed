// One after the other: for the few writes whose check reads objects that they do not write, such as "is there another
// manager?". The store refuses two writers of one object by itself; it cannot see this.
// Enough on one machine, because only the leader writes, and only after it has applied all that came before it.
import { fail } from '../../base/errors.ts';

export class Turns {
  #last: Promise<void> = Promise.resolve();

  /** Runs `work` when everything before it has ended; a caller who goes away before its turn hears so at once. */
  async run<T>(work: () => Promise<T>, abort: AbortSignal | undefined): Promise<T> {
    const before = this.#last;
    let end = (): void => undefined;
    this.#last = new Promise<void>((resolve) => {
      end = () => void before.then(() => resolve());
    });
    try {
      await ended(before, abort);
      return await work();
    } finally {
      end();
    }
  }
}

async function ended(before: Promise<void>, abort: AbortSignal | undefined): Promise<void> {
  let onAbort = (): void => undefined;
  const aborted = new Promise<void>((resolve) => {
    onAbort = resolve;
    abort?.addEventListener('abort', onAbort, { once: true });
  });
  await Promise.race([before, aborted]);
  abort?.removeEventListener('abort', onAbort);
  if (abort?.aborted) fail('aborted', 'the caller went away before its turn', { cause: abort.reason });
}
