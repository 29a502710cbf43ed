// Restart planning: does an ended task get a successor, and when? Pure; the answer is stored in the successor.
// Invariant: times are absolute and travel in the tasks, so a new leader counts and waits exactly as the old one did.
import type { RestartPolicy } from '../../proto/objects.ts';
import type { PlanTask } from './slots.ts';

export type RestartDecision =
  | { readonly restart: false }
  | {
      readonly restart: true;
      readonly atMs: number;
      /** Restarts that count, this one included; absent where the policy sets no limit. */
      readonly restartTimesMs?: readonly number[];
    };

/** What to do about a task that ended by itself (complete, failed, rejected). */
export function decideRestart(task: PlanTask, nowMs: number): RestartDecision {
  const policy = task.spec.restart;
  if (!restartsAfter(task, policy)) return { restart: false };
  const endedAtMs = Math.min(nowMs, task.updatedAtMs ?? nowMs);
  const atMs = endedAtMs + policy.delayMs;
  if (policy.attemptsMax === 0) return { restart: true, atMs };
  const earlier = timesWithin(task.restartTimesMs ?? [], policy, endedAtMs);
  if (earlier.length >= policy.attemptsMax) return { restart: false };
  return { restart: true, atMs, restartTimesMs: [...earlier, nowMs] };
}

/**
 * What to do about a task that was taken from its node (lost, drained, given up by the managers): it moves at once.
 * Moving is no restart and is not counted; what was counted goes along.
 */
export function decideMove(task: PlanTask, nowMs: number): RestartDecision {
  if (task.spec.restart.condition === 'none') return { restart: false };
  return { restart: true, atMs: nowMs, ...(task.restartTimesMs && { restartTimesMs: task.restartTimesMs }) };
}

/** True when the task ended by itself, so that the restart policy has the word. */
export function endedByItself(task: PlanTask): boolean {
  const { state } = task.status;
  return state === 'complete' || state === 'failed' || state === 'rejected';
}

function restartsAfter(task: PlanTask, policy: RestartPolicy): boolean {
  switch (policy.condition) {
    case 'none':
      return false;
    case 'on-failure':
      return task.status.state !== 'complete';
    case 'any':
      return true;
  }
}

function timesWithin(times: readonly number[], policy: RestartPolicy, endedAtMs: number): readonly number[] {
  if (policy.windowMs === 0) return times;
  return times.filter((atMs) => atMs > endedAtMs - policy.windowMs);
}
