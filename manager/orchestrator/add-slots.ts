// New slots: their first tasks.
import type { TaskIdentity } from '../../proto/objects.ts';
import { isStopped } from '../../proto/task-state.ts';
import { type Hold, holdFor } from './hold.ts';
import { newTask } from './new-task.ts';
import type { Plan } from './plan.ts';
import type { Situation } from './situation.ts';
import { type PlanTask, slotKey } from './slots.ts';

/** A slot may come again while the task that was removed from it still stops: the new one is held so long. */
export function addSlots(identities: readonly TaskIdentity[], situation: Situation, plan: Plan): void {
  if (identities.length === 0) return;
  const { service, nowMs, random } = situation;
  const stopping = stoppingTasks(situation.tasks);
  for (const identity of identities) {
    if (plan.roomLeft === 0) return plan.leaveRest();
    const last = stopping.get(slotKey(identity));
    const hold: Hold = last ? holdFor(last, nowMs, situation) : { desired: 'running' };
    if (hold.holdUntilMs !== undefined) plan.wakeAt(hold.holdUntilMs);
    plan.put(newTask({ service, identity, nowMs, random, ...hold }));
  }
}

/** Removed tasks whose containers may still run, by slot. */
function stoppingTasks(tasks: readonly PlanTask[]): ReadonlyMap<string, PlanTask> {
  const stopping = tasks.filter((task) => task.desired === 'remove' && !isStopped(task));
  return new Map(stopping.map((task) => [slotKey(task.identity), task]));
}
