// The scheduler's loop: pending tasks go to nodes, once; a placement is never revisited. It keeps a mirror of the nodes
// and the tasks that wait, places group by group, and wakes what is blocked only when something changed that can help.
import type { Clock, Loop } from '../../base/clock.ts';
import { DirtySet } from '../../base/dirty-set.ts';
import { equalData } from '../../base/equal.ts';
import { codeOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { together } from '../../base/together.ts';
import type { Node, NodeId, Task, TaskId } from '../../proto/objects.ts';

import type { Change, Store, Transaction, View } from '../store/contract.ts';
import { awaitsPlace, NodeLedger } from './node-ledger.ts';
import { type Placement, placeGroup } from './placement.ts';

export interface SchedulerOptions extends Loop {
  readonly log: Log;
}

/** Tasks placed in one transaction. */
const ROOM = 64;
/** Tasks scanned, or nodes looked at, before the event loop gets its turn. */
const SCAN_SLICE = 2_000;
const LOOKS_SLICE = 10_000;
const RETRY_MS = 100;

/** Tasks that are alike: of one service and specification version. */
interface Group {
  readonly tasks: Map<TaskId, Task>;
  blocked: 'no' | 'by-nodes' | 'by-tasks';
}

/** Runs until aborted. */
export async function runScheduler(store: Store, options: SchedulerOptions): Promise<void> {
  using scheduler = new Scheduler(store, options);
  await together(options.abort, [(abort) => scheduler.follow(abort), (abort) => scheduler.place(abort)]);
}

class Scheduler implements Disposable {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #dirty: DirtySet<string>;
  readonly #groups = new Map<string, Group>();
  /** Groups that the changes read so far give work. */
  readonly #touched = new Set<string>();
  readonly #groupOf = new Map<TaskId, string>();
  #ledger = new NodeLedger();
  #scanning = true;

  constructor(store: Store, { clock, log }: SchedulerOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
    this.#dirty = new DirtySet(clock);
  }

  [Symbol.dispose](): void {
    this.#dirty[Symbol.dispose]();
  }

  async follow(abort: AbortSignal): Promise<void> {
    const { view, changes } = this.#store.viewAndWatch(['task', 'node'], { abort });
    await this.#scan(view, abort);
    for await (const change of changes) {
      if (change.kind === 'resync') {
        await this.#scan(view, abort);
        continue;
      }
      this.#note(change, view);
      if (change.endsCommit) this.#dirty.addAll(this.#touched); // a group is placed as a whole
    }
  }

  /** Nothing is placed on a mirror that is half filled; at the end every group that waits is looked at. */
  async #scan(view: View, abort: AbortSignal): Promise<void> {
    this.#scanning = true;
    this.#ledger = new NodeLedger();
    this.#groups.clear();
    this.#groupOf.clear();
    for (const node of view.nodes.all()) this.#ledger.putNode(node);
    let count = 0;
    for (const task of view.tasks.all()) {
      this.#noteTask(task);
      count += 1;
      if (count % SCAN_SLICE === 0) await this.#clock.sleep(0, { abort });
    }
    this.#scanning = false;
    this.#dirty.addAll(this.#touched);
  }

  /** The change says what to look at; what it is now is read anew, so that late news does no harm. */
  #note(change: Change, view: View): void {
    if (change.kind === 'node') this.#noteNode(change.object, view);
    if (change.kind !== 'task') return;
    const task = view.tasks.get(change.object.id);
    if (task) this.#noteTask(task);
    else this.#forgetTask(change.object.id);
  }

  #noteTask(task: Task): void {
    const freed = this.#ledger.putTask(task, this.#clock.nowMs());
    if (awaitsPlace(task)) this.#await(task);
    else this.#awaitNoMore(task.id);
    if (freed) this.#wake('by-tasks');
  }

  #forgetTask(id: TaskId): void {
    this.#awaitNoMore(id);
    if (this.#ledger.forgetTask(id)) this.#wake('by-tasks');
  }

  #noteNode(changed: Node, view: View): void {
    const node = view.nodes.get(changed.id);
    if (!node) return this.#ledger.removeNode(changed.id);
    const before = this.#ledger.entry(node.id)?.node;
    this.#ledger.putNode(node);
    if (!before) for (const task of view.tasks.ofNode(node.id)) this.#noteTask(task);
    if (!before || mayHelp(before, node)) this.#wake('by-nodes');
  }

  #await(task: Task): void {
    if (this.#ledger.isAssumed(task.id)) return;
    const key = groupKey(task);
    const group = this.#groups.get(key) ?? { tasks: new Map<TaskId, Task>(), blocked: 'no' as const };
    const known = group.tasks.get(task.id);
    this.#groups.set(key, group);
    group.tasks.set(task.id, task);
    this.#groupOf.set(task.id, key);
    // Our own explanation comes back as a change; it is no reason to look again.
    if (!known || known.desired !== task.desired) this.#touched.add(key);
  }

  #awaitNoMore(id: TaskId): void {
    const key = this.#groupOf.get(id);
    if (key === undefined) return;
    this.#groupOf.delete(id);
    const group = this.#groups.get(key);
    group?.tasks.delete(id);
    if (group?.tasks.size === 0) this.#groups.delete(key);
  }

  /** A changed node may help whatever is blocked; an ended task only what wants room. */
  #wake(cause: 'by-nodes' | 'by-tasks'): void {
    for (const [key, group] of this.#groups) {
      if (group.blocked !== 'no' && (cause === 'by-nodes' || group.blocked === 'by-tasks')) this.#touched.add(key);
    }
  }

  async place(abort: AbortSignal): Promise<void> {
    let looks = 0;
    for (;;) {
      for (const key of await this.#dirty.take(abort)) {
        const group = this.#groups.get(key);
        if (!group || this.#scanning) continue;
        looks += this.#ledger.size;
        await this.#placeGroup(key, group, abort);
        if (looks < LOOKS_SLICE) continue;
        looks = 0;
        await this.#clock.sleep(0, { abort });
      }
    }
  }

  async #placeGroup(key: string, group: Group, abort: AbortSignal): Promise<void> {
    const tasks = [...group.tasks.values()];
    group.blocked = 'no';
    for (let from = 0; from < tasks.length; from += ROOM) {
      if (this.#scanning || this.#groups.get(key) !== group) return; // a new scan has begun meanwhile
      const waiting = tasks.slice(from, from + ROOM).filter((task) => group.tasks.has(task.id));
      const placement = placeGroup(waiting, this.#ledger, this.#clock.nowMs());
      for (const { task } of placement.placed) this.#awaitNoMore(task.id);
      if (placement.blocked.length > 0) group.blocked = placement.yieldsToTasks ? 'by-tasks' : 'by-nodes';
      await this.#carryOut(key, placement, abort);
    }
  }

  async #carryOut(key: string, placement: Placement, abort: AbortSignal): Promise<void> {
    try {
      for (const id of await this.#write(placement, abort)) this.#lookAgain(id);
      this.#dirty.addAll(this.#touched);
    } catch (error) {
      for (const { task } of placement.placed) this.#lookAgain(task.id);
      if (abort.aborted) throw error;
      this.#log.warn('placements could not be written', { error, tasks: placement.placed.length, code: codeOf(error) });
      this.#touched.delete(key); // not at once: a store that refuses would keep us spinning
      this.#dirty.addAt(key, this.#clock.nowMs() + RETRY_MS);
    }
  }

  /** The placement did not come about: the task is again what the store says. */
  #lookAgain(id: TaskId): void {
    this.#ledger.takeBack(id);
    const task = this.#store.view().tasks.get(id);
    if (task) this.#noteTask(task);
  }

  /** Writes placements and explanations; returns the tasks that could not be placed after all. */
  async #write(placement: Placement, abort: AbortSignal): Promise<readonly TaskId[]> {
    const nowMs = this.#clock.nowMs();
    const view = this.#store.view();
    const blocked = placement.blocked.filter((task) => view.tasks.get(task.id)?.status.error !== placement.explanation);
    if (placement.placed.length === 0 && blocked.length === 0) return [];
    return await this.#store.update(
      (transaction) => {
        for (const { id } of blocked) explainIn(transaction, id, placement.explanation);
        return placement.placed.flatMap(({ task, nodeId }) =>
          assignIn(transaction, task.id, nodeId, nowMs) ? [] : [task.id],
        );
      },
      { abort },
    );
  }
}

const groupKey = (task: Task): string => `${task.serviceId}/${task.specVersion}`;

/** The optimistic part: what was planned on the mirror is checked against the store as it is now. */
function assignIn(transaction: Transaction, id: TaskId, nodeId: NodeId, nowMs: number): boolean {
  const task = transaction.tasks.get(id);
  const node = transaction.nodes.get(nodeId);
  if (!task || !awaitsPlace(task)) return false;
  if (node?.status.state !== 'ready' || node.spec.availability !== 'active') return false;
  const status = { state: 'assigned', atMs: nowMs, message: 'scheduler assigned task to node' } as const;
  transaction.tasks.put({ ...task, nodeId, status });
  return true;
}

function explainIn(transaction: Transaction, id: TaskId, explanation: string): void {
  const task = transaction.tasks.get(id);
  if (!task || !awaitsPlace(task) || task.status.error === explanation) return;
  transaction.tasks.put({ ...task, status: { ...task.status, error: explanation } });
}

/** Heartbeats and the like change a node without making it fit for anything new. */
function mayHelp(before: Node, after: Node): boolean {
  return (
    before.role !== after.role ||
    before.status.state !== after.status.state ||
    before.status.address !== after.status.address ||
    !equalData(before.spec, after.spec) ||
    !equalData(before.description, after.description)
  );
}
