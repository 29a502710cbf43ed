// One pass over one service: compare what is with what should be, and collect the writes that bring it nearer.
// It is the whole orchestrator as a pure function; the loop around it only decides when.
import type { Random } from '../../base/random.ts';
import type { ServiceId } from '../../proto/objects.ts';
import type { View } from '../store/contract.ts';
import { globalSlots } from './global.ts';
import { type Mended, mendSlot, SLOT_WRITES_MAX } from './mend.ts';
import { Plan } from './plan.ts';
import { replicatedSlots } from './replicated.ts';
import { planRollout } from './rolling-update.ts';
import { openSlot, rolloutSlot } from './rollout-slots.ts';
import { type Situation, situationOf } from './situation.ts';
import type { Slot } from './slots.ts';

export interface Given {
  readonly nowMs: number;
  readonly random: Random;
  /** How many tasks this pass may write. */
  readonly room: number;
}

export function planService(view: View, id: ServiceId, given: Given): Plan {
  const plan = new Plan(given.room);
  const service = view.services.get(id);
  if (!service) {
    removeAll(view, id, plan, given.nowMs);
    return plan;
  }
  const situation = situationOf(view, service, given);
  const mended = mendAll(keptSlots(situation, plan), situation, plan);
  rollOut(mended, situation, plan);
  return plan;
}

function keptSlots(situation: Situation, plan: Plan): readonly Slot[] {
  const { mode } = situation.service.spec;
  switch (mode.kind) {
    case 'replicated':
      return replicatedSlots(mode.replicas, situation, plan);
    case 'global':
      return globalSlots(situation, plan);
  }
}

/** The service is gone: its tasks stop and are then deleted. */
function removeAll(view: View, id: ServiceId, plan: Plan, nowMs: number): void {
  for (const task of view.tasks.ofService(id)) {
    if (plan.roomLeft === 0) return plan.leaveRest();
    plan.raise(task, 'remove', nowMs);
  }
}

function mendAll(slots: readonly Slot[], situation: Situation, plan: Plan): readonly Mended[] {
  const mended: Mended[] = [];
  for (const slot of slots) {
    if (plan.roomLeft < SLOT_WRITES_MAX) {
      plan.leaveRest();
      break;
    }
    mended.push(mendSlot(slot, situation, plan));
  }
  return mended;
}

function rollOut(mended: readonly Mended[], situation: Situation, plan: Plan): void {
  const room = Math.floor(plan.roomLeft / SLOT_WRITES_MAX);
  if (room === 0) plan.leaveRest();
  const slots = mended.map((each) => rolloutSlot(each, situation));
  const step = planRollout(situation.service, slots, { ...situation, room, complete: !plan.more });
  if (step.wakeAtMs !== undefined) plan.wakeAt(step.wakeAtMs);
  if (step.lookAgain) plan.leaveRest();
  if (step.service) plan.putService(step.service);
  const opened = new Set(step.open);
  for (const { slot } of mended) if (opened.has(slot.key)) openSlot(slot, situation, plan);
}
