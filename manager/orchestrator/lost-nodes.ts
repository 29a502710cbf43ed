// Nodes that do not come back: a day after a node went down (the cluster says how long), or once it is removed, its
// tasks are given up as orphaned. Until then nobody knows what became of them, and their records stay.
import type { Loop } from '../../base/clock.ts';
import { DirtySet } from '../../base/dirty-set.ts';
import { codeOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { together } from '../../base/together.ts';
import type { Node, NodeId, Task } from '../../proto/objects.ts';
import { isTerminal, TASK_STATE } from '../../proto/task-state.ts';
import type { Store, Transaction, View } from '../store/contract.ts';

const ROOM = 500;
const RETRY_MS = 1_000;
const ORPHAN_AFTER_MS = 24 * 3_600_000;

export interface LostNodesOptions extends Loop {
  readonly log: Log;
}

/** Runs until aborted. */
export async function runLostNodes(store: Store, options: LostNodesOptions): Promise<void> {
  using dirty = new DirtySet<NodeId>(options.clock);
  await together(options.abort, [
    (abort) => follow(store, dirty, abort),
    (abort) => giveUpAll(store, dirty, { ...options, abort }),
  ]);
}

async function follow(store: Store, dirty: DirtySet<NodeId>, abort: AbortSignal): Promise<void> {
  const { view, changes } = store.viewAndWatch(['node'], { abort });
  markAll(view, dirty);
  for await (const change of changes) {
    if (change.kind === 'resync') markAll(view, dirty);
    else if (change.kind === 'node') mark(change.object.id, view, dirty);
  }
}

function markAll(view: View, dirty: DirtySet<NodeId>): void {
  for (const node of view.nodes.all()) mark(node.id, view, dirty);
  for (const task of view.tasks.all()) if (task.nodeId && !view.nodes.get(task.nodeId)) dirty.add(task.nodeId);
}

function mark(id: NodeId, view: View, dirty: DirtySet<NodeId>): void {
  const node = view.nodes.get(id);
  if (!node) dirty.add(id);
  else if (node.status.state === 'down') dirty.addAt(id, orphanAtMs(node, view));
}

const downUntilMs = (node: Node, view: View): number =>
  node.status.state === 'down' ? orphanAtMs(node, view) : Number.NEGATIVE_INFINITY;

function orphanAtMs(node: Node, view: View): number {
  const cluster = view.clusters.all().next();
  const afterMs = cluster.done ? ORPHAN_AFTER_MS : cluster.value.spec.dispatcher.orphanAfterMs;
  return node.orphanAtMs ?? node.status.sinceMs + afterMs;
}

async function giveUpAll(store: Store, dirty: DirtySet<NodeId>, options: LostNodesOptions): Promise<void> {
  const { abort, clock, log } = options;
  for (;;) {
    for (const id of await dirty.take(abort)) {
      try {
        const count = await store.update((transaction) => giveUp(transaction, id, clock.nowMs()), { abort });
        if (count > 0) log.info('tasks of a lost node given up', { nodeId: id, tasks: count });
        if (count === ROOM) dirty.add(id);
        const node = store.view().nodes.get(id);
        // Down again since the time that woke us was noted: the new time is later.
        if (node && downUntilMs(node, store.view()) > clock.nowMs()) mark(id, store.view(), dirty);
      } catch (error) {
        if (abort.aborted) throw error;
        log.warn('tasks of a lost node could not be given up', { error, nodeId: id, code: codeOf(error) });
        dirty.addAt(id, clock.nowMs() + RETRY_MS);
      }
    }
  }
}

function giveUp(transaction: Transaction, id: NodeId, nowMs: number): number {
  const node = transaction.nodes.get(id);
  if (node && (node.status.state !== 'down' || orphanAtMs(node, transaction) > nowMs)) return 0;
  const given = transaction.tasks.ofNode(id).filter(isUnknown).slice(0, ROOM);
  const message = node ? 'the node has been down for too long' : 'the node was removed';
  for (const task of given) transaction.tasks.put(orphaned(task, message, nowMs));
  return given.length;
}

/** Handed to the node, and nobody knows how it ended. */
function isUnknown(task: Task): boolean {
  return TASK_STATE[task.status.state] >= TASK_STATE.assigned && !isTerminal(task.status.state);
}

function orphaned(task: Task, message: string, nowMs: number): Task {
  return { ...task, status: { ...task.status, state: 'orphaned', atMs: nowMs, message } };
}
