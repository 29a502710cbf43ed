// Restart planning: does an ended task get a successor, and when? Pure; the answer is stored in the successor.
// Invariant: times are absolute and travel in the tasks, so a new leader counts and waits exactly as the old one did.
import type { RestartPolicy } from '../../proto/objects.ts';
import type { PlanTask } from './slots.ts';

export type RestartDecision =
  | { readonly restart: false }
  | {
      readonly restart: true;
      readonly atMs: number;
      /** Restarts of the slot under this specification, this one included, as far back as they count. */
      readonly restartTimesMs?: readonly number[];
    };

/** A slot that restarts more often than this is slowed down, whatever its delay: a crash loop must not fill the log. */
const RAPID = { withinMs: 30_000, freeCount: 3, baseMs: 100, maxMs: 5_000, countMax: 10 } as const;

/** What to do about a task that ended by itself (complete, failed, rejected). */
export function decideRestart(task: PlanTask, nowMs: number): RestartDecision {
  const policy = task.spec.restart;
  if (!restartsAfter(task, policy)) return { restart: false };
  const endedAtMs = Math.min(nowMs, task.updatedAtMs ?? nowMs);
  const times = task.restartTimesMs ?? [];
  if (policy.attemptsMax > 0 && countWithin(times, policy.windowMs, endedAtMs) >= policy.attemptsMax) {
    return { restart: false };
  }
  const delayMs = Math.max(policy.delayMs, slowDownMs(countWithin(times, RAPID.withinMs, endedAtMs)));
  const kept = Math.max(policy.attemptsMax, RAPID.countMax);
  return { restart: true, atMs: endedAtMs + delayMs, restartTimesMs: [...times, nowMs].slice(-kept) };
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

/** Restarts in the window before the end; a window of 0 is all time. */
function countWithin(times: readonly number[], windowMs: number, endedAtMs: number): number {
  return windowMs === 0 ? times.length : times.filter((atMs) => atMs > endedAtMs - windowMs).length;
}

function slowDownMs(restarts: number): number {
  if (restarts < RAPID.freeCount) return 0;
  return Math.min(RAPID.maxMs, RAPID.baseMs * 2 ** (restarts - RAPID.freeCount));
}
