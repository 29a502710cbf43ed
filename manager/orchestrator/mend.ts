// Mending one slot: what ended, was lost or must leave gets its successor; what was held is let go. Pure but for the
// plan it writes to. Invariant: in one plan a task is stopped and its successor made, so a slot has at most one task
// that is to run, or two while a start-first successor comes up.
import { isTerminal, isWanted } from '../../proto/task-state.ts';
import { type Hold, holdFor, holdIsOver } from './hold.ts';
import { newTask } from './new-task.ts';
import type { Plan } from './plan.ts';
import { decideMove, decideRestart, endedByItself, type RestartDecision } from './restart.ts';
import { rolloutConfig, type Situation } from './situation.ts';
import { isRunning, type PlanTask, type Slot } from './slots.ts';

/** A start-first service on a leaving node keeps its old task so long while the successor comes up. */
export const LEAVE_WAIT_MS = 300_000;
/** At most this many tasks are written for one slot, save where one was left with more by mistake. */
export const SLOT_WRITES_MAX = 4;

export interface Mended {
  readonly slot: Slot;
  /** Tasks that ended though they were to run, for the rollout to judge. */
  readonly ended: readonly PlanTask[];
  /** Nothing is to be done: one task, and that runs as it should. */
  readonly settled: boolean;
}

interface Sorted {
  readonly ended: readonly PlanTask[];
  readonly lost: readonly PlanTask[];
  readonly leaving: readonly PlanTask[];
  /** Those as the service says first, then the newest. */
  readonly alive: readonly PlanTask[];
}

export function mendSlot(slot: Slot, situation: Situation, plan: Plan): Mended {
  if (isSettled(slot, situation)) return { slot, ended: NONE, settled: true };
  const sorted = sort(slot.tasks.filter(isWanted), situation);
  const written = [...sorted.ended, ...sorted.lost].map((task) => plan.raise(task, 'shutdown', situation.nowMs));
  if (sorted.alive.length > 0) written.push(...settle(sorted, situation, plan));
  else if (sorted.leaving.length > 0) written.push(...leave(sorted, situation, plan));
  else written.push(...refill(slot, situation, plan));
  return { slot: withTasks(slot, written), ended: sorted.ended, settled: false };
}

const NONE: readonly PlanTask[] = [];

/** Most slots most of the time: a service may have thousands, and each of its passes looks at all of them. */
function isSettled(slot: Slot, situation: Situation): boolean {
  let only: PlanTask | undefined;
  for (const task of slot.tasks) {
    if (!isWanted(task)) continue;
    if (only) return false;
    only = task;
  }
  if (!only || !isRunning(only) || only.desired !== 'running') return false;
  return situation.fitness(only) === 'fit' && !situation.isOutdated(only);
}

function sort(wanted: readonly PlanTask[], situation: Situation): Sorted {
  const left = wanted.filter((task) => !isTerminal(task.status.state));
  const alive = left.filter((task) => situation.fitness(task) === 'fit');
  return {
    ended: wanted.filter((task) => isTerminal(task.status.state)),
    lost: left.filter((task) => situation.fitness(task) === 'lost'),
    leaving: left.filter((task) => situation.fitness(task) === 'leaving'),
    alive: [
      ...alive.filter((task) => !situation.isOutdated(task)),
      ...alive.filter((task) => situation.isOutdated(task)),
    ],
  };
}

/** The slot as it will be once these are written. */
export function withTasks(slot: Slot, written: readonly PlanTask[]): Slot {
  if (written.length === 0) return slot;
  const byId = new Map(written.map((task) => [task.id, task]));
  const known = new Set(slot.tasks.map((task) => task.id));
  const born = written.filter((task) => !known.has(task.id));
  return { ...slot, tasks: [...born, ...slot.tasks.map((task) => byId.get(task.id) ?? task)] };
}

/** Something lives: others go once the first runs, held ones are let go, a failed newcomer may be tried again. */
function settle({ alive, leaving, ended }: Sorted, situation: Situation, plan: Plan): PlanTask[] {
  const written: PlanTask[] = [];
  const [first, ...others] = alive;
  const outgoing = new Set([...others, ...leaving]);
  if (first && (isRunning(first) || (leaving.length > 0 && overlapIsOver(first, situation, plan)))) {
    for (const task of outgoing) written.push(plan.raise(task, 'shutdown', situation.nowMs));
    outgoing.clear();
  }
  for (const task of alive) {
    const goes = task !== first && !outgoing.has(task);
    if (goes || task.desired !== 'ready' || !holdIsOver(task, situation, plan)) continue;
    written.push(plan.raise(task, 'running', situation.nowMs));
  }
  const failed = ended[0];
  if (failed && first && retriesNewcomer(failed, first, situation)) {
    written.push(...succeed(failed, decide(failed, situation), situation, plan));
  }
  return written;
}

function overlapIsOver(newcomer: PlanTask, situation: Situation, plan: Plan): boolean {
  const untilMs = newcomer.overlapUntilMs;
  if (untilMs === undefined) return false; // a rollout's newcomer: its progress deadline bounds the wait
  if (untilMs <= situation.nowMs) return true;
  plan.wakeAt(untilMs);
  return false;
}

/** While a rollout goes on, a start-first newcomer that failed beside its living predecessor is tried again. */
function retriesNewcomer(failed: PlanTask, survivor: PlanTask, situation: Situation): boolean {
  const state = situation.service.updateStatus?.state;
  const rolling = state === 'updating' || state === 'rollback-started' || state === 'completed';
  return rolling && situation.isOutdated(survivor) && !situation.isOutdated(failed);
}

/** Nothing may stay where it is. */
function leave(sorted: Sorted, situation: Situation, plan: Plan): PlanTask[] {
  const from = sorted.leaving.find(isRunning) ?? sorted.leaving[0];
  if (!from) return [];
  const startFirst = isRunning(from) && rolloutConfig(situation.service).order === 'start-first';
  return startFirst ? overlap(from, sorted, situation, plan) : moveAway(from, sorted.leaving, situation, plan);
}

function moveAway(from: PlanTask, leaving: readonly PlanTask[], situation: Situation, plan: Plan): PlanTask[] {
  const stopped = leaving.map((task) => plan.raise(task, 'shutdown', situation.nowMs));
  return [...stopped, ...succeed(from, decideMove(from, situation.nowMs), situation, plan)];
}

/** The old one serves on until its successor runs, or until the time for that is over. */
function overlap(from: PlanTask, { leaving, ended }: Sorted, situation: Situation, plan: Plan): PlanTask[] {
  const { nowMs } = situation;
  const failed = ended[0];
  const decision = failed ? decide(failed, situation) : decideMove(from, nowMs);
  const overlapUntilMs = failed?.overlapUntilMs ?? nowMs + LEAVE_WAIT_MS;
  if (!decision.restart || overlapUntilMs <= nowMs) return moveAway(from, leaving, situation, plan);
  const others = leaving.filter((task) => task !== from).map((task) => plan.raise(task, 'shutdown', nowMs));
  const hold: Hold =
    decision.atMs > nowMs
      ? { desired: 'ready', holdUntilMs: decision.atMs }
      : { desired: 'running', replaces: from.id };
  return [...others, create(from, { ...hold, overlapUntilMs, ...counted(decision) }, situation, plan)];
}

/** Nothing lives in the slot: the task that ended last, or else its newest, says whether and when there is a successor. */
function refill(slot: Slot, situation: Situation, plan: Plan): PlanTask[] {
  const last = slot.tasks.find(isWanted) ?? slot.tasks[0];
  if (!last || endedInItsHold(last, situation, plan)) return [];
  return succeed(last, decide(last, situation), situation, plan);
}

/**
 * It failed while it was being prepared under its own restart delay, as one without an image does. Its successor is born
 * when that is over: born now it would fail as fast, and the delay would slow nothing down.
 */
function endedInItsHold(last: PlanTask, situation: Situation, plan: Plan): boolean {
  if (!endedByItself(last) || situation.isOutdated(last) || situation.fitness(last) !== 'fit') return false;
  return !holdIsOver(last, situation, plan);
}

function decide(task: PlanTask, situation: Situation): RestartDecision {
  const { nowMs } = situation;
  if (!endedByItself(task)) return decideMove(task, nowMs);
  const decision = decideRestart(task, nowMs);
  if (!decision.restart) return decision;
  // The delay spares a node a crash loop; a node that the successor will not be on needs no sparing.
  return situation.fitness(task) === 'fit' ? decision : { ...decision, atMs: nowMs };
}

function succeed(task: PlanTask, decision: RestartDecision, situation: Situation, plan: Plan): PlanTask[] {
  if (!decision.restart) return [];
  return [create(task, { ...holdFor(task, decision.atMs, situation), ...counted(decision) }, situation, plan)];
}

type Rest = Hold & { overlapUntilMs?: number | undefined; restartTimesMs?: readonly number[] | undefined };

function create(of: PlanTask, rest: Rest, situation: Situation, plan: Plan): PlanTask {
  const { service, nowMs, random } = situation;
  if (rest.holdUntilMs !== undefined) plan.wakeAt(rest.holdUntilMs);
  // Restarts are counted under one specification; the first task of another starts anew.
  const restartTimesMs = situation.isOutdated(of) ? undefined : rest.restartTimesMs;
  return plan.put(newTask({ service, identity: of.identity, nowMs, random, ...rest, restartTimesMs }));
}

const counted = (decision: RestartDecision): { restartTimesMs?: readonly number[] | undefined } =>
  decision.restart ? { restartTimesMs: decision.restartTimesMs } : {};
