// Streams that hold something open.

/**
 * `source`, and `close` once: when it ends or fails, or when its reader leaves it, even before the first value. That last
 * case is why a generator with a `finally` of its own is not enough: one that never began is left without running it.
 */
export function owning<T>(source: AsyncIterable<T>, close: () => void | PromiseLike<void>): AsyncIterable<T> {
  const inner = source[Symbol.asyncIterator]();
  let closing: Promise<void> | undefined;
  const end = (): Promise<void> => (closing ??= Promise.resolve(close()));
  const done = { done: true, value: undefined } as const;
  const iterator: AsyncIterator<T, void> = {
    async next() {
      if (closing) return done;
      try {
        const result = await inner.next();
        if (result.done !== true) return result;
      } catch (error) {
        await end();
        throw error;
      }
      await end();
      return done;
    },
    async return() {
      try {
        await inner.return?.();
      } finally {
        await end();
      }
      return done;
    },
  };
  return { [Symbol.asyncIterator]: () => iterator };
}
