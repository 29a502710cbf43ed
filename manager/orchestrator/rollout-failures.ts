// What counts as a failure of a rollout, and when there are too many. Pure.
import type { TaskId, UpdateConfig, UpdateStatus } from '../../proto/objects.ts';
import { endedByItself } from './restart.ts';
import type { PlanTask } from './slots.ts';

export interface Failure {
  readonly slot: string;
  readonly taskId: TaskId;
}

/**
 * The task among `ended` that ended before it ran, or within the monitoring time after. Both times in a status are by
 * one clock, so no other machine's clock matters.
 */
export function failureIn(ended: readonly PlanTask[], monitorMs: number): PlanTask | undefined {
  return ended.find((task) => {
    if (!endedByItself(task)) return false;
    const { runningAtMs, atMs } = task.status;
    return runningAtMs === undefined || atMs - runningAtMs < monitorMs;
  });
}

/** What to do about the failures so far; undefined: go on. A rollback that fails only pauses. */
export function verdictOn(status: UpdateStatus, config: UpdateConfig): 'pause' | 'rollback' | undefined {
  const ratio = (status.failures?.length ?? 0) / Math.max(1, status.slotsTotal ?? 1);
  if (ratio <= config.failureRatioMax || config.failureAction === 'continue') return undefined;
  return status.state === 'rollback-started' ? 'pause' : config.failureAction;
}
