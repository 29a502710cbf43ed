// The scheduler's mirror of the nodes: what each one holds, kept up change by change.
// Invariant: a task holds its reservations and ports from its assignment until its container is known to be gone.
import type { Node, NodeId, ServiceId, Task, TaskId } from '../../proto/objects.ts';
import { isTerminal, isWanted, TASK_STATE } from '../../proto/task-state.ts';
import { bridgesOf, hostPortsOf, reservationsOf } from './request.ts';

/** A node with so many failures of a service within the time is taken only when no other is left. */
const FAULTS = { count: 5, withinMs: 300_000 } as const;

export class NodeEntry {
  node: Node;
  readonly #tasks = new Map<TaskId, Task>();
  readonly #successors = new Map<TaskId, TaskId>();
  readonly #wantedOf = new Map<ServiceId, number>();
  readonly #ports = new Map<string, number>();
  readonly #bridges = new Map<string, number>();
  readonly #faults = new Map<ServiceId, number[]>();
  #wanted = 0;
  #nanoCpus = 0;
  #memoryBytes = 0;

  constructor(node: Node) {
    this.node = node;
  }

  get tasks(): Iterable<Task> {
    return this.#tasks.values();
  }

  get tasksWanted(): number {
    return this.#wanted;
  }

  tasksWantedOf(serviceId: ServiceId): number {
    return this.#wantedOf.get(serviceId) ?? 0;
  }

  /** What could still be reserved; `instead`: a task here that makes way for the one that asks. */
  free(instead?: TaskId): { nanoCpus: number; memoryBytes: number } {
    const resources = this.node.description?.resources;
    const leaving = this.#leaving(instead);
    const back = leaving ? reservationsOf(leaving) : { nanoCpus: 0, memoryBytes: 0 };
    return {
      nanoCpus: (resources?.nanoCpus ?? 0) - this.#nanoCpus + back.nanoCpus,
      memoryBytes: (resources?.memoryBytes ?? 0) - this.#memoryBytes + back.memoryBytes,
    };
  }

  /** True when another task than `instead` holds the port. */
  isPortTaken(port: string, instead?: TaskId): boolean {
    const leaving = this.#leaving(instead);
    const own = leaving && hostPortsOf(leaving.ports).includes(port) ? 1 : 0;
    return (this.#ports.get(port) ?? 0) > own;
  }

  /** Ports of a network's bridge on this node that tasks have, without that of `instead`. */
  bridgePortsOf(network: string, instead?: TaskId): number {
    const leaving = this.#leaving(instead);
    const own = leaving && bridgesOf(leaving).includes(network) ? 1 : 0;
    return (this.#bridges.get(network) ?? 0) - own;
  }

  isFaultyFor(serviceId: ServiceId, nowMs: number): boolean {
    const times = this.#faults.get(serviceId);
    return times !== undefined && times.length >= FAULTS.count && (times[0] ?? 0) > nowMs - FAULTS.withinMs;
  }

  addFault(serviceId: ServiceId, atMs: number): void {
    const times = this.#faults.get(serviceId) ?? [];
    this.#faults.set(serviceId, [...times, atMs].sort((a, b) => a - b).slice(-FAULTS.count));
  }

  put(task: Task): void {
    this.remove(task.id);
    this.#tasks.set(task.id, task);
    this.#count(task, 1);
    if (task.replaces !== undefined && task.desired === 'ready') this.#successors.set(task.replaces, task.id);
    this.#countShared(task, -1);
  }

  remove(id: TaskId): boolean {
    const task = this.#tasks.get(id);
    if (!task) return false;
    this.#countShared(task, 1);
    if (task.replaces !== undefined && this.#successors.get(task.replaces) === id)
      this.#successors.delete(task.replaces);
    this.#tasks.delete(id);
    this.#count(task, -1);
    return true;
  }

  #leaving(id: TaskId | undefined): Task | undefined {
    const task = id === undefined ? undefined : this.#tasks.get(id);
    return task && !isWanted(task) && !this.#successors.has(task.id) ? task : undefined;
  }

  #count(task: Task, sign: 1 | -1): void {
    const { nanoCpus, memoryBytes } = reservationsOf(task);
    this.#nanoCpus += sign * nanoCpus;
    this.#memoryBytes += sign * memoryBytes;
    for (const port of hostPortsOf(task.ports)) bump(this.#ports, port, sign);
    for (const network of bridgesOf(task)) bump(this.#bridges, network, sign);
    if (!isWanted(task)) return;
    this.#wanted += sign;
    bump(this.#wantedOf, task.serviceId, sign);
  }

  /** A held successor and the task whose stop it waits for never run together: the pair holds what the larger asks. */
  #countShared(task: Task, sign: 1 | -1): void {
    for (const [before, after] of this.#pairsOf(task)) {
      const [a, b] = [reservationsOf(before), reservationsOf(after)];
      this.#nanoCpus += sign * Math.min(a.nanoCpus, b.nanoCpus);
      this.#memoryBytes += sign * Math.min(a.memoryBytes, b.memoryBytes);
    }
  }

  #pairsOf(task: Task): (readonly [Task, Task])[] {
    const successorId = this.#successors.get(task.id);
    const after = successorId === undefined ? undefined : this.#tasks.get(successorId);
    const before =
      task.replaces !== undefined && this.#successors.get(task.replaces) === task.id
        ? this.#tasks.get(task.replaces)
        : undefined;
    const pairs: (readonly [Task, Task])[] = [];
    if (after && !isWanted(task)) pairs.push([task, after]);
    if (before && !isWanted(before)) pairs.push([before, task]);
    return pairs;
  }
}

function bump<K>(counts: Map<K, number>, key: K, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}

export class NodeLedger {
  readonly #entries = new Map<NodeId, NodeEntry>();
  readonly #where = new Map<TaskId, NodeId>();
  /** Failures already noted: each counts once. */
  readonly #faulted = new Set<TaskId>();
  readonly #assumed = new Set<TaskId>();

  get entries(): Iterable<NodeEntry> {
    return this.#entries.values();
  }

  entry(id: NodeId): NodeEntry | undefined {
    return this.#entries.get(id);
  }

  putNode(node: Node): void {
    const entry = this.#entries.get(node.id);
    if (entry) entry.node = node;
    else this.#entries.set(node.id, new NodeEntry(node));
  }

  removeNode(id: NodeId): void {
    const entry = this.#entries.get(id);
    if (!entry) return;
    for (const task of entry.tasks) this.#where.delete(task.id);
    this.#entries.delete(id);
  }

  /** How many nodes. */
  get size(): number {
    return this.#entries.size;
  }

  isAssumed(id: TaskId): boolean {
    return this.#assumed.has(id);
  }

  nodeOf(id: TaskId): NodeId | undefined {
    return this.#where.get(id);
  }

  /** Enters a placement that is not yet written. It stands until the store says otherwise or it is taken back. */
  assume(task: Task, entry: NodeEntry): void {
    entry.put(task);
    this.#where.set(task.id, entry.node.id);
    this.#assumed.add(task.id);
  }

  takeBack(id: TaskId): void {
    if (this.#assumed.delete(id)) this.removeTask(id);
  }

  /** Takes note of the task as it is now; true when that freed something on its node. */
  putTask(task: Task, nowMs: number): boolean {
    if (this.#assumed.has(task.id) && awaitsPlace(task)) return false;
    this.#assumed.delete(task.id);
    this.#noteFault(task, nowMs);
    if (!holdsNode(task)) return this.removeTask(task.id);
    const entry = this.#entries.get(task.nodeId);
    if (!entry) return false;
    entry.put(task);
    this.#where.set(task.id, task.nodeId);
    return false;
  }

  /** True when the task had held something. */
  removeTask(id: TaskId): boolean {
    const nodeId = this.#where.get(id);
    if (nodeId === undefined) return false;
    this.#where.delete(id);
    return this.#entries.get(nodeId)?.remove(id) ?? false;
  }

  /** The task is deleted. */
  forgetTask(id: TaskId): boolean {
    this.#faulted.delete(id);
    this.#assumed.delete(id);
    return this.removeTask(id);
  }

  #noteFault(task: Task, nowMs: number): void {
    const { state } = task.status;
    if ((state !== 'failed' && state !== 'rejected') || task.nodeId === undefined || this.#faulted.has(task.id)) return;
    this.#faulted.add(task.id);
    this.#entries.get(task.nodeId)?.addFault(task.serviceId, Math.min(nowMs, task.updatedAtMs));
  }
}

/** The allocator is done with it and the scheduler is not. */
export const awaitsPlace = (task: Task): boolean => task.status.state === 'pending' && isWanted(task);

/** Assigned, and its container may exist. A global service's task has its node from birth: its state tells. */
function holdsNode(task: Task): task is Task & { nodeId: NodeId } {
  const { state } = task.status;
  return task.nodeId !== undefined && TASK_STATE[state] >= TASK_STATE.assigned && !isTerminal(state);
}
