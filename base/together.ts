// Jobs that make sense only together: the first that ends, well or badly, ends the others.

/** Resolves or rejects as the first job to end did, after all have ended. */
export async function together(
  abort: AbortSignal,
  jobs: readonly ((abort: AbortSignal) => Promise<unknown>)[],
): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([abort, over.signal]);
  const running = jobs.map((job) => job(either).finally(() => over.abort()));
  try {
    await Promise.race(running);
  } finally {
    await Promise.allSettled(running);
  }
}
