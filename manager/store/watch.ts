// Subscribers to changes. Each sees every commit that touches its kinds, whole and in order; the last change it gets of a
// commit is marked. What happens to one that reads too slowly: change-queue.ts.
import { ChangeQueue } from './change-queue.ts';
import type { Change, ChangeOrResync, Kind } from './contract.ts';
import { RecentCommits } from './recent.ts';

const QUEUE_LENGTH_MAX = 20_000;

interface Subscriber {
  readonly kinds: ReadonlySet<Kind>;
  readonly queue: ChangeQueue;
}

export class WatchHub {
  readonly #subscribers = new Set<Subscriber>();
  readonly #recent = new RecentCommits();

  subscribe(kinds: readonly Kind[], abort: AbortSignal): AsyncIterable<ChangeOrResync> {
    return this.#add(newSubscriber(kinds), abort);
  }

  /** Begins with what came after `version`. */
  resume(version: number, kinds: readonly Kind[], abort: AbortSignal): AsyncIterable<ChangeOrResync> | 'compacted' {
    const missed = this.#recent.after(version);
    if (missed === 'compacted') return missed;
    const subscriber = newSubscriber(kinds);
    for (const { changes } of missed) pass(changes, subscriber);
    return this.#add(subscriber, abort);
  }

  #add(subscriber: Subscriber, abort: AbortSignal): AsyncIterable<ChangeOrResync> {
    if (!abort.aborted) {
      this.#subscribers.add(subscriber);
      abort.addEventListener('abort', () => this.#subscribers.delete(subscriber), { once: true });
    }
    return this.#drain(subscriber, abort);
  }

  /** The changes of one commit, in the order in which they were applied. */
  publish(changes: readonly Change[]): void {
    this.#recent.add(changes);
    for (const subscriber of this.#subscribers) pass(changes, subscriber);
  }

  /** The whole state was replaced by that of `version`. */
  resync(version: number): void {
    this.#recent.restart(version);
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

function newSubscriber(kinds: readonly Kind[]): Subscriber {
  return { kinds: new Set(kinds), queue: new ChangeQueue({ lengthMax: QUEUE_LENGTH_MAX }) };
}

/** One commit, as far as it concerns this subscriber. */
function pass(changes: readonly Change[], { kinds, queue }: Subscriber): void {
  const theirs = changes.filter((change) => kinds.has(change.kind));
  const last = theirs.at(-1);
  if (last) queue.push([...theirs.slice(0, -1), { ...last, endsCommit: true }]);
}
