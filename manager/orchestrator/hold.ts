// Holds: a successor may be prepared (desired `ready`) while its time has not come: its restart delay runs, or its
// predecessor has yet to stop. Every hold ends at a stored time. Pure.
import type { TaskId } from '../../proto/objects.ts';
import { isStopped } from '../../proto/task-state.ts';
import type { Plan } from './plan.ts';
import { endedByItself } from './restart.ts';
import type { Situation } from './situation.ts';
import type { PlanTask } from './slots.ts';

/** A successor waits so long for its predecessor to stop, or for the predecessor's own grace, then goes on without. */
export const STOP_WAIT_MS = 60_000;
const AFTER_GRACE_MS = 10_000;

export interface Hold {
  readonly desired: 'ready' | 'running';
  readonly replaces?: TaskId | undefined;
  readonly holdUntilMs?: number | undefined;
}

/** The hold of the one that follows `task`: until that has stopped, where it may still run; otherwise until `atMs`. */
export function holdFor(task: PlanTask, atMs: number, situation: Situation): Hold {
  if (task.desired === 'ready' && !endedByItself(task)) return inherited(task);
  if (!isStopped(task) && situation.fitness(task) !== 'lost') return untilStopped(task, situation.nowMs);
  return atMs > situation.nowMs ? { desired: 'ready', holdUntilMs: atMs } : { desired: 'running' };
}

function untilStopped(task: PlanTask, nowMs: number): Hold {
  const graceMs = task.spec.runtime.container.stopGraceMs ?? 0;
  return { desired: 'ready', replaces: task.id, holdUntilMs: nowMs + Math.max(STOP_WAIT_MS, graceMs + AFTER_GRACE_MS) };
}

/** A task that was itself still held never ran: its successor waits for what it waited for. */
function inherited(task: PlanTask): Hold {
  return { desired: 'ready', replaces: task.replaces, holdUntilMs: task.holdUntilMs };
}

export function holdIsOver(task: PlanTask, situation: Situation, plan: Plan): boolean {
  const replaced = task.replaces === undefined ? undefined : situation.task(task.replaces);
  const waits = replaced !== undefined && !isStopped(replaced) && situation.fitness(replaced) !== 'lost';
  if (task.replaces !== undefined && !waits) return true;
  if (task.holdUntilMs === undefined || task.holdUntilMs <= situation.nowMs) return true;
  plan.wakeAt(task.holdUntilMs);
  return false;
}
