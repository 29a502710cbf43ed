import assert from 'node:assert/strict';
import { decideMove, decideRestart } from '../../manager/orchestrator/restart.ts';
import type { RestartPolicy, TaskState } from '../../proto/objects.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { aTask, aTaskSpec } from '../support/objects.ts';

const NOW = 1_000_000;
const policy = (changes: Partial<RestartPolicy>): RestartPolicy => ({
  condition: 'any',
  delayMs: 0,
  attemptsMax: 0,
  windowMs: 0,
  ...changes,
});

function ended(state: TaskState, restart: RestartPolicy, restartTimesMs?: readonly number[]) {
  const times = restartTimesMs && { restartTimesMs };
  return {
    ...aTask({ spec: aTaskSpec({ restart }), status: { state, atMs: NOW, message: '' }, ...times }),
    updatedAtMs: NOW,
  };
}

describe('a restart', () => {
  for (const [condition, state, restarts] of [
    ['any', 'failed', true],
    ['any', 'rejected', true],
    ['any', 'complete', true],
    ['on-failure', 'failed', true],
    ['on-failure', 'rejected', true],
    ['on-failure', 'complete', false],
    ['none', 'failed', false],
    ['none', 'complete', false],
  ] as const) {
    it(`${restarts ? 'follows' : 'does not follow'} ${state} under '${condition}'`, () => {
      assert.equal(decideRestart(ended(state, policy({ condition })), NOW).restart, restarts);
    });
  }

  it('comes after the delay, counted from the end', () => {
    const decision = decideRestart(ended('failed', policy({ delayMs: 5_000 })), NOW + 3_000);
    assert.deepEqual(decision, { restart: true, atMs: NOW + 5_000, restartTimesMs: [NOW + 3_000] });
  });

  for (const [what, attemptsMax, windowMs, times, restarts] of [
    ['fewer than the limit', 3, 0, [1, 2], true],
    ['as many as the limit', 3, 0, [1, 2, 3], false],
    ['as many, one of them before the window', 3, 1_000, [NOW - 1_001, NOW - 999, NOW - 1], true],
    ['as many within the window', 3, 1_000, [NOW - 999, NOW - 500, NOW - 1], false],
  ] as const) {
    it(`${restarts ? 'follows' : 'does not follow'} ${what}`, () => {
      const task = ended('failed', policy({ attemptsMax, windowMs }), times);
      assert.equal(decideRestart(task, NOW).restart, restarts);
    });
  }

  for (const [what, attemptsMax, times, kept] of [
    ['the last ten', 0, 12, 10],
    ['as many as are asked for', 20, 12, 13],
  ] as const) {
    it(`is counted in the successor, ${what}`, () => {
      const earlier = Array.from({ length: times }, (_, index) => index);
      const decision = decideRestart(ended('failed', policy({ attemptsMax }), earlier), NOW);
      assert.ok(decision.restart);
      assert.equal(decision.restartTimesMs?.length, kept);
      assert.equal(decision.restartTimesMs?.at(-1), NOW);
    });
  }

  for (const [restarts, delayMs, waitMs] of [
    [2, 0, 0],
    [3, 0, 100],
    [5, 0, 400],
    [10, 0, 5_000],
    [10, 60_000, 60_000],
  ] as const) {
    it(`waits ${waitMs} ms after ${restarts} within half a minute and a delay of ${delayMs} ms`, () => {
      const times = Array.from({ length: restarts }, (_, index) => NOW - 1_000 + index);
      const decision = decideRestart(ended('failed', policy({ delayMs }), times), NOW);
      assert.equal(decision.restart && decision.atMs, NOW + waitMs);
    });
  }

  it('is not what a move is: nothing is counted, what was counted goes along', () => {
    const task = ended('running', policy({ attemptsMax: 1 }), [5]);
    assert.deepEqual(decideMove(task, NOW), { restart: true, atMs: NOW, restartTimesMs: [5] });
    assert.deepEqual(decideMove(ended('running', policy({ condition: 'none' })), NOW), { restart: false });
  });
});

describe('restarts of a service', () => {
  const crashing = (changes: Partial<RestartPolicy>) =>
    aTaskSpec({ container: { image: 'crash:1' }, restart: policy({ delayMs: 100, ...changes }) });

  for (const leaderChanges of [false, true]) {
    it(`stop after the attempts${leaderChanges ? ', across leader changes' : ''}`, async () => {
      await using plane = await ControlPlane.start({ nodes: 2 });
      const id = await plane.create({ task: crashing({ attemptsMax: 7 }) });
      for (let second = 0; second < 20; second += 1) {
        await plane.pass(100);
        if (leaderChanges) await plane.changeLeader();
      }
      await plane.pass(60_000);
      assert.equal(plane.agents.starts.get('crash:1'), 8, 'the first start and seven restarts');
      assert.equal(plane.wanted(id).length, 0);
    });
  }

  it('start anew with a new specification', async () => {
    await using plane = await ControlPlane.start({ nodes: 2 });
    const id = await plane.create({ task: crashing({ attemptsMax: 2 }) });
    await plane.pass(10_000);
    assert.equal(plane.agents.starts.get('crash:1'), 3);
    await plane.update(id, (spec) => ({ ...spec, task: { ...spec.task, forceUpdate: 1 } }));
    await plane.pass(10_000);
    assert.equal(plane.agents.starts.get('crash:1'), 6);
  });

  it('keep to a delay that began under the leader before', async () => {
    await using plane = await ControlPlane.start({ nodes: 2 });
    const id = await plane.create({
      task: aTaskSpec({ container: { image: 'good:1' }, restart: policy({ delayMs: 5_000 }) }),
    });
    await plane.until(() => plane.running(id).length === 1);
    await plane.agents.crash(plane.running(id)[0]!.id);
    await plane.pass(2_000);
    await plane.changeLeader();
    const tookMs = await plane.until(() => plane.running(id).length === 1);
    assert.ok(tookMs > 2_900 && tookMs < 3_200, `${tookMs}`);
  });

  it('keep to the delay also where tasks are rejected before they run', async () => {
    await using plane = await ControlPlane.start({ nodes: 2 });
    const missing = aTaskSpec({ container: { image: 'missing:1' }, restart: policy({ delayMs: 5_000 }) });
    const id = await plane.create({ task: missing });
    const seen = new Set<string>();
    for (let second = 0; second < 60; second += 1) {
      await plane.pass(1_000);
      for (const task of plane.tasks(id)) seen.add(task.id);
    }
    assert.ok(seen.size > 5 && seen.size < 30, `${seen.size} tasks in a minute`);
  });

  it('leave a finished task be, and replace it on update', async () => {
    await using plane = await ControlPlane.start({ nodes: 2 });
    const once = aTaskSpec({ container: { image: 'once:50:1' }, restart: policy({ condition: 'on-failure' }) });
    const id = await plane.create({ mode: { kind: 'replicated', replicas: 2 }, task: once });
    await plane.pass(10_000);
    assert.equal(plane.agents.starts.get('once:50:1'), 2);
    await plane.update(id, (spec) => ({ ...spec, task: aTaskSpec({ container: { image: 'good:2' } }) }));
    await plane.until(() => plane.running(id, 'good:2').length === 2);
  });

  it('do not wait for a delay when the node is lost', async () => {
    await using plane = await ControlPlane.start({ nodes: 2 });
    const id = await plane.create({
      task: aTaskSpec({ container: { image: 'good:1' }, restart: policy({ delayMs: 60_000 }) }),
    });
    await plane.until(() => plane.running(id).length === 1);
    const number = Number(plane.running(id)[0]!.nodeId!.at(-1));
    await plane.lose(number);
    assert.ok((await plane.until(() => plane.running(id).some((task) => !task.nodeId!.endsWith(`${number}`)))) < 100);
  });
});
