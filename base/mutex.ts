// One at a time, in order of arrival.
export class Mutex {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `work` when everything that came before has ended, however it ended. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined); // the caller has the failure; the next in line only waits
    return result;
  }
}
