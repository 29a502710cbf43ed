// The machine's event stream: a ring of the last events, and everyone who follows it.
// A follower that falls behind by more than the ring loses its stream with an error, never single events in silence.
import { BoundedQueue } from '../base/bounded-queue.ts';
import type { Clock } from '../base/clock.ts';
import { CodedError, codeOf } from '../base/errors.ts';
import type { Events, RuntimeEvent } from './contract.ts';

const RING_LENGTH = 256;
const QUEUE_LENGTH = 4096;
const NS_PER_MS = 1_000_000n;

export class EventStream implements Events {
  #ring: RuntimeEvent[] = [];
  #lastNs = 0n;
  readonly #listeners = new Set<(event: RuntimeEvent) => void>();
  readonly #clock: Clock;

  constructor(options: { clock: Clock }) {
    this.#clock = options.clock;
  }

  publish(event: Omit<RuntimeEvent, 'timeNs'>): void {
    const complete = { ...event, timeNs: this.#nextNs() };
    this.#ring.push(complete);
    if (this.#ring.length > RING_LENGTH) this.#ring.shift();
    for (const listener of [...this.#listeners]) listener(complete);
  }

  listen(listener: (event: RuntimeEvent) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Listens from the call on, not only from the first read. */
  subscribe({ sinceNs, abort }: { sinceNs?: bigint; abort: AbortSignal }): AsyncIterable<RuntimeEvent> {
    const queue = new BoundedQueue<RuntimeEvent>({ lengthMax: QUEUE_LENGTH, whenFull: 'fail' });
    const past = sinceNs === undefined ? [] : this.#ring.filter((event) => event.timeNs >= sinceNs);
    for (const event of past) queue.push(event);
    const listening = this.listen((event) => pushOrEnd(queue, event));
    const stop = (): void => listening[Symbol.dispose]();
    if (abort.aborted) stop();
    else abort.addEventListener('abort', stop, { once: true });
    return drained(queue, abort, stop);
  }

  /** Times rise, so that a client can ask for what came after the last one it saw. */
  #nextNs(): bigint {
    const nowNs = BigInt(Math.round(this.#clock.nowMs() * 1000)) * (NS_PER_MS / 1000n);
    this.#lastNs = nowNs > this.#lastNs ? nowNs : this.#lastNs + 1n;
    return this.#lastNs;
  }
}

function pushOrEnd(queue: BoundedQueue<RuntimeEvent>, event: RuntimeEvent): void {
  try {
    queue.push(event);
  } catch (cause) {
    queue.end(new CodedError('exhausted', 'the reader of events is too slow', { cause }));
  }
}

async function* drained(
  queue: BoundedQueue<RuntimeEvent>,
  abort: AbortSignal,
  stop: () => void,
): AsyncGenerator<RuntimeEvent, void, void> {
  try {
    for await (const event of queue.drain(abort)) if (event !== 'resync') yield event;
  } catch (error) {
    if (codeOf(error) !== 'aborted') throw error;
  } finally {
    abort.removeEventListener('abort', stop);
    stop();
  }
}
