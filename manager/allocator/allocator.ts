// The allocator's loop: what a service or a task needs from a cluster-wide pool before it can be scheduled. Today these
// are the numbers of published ports; addresses and virtual addresses join `allocateFor` when overlay networks come.
// A task goes from `new` to `pending` once nothing is missing; where nothing was, it is born `pending`.
import type { Loop } from '../../base/clock.ts';
import { DirtySet } from '../../base/dirty-set.ts';
import { equalData } from '../../base/equal.ts';
import { codeOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { together } from '../../base/together.ts';
import type { PortConfig, Service, ServiceId, Task } from '../../proto/objects.ts';
import { knownPorts } from '../../proto/published-ports.ts';
import { isWanted } from '../../proto/task-state.ts';
import type { Change, Store, Transaction, View } from '../store/contract.ts';
import { allocatePorts, portOwners } from './ports.ts';

export interface AllocatorOptions extends Loop {
  readonly log: Log;
}

/** Tasks moved on in one transaction. */
const ROOM = 500;
const RETRY_MS = 100;

/** Runs until aborted. */
export async function runAllocator(store: Store, options: AllocatorOptions): Promise<void> {
  using dirty = new DirtySet<ServiceId>(options.clock);
  await together(options.abort, [
    (abort) => follow(store, dirty, abort),
    (abort) => allocateAll(store, dirty, { ...options, abort }),
  ]);
}

async function follow(store: Store, dirty: DirtySet<ServiceId>, abort: AbortSignal): Promise<void> {
  const { view, changes } = store.viewAndWatch(['service', 'task'], { abort });
  markAll(view, dirty);
  for await (const change of changes) {
    if (change.kind === 'resync') markAll(view, dirty);
    else mark(change, view, dirty);
  }
}

function markAll(view: View, dirty: DirtySet<ServiceId>): void {
  for (const service of view.services.all()) if (needsWork(view, service)) dirty.add(service.id);
}

function mark(change: Change, view: View, dirty: DirtySet<ServiceId>): void {
  if (change.kind === 'task' && isWaiting(change.object)) dirty.add(change.object.serviceId);
  if (change.kind !== 'service') return;
  // What one service gave back, another may wait for.
  if (gaveBack(change.object, change.action === 'remove' ? undefined : change.object, change.previous))
    markAll(view, dirty);
  else if (change.action !== 'remove' && needsWork(view, change.object)) dirty.add(change.object.id);
}

function gaveBack(removed: Service, present: Service | undefined, previous: Service | undefined): boolean {
  if (present === undefined) return removed.spec.endpoint.ports.length > 0;
  return previous !== undefined && !equalData(previous.endpointPorts, present.endpointPorts);
}

const isWaiting = (task: Task): boolean => task.status.state === 'new' && isWanted(task);

/** Ports are not all known, or the answer is not written down, or tasks still wait for it. */
function needsWork(view: View, service: Service): boolean {
  return !isSettled(service) || view.tasks.ofService(service.id).some(isWaiting);
}

const isSettled = (service: Service): boolean =>
  service.spec.endpoint.ports.length === 0
    ? service.endpointPorts === undefined || service.endpointPorts.length === 0
    : service.endpointPorts !== undefined && knownPorts(service) === service.endpointPorts;

async function allocateAll(store: Store, dirty: DirtySet<ServiceId>, options: AllocatorOptions): Promise<void> {
  const { abort, clock, log } = options;
  for (;;) {
    const ids = await dirty.take(abort);
    try {
      const { more, explained } = await store.update((transaction) => allocateFor(transaction, ids, clock.nowMs()), {
        abort,
      });
      for (const id of more) dirty.add(id);
      for (const each of explained) log.warn('service waits for its ports', each);
    } catch (error) {
      if (abort.aborted) throw error;
      log.warn('ports could not be allocated', { error, services: ids.length, code: codeOf(error) });
      for (const id of ids) dirty.addAt(id, clock.nowMs() + RETRY_MS);
    }
  }
}

interface Outcome {
  /** Services with tasks left for the next transaction. */
  readonly more: readonly ServiceId[];
  readonly explained: readonly { readonly serviceId: ServiceId; readonly reason: string }[];
}

function allocateFor(transaction: Transaction, ids: readonly ServiceId[], nowMs: number): Outcome {
  const owners = portOwners(transaction.services.all());
  const more: ServiceId[] = [];
  const explained: { serviceId: ServiceId; reason: string }[] = [];
  let room = ROOM;
  for (const id of ids) {
    const service = transaction.services.get(id);
    if (!service) continue;
    const waiting = transaction.tasks.ofService(id).filter(isWaiting);
    const answer = isSettled(service) ? undefined : allocatePorts(service, owners);
    if (answer?.ok === false) {
      explained.push({ serviceId: id, reason: answer.reason });
      for (const task of waiting.slice(0, room)) explainIn(transaction, task, answer.reason);
    } else {
      if (answer) transaction.services.put({ ...service, endpointPorts: answer.ports });
      for (const port of answer?.ports ?? []) noteOwner(owners, port, service);
      const ports = answer?.ports ?? knownPorts(service) ?? [];
      for (const task of waiting.slice(0, room)) transaction.tasks.put(moved(task, ports, nowMs));
    }
    if (waiting.length > room) more.push(id);
    room -= Math.min(room, waiting.length);
  }
  return { more, explained };
}

function noteOwner(owners: Map<string, Service>, port: PortConfig, service: Service): void {
  if (port.publishMode === 'ingress') owners.set(`${port.publishedPort}/${port.protocol}`, service);
}

function moved(task: Task, ports: readonly PortConfig[], nowMs: number): Task {
  return { ...task, ports, status: { state: 'pending', atMs: nowMs, message: 'pending task scheduling' } };
}

function explainIn(transaction: Transaction, task: Task, reason: string): void {
  if (task.status.error === reason) return;
  transaction.tasks.put({ ...task, status: { ...task.status, error: reason } });
}
