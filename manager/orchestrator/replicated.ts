// Replicated services: as many slots as replicas. Scale-down removes whole slots, scale-up adds new ones.
import type { TaskIdentity } from '../../proto/objects.ts';
import { addSlots } from './add-slots.ts';
import type { Plan } from './plan.ts';
import type { Situation } from './situation.ts';
import { diffSlots, type Slot, slotsOf } from './slots.ts';

/** Adds and removes; returns the slots that stay. A slot whose task ended for good counts as filled. */
export function replicatedSlots(replicas: number, situation: Situation, plan: Plan): readonly Slot[] {
  const slots = [...slotsOf(situation.tasks).values()];
  const diff = diffSlots(replicas, slots, (task) => situation.fitness(task) === 'fit');
  for (const slot of diff.remove) removeSlot(slot, plan, situation.nowMs);
  const added = diff.add.map((slot): TaskIdentity => ({ kind: 'slot', slot }));
  addSlots(added, situation, plan);
  const removed = new Set(diff.remove);
  return slots.filter((slot) => !removed.has(slot));
}

/** Its tasks stop and are then deleted, its history with them. */
export function removeSlot(slot: Slot, plan: Plan, nowMs: number): void {
  if (plan.roomLeft === 0) return plan.leaveRest();
  for (const task of slot.tasks) plan.raise(task, 'remove', nowMs);
}
