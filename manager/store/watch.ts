// Subscribers to changes. Each sees every commit that touches its kinds, whole and in order; the last change it gets of a
// commit is marked. One that reads too slowly loses its queue and is told to scan again: `resync`.
import { BoundedQueue } from '../../base/bounded-queue.ts';
import type { Change, ChangeOrResync, Kind } from './contract.ts';

const QUEUE_LENGTH_MAX = 20_000;

interface Subscriber {
  readonly kinds: ReadonlySet<Kind>;
  readonly queue: BoundedQueue<ChangeOrResync>;
}

export class WatchHub {
  readonly #subscribers = new Set<Subscriber>();

  subscribe(kinds: readonly Kind[], abort: AbortSignal): AsyncIterable<ChangeOrResync> {
    const queue = new BoundedQueue<ChangeOrResync>({ lengthMax: QUEUE_LENGTH_MAX, whenFull: 'drop-and-resync' });
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
      const last = changes.findLastIndex((change) => kinds.has(change.kind));
      for (const [position, change] of changes.entries()) {
        if (position > last) break;
        if (kinds.has(change.kind)) queue.push(position === last ? { ...change, endsCommit: true } : change);
      }
    }
  }

  /** The whole state was replaced. */
  resync(): void {
    for (const { queue } of this.#subscribers) queue.push({ kind: 'resync' });
  }

  async *#drain(subscriber: Subscriber, abort: AbortSignal): AsyncGenerator<ChangeOrResync, void, void> {
    try {
      for await (const change of subscriber.queue.drain(abort)) yield change === 'resync' ? { kind: 'resync' } : change;
    } finally {
      this.#subscribers.delete(subscriber);
    }
  }
}
