// /events: this machine's and, on a manager, the cluster's, in one stream.
import { BoundedQueue } from '../../base/bounded-queue.ts';
import { codeOf } from '../../base/errors.ts';
import type { RuntimeEvent } from '../../runtime/contract.ts';
import { clusterEvent } from '../convert/cluster-event.ts';
import { eventJson, wantsEvent } from '../convert/event.ts';
import { parseTimestampNs } from '../convert/time.ts';
import type { ApiDeps } from '../deps.ts';
import { type Filters, parseFilters } from '../filters.ts';
import { stream } from '../reply.ts';
import type { Routes } from '../routes.ts';

const QUEUE_LENGTH_MAX = 4_096;

interface Wanted {
  readonly filters: Filters;
  readonly sinceNs: bigint | undefined;
  readonly untilNs: bigint | undefined;
}

export function addEventRoutes(router: Routes, deps: ApiDeps): void {
  router.add('GET', '/events', async ({ query, abort }) => {
    const nowMs = deps.clock.nowMs();
    const sinceNs = parseTimestampNs(query.text('since'), 'since', nowMs);
    const untilNs = parseTimestampNs(query.text('until'), 'until', nowMs);
    const filters = parseFilters(query.text('filters'), 'any');
    return stream('application/json', eventLines(deps, { filters, sinceNs, untilNs }, abort));
  });
}

async function* eventLines(deps: ApiDeps, wanted: Wanted, abort: AbortSignal): AsyncGenerator<string> {
  const { clock } = deps;
  const { sinceNs, untilNs, filters } = wanted;
  const untilMs = untilNs === undefined ? undefined : Number(untilNs / 1_000_000n);
  // A timer holds 24 days at most; who asks for more gets a stream that ends then.
  using end = clock.deadline(abort, Math.min(2 ** 31 - 1, Math.max(0, (untilMs ?? Infinity) - clock.nowMs())));
  const queue = new BoundedQueue<RuntimeEvent>({ lengthMax: QUEUE_LENGTH_MAX, whenFull: 'fail' });
  // Subscribed before anything is awaited, and stopped after the past was read when `until` is over already.
  const sources = [
    feed(queue, deps.runtime.events.subscribe({ ...(sinceNs === undefined ? {} : { sinceNs }), abort: end.signal })),
    feed(queue, clusterEvents(deps, end.signal)),
  ];
  void Promise.all(sources).then(
    () => queue.end(),
    (error: unknown) => queue.end(error),
  );
  for await (const event of queue.drain(abort)) {
    if (event === 'resync' || (untilNs !== undefined && event.timeNs > untilNs)) continue;
    if (wantsEvent(event, filters)) yield eventJson(event);
  }
}

async function feed(queue: BoundedQueue<RuntimeEvent>, events: AsyncIterable<RuntimeEvent>): Promise<void> {
  try {
    for await (const event of events) queue.push(event);
  } catch (error) {
    if (codeOf(error) !== 'aborted') throw error;
  }
}

/** Nothing on a worker. A manager that loses its role ends its part, not the stream. */
async function* clusterEvents({ swarm, clock }: ApiDeps, abort: AbortSignal): AsyncGenerator<RuntimeEvent> {
  await swarm.opened;
  if (!swarm.info().controlAvailable) return;
  try {
    for await (const change of swarm.control().changes(abort)) {
      const event = clusterEvent(change, clock.nowMs());
      if (event) yield event;
    }
  } catch (error) {
    if (codeOf(error) !== 'unavailable') throw error;
  }
}
