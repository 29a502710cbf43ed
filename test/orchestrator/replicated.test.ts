import assert from 'node:assert/strict';
import { silentLog } from '../../base/log.ts';
import { seededRandom } from '../../base/random.ts';
import { runOrchestrator } from '../../manager/orchestrator/orchestrator.ts';
import type { Store } from '../../manager/store/contract.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { aTaskSpec } from '../support/objects.ts';

const image = (name: string) => aTaskSpec({ container: { image: name } });
const byNode = (tasks: readonly { nodeId?: string }[]): number[] => {
  const counts = new Map<string, number>();
  for (const task of tasks) counts.set(task.nodeId ?? '', (counts.get(task.nodeId ?? '') ?? 0) + 1);
  return [...counts.values()].sort((a, b) => a - b);
};

describe('a replicated service', () => {
  it('gets its tasks, spread evenly', async () => {
    await using plane = await ControlPlane.start({ nodes: 3 });
    const id = await plane.create({ mode: { kind: 'replicated', replicas: 30 }, task: image('good:1') });
    await plane.until(() => plane.running(id).length === 30);
    assert.deepEqual(byNode(plane.running(id)), [10, 10, 10]);
  });

  it('grows and shrinks, and what was removed is deleted', async () => {
    await using plane = await ControlPlane.start({ nodes: 3 });
    const id = await plane.create({ mode: { kind: 'replicated', replicas: 30 }, task: image('good:1') });
    await plane.until(() => plane.running(id).length === 30);
    await plane.scale(id, 60);
    await plane.until(() => plane.running(id).length === 60);
    await plane.scale(id, 5);
    await plane.until(() => plane.tasks(id).length === 5);
    assert.deepEqual(byNode(plane.running(id)), [1, 2, 2]);
    await plane.scale(id, 0);
    await plane.until(() => plane.tasks(id).length === 0);
    assert.equal(plane.agents.containers.size, 0);
  });

  it('writes few commits: service, tasks, assignments', async () => {
    await using plane = await ControlPlane.start({ nodes: 3 });
    const before = plane.store.view().version;
    const id = await plane.create({ mode: { kind: 'replicated', replicas: 60 }, task: image('good:1') });
    await plane.settle();
    assert.equal(plane.tasks(id).filter((task) => task.status.state === 'assigned').length, 60);
    assert.equal(plane.store.view().version - before, 3);
  });

  it('replaces a crashed task after its delay, prepared meanwhile', async () => {
    await using plane = await ControlPlane.start({ nodes: 2 });
    const id = await plane.create({ mode: { kind: 'replicated', replicas: 1 }, task: image('good:1') });
    await plane.until(() => plane.running(id).length === 1);
    await plane.agents.crash(plane.running(id)[0]!.id);
    await plane.pass(1_000);
    assert.deepEqual(
      plane.wanted(id).map((task) => [task.desired, task.status.state]),
      [['ready', 'ready']],
    );
    const tookMs = await plane.until(() => plane.running(id).length === 1);
    assert.ok(tookMs > 3_900 && tookMs < 4_100, `${tookMs}`);
  });

  it('runs lost tasks elsewhere at once, and stops the extras when the node returns', async () => {
    await using plane = await ControlPlane.start({ nodes: 3 });
    const id = await plane.create({ mode: { kind: 'replicated', replicas: 6 }, task: image('good:1') });
    await plane.until(() => plane.running(id).length === 6);
    await plane.lose(1);
    const tookMs = await plane.until(
      () => plane.running(id).filter((task) => !task.nodeId!.endsWith('1')).length === 6,
    );
    assert.ok(tookMs < 100, `${tookMs}`);
    assert.equal(plane.agents.containers.size, 8);
    await plane.bringBack(1);
    await plane.until(() => plane.agents.containers.size === 6);
    assert.equal(plane.running(id).length, 6);
  });

  it('gives up tasks of a node that stays down for a day', async () => {
    await using plane = await ControlPlane.start({ nodes: 2 });
    const id = await plane.create({ mode: { kind: 'replicated', replicas: 2 }, task: image('good:1') });
    await plane.until(() => plane.running(id).length === 2);
    await plane.lose(1);
    await plane.pass(23 * 3_600_000);
    assert.equal(plane.tasks(id).filter((task) => task.status.state === 'orphaned').length, 0);
    await plane.changeLeader();
    await plane.pass(3_700_000);
    assert.equal(plane.tasks(id).filter((task) => task.status.state === 'orphaned').length, 1);
  });

  it('counts the day anew for a node that came back in between', async () => {
    await using plane = await ControlPlane.start({ nodes: 2 });
    const id = await plane.create({ mode: { kind: 'global' }, task: image('good:1') });
    await plane.until(() => plane.running(id).length === 2);
    await plane.lose(1);
    await plane.pass(20 * 3_600_000);
    await plane.bringBack(1);
    await plane.until(() => plane.running(id).length === 2);
    await plane.lose(1);
    const orphaned = (): number => plane.tasks(id).filter((task) => task.status.state === 'orphaned').length;
    await plane.pass(23 * 3_600_000);
    assert.equal(orphaned(), 0);
    await plane.pass(2 * 3_600_000);
    assert.equal(orphaned(), 1);
  });

  it('uses a slot again only after what was removed from it has stopped', async () => {
    await using plane = await ControlPlane.start({ nodes: 2 });
    const id = await plane.create({ mode: { kind: 'replicated', replicas: 4 }, task: image('good:1') });
    await plane.until(() => plane.running(id).length === 4);
    await plane.scale(id, 1);
    await plane.settle();
    await plane.scale(id, 4);
    await plane.until(() => plane.running(id).length === 4);
    assert.deepEqual(
      plane
        .running(id)
        .map((task) => task.identity.kind === 'slot' && task.identity.slot)
        .sort(),
      [1, 2, 3, 4],
    );
    assert.equal(plane.agents.overlaps, 0);
  });

  it('stops everything when the service is removed', async () => {
    await using plane = await ControlPlane.start({ nodes: 2 });
    const id = await plane.create({ mode: { kind: 'replicated', replicas: 10 }, task: image('good:1') });
    await plane.until(() => plane.running(id).length === 10);
    await plane.remove(id);
    await plane.until(() => plane.tasks(id).length === 0);
    assert.equal(plane.agents.containers.size, 0);
  });

  it('is not held up by another service whose plan cannot be written', async () => {
    await using plane = await ControlPlane.start({ nodes: 1, loops: false });
    const bad = await plane.create({ task: image('good:1') });
    const id = await plane.create({ task: image('good:1') });
    const store: Store = {
      view: () => plane.store.view(),
      viewAndWatch: (kinds, options) => plane.store.viewAndWatch(kinds, options),
      watchFrom: (version, kinds, options) => plane.store.watchFrom(version, kinds, options),
      update: (change, options) =>
        plane.store.update((tx) => {
          const result = change(tx);
          if (tx.tasks.ofService(bad).length > 0) throw new Error('this one cannot be written');
          return result;
        }, options),
    };
    const over = new AbortController();
    const given = { clock: plane.clock, random: seededRandom(1), log: silentLog, abort: over.signal };
    const loop = runOrchestrator(store, given);
    await plane.pass(1_000);
    assert.equal(plane.tasks(bad).length, 0);
    assert.equal(plane.tasks(id).length, 1);
    over.abort();
    await assert.rejects(loop, { code: 'aborted' });
  });
});
