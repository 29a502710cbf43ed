// Nodes that have become too small: when a node reports less than its tasks reserve, the newest of them go, until the
// rest fits. (Constraints that a node no longer meets are the planner's business: it moves tasks as a drain does.)
import type { Loop } from '../../base/clock.ts';
import { DirtySet } from '../../base/dirty-set.ts';
import { equalData } from '../../base/equal.ts';
import { codeOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { together } from '../../base/together.ts';
import type { NodeId, Resources, Task } from '../../proto/objects.ts';
import { isTerminal, isWanted, TASK_STATE } from '../../proto/task-state.ts';
import type { Store, Transaction } from '../store/contract.ts';

const RETRY_MS = 1_000;

export interface ConstraintEnforcerOptions extends Loop {
  readonly log: Log;
}

/** Runs until aborted. */
export async function runConstraintEnforcer(store: Store, options: ConstraintEnforcerOptions): Promise<void> {
  using dirty = new DirtySet<NodeId>(options.clock);
  await together(options.abort, [
    (abort) => follow(store, dirty, abort),
    (abort) => enforceAll(store, dirty, { ...options, abort }),
  ]);
}

async function follow(store: Store, dirty: DirtySet<NodeId>, abort: AbortSignal): Promise<void> {
  const { view, changes } = store.viewAndWatch(['node'], { abort });
  const markAll = (): void => {
    for (const node of view.nodes.all()) dirty.add(node.id);
  };
  markAll();
  for await (const change of changes) {
    if (change.kind === 'resync') markAll();
    if (change.kind !== 'node' || change.action === 'remove') continue;
    if (!equalData(change.object.description?.resources, change.previous?.description?.resources))
      dirty.add(change.object.id);
  }
}

async function enforceAll(
  store: Store,
  dirty: DirtySet<NodeId>,
  { abort, clock, log }: ConstraintEnforcerOptions,
): Promise<void> {
  for (;;) {
    for (const id of await dirty.take(abort)) {
      try {
        const stopped = await store.update((transaction) => enforce(transaction, id), { abort });
        if (stopped.length > 0)
          log.warn('tasks leave a node that has become too small', { nodeId: id, taskIds: stopped });
      } catch (error) {
        if (abort.aborted) throw error;
        log.warn('the reservations of a node could not be enforced', { error, nodeId: id, code: codeOf(error) });
        dirty.addAt(id, clock.nowMs() + RETRY_MS);
      }
    }
  }
}

/** Stops the surplus; the orchestrator makes the successors. */
function enforce(transaction: Transaction, id: NodeId): readonly string[] {
  const resources = transaction.nodes.get(id)?.description?.resources;
  if (!resources) return [];
  const surplus = surplusOf(transaction.tasks.ofNode(id), resources);
  for (const task of surplus) transaction.tasks.put({ ...task, desired: 'shutdown' });
  return surplus.map((task) => task.id);
}

/** Pure. The tasks to stop so that the rest fits, newest first; tasks that reserve nothing are never among them. */
export function surplusOf(tasks: readonly Task[], resources: Resources): readonly Task[] {
  const holding = tasks.filter(holdsResources).sort((a, b) => b.createdAtMs - a.createdAtMs);
  let nanoCpus = holding.reduce((sum, task) => sum + (task.spec.reservations?.nanoCpus ?? 0), 0);
  let memoryBytes = holding.reduce((sum, task) => sum + (task.spec.reservations?.memoryBytes ?? 0), 0);
  const surplus: Task[] = [];
  for (const task of holding) {
    const own = task.spec.reservations;
    if (!own) continue;
    const helps =
      (nanoCpus > resources.nanoCpus && own.nanoCpus > 0) ||
      (memoryBytes > resources.memoryBytes && own.memoryBytes > 0);
    if (!helps) continue;
    nanoCpus -= own.nanoCpus;
    memoryBytes -= own.memoryBytes;
    surplus.push(task);
  }
  return surplus;
}

/** Running or on its way to; one that is being stopped gives its share back by itself. */
function holdsResources(task: Task): boolean {
  const { state } = task.status;
  return isWanted(task) && TASK_STATE[state] >= TASK_STATE.assigned && !isTerminal(state);
}
