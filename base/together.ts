// Jobs that make sense only together: the first that ends, well or badly, ends the others.
import { CodedError } from './errors.ts';

/** Made once: an abort without a reason makes an error with its stack each time. */
const OVER = new CodedError('aborted', 'another of the jobs has ended');

/** Resolves or rejects as the first job to end did, after all have ended. */
export async function together(
  abort: AbortSignal,
  jobs: readonly ((abort: AbortSignal) => Promise<unknown>)[],
): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([abort, over.signal]);
  const running = jobs.map((job) => job(either).finally(() => over.abort(OVER)));
  try {
    await Promise.race(running);
  } finally {
    await Promise.allSettled(running);
  }
}
