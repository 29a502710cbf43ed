// Agents without machines: they step the tasks of their nodes through their states and report into the store, as the
// dispatcher would. The image's name says how its container behaves.
import type { Timer } from '../../base/clock.ts';
import type { ManualClock } from '../../base/manual-clock.ts';
import { codeOf } from '../../base/errors.ts';
import { slotKey } from '../../manager/store/kinds.ts';
import type { Store, Transaction } from '../../manager/store/contract.ts';
import type { NodeId, ServiceId, Task, TaskId, TaskState } from '../../proto/objects.ts';
import { isAfter, isTerminal, isWanted } from '../../proto/task-state.ts';

/** good:… runs for ever · missing:… has no image · crash:… exits at once · late:MS:… fails after so long · sick:… never gets healthy · once:… exits 0 */
export const TIMES = { prepareMs: 20, startMs: 30, stopMs: 40, sickMs: 2_000, crashMs: 10 };

const RETRY_MS = 50;

export class FakeAgents {
  readonly #store: Store;
  readonly #clock: ManualClock;
  readonly #cut = new Set<NodeId>();
  /** What really runs, whatever the records say: task → node. */
  readonly containers = new Map<TaskId, Task>();
  /** What each task does next. */
  readonly #pending = new Map<TaskId, { readonly timer: Timer; readonly state: TaskState }>();
  readonly #over = new AbortController();
  /** How often a container was started while another one of its slot ran, on a node that was never lost meanwhile. */
  overlaps = 0;
  readonly overlapping = new Set<ServiceId>();
  readonly #unseen = new Set<TaskId>();
  /** How often each image was started. */
  readonly starts = new Map<string, number>();

  constructor(store: Store, clock: ManualClock) {
    this.#store = store;
    this.#clock = clock;
    void this.#follow();
  }

  cut(nodeId: NodeId): void {
    this.#cut.add(nodeId);
    for (const task of this.containers.values()) if (task.nodeId === nodeId) this.#unseen.add(task.id);
  }

  /** The node reports again, and stops what it should no longer run. */
  join(nodeId: NodeId): void {
    this.#cut.delete(nodeId);
    for (const task of this.#store.view().tasks.ofNode(nodeId)) this.#step(task.id);
    for (const [id, task] of this.containers) {
      if (task.nodeId !== nodeId) continue;
      const record = this.#store.view().tasks.get(id);
      if (!record || !isWanted(record)) this.#clock.after(TIMES.stopMs, () => this.containers.delete(id));
    }
  }

  stop(): void {
    this.#over.abort();
  }

  async #follow(): Promise<void> {
    const { view, changes } = this.#store.viewAndWatch(['task'], { abort: this.#over.signal });
    try {
      for await (const change of changes) {
        if (change.kind === 'task' && view.tasks.get(change.object.id)) this.#step(change.object.id);
      }
    } catch (error) {
      if (codeOf(error) !== 'aborted') throw error;
    }
  }

  #step(id: TaskId): void {
    const task = this.#store.view().tasks.get(id);
    if (!task?.nodeId || this.#cut.has(task.nodeId) || isTerminal(task.status.state)) return;
    const { state } = task.status;
    if (state === 'new' || state === 'pending') return;
    const pending = this.#pending.get(id);
    if (!isWanted(task)) {
      if (pending?.state === 'shutdown') return;
      pending?.timer.cancel();
      return this.#after(id, TIMES.stopMs, 'shutdown');
    }
    if (!pending) this.#advance(task);
  }

  #advance(task: Task): void {
    const [kind, ms] = imageOf(task).split(':');
    const { state } = task.status;
    if (state === 'assigned') this.#after(task.id, TIMES.prepareMs, kind === 'missing' ? 'rejected' : 'ready');
    if (state === 'ready' && task.desired === 'running') this.#after(task.id, 0, 'starting');
    if (state === 'starting') this.#start(task, kind);
    if (state === 'running' && kind === 'late') this.#after(task.id, Number(ms), 'failed', 1);
    if (state === 'running' && kind === 'once') this.#after(task.id, Number(ms), 'complete', 0);
  }

  #start(task: Task, kind: string | undefined): void {
    for (const other of this.containers.values()) {
      if (!sameSlot(task, other) || this.#unseen.has(other.id)) continue;
      this.overlaps += 1;
      this.overlapping.add(task.serviceId);
    }
    this.containers.set(task.id, task);
    this.starts.set(imageOf(task), (this.starts.get(imageOf(task)) ?? 0) + 1);
    if (kind === 'crash') this.#after(task.id, TIMES.crashMs, 'failed', 1);
    else if (kind === 'sick') this.#after(task.id, TIMES.sickMs, 'failed', 1);
    else this.#after(task.id, TIMES.startMs, 'running');
  }

  /** Somebody kills the container. */
  async crash(id: TaskId): Promise<void> {
    await this.#report(id, 'failed', 137);
  }

  #after(id: TaskId, ms: number, state: TaskState, exitCode?: number): void {
    const timer = this.#clock.after(ms, () => {
      this.#pending.delete(id);
      void this.#report(id, state, exitCode);
    });
    this.#pending.set(id, { timer, state });
  }

  /** A report that the store does not take is made again. */
  async #report(id: TaskId, state: TaskState, exitCode: number | undefined): Promise<void> {
    const task = this.#store.view().tasks.get(id);
    if (!task?.nodeId || this.#cut.has(task.nodeId)) return;
    if (isTerminal(state)) this.containers.delete(id);
    try {
      await this.#store.update((tx) => this.#put(tx, id, state, exitCode));
    } catch {
      this.#clock.after(RETRY_MS, () => void this.#report(id, state, exitCode));
      return;
    }
    this.#step(id);
  }

  #put(tx: Transaction, id: TaskId, state: TaskState, exitCode: number | undefined): void {
    const present = tx.tasks.get(id);
    if (!present || !isAfter(state, present.status.state)) return;
    const atMs = this.#clock.nowMs();
    const runningAtMs = present.status.runningAtMs ?? (state === 'running' ? atMs : undefined);
    const status = { state, atMs, message: state, ...(exitCode !== undefined && { exitCode }) };
    tx.tasks.put({ ...present, status: { ...status, ...(runningAtMs !== undefined && { runningAtMs }) } });
  }
}

const sameSlot = (a: Task, b: Task): boolean => slotKey(a.serviceId, a.identity) === slotKey(b.serviceId, b.identity);

const imageOf = (task: Task): string => task.spec.runtime.container.image;
