// The loop that keeps services as their specifications say. It scans, then watches, and plans every service that
// something happened to; all judgement is in service-plan.ts.
import type { Clock, Loop } from '../../base/clock.ts';
import { DirtySet } from '../../base/dirty-set.ts';
import { equalData } from '../../base/equal.ts';
import { codeOf } from '../../base/errors.ts';
import { together } from '../../base/together.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import type { Node, ServiceId, Task } from '../../proto/objects.ts';
import { isTerminal } from '../../proto/task-state.ts';
import type { Change, Store, Transaction, View } from '../store/contract.ts';
import type { Plan } from './plan.ts';
import { planService } from './service-plan.ts';

export interface OrchestratorOptions extends Loop {
  readonly log: Log;
  readonly random: Random;
}

/** Tasks written in one transaction: it stays well under the entry limit, and planning it well under 10 ms. */
const ROOM = 96;
/** Tasks looked at in one transaction. */
const LOOKS = 2_000;
/** After a failed write the services are looked at again, so late that a lost leadership is noticed meanwhile. */
const RETRY_MS = 100;

/** Runs until aborted. */
export async function runOrchestrator(store: Store, options: OrchestratorOptions): Promise<void> {
  using dirty = new DirtySet<ServiceId>(options.clock);
  await together(options.abort, [
    (abort) => follow(store, dirty, abort),
    (abort) => reconcileAll(store, dirty, { ...options, abort }),
  ]);
}

/** Every service, and every service that left tasks behind. */
function markAll(view: View, dirty: DirtySet<ServiceId>): void {
  for (const service of view.services.all()) dirty.add(service.id);
  for (const task of view.tasks.all()) dirty.add(task.serviceId);
}

async function follow(store: Store, dirty: DirtySet<ServiceId>, abort: AbortSignal): Promise<void> {
  const { view, changes } = store.viewAndWatch(['service', 'task', 'node'], { abort });
  markAll(view, dirty);
  const touched = new Set<ServiceId>();
  for await (const change of changes) {
    if (change.kind === 'resync') {
      markAll(view, dirty);
      continue;
    }
    for (const id of touchedBy(change, view)) touched.add(id);
    if (change.endsCommit) dirty.addAll(touched); // a commit is looked at as a whole, and once
  }
}

/** Services that a change can give work to. */
function touchedBy(change: Change, view: View): Iterable<ServiceId> {
  switch (change.kind) {
    case 'service':
      return [change.object.id];
    case 'task':
      return matters(change.object, change.previous) ? [change.object.serviceId] : [];
    case 'node':
      return standingChanged(change.object, change.previous) || change.action === 'remove'
        ? servicesNear(change.object, view)
        : [];
    case 'cluster':
    case 'network':
    case 'guest':
    case 'keyring':
      return [];
  }
}

/** Of a task's way, only birth, start, end and what the managers want of it can give work. */
function matters(task: Task, previous: Task | undefined): boolean {
  if (!previous || task.desired !== previous.desired) return true;
  const [state, before] = [task.status.state, previous.status.state];
  return state !== before && (state === 'running' || isTerminal(state));
}

function standingChanged(node: Node, previous: Node | undefined): boolean {
  return (
    !previous ||
    node.role !== previous.role ||
    node.status.state !== previous.status.state ||
    node.status.address !== previous.status.address ||
    !equalData(node.spec, previous.spec) ||
    !equalData(node.description, previous.description)
  );
}

/** Those with tasks on the node, and those that may want one there. */
function servicesNear(node: Node, view: View): Set<ServiceId> {
  const ids = new Set(view.tasks.ofNode(node.id).map((task) => task.serviceId));
  for (const service of view.services.all()) if (service.spec.mode.kind === 'global') ids.add(service.id);
  return ids;
}

async function reconcileAll(store: Store, dirty: DirtySet<ServiceId>, options: OrchestratorOptions): Promise<void> {
  while (!options.abort.aborted) {
    const ids = await dirty.take(options.abort);
    if (await succeeds(store, ids, dirty, options)) continue;
    // One service whose plan cannot be written must not hold up the others.
    for (const id of ids) {
      const done = ids.length > 1 && (await succeeds(store, [id], dirty, options));
      if (!done) dirty.addAt(id, options.clock.nowMs() + RETRY_MS);
    }
  }
}

async function succeeds(
  store: Store,
  ids: readonly ServiceId[],
  dirty: DirtySet<ServiceId>,
  options: OrchestratorOptions,
): Promise<boolean> {
  try {
    await reconcile(store, ids, dirty, options);
    return true;
  } catch (error) {
    if (options.abort.aborted) throw error;
    options.log.warn('services could not be reconciled', { error, serviceIds: ids.slice(0, 10), code: codeOf(error) });
    return false;
  }
}

/** As many services in one transaction as there is room for; a look that finds nothing to do costs no commit. */
async function reconcile(
  store: Store,
  ids: readonly ServiceId[],
  dirty: DirtySet<ServiceId>,
  options: OrchestratorOptions,
): Promise<void> {
  for (let rest = ids; rest.length > 0; ) {
    const done = await store.update((transaction) => planInto(transaction, rest, dirty, options), {
      abort: options.abort,
    });
    rest = rest.slice(done);
  }
}

/** Returns how many of the services were planned. */
function planInto(
  transaction: Transaction,
  ids: readonly ServiceId[],
  dirty: DirtySet<ServiceId>,
  options: OrchestratorOptions,
): number {
  let room = ROOM;
  let looks = 0;
  for (const [index, id] of ids.entries()) {
    const plan = plannedOn(transaction, id, room, dirty, options);
    plan.writeTo(transaction);
    room -= plan.tasks.length;
    looks += transaction.tasks.ofService(id).length;
    if (room <= 0 || looks > LOOKS) return index + 1;
  }
  return ids.length;
}

function plannedOn(
  view: View,
  id: ServiceId,
  room: number,
  dirty: DirtySet<ServiceId>,
  { clock, random }: { clock: Clock; random: Random },
): Plan {
  const plan = planService(view, id, { nowMs: clock.nowMs(), random, room });
  if (plan.more) dirty.add(id);
  if (Number.isFinite(plan.wakeAtMs)) dirty.addAt(id, plan.wakeAtMs);
  return plan;
}
