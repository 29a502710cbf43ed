// The same work for each item of a list, some at a time. The first failure ends the others, and all have ended when it is
// thrown: nothing may still be writing where the caller cleans up.
import { CodedError } from './errors.ts';

const OVER = new CodedError('aborted', 'another part of the work has failed');

export async function inParallel<T>(
  items: readonly T[],
  atOnce: number,
  abort: AbortSignal | undefined,
  work: (item: T, index: number, abort: AbortSignal) => Promise<void>,
): Promise<void> {
  const over = new AbortController();
  const either = abort ? AbortSignal.any([abort, over.signal]) : over.signal;
  const failures: unknown[] = [];
  let next = 0;
  const run = async (): Promise<void> => {
    while (next < items.length && !either.aborted) {
      const index = next++;
      try {
        await work(items[index] as T, index, either);
      } catch (error) {
        failures.push(error);
        over.abort(OVER);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, run));
  abort?.throwIfAborted();
  if (failures.length > 0) throw failures[0];
}
