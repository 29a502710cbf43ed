import assert from 'node:assert/strict';
import { planRollout, type Progress, type RolloutSlot } from '../../manager/orchestrator/rolling-update.ts';
import type { Service, TaskId, UpdateConfig, UpdateStatus } from '../../proto/objects.ts';
import { anId, anUpdateConfig, aService, aServiceSpec, aTask } from '../support/objects.ts';

const NOW = 1_000_000;
const OLD: Progress = { kind: 'old', running: true };
const BROKEN: Progress = { kind: 'old', running: false };
const DONE: Progress = { kind: 'done' };
const MOVING: Progress = { kind: 'moving', taskId: anId('task', 9) as TaskId, reason: 'no suitable node' };

function slots(...progress: readonly Progress[]): RolloutSlot[] {
  return progress.map((each, index) => ({ key: String(index + 1), progress: each, ended: [] }));
}

function withFailure(all: RolloutSlot[], key: string, ranMs?: number): RolloutSlot[] {
  const runningAtMs = ranMs === undefined ? {} : { runningAtMs: NOW - ranMs };
  const status = { state: 'failed', atMs: NOW, message: '', ...runningAtMs } as const;
  const failed = aTask({ id: anId('task', 77) as TaskId, status });
  return all.map((slot) => (slot.key === key ? { ...slot, ended: [failed] } : slot));
}

function aRolling(config: Partial<UpdateConfig>, status?: Partial<UpdateStatus>, rest: Partial<Service> = {}): Service {
  const spec = aServiceSpec({ update: anUpdateConfig(config), rollback: anUpdateConfig(config) });
  const updateStatus: UpdateStatus = {
    state: 'updating',
    startedAtMs: NOW - 100,
    message: '',
    slotsTotal: 4,
    ...status,
  };
  const meta = { version: 5, createdAtMs: 0, updatedAtMs: 0 };
  return { ...aService({ spec, ...rest }), ...meta, ...(status && { updateStatus }) };
}

const started: Partial<UpdateStatus> = { slotsDone: 0, progressDeadlineAtMs: NOW + 1_000 };
const plan = (service: Service, all: readonly RolloutSlot[], hindrance?: string) =>
  planRollout(service, all, { nowMs: NOW, room: 100, complete: true, hindrance: () => hindrance });

describe('the rollout planner', () => {
  it('does nothing where nothing is old', () => {
    assert.deepEqual(plan(aRolling({}), slots(DONE, DONE)), { open: [], lookAgain: false });
  });

  it('begins with a status and the first slots', () => {
    const step = plan(aRolling({ parallelism: 2 }), slots(OLD, OLD, OLD, DONE));
    assert.deepEqual(step.open, ['1', '2']);
    assert.equal(step.service?.updateStatus?.state, 'updating');
    assert.equal(step.service?.updateStatus?.slotsTotal, 3);
    assert.equal(step.wakeAtMs, NOW + 600_000);
  });

  it('opens all at once for parallelism 0', () => {
    assert.equal(plan(aRolling({ parallelism: 0 }), slots(OLD, OLD, OLD)).open.length, 3);
  });

  it('opens broken slots first, then by number', () => {
    const many = Array.from({ length: 12 }, (_, index): Progress => (index === 10 ? BROKEN : OLD));
    assert.deepEqual(plan(aRolling({ parallelism: 3 }), slots(...many)).open, ['11', '1', '2']);
  });

  it('opens one more for each that is done, not waiting for the others', () => {
    const service = aRolling({ parallelism: 2 }, started);
    assert.deepEqual(plan(service, slots(DONE, MOVING, OLD, OLD)).open, ['3']);
    assert.deepEqual(plan(service, slots(MOVING, MOVING, OLD, OLD)).open, []);
  });

  it('waits the delay after the whole batch runs', () => {
    const config = { parallelism: 2, delayMs: 500 };
    const waiting = plan(aRolling(config, started), slots(DONE, MOVING, OLD, OLD));
    assert.deepEqual(waiting.open, []);
    const batchDone = plan(aRolling(config, started), slots(DONE, DONE, OLD, OLD));
    assert.deepEqual(batchDone.open, []);
    assert.equal(batchDone.service?.updateStatus?.nextBatchAtMs, NOW + 500);
    const due = plan(aRolling(config, { ...started, nextBatchAtMs: NOW }), slots(DONE, DONE, OLD, OLD));
    assert.deepEqual(due.open, ['3', '4']);
    assert.equal(due.service?.updateStatus?.nextBatchAtMs, undefined);
  });

  it('writes nothing while nothing happens', () => {
    const service = aRolling({}, { ...started, slotsDone: 1 });
    assert.equal(plan(service, slots(DONE, MOVING, OLD, OLD)).service, undefined);
  });

  for (const [ranMs, fails] of [
    [undefined, true],
    [4_999, true],
    [5_000, false],
  ] as const) {
    it(`counts a task that ran ${ranMs ?? 'not at all'} as ${fails ? 'a failure' : 'good'}`, () => {
      const step = plan(aRolling({}, started), withFailure(slots(MOVING, OLD), '1', ranMs));
      assert.equal(step.service?.updateStatus?.state, fails ? 'paused' : undefined);
    });
  }

  it('pauses, naming the task, with nothing left to wait for', () => {
    const step = plan(aRolling({}, started), withFailure(slots(MOVING, OLD), '1'));
    const id = anId('task', 77);
    assert.deepEqual(step.open, []);
    assert.deepEqual(step.service?.updateStatus, {
      state: 'paused',
      startedAtMs: NOW - 100,
      message: `update paused due to failure or early termination of task ${id}`,
      slotsTotal: 4,
      slotsDone: 0,
      failures: [{ slot: '1', taskId: id }],
    });
    assert.deepEqual(plan(step.service, slots(MOVING, OLD)), { open: [], lookAgain: false });
  });

  it('counts a slot once, however often it fails', () => {
    const failures = [{ slot: '1', taskId: anId('task', 70) as TaskId }];
    const step = plan(
      aRolling({ failureRatioMax: 0.25 }, { ...started, failures }),
      withFailure(slots(MOVING, OLD), '1'),
    );
    assert.equal(step.service?.updateStatus?.state, 'updating');
    assert.equal(step.service?.updateStatus?.failures?.length, 1);
  });

  for (const [ratio, failed, state] of [
    [0.25, 1, 'updating'],
    [0.25, 2, 'paused'],
    [0.5, 2, 'updating'],
    [1, 4, 'updating'],
  ] as const) {
    it(`is ${state} with ${failed} of 4 failed and ${ratio} allowed`, () => {
      const failures = Array.from({ length: failed - 1 }, (_, i) => ({
        slot: `${i + 2}`,
        taskId: anId('task', i) as TaskId,
      }));
      const status = { ...started, failures };
      const step = plan(
        aRolling({ failureRatioMax: ratio, parallelism: 4 }, status),
        withFailure(slots(MOVING, OLD), '1'),
      );
      assert.equal(step.service?.updateStatus?.state, state);
    });
  }

  it('goes back to the previous specification', () => {
    const previousSpec = aServiceSpec({ name: 'before' });
    const service = aRolling({ failureAction: 'rollback' }, started, {
      specVersion: 9,
      previousSpec,
      previousSpecVersion: 3,
    });
    const step = plan(service, withFailure(slots(MOVING, OLD), '1'));
    assert.equal(step.lookAgain, true);
    assert.equal(step.service?.spec, previousSpec);
    assert.equal(step.service?.specVersion, 3);
    assert.equal(step.service?.previousSpec, undefined);
    assert.equal(step.service?.updateStatus?.state, 'rollback-started');
  });

  it('pauses instead of rolling back to ports that another service has taken since', () => {
    const service = aRolling({ failureAction: 'rollback' }, started, {
      previousSpec: aServiceSpec({ name: 'before' }),
      previousSpecVersion: 3,
    });
    const step = plan(service, withFailure(slots(MOVING, OLD), '1'), "port '80' is already in use");
    assert.equal(step.service?.updateStatus?.state, 'paused');
    assert.match(step.service?.updateStatus?.message ?? '', /; it cannot be rolled back: port '80' is already in use$/);
    assert.deepEqual(step.service?.spec, service.spec);
  });

  it('pauses where there is nothing to go back to, and where going back fails', () => {
    const lost = plan(aRolling({ failureAction: 'rollback' }, started), withFailure(slots(MOVING, OLD), '1'));
    assert.equal(lost.service?.updateStatus?.state, 'paused');
    const back = aRolling({ failureAction: 'pause' }, { ...started, state: 'rollback-started' });
    const failed = plan(back, withFailure(slots(MOVING, OLD), '1'));
    assert.equal(failed.service?.updateStatus?.state, 'rollback-paused');
    assert.match(failed.service?.updateStatus?.message ?? '', /^rollback paused due to/);
  });

  it('takes slots that stand still until the deadline for failed, with their reason', () => {
    const step = plan(aRolling({}, { ...started, progressDeadlineAtMs: NOW }), slots(MOVING, OLD));
    assert.equal(step.service?.updateStatus?.state, 'paused');
    assert.match(step.service?.updateStatus?.message ?? '', /no progress of task task0+9: no suitable node$/);
  });

  it('does not take time passing for progress', () => {
    const service = aRolling({}, { ...started, slotsDone: 1 });
    assert.equal(plan(service, slots(DONE, MOVING, OLD)).wakeAtMs, NOW + 1_000);
  });

  it('waits longer where a health check may take longer', () => {
    const service = aRolling({ parallelism: 1 });
    const healthCheck = {
      test: ['CMD', 'x'],
      intervalMs: 10_000,
      timeoutMs: 5_000,
      startPeriodMs: 60_000,
      startIntervalMs: 0,
      retries: 4,
    };
    const container = { ...service.spec.task.runtime.container, healthCheck };
    const spec = {
      ...service.spec,
      task: { ...service.spec.task, runtime: { kind: 'container' as const, container } },
    };
    assert.equal(plan({ ...service, spec }, slots(OLD)).wakeAtMs, NOW + 600_000 + 60_000 + 4 * 15_000);
  });

  it('watches the last slots, then is completed', () => {
    const watching = plan(aRolling({}, started), slots(DONE, DONE));
    assert.equal(watching.service?.updateStatus?.monitorUntilMs, NOW + 5_000);
    assert.equal(watching.wakeAtMs, NOW + 5_000);
    const over = plan(aRolling({}, { ...started, monitorUntilMs: NOW }), slots(DONE, DONE));
    assert.equal(over.service?.updateStatus?.state, 'completed');
    assert.equal(over.service?.updateStatus?.completedAtMs, NOW);
    const back = plan(aRolling({}, { ...started, state: 'rollback-started', monitorUntilMs: NOW }), slots(DONE));
    assert.equal(back.service?.updateStatus?.state, 'rollback-completed');
  });

  it('only notes failures where the pass did not get through', () => {
    const given = { nowMs: NOW, room: 100, complete: false, hindrance: () => undefined };
    const noted = planRollout(aRolling({ failureRatioMax: 0.5 }, started), withFailure(slots(MOVING, OLD), '1'), given);
    assert.deepEqual(noted.open, []);
    assert.equal(noted.service?.updateStatus?.failures?.length, 1);
    assert.deepEqual(planRollout(aRolling({}), slots(OLD), given), { open: [], lookAgain: false });
    assert.equal(planRollout(aRolling({}, started), slots(DONE, DONE), given).service, undefined);
  });

  it('begins anew after a completed one only for slots that had not failed', () => {
    const failures = [{ slot: '1', taskId: anId('task', 70) as TaskId }];
    assert.equal(plan(aRolling({}, { state: 'completed', failures }), slots(OLD, DONE)).service, undefined);
    assert.equal(
      plan(aRolling({}, { state: 'completed', failures }), slots(DONE, OLD)).service?.updateStatus?.state,
      'updating',
    );
  });
});
