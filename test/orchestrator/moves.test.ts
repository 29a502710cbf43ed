// Tasks that have to leave their node, and rollouts that are disturbed.
import assert from 'node:assert/strict';
import type { Node, NodeAvailability, ServiceId } from '../../proto/objects.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { anUpdateConfig, aTaskSpec } from '../support/objects.ts';

const image = (name: string, constraints: readonly string[] = []) =>
  aTaskSpec({
    container: { image: name },
    restart: { condition: 'any', delayMs: 500, attemptsMax: 0, windowMs: 0 },
    placement: { constraints, preferences: [], replicasPerNodeMax: 0 },
  });
const replicas = (count: number) => ({ mode: { kind: 'replicated' as const, replicas: count } });
const available =
  (availability: NodeAvailability) =>
  (node: Node): Node => ({ ...node, spec: { ...node.spec, availability } });
const labelled =
  (labels: Record<string, string>) =>
  (node: Node): Node => ({ ...node, spec: { ...node.spec, labels } });
const nodesOf = (plane: ControlPlane, id: ServiceId): string[] =>
  plane
    .running(id)
    .map((task) => task.nodeId!.slice(-1))
    .sort();

describe('draining a node', () => {
  it('moves its tasks at once, each after its predecessor stopped', async () => {
    await using plane = await ControlPlane.start({ nodes: 3 });
    const id = await plane.create({ ...replicas(6), task: image('good:1') });
    await plane.until(() => plane.running(id).length === 6);
    await plane.changeNode(1, available('drain'));
    const tookMs = await plane.until(() => plane.running(id).length === 6 && !nodesOf(plane, id).includes('1'));
    assert.ok(tookMs < 500, `${tookMs}`);
    assert.equal(plane.agents.overlaps, 0);
  });

  it('keeps a start-first service at full strength', async () => {
    await using plane = await ControlPlane.start({ nodes: 2 });
    plane.watch.overlapAllowed = true;
    const id = await plane.create({ task: image('good:1'), update: anUpdateConfig({ order: 'start-first' }) });
    await plane.until(() => plane.running(id).length === 1);
    const from = Number(nodesOf(plane, id)[0]);
    await plane.changeNode(from, available('drain'));
    let least = 1;
    await plane.until(() => {
      least = Math.min(least, plane.running(id).length);
      return plane.agents.containers.size === 1 && !nodesOf(plane, id).includes(String(from));
    });
    assert.equal(least, 1);
  });

  it('does not wait for ever for a start-first successor', async () => {
    await using plane = await ControlPlane.start({ nodes: 1 });
    plane.watch.overlapAllowed = true;
    const id = await plane.create({ task: image('good:1'), update: anUpdateConfig({ order: 'start-first' }) });
    await plane.until(() => plane.running(id).length === 1);
    await plane.changeNode(1, available('drain'));
    await plane.pass(290_000);
    assert.equal(plane.agents.containers.size, 1);
    await plane.changeLeader();
    await plane.pass(20_000);
    assert.equal(plane.agents.containers.size, 0);
  });

  it('does not touch what is only paused', async () => {
    await using plane = await ControlPlane.start({ nodes: 2 });
    const id = await plane.create({ ...replicas(4), task: image('good:1') });
    await plane.until(() => plane.running(id).length === 4);
    const before = plane.store.view().version;
    await plane.changeNode(1, available('pause'));
    await plane.pass(1_000);
    assert.equal(plane.store.view().version, before + 1);
    await plane.scale(id, 8);
    await plane.until(() => plane.running(id).length === 8);
    assert.deepEqual(nodesOf(plane, id), ['1', '1', '2', '2', '2', '2', '2', '2']);
  });
});

describe('a node whose label is taken', () => {
  it('loses the tasks that need it, and only those', async () => {
    await using plane = await ControlPlane.start({ nodes: 2 });
    await plane.changeNode(1, labelled({ disk: 'ssd' }));
    await plane.changeNode(2, labelled({ disk: 'ssd' }));
    const picky = await plane.create({ ...replicas(2), task: image('good:1', ['node.labels.disk==ssd']) });
    const plain = await plane.create({ ...replicas(2), task: image('good:2') });
    await plane.until(() => plane.running(picky).length === 2 && plane.running(plain).length === 2);
    const kept = plane.running(plain).map((task) => task.id);
    await plane.changeNode(1, labelled({}));
    await plane.until(() => nodesOf(plane, picky).join() === '2,2');
    assert.deepEqual(
      plane.running(plain).map((task) => task.id),
      kept,
    );
  });
});

describe('changed constraints', () => {
  it('replace only the tasks that no longer fit', async () => {
    await using plane = await ControlPlane.start({ nodes: 3 });
    await plane.changeNode(1, labelled({ zone: 'a' }));
    await plane.changeNode(2, labelled({ zone: 'a' }));
    const id = await plane.create({ ...replicas(3), task: image('good:1'), update: anUpdateConfig({ monitorMs: 0 }) });
    await plane.until(() => plane.running(id).length === 3);
    const fitting = plane
      .running(id)
      .filter((task) => !task.nodeId!.endsWith('3'))
      .map((task) => task.id);
    await plane.update(id, (spec) => ({ ...spec, task: image('good:1', ['node.labels.zone==a']) }));
    await plane.until(() => plane.service(id).updateStatus?.state === 'completed');
    const after = plane.running(id).map((task) => task.id);
    assert.equal(after.length, 3);
    assert.ok(fitting.every((task) => after.includes(task)));
    assert.ok(!nodesOf(plane, id).includes('3'));
  });
});

describe('a rollout', () => {
  const done = (plane: ControlPlane, id: ServiceId) => () => plane.service(id).updateStatus?.state === 'completed';

  it('of 30 at 10 at once takes three rounds', async () => {
    await using plane = await ControlPlane.start({ nodes: 3 });
    const update = anUpdateConfig({ parallelism: 10, monitorMs: 0 });
    const id = await plane.create({ ...replicas(30), task: image('good:1'), update });
    await plane.until(() => plane.running(id).length === 30);
    await plane.update(id, (spec) => ({ ...spec, task: image('good:2') }));
    const tookMs = await plane.until(() => plane.running(id, 'good:2').length === 30);
    assert.ok(tookMs <= 3 * (40 + 30 + 5), `${tookMs} ms where a stop takes 40 and a start 30`);
  });

  it('goes on when the service is scaled', async () => {
    await using plane = await ControlPlane.start({ nodes: 3 });
    const id = await plane.create({
      ...replicas(6),
      task: image('good:1'),
      update: anUpdateConfig({ parallelism: 1 }),
    });
    await plane.until(() => plane.running(id).length === 6);
    await plane.update(id, (spec) => ({ ...spec, task: image('good:2') }));
    await plane.pass(100);
    await plane.scale(id, 10);
    await plane.until(done(plane, id));
    assert.equal(plane.running(id, 'good:2').length, 10);
  });

  it('counts every failure, however many come at once', async () => {
    await using plane = await ControlPlane.start({ nodes: 3 });
    const update = anUpdateConfig({ parallelism: 0, failureRatioMax: 0.9 });
    const id = await plane.create({ ...replicas(60), task: image('good:1'), update });
    await plane.until(() => plane.running(id).length === 60);
    await plane.update(id, (spec) => ({ ...spec, task: image('crash:2') }));
    await plane.until(() => plane.service(id).updateStatus?.state === 'paused');
    assert.ok((plane.service(id).updateStatus?.failures?.length ?? 0) > 54);
  });

  it('is overtaken by the next one', async () => {
    await using plane = await ControlPlane.start({ nodes: 3 });
    const id = await plane.create({
      ...replicas(6),
      task: image('good:1'),
      update: anUpdateConfig({ parallelism: 2 }),
    });
    await plane.until(() => plane.running(id).length === 6);
    await plane.update(id, (spec) => ({ ...spec, task: image('good:2') }));
    await plane.pass(80);
    await plane.update(id, (spec) => ({ ...spec, task: image('good:3') }));
    await plane.until(done(plane, id));
    assert.equal(plane.running(id, 'good:3').length, 6);
    assert.equal(plane.agents.overlaps, 0);
  });

  it('is rolled back by hand in the middle', async () => {
    await using plane = await ControlPlane.start({ nodes: 3 });
    const id = await plane.create({
      ...replicas(6),
      task: image('good:1'),
      update: anUpdateConfig({ parallelism: 1 }),
    });
    await plane.until(() => plane.running(id).length === 6);
    const untouched = plane.running(id).map((task) => task.id);
    await plane.update(id, (spec) => ({ ...spec, task: image('good:2') }));
    await plane.pass(100);
    await plane.rollBack(id);
    await plane.until(() => plane.service(id).updateStatus?.state === 'rollback-completed');
    assert.equal(plane.running(id, 'good:1').length, 6);
    assert.ok(
      plane.running(id).filter((task) => untouched.includes(task.id)).length >= 4,
      'what was not replaced stays',
    );
  });

  it('keeps its delay across a leader change', async () => {
    await using plane = await ControlPlane.start({ nodes: 3 });
    const update = anUpdateConfig({ parallelism: 1, delayMs: 10_000, monitorMs: 0 });
    const id = await plane.create({ ...replicas(2), task: image('good:1'), update });
    await plane.until(() => plane.running(id).length === 2);
    await plane.update(id, (spec) => ({ ...spec, task: image('good:2') }));
    await plane.pass(4_000);
    await plane.changeLeader();
    const tookMs = await plane.until(done(plane, id));
    assert.ok(tookMs > 5_900 && tookMs < 6_400, `${tookMs}`);
  });

  it('is not needed for labels of the service', async () => {
    await using plane = await ControlPlane.start({ nodes: 2 });
    const id = await plane.create({ ...replicas(3), task: image('good:1') });
    await plane.until(() => plane.running(id).length === 3);
    const before = plane.running(id).map((task) => task.id);
    await plane.update(id, (spec) => ({ ...spec, labels: { a: 'b' } }));
    await plane.pass(1_000);
    assert.deepEqual(
      plane.running(id).map((task) => task.id),
      before,
    );
    assert.equal(plane.service(id).updateStatus, undefined);
  });

  it('survives the loss of a node', async () => {
    await using plane = await ControlPlane.start({ nodes: 3 });
    const id = await plane.create({
      ...replicas(6),
      task: image('good:1'),
      update: anUpdateConfig({ parallelism: 2, monitorMs: 100 }),
    });
    await plane.until(() => plane.running(id).length === 6);
    await plane.update(id, (spec) => ({ ...spec, task: image('good:2') }));
    await plane.pass(30);
    await plane.lose(1);
    await plane.until(done(plane, id));
    assert.equal(plane.running(id, 'good:2').filter((task) => !task.nodeId!.endsWith('1')).length, 6);
  });
});
