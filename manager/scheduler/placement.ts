// Placing a group of like tasks: which goes to which node, and why the rest goes nowhere. Pure but for the ledger, in
// which each placed task is entered at once, so that the next one sees it.
import type { NodeId, Task } from '../../proto/objects.ts';
import { explain, type Filter, refusalOf } from './filters.ts';
import type { NodeEntry, NodeLedger } from './node-ledger.ts';
import { type PlacementRequest, requestOf } from './request.ts';
import { Spread } from './spread.ts';

export interface Placement {
  readonly placed: readonly { readonly task: Task; readonly nodeId: NodeId }[];
  readonly blocked: readonly Task[];
  /** Why the blocked ones wait, for a person. */
  readonly explanation: string;
  /** A task that ends somewhere may unblock them; otherwise only a change of a node can. */
  readonly yieldsToTasks: boolean;
}

export function placeGroup(tasks: readonly Task[], ledger: NodeLedger, nowMs: number): Placement {
  const first = tasks[0];
  if (!first) return { placed: [], blocked: [], explanation: '', yieldsToTasks: false };
  const request = requestOf(first);
  const preset = tasks.filter((task) => task.nodeId !== undefined);
  const free = tasks.filter((task) => task.nodeId === undefined);
  const refusals = new Map<Filter, number>();
  const outcome = [
    ...preset.map((task) => confirm(task, request, ledger, refusals)),
    ...spread(free, request, ledger, nowMs, refusals),
  ];
  const blocked = outcome.filter((each) => each.nodeId === undefined).map((each) => each.task);
  return {
    placed: outcome.flatMap(({ task, nodeId }) => (nodeId === undefined ? [] : [{ task, nodeId }])),
    blocked,
    explanation: explain(refusals),
    yieldsToTasks: [...refusals.keys()].some((filter) => filter.yieldsTo === 'task'),
  };
}

interface Outcome {
  readonly task: Task;
  readonly nodeId: NodeId | undefined;
}

/** A global service's task has its node from birth; it only has to fit there. */
function confirm(task: Task, request: PlacementRequest, ledger: NodeLedger, refusals: Map<Filter, number>): Outcome {
  const entry = task.nodeId === undefined ? undefined : ledger.entry(task.nodeId);
  if (!entry) return { task, nodeId: undefined };
  const refusal = refusalOf(entry, request, task.replaces);
  if (!refusal) {
    ledger.assume(task, entry);
    return { task, nodeId: entry.node.id };
  }
  count(refusals, refusal);
  return { task, nodeId: undefined };
}

function spread(
  tasks: readonly Task[],
  request: PlacementRequest,
  ledger: NodeLedger,
  nowMs: number,
  refusals: Map<Filter, number>,
): Outcome[] {
  if (tasks.length === 0) return [];
  const accepts = (entry: NodeEntry): boolean => refusalOf(entry, request) === undefined;
  const suitable = [...ledger.entries].filter(accepts);
  const order = new Spread(suitable, { ...request, nowMs, accepts });
  const outcome = tasks.map((task) => {
    const entry = order.take((taken) => ledger.assume(task, taken)) ?? placeOfPredecessor(task, request, ledger);
    return entry ? { task, nodeId: entry.node.id } : { task, nodeId: undefined };
  });
  if (outcome.some((each) => each.nodeId === undefined)) {
    for (const entry of ledger.entries) {
      const refusal = refusalOf(entry, request);
      if (refusal) count(refusals, refusal);
    }
  }
  return outcome;
}

/** A held successor may be prepared where its predecessor still is: it runs only once that has stopped. */
function placeOfPredecessor(task: Task, request: PlacementRequest, ledger: NodeLedger): NodeEntry | undefined {
  if (task.replaces === undefined || task.desired !== 'ready') return undefined;
  const nodeId = ledger.nodeOf(task.replaces);
  const entry = nodeId === undefined ? undefined : ledger.entry(nodeId);
  if (!entry || refusalOf(entry, request, task.replaces)) return undefined;
  ledger.assume(task, entry);
  return entry;
}

function count(refusals: Map<Filter, number>, filter: Filter): void {
  refusals.set(filter, (refusals.get(filter) ?? 0) + 1);
}
