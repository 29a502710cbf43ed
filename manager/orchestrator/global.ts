// Global services: one task on every node that is up, active and satisfies the constraints and platforms.
import type { Node } from '../../proto/objects.ts';
import { isWanted } from '../../proto/task-state.ts';
import { nodeMatcher } from '../../proto/outdated.ts';
import { addSlots } from './add-slots.ts';
import { isLost } from './fitness.ts';
import type { Plan } from './plan.ts';
import { removeSlot } from './replicated.ts';
import type { Situation } from './situation.ts';
import { type Slot, slotsOf } from './slots.ts';

/**
 * What a node means for the service. `run`: have a task there. `keep`: leave what is there as it is (paused, silent).
 * `stop`: no task for now (drained, down). `never`: it does not belong there, its history neither.
 */
type Standing = 'run' | 'keep' | 'stop' | 'never';

/** Adds, stops and removes; returns the slots (named by node) that are to be kept running. */
export function globalSlots(situation: Situation, plan: Plan): readonly Slot[] {
  const suits = nodeMatcher(situation.service);
  const slots = slotsOf(situation.tasks);
  const running: Slot[] = [];
  for (const slot of slots.values()) {
    const node = slot.identity.kind === 'node' ? situation.node(slot.identity.nodeId) : undefined;
    switch (standingOf(node, suits)) {
      case 'run':
        running.push(slot);
        break;
      case 'keep':
        break;
      case 'stop':
        stopSlot(slot, plan, situation.nowMs);
        break;
      case 'never':
        removeSlot(slot, plan, situation.nowMs);
        break;
    }
  }
  const bare = [...situation.nodes()].filter((node) => !slots.has(node.id) && standingOf(node, suits) === 'run');
  addSlots(
    bare.map((node) => ({ kind: 'node', nodeId: node.id })),
    situation,
    plan,
  );
  return running;
}

function standingOf(node: Node | undefined, suits: (node: Node) => boolean): Standing {
  if (node === undefined || !suits(node)) return 'never';
  if (isLost(node) || node.spec.availability === 'drain') return 'stop';
  if (node.spec.availability === 'pause' || node.status.state !== 'ready') return 'keep';
  return 'run';
}

function stopSlot(slot: Slot, plan: Plan, nowMs: number): void {
  if (plan.roomLeft === 0) return plan.leaveRest();
  for (const task of slot.tasks) if (isWanted(task)) plan.raise(task, 'shutdown', nowMs);
}
