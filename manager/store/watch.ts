// Subscribers to changes. Each sees every commit that touches its kinds, whole and in order; the last change it gets of a
// commit is marked. What happens to one that reads too slowly: change-queue.ts.
import { ChangeQueue } from './change-queue.ts';
import type { Change, ChangeOrResync, Kind } from './contract.ts';

const QUEUE_LENGTH_MAX = 20_000;

interface Subscriber {
  readonly kinds: ReadonlySet<Kind>;
  readonly queue: ChangeQueue;
}

export class WatchHub {
  readonly #subscribers = new Set<Subscriber>();

  subscribe(kinds: readonly Kind[], abort: AbortSignal): AsyncIterable<ChangeOrResync> {
    const queue = new ChangeQueue({ lengthMax: QUEUE_LENGTH_MAX });
    const subscriber = { kinds: new Set(kinds), queue };
    if (!abort.aborted) {
      this.#subscribers.add(subscriber);
      abort.addEventListener('abort', () => this.#subscribers.delete(subscriber), { once: true });
    }
    return this.#drain(subscriber, abort);
  }

  /** The changes of one commit, in the order in which they were applied. */
  publish(changes: readonly Change[]): void {
    for (const { kinds, queue } of this.#subscribers) {
      const theirs = changes.filter((change) => kinds.has(change.kind));
      const last = theirs.at(-1);
      if (last) queue.push([...theirs.slice(0, -1), { ...last, endsCommit: true }]);
    }
  }

  /** The whole state was replaced. */
  resync(): void {
    for (const { queue } of this.#subscribers) queue.resync();
  }

  async *#drain(subscriber: Subscriber, abort: AbortSignal): AsyncGenerator<ChangeOrResync, void, void> {
    try {
      yield* subscriber.queue.drain(abort);
    } finally {
      this.#subscribers.delete(subscriber);
    }
  }
}
