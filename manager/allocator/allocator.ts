// The allocator's loop: what a service or a task needs from a cluster-wide pool before it can be scheduled: the numbers
// of published ports, addresses on the cluster's networks, virtual addresses of services.
// A task goes from `new` to `pending` once nothing is missing; where nothing was, it is born `pending`.
import type { Loop } from '../../base/clock.ts';
import { DirtySet } from '../../base/dirty-set.ts';
import { equalData } from '../../base/equal.ts';
import { codeOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { together } from '../../base/together.ts';
import { clusterNetworks } from '../../proto/network-plan.ts';
import type { Guest, NetworkAddress, PortConfig, Service, ServiceId, Task } from '../../proto/objects.ts';
import { knownPorts } from '../../proto/published-ports.ts';
import { isWanted } from '../../proto/task-state.ts';
import type { Change, Store, Transaction, View } from '../store/contract.ts';
import { AddressBook, type AddressPages } from './addresses.ts';
import { allocateGuests } from './guests.ts';
import { allocatePorts, portOwners } from './ports.ts';

export interface AllocatorOptions extends Loop {
  readonly log: Log;
}

/** Tasks moved on in one transaction. */
const ROOM = 500;
const RETRY_MS = 100;
/** Addresses come back one by one, and rest a while. */
const FULL_RETRY_MS = 1_000;

/** Runs until aborted. */
export async function runAllocator(store: Store, options: AllocatorOptions): Promise<void> {
  using dirty = new DirtySet<ServiceId>(options.clock);
  const book = new AddressBook();
  await together(options.abort, [
    (abort) => follow(store, dirty, book, { ...options, abort }),
    (abort) => allocateAll(store, dirty, book, { ...options, abort }),
    (abort) => allocateGuests(store, book, { ...options, abort }),
  ]);
}

async function follow(
  store: Store,
  dirty: DirtySet<ServiceId>,
  book: AddressBook,
  { abort, clock }: Loop,
): Promise<void> {
  const { view, changes } = store.viewAndWatch(['service', 'task', 'guest'], { abort });
  markAll(view, dirty);
  for await (const change of changes) {
    if (change.kind === 'resync') markAll(view, dirty);
    else {
      mark(change, view, dirty);
      book.giveBack(lostAddresses(change), clock.nowMs());
    }
  }
}

/** Whose owner is in the store no more; those of a task that has ended are found there. */
function lostAddresses(change: Change): readonly NetworkAddress[] | undefined {
  if (change.kind === 'task') return change.action === 'remove' ? change.object.attachments : undefined;
  if (change.kind === 'guest') return change.action === 'remove' ? placeOf(change.object) : undefined;
  if (change.kind !== 'service') return undefined;
  const [before, after] = change.action === 'remove' ? [change.object, undefined] : [change.previous, change.object];
  return before?.virtualAddresses?.filter(
    ({ networkId }) => !after?.virtualAddresses?.some((each) => each.networkId === networkId),
  );
}

const placeOf = ({ networkId, address }: Guest): NetworkAddress[] =>
  address === undefined ? [] : [{ networkId, address }];

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
  return !isSettled(service) || !hasItsAddresses(service) || view.tasks.ofService(service.id).some(isWaiting);
}

const isSettled = (service: Service): boolean =>
  service.spec.endpoint.ports.length === 0
    ? service.endpointPorts === undefined || service.endpointPorts.length === 0
    : service.endpointPorts !== undefined && knownPorts(service) === service.endpointPorts;

/** On its networks, and on no other. */
function hasItsAddresses(service: Service): boolean {
  const has = service.virtualAddresses ?? [];
  const wants = virtualNetworks(service);
  return has.length === wants.length && wants.every((id, index) => has[index]?.networkId === id);
}

const virtualNetworks = ({ spec }: Service) =>
  spec.endpoint.mode === 'vip' ? clusterNetworks(spec.task.networks) : [];

async function allocateAll(
  store: Store,
  dirty: DirtySet<ServiceId>,
  book: AddressBook,
  options: AllocatorOptions,
): Promise<void> {
  const { abort, clock, log } = options;
  for (;;) {
    const ids = await dirty.take(abort);
    try {
      const nowMs = clock.nowMs();
      const { more, explained, pages } = await store.update(
        (transaction) => allocateFor(transaction, ids, book.open(transaction, nowMs), nowMs),
        { abort },
      );
      book.keep(pages);
      for (const id of more) dirty.add(id);
      for (const { serviceId, reason, isNew, retry } of explained) {
        if (isNew) log.warn('service waits for the allocator', { serviceId, reason });
        if (retry) dirty.addAt(serviceId, clock.nowMs() + FULL_RETRY_MS);
      }
    } catch (error) {
      if (abort.aborted) throw error;
      log.warn('nothing could be allocated', { error, services: ids.length, code: codeOf(error) });
      for (const id of ids) dirty.addAt(id, clock.nowMs() + RETRY_MS);
    }
  }
}

interface Outcome {
  /** Services with tasks left for the next transaction. */
  readonly more: readonly ServiceId[];
  readonly explained: readonly Refusal[];
  readonly pages: AddressPages;
}

interface Refusal {
  readonly serviceId: ServiceId;
  readonly reason: string;
  /** Its tasks did not say so yet. */
  readonly isNew: boolean;
  /** No change of another service will tell when there is room again. */
  readonly retry: boolean;
}

function allocateFor(transaction: Transaction, ids: readonly ServiceId[], pages: AddressPages, nowMs: number): Outcome {
  const owners = portOwners(transaction.services.all());
  const more: ServiceId[] = [];
  const explained: Refusal[] = [];
  let room = ROOM;
  for (const id of ids) {
    const service = transaction.services.get(id);
    if (!service) continue;
    const waiting = transaction.tasks.ofService(id).filter(isWaiting);
    const turn = waiting.slice(0, room);
    const refuse = (tasks: readonly Task[], reason: string, retry: boolean): void => {
      const isNew = tasks.some((task) => task.status.error !== reason);
      for (const task of tasks) explainIn(transaction, task, reason);
      explained.push({ serviceId: id, reason, isNew, retry });
    };
    const answer = allocateService(service, owners, pages);
    if (!answer.ok) refuse(turn, answer.reason, answer.retry);
    else {
      if (answer.service !== service) transaction.services.put(answer.service);
      for (const port of answer.service.endpointPorts ?? []) noteOwner(owners, port, service);
      const ports = knownPorts(answer.service) ?? [];
      const refused = turn.findIndex((task) => !allocateTask(transaction, task, ports, pages, nowMs));
      if (refused >= 0) refuse(turn.slice(refused), pages.refusal, true);
    }
    if (waiting.length > room) more.push(id);
    room -= turn.length;
  }
  return { more, explained, pages };
}

type ServiceAnswer =
  | { readonly ok: true; readonly service: Service }
  | { readonly ok: false; readonly reason: string; readonly retry: boolean };

/** The service with what it lacked; the same object when it lacked nothing. */
function allocateService(service: Service, owners: ReadonlyMap<string, Service>, pages: AddressPages): ServiceAnswer {
  let settled = service;
  if (!isSettled(service)) {
    const answer = allocatePorts(service, owners);
    if (!answer.ok) return { ok: false, reason: answer.reason, retry: false };
    settled = { ...settled, endpointPorts: answer.ports };
  }
  if (hasItsAddresses(service)) return { ok: true, service: settled };
  const virtualAddresses = pages.take(virtualNetworks(service), service.virtualAddresses);
  if (!virtualAddresses) return { ok: false, reason: pages.refusal, retry: true };
  return { ok: true, service: { ...settled, virtualAddresses } };
}

/** False: there is no address for it. */
function allocateTask(
  transaction: Transaction,
  task: Task,
  ports: readonly PortConfig[],
  pages: AddressPages,
  nowMs: number,
): boolean {
  const networks = clusterNetworks(task.spec.networks);
  const attachments = networks.length === 0 ? undefined : pages.take(networks, task.attachments);
  if (networks.length > 0 && !attachments) return false;
  transaction.tasks.put({ ...moved(task, ports, nowMs), ...(attachments && { attachments }) });
  return true;
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
