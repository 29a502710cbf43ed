// The reaper: what is to be removed goes once it has stopped, and of the ended tasks of a slot the last few stay as
// history. Invariant: a task is deleted only when nothing of it can run any more, so nothing is freed too early.
import type { Loop } from '../../base/clock.ts';
import { DirtySet } from '../../base/dirty-set.ts';
import { codeOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { together } from '../../base/together.ts';
import type { ServiceId, Task, TaskId } from '../../proto/objects.ts';
import { isStopped, isWanted } from '../../proto/task-state.ts';
import type { Store, View } from '../store/contract.ts';
import { slotsOf } from './slots.ts';

const ROOM = 500;
const RETRY_MS = 100;
const HISTORY_DEFAULT = 5;

export interface TaskReaperOptions extends Loop {
  readonly log: Log;
}

/** Runs until aborted. */
export async function runTaskReaper(store: Store, options: TaskReaperOptions): Promise<void> {
  using dirty = new DirtySet<ServiceId>(options.clock);
  await together(options.abort, [
    (abort) => follow(store, dirty, abort),
    (abort) => reapAll(store, dirty, { ...options, abort }),
  ]);
}

async function follow(store: Store, dirty: DirtySet<ServiceId>, abort: AbortSignal): Promise<void> {
  const { view, changes } = store.viewAndWatch(['task', 'cluster'], { abort });
  markAll(view, dirty);
  const touched = new Set<ServiceId>();
  for await (const change of changes) {
    if (change.kind === 'resync' || change.kind === 'cluster') markAll(view, dirty);
    else if (change.kind === 'task' && change.action !== 'remove' && isOver(change.object)) {
      touched.add(change.object.serviceId);
    }
    if (change.kind === 'resync' || change.endsCommit) dirty.addAll(touched);
  }
}

function markAll(view: View, dirty: DirtySet<ServiceId>): void {
  for (const task of view.tasks.all()) if (isOver(task)) dirty.add(task.serviceId);
}

const isOver = (task: Task): boolean => !isWanted(task) && isStopped(task);

async function reapAll(store: Store, dirty: DirtySet<ServiceId>, options: TaskReaperOptions): Promise<void> {
  const { abort, clock, log } = options;
  for (;;) {
    const ids = await dirty.take(abort);
    try {
      if (!ids.some((id) => reapable(store.view(), id).length > 0)) continue;
      const left = await store.update(
        (transaction) => {
          const doomed = ids.flatMap((id) => reapable(transaction, id));
          for (const task of doomed.slice(0, ROOM)) transaction.tasks.remove(task.id);
          return doomed.length > ROOM;
        },
        { abort },
      );
      if (left) for (const id of ids) dirty.add(id);
    } catch (error) {
      if (abort.aborted) throw error;
      log.warn('ended tasks could not be deleted', { error, services: ids.length, code: codeOf(error) });
      for (const id of ids) dirty.addAt(id, clock.nowMs() + RETRY_MS);
    }
  }
}

function reapable(view: View, id: ServiceId): readonly { readonly id: TaskId }[] {
  return tasksToDelete(view.tasks.ofService(id), historyLimit(view));
}

function historyLimit(view: View): number {
  const cluster = view.clusters.all().next();
  return cluster.done ? HISTORY_DEFAULT : cluster.value.spec.orchestration.taskHistoryLimit;
}

/** Pure. A negative limit keeps everything; a slot without a living task keeps its last one, which says how it ended. */
export function tasksToDelete(tasks: readonly Task[], limit: number): readonly { readonly id: TaskId }[] {
  const removed = tasks.filter((task) => task.desired === 'remove' && isStopped(task));
  if (limit < 0) return removed;
  const old = [...slotsOf(tasks).values()].flatMap((slot) => {
    const keep = slot.tasks.some(isWanted) ? limit : Math.max(1, limit);
    return slot.tasks.filter((task) => !isWanted(task) && isStopped(task)).slice(keep);
  });
  return [...removed, ...old];
}
