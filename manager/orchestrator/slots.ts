// Slots: the places of a service, each held by at most one running task. Pure.
// A task is never moved or run again; its slot gets a successor. Numbers are not contiguous after a scale-down.
import type { NodeId, Task, TaskId, TaskIdentity } from '../../proto/objects.ts';
import { isWanted } from '../../proto/task-state.ts';
import type { Draft } from '../store/contract.ts';

/** A task as planners see it: stored, or drafted in the plan that is being made. */
export type PlanTask = Draft<Task>;

export interface Slot {
  readonly key: string;
  readonly identity: TaskIdentity;
  readonly tasks: readonly PlanTask[]; // newest first; none whose desired state is `remove`
}

/** The slot's name in records: its number, or the node's id. */
export function slotKey(identity: TaskIdentity): string {
  switch (identity.kind) {
    case 'slot':
      return String(identity.slot);
    case 'node':
      return identity.nodeId;
    case 'job':
      return `${identity.iteration}.${identity.index}`;
  }
}

/** Groups the tasks that still belong to a slot; those on their way out of the store are left aside. */
export function slotsOf(tasks: readonly PlanTask[]): Map<string, Slot> {
  const groups = new Map<string, PlanTask[]>();
  for (const task of tasks) {
    if (task.desired === 'remove') continue;
    const key = slotKey(task.identity);
    const group = groups.get(key);
    if (group) group.push(task);
    else groups.set(key, [task]);
  }
  const slots = new Map<string, Slot>();
  for (const [key, group] of groups) {
    if (group.length > 1) group.sort(newestFirst);
    const first = group[0];
    if (first) slots.set(key, { key, identity: first.identity, tasks: group });
  }
  return slots;
}

/** Two tasks of one slot may be born in the same millisecond: then the chain, the wish and the restarts tell. */
export function newestFirst(a: PlanTask, b: PlanTask): number {
  const byBirth = (b.createdAtMs ?? Number.MAX_SAFE_INTEGER) - (a.createdAtMs ?? Number.MAX_SAFE_INTEGER);
  if (byBirth !== 0) return byBirth;
  if (a.replaces === b.id) return -1;
  if (b.replaces === a.id) return 1;
  const byWish = Number(isWanted(b)) - Number(isWanted(a));
  if (byWish !== 0) return byWish;
  return (b.restartTimesMs?.length ?? 0) - (a.restartTimesMs?.length ?? 0);
}

export const isRunning = (task: PlanTask): boolean => task.status.state === 'running';

export interface SlotDiff {
  readonly add: readonly number[]; // slot numbers, lowest free first
  readonly remove: readonly Slot[];
}

/** Compares the wanted number of replicas with the slots that are filled. */
export function diffSlots(replicas: number, filled: readonly Slot[], isUp: (task: PlanTask) => boolean): SlotDiff {
  const extra = filled.length - replicas;
  if (extra > 0) return { add: [], remove: removalOrder(filled, isUp).slice(0, extra) };
  const taken = new Set(filled.map((slot) => slot.key));
  const add: number[] = [];
  for (let number = 1; add.length < -extra; number += 1) if (!taken.has(String(number))) add.push(number);
  return { add, remove: [] };
}

/** First those that do not run, then from the node with most copies of this service, then the highest slot. */
export function removalOrder(slots: readonly Slot[], isUp: (task: PlanTask) => boolean): Slot[] {
  const ranked = slots.map((slot) => ({ slot, node: nodeOfRunning(slot, isUp), number: slotNumber(slot), rank: 0 }));
  ranked.sort((a, b) => a.number - b.number);
  const copies = new Map<NodeId, number>();
  for (const entry of ranked) {
    if (entry.node === undefined) continue;
    entry.rank = copies.get(entry.node) ?? 0;
    copies.set(entry.node, entry.rank + 1);
  }
  ranked.sort(
    (a, b) => Number(a.node !== undefined) - Number(b.node !== undefined) || b.rank - a.rank || b.number - a.number,
  );
  return ranked.map((entry) => entry.slot);
}

function nodeOfRunning(slot: Slot, isUp: (task: PlanTask) => boolean): NodeId | undefined {
  return slot.tasks.find((task) => isWanted(task) && isRunning(task) && isUp(task))?.nodeId;
}

const slotNumber = (slot: Slot): number => (slot.identity.kind === 'slot' ? slot.identity.slot : 0);

export type TaskLookup = (id: TaskId) => PlanTask | undefined;
