// Slots as a rollout sees them, and the opening of one: its old task makes way for a new one.
import type { TaskIdentity } from '../../proto/objects.ts';
import { isStopped, isWanted } from '../../proto/task-state.ts';
import { type Hold, holdFor } from './hold.ts';
import type { Mended } from './mend.ts';
import { newTask } from './new-task.ts';
import type { Plan } from './plan.ts';
import type { Progress, RolloutSlot } from './rolling-update.ts';
import { rolloutConfig, type Situation } from './situation.ts';
import { isRunning, type Slot } from './slots.ts';

export function rolloutSlot({ slot, ended, settled }: Mended, situation: Situation): RolloutSlot {
  if (settled) return { key: slot.key, progress: DONE, ended };
  return {
    key: slot.key,
    progress: progressOf(slot, situation),
    ended: ended.filter((task) => !situation.isOutdated(task)),
  };
}

const DONE: Progress = { kind: 'done' };

function progressOf(slot: Slot, situation: Situation): Progress {
  const wanted = slot.tasks.filter(isWanted);
  const present = wanted.filter((task) => !situation.isOutdated(task));
  const incoming = present[0];
  if (present.some(isRunning)) return DONE;
  if (incoming)
    return { kind: 'moving', taskId: incoming.id, reason: incoming.status.error ?? incoming.status.message };
  if (wanted.length > 0) return { kind: 'old', running: wanted.some(isRunning) };
  const newest = slot.tasks[0]; // it ended for good
  return newest && situation.isOutdated(newest) ? { kind: 'old', running: false } : DONE;
}

/**
 * Stop-first: the old one is stopped and its successor prepared meanwhile. Start-first: a running old one stays until
 * the new one runs; where nothing runs there is nothing to keep.
 */
export function openSlot(slot: Slot, situation: Situation, plan: Plan): void {
  const wanted = slot.tasks.filter(isWanted);
  const kept = rolloutConfig(situation.service).order === 'start-first' ? wanted.find(isRunning) : undefined;
  for (const task of wanted) if (task !== kept) plan.raise(task, 'shutdown', situation.nowMs);
  if (kept) return begin(slot.identity, { desired: 'running', replaces: kept.id }, situation, plan);
  const last = wanted.find(isRunning) ?? wanted.find((task) => !isStopped(task)) ?? wanted[0];
  return begin(
    slot.identity,
    last ? holdFor(last, situation.nowMs, situation) : { desired: 'running' },
    situation,
    plan,
  );
}

function begin(identity: TaskIdentity, hold: Hold, situation: Situation, plan: Plan): void {
  const { service, nowMs, random } = situation;
  if (hold.holdUntilMs !== undefined) plan.wakeAt(hold.holdUntilMs);
  plan.put(newTask({ service, identity, nowMs, random, ...hold }));
}
