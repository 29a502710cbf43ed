// The rolling update as a pure planner: from the stored status, the slots as they are and the time, to the slots that
// are opened now and the status to store. Invariant: nothing is remembered between calls, so any leader can go on; every
// state but the final ones has a stored time at which something happens.
import { equalData } from '../../base/equal.ts';
import type { Service, ServiceSpec, TaskId, UpdateConfig, UpdateState, UpdateStatus } from '../../proto/objects.ts';
import { type Failure, failureIn, verdictOn } from './rollout-failures.ts';
import type { PlanTask } from './slots.ts';

/** How far one slot is. */
export type Progress =
  /** Runs as the service says, or ended for good as the service says. */
  | { readonly kind: 'done' }
  /** Its new task is on its way. */
  | { readonly kind: 'moving'; readonly taskId: TaskId; readonly reason: string }
  /** Only tasks of an earlier specification. */
  | { readonly kind: 'old'; readonly running: boolean };

export interface RolloutSlot {
  readonly key: string;
  readonly progress: Progress;
  /** Tasks of the present specification that ended though they were to run. */
  readonly ended: readonly PlanTask[];
}

export interface RolloutStep {
  /** Keys of the slots whose replacement begins now. */
  readonly open: readonly string[];
  /** The service with its new status (and, for a rollback, its previous specification). Absent: nothing changed. */
  readonly service?: Service;
  readonly wakeAtMs?: number;
  /** The specification was changed back: the slots must be looked at again before anything is opened. */
  readonly lookAgain: boolean;
}

const NOTHING: RolloutStep = { open: [], lookAgain: false };
const PROGRESS_DEADLINE_MS = 600_000;
/** Docker's defaults, for a check that leaves them open. */
const HEALTH_PERIOD_MS = 30_000;
const HEALTH_RETRIES = 3;

export interface RolloutGiven {
  readonly nowMs: number;
  /** How many slots may be opened in this pass. */
  readonly room: number;
  /** False when the pass did not get through all slots: then failures are noted, and nothing else is decided. */
  readonly complete: boolean;
  /** Why a specification cannot come back, if it cannot. */
  readonly hindrance: (spec: ServiceSpec) => string | undefined;
}

export function planRollout(service: Service, slots: readonly RolloutSlot[], given: RolloutGiven): RolloutStep {
  const { nowMs, room, complete, hindrance } = given;
  const status = complete ? begun(service, slots, nowMs) : underWay(service.updateStatus);
  if (!status) return NOTHING;
  const config = status.state === 'rollback-started' ? service.spec.rollback : service.spec.update;
  const failures = judged(status, config, slots, nowMs);
  const judgedStatus = failures.all.length === 0 ? status : { ...status, failures: failures.all };
  const verdict = verdictOn(judgedStatus, config);
  if (verdict && failures.last) return ended(service, judgedStatus, { ...failures.last, hindrance }, verdict);
  if (!complete) return { ...NOTHING, ...changed(service, judgedStatus) };
  return advanced(service, judgedStatus, config, slots, nowMs, room);
}

function underWay(status: UpdateStatus | undefined): UpdateStatus | undefined {
  const active = status?.state === 'updating' || status?.state === 'rollback-started';
  return active && status.slotsTotal !== undefined ? status : undefined;
}

/** The status of the rollout that is on, with what its first pass adds; undefined when there is none. */
function begun(service: Service, slots: readonly RolloutSlot[], nowMs: number): UpdateStatus | undefined {
  const status = service.updateStatus;
  const slotsTotal = slots.filter((slot) => slot.progress.kind === 'old').length;
  switch (status?.state) {
    case 'paused':
    case 'rollback-paused':
      return undefined;
    case 'updating':
    case 'rollback-started':
      return status.slotsTotal === undefined ? { ...status, slotsTotal } : status;
    case 'completed':
    case 'rollback-completed':
    case undefined: {
      const given = new Set(status?.failures?.map((failure) => failure.slot));
      const fresh = slots.some((slot) => slot.progress.kind === 'old' && !given.has(slot.key));
      return fresh ? { state: 'updating', startedAtMs: nowMs, message: 'update in progress', slotsTotal } : undefined;
    }
  }
}

interface Judgement {
  readonly all: readonly Failure[];
  readonly last: (Failure & { readonly reason: string }) | undefined;
}

/** The failures known so far and those that this pass sees: tasks that ended too soon, slots that stood still too long. */
function judged(status: UpdateStatus, config: UpdateConfig, slots: readonly RolloutSlot[], nowMs: number): Judgement {
  const known = new Set(status.failures?.map((failure) => failure.slot));
  const stuck = status.progressDeadlineAtMs !== undefined && status.progressDeadlineAtMs <= nowMs;
  const fresh = slots.flatMap((slot) => {
    if (known.has(slot.key)) return [];
    const failed = failureIn(slot.ended, config.monitorMs);
    if (failed)
      return [{ slot: slot.key, taskId: failed.id, reason: `failure or early termination of task ${failed.id}` }];
    if (!stuck || slot.progress.kind !== 'moving') return [];
    const { taskId, reason } = slot.progress;
    return [{ slot: slot.key, taskId, reason: `no progress of task ${taskId}: ${reason}` }];
  });
  const all = [...(status.failures ?? []), ...fresh.map(({ slot, taskId }) => ({ slot, taskId }))];
  return { all, last: fresh.at(-1) };
}

/** Too many failed: the rollout pauses, or the previous specification comes back. */
function ended(
  service: Service,
  status: UpdateStatus,
  last: { readonly reason: string; readonly hindrance: (spec: ServiceSpec) => string | undefined },
  verdict: 'pause' | 'rollback',
): RolloutStep {
  const { previousSpec, previousSpecVersion, ...rest } = service;
  const hindrance = verdict === 'rollback' && previousSpec ? last.hindrance(previousSpec) : undefined;
  if (verdict === 'rollback' && previousSpec && previousSpecVersion !== undefined && !hindrance) {
    return {
      open: [],
      lookAgain: true,
      service: rolledBack(rest, previousSpec, previousSpecVersion, status, last.reason),
    };
  }
  const paused = status.state === 'rollback-started' ? 'rollback-paused' : 'paused';
  const what = status.state === 'rollback-started' ? 'rollback' : 'update';
  const { nextBatchAtMs: _batch, monitorUntilMs: _monitor, progressDeadlineAtMs: _deadline, ...kept } = status;
  const stuck = hindrance ? `; it cannot be rolled back: ${hindrance}` : '';
  const message = `${what} paused due to ${last.reason}${stuck}`;
  return {
    open: [],
    lookAgain: false,
    service: { ...service, updateStatus: { ...kept, state: paused, message } },
  };
}

function rolledBack(
  service: Omit<Service, 'previousSpec' | 'previousSpecVersion'>,
  spec: Service['spec'],
  specVersion: number,
  status: UpdateStatus,
  reason: string,
): Service {
  const message = `update rolled back due to ${reason}`;
  return {
    ...service,
    spec,
    specVersion,
    updateStatus: { state: 'rollback-started', startedAtMs: status.startedAtMs, message },
  };
}

/** Nothing stands in the way: open what may be opened, wait for what must be waited for, or finish. */
function advanced(
  service: Service,
  status: UpdateStatus,
  config: UpdateConfig,
  slots: readonly RolloutSlot[],
  nowMs: number,
  room: number,
): RolloutStep {
  const failed = new Set(status.failures?.map((failure) => failure.slot));
  const old = slots.filter((slot) => slot.progress.kind === 'old' && !failed.has(slot.key));
  const moving = slots.filter((slot) => slot.progress.kind === 'moving' && !failed.has(slot.key)).length;
  if (old.length === 0 && moving === 0) return monitored(service, status, config, nowMs);

  const batch: Batch = old.length === 0 ? { open: [] } : nextBatch(status, config, { old, moving, nowMs, room });
  const { nextBatchAtMs: _batch, ...rest } = status;
  const waiting = batch.nextBatchAtMs === undefined ? rest : { ...rest, nextBatchAtMs: batch.nextBatchAtMs };
  const next = withDeadline(service, waiting, config, slots, batch.open, nowMs);
  const wakeAtMs = Math.min(next.progressDeadlineAtMs ?? Infinity, batch.nextBatchAtMs ?? Infinity);
  return { open: batch.open, lookAgain: false, wakeAtMs, ...changed(service, next) };
}

interface Batch {
  readonly open: readonly string[];
  readonly nextBatchAtMs?: number;
}

/**
 * Without a delay, a slot is opened as soon as another one is done. With one, slots go in batches of `parallelism`,
 * the delay counted from when the whole batch runs.
 */
function nextBatch(
  status: UpdateStatus,
  config: UpdateConfig,
  at: { old: readonly RolloutSlot[]; moving: number; nowMs: number; room: number },
): Batch {
  const parallelism = config.parallelism === 0 ? at.old.length + at.moving : config.parallelism;
  const first = status.progressDeadlineAtMs === undefined;
  if (config.delayMs > 0 && !first) {
    if (at.moving > 0) return { open: [] };
    if (status.nextBatchAtMs === undefined) return { open: [], nextBatchAtMs: at.nowMs + config.delayMs };
    if (status.nextBatchAtMs > at.nowMs) return { open: [], nextBatchAtMs: status.nextBatchAtMs };
  }
  const count = Math.max(0, Math.min(parallelism - at.moving, at.room));
  return {
    open: inOrder(at.old)
      .slice(0, count)
      .map((slot) => slot.key),
  };
}

/** Slots that serve nobody first: replacing them can only help. Then by number. */
function inOrder(slots: readonly RolloutSlot[]): RolloutSlot[] {
  const serves = (slot: RolloutSlot): number => Number(slot.progress.kind === 'old' && slot.progress.running);
  return [...slots].sort((a, b) => serves(a) - serves(b) || byKey(a.key, b.key));
}

/** Slot numbers by value, node ids as text. */
function byKey(a: string, b: string): number {
  const byValue = Number(a) - Number(b);
  if (Number.isFinite(byValue)) return byValue;
  return a < b ? -1 : 1;
}

/** The deadline moves only when a slot is begun or finished; time passing is no progress. */
function withDeadline(
  service: Service,
  status: UpdateStatus,
  config: UpdateConfig,
  slots: readonly RolloutSlot[],
  opened: readonly string[],
  nowMs: number,
): UpdateStatus {
  const doneNow = slots.filter((slot) => slot.progress.kind === 'done').length;
  const slotsDone = Math.max(doneNow, status.slotsDone ?? 0);
  const { monitorUntilMs: _monitor, ...rest } = status;
  const progressed = opened.length > 0 || slotsDone !== status.slotsDone || rest.progressDeadlineAtMs === undefined;
  const failedNow = status.failures?.length !== service.updateStatus?.failures?.length;
  if (!progressed && !failedNow) return rest;
  const waitMs = (config.progressDeadlineMs ?? PROGRESS_DEADLINE_MS) + healthMs(service) + config.delayMs;
  return { ...rest, slotsDone, progressDeadlineAtMs: nowMs + waitMs };
}

/** The longest that a container may take to be called healthy or unhealthy is no standing still. */
function healthMs(service: Service): number {
  const check = service.spec.task.runtime.container.healthCheck;
  if (!check) return 0;
  const periodMs = (check.intervalMs || HEALTH_PERIOD_MS) + (check.timeoutMs || HEALTH_PERIOD_MS);
  return check.startPeriodMs + (check.retries || HEALTH_RETRIES) * periodMs;
}

const FINAL = { updating: 'completed', 'rollback-started': 'rollback-completed' } as const;

/** All slots are through: the last ones are watched for a while, then it is over. */
function monitored(service: Service, status: UpdateStatus, config: UpdateConfig, nowMs: number): RolloutStep {
  const { progressDeadlineAtMs: _deadline, nextBatchAtMs: _batch, ...rest } = status;
  const monitorUntilMs = status.monitorUntilMs ?? nowMs + config.monitorMs;
  if (monitorUntilMs > nowMs) {
    return { open: [], lookAgain: false, wakeAtMs: monitorUntilMs, ...changed(service, { ...rest, monitorUntilMs }) };
  }
  const { monitorUntilMs: _monitor, ...over } = rest;
  const state: UpdateState = status.state === 'rollback-started' ? FINAL['rollback-started'] : FINAL.updating;
  return {
    open: [],
    lookAgain: false,
    ...changed(service, { ...over, state, completedAtMs: nowMs, message: completionMessage(state, status) }),
  };
}

function completionMessage(state: UpdateState, status: UpdateStatus): string {
  const what = state === 'rollback-completed' ? 'rollback completed' : 'update completed';
  const failures = status.failures?.length ?? 0;
  return failures === 0 ? what : `${what}, ${failures} of ${status.slotsTotal ?? failures} slots failed`;
}

/** Nothing is written where nothing changed: a pass over a waiting rollout costs no commit. */
function changed(service: Service, status: UpdateStatus): { service?: Service } {
  return equalData(service.updateStatus, status) ? {} : { service: { ...service, updateStatus: status } };
}
