import assert from 'node:assert/strict';
import type { Node, Placement, PortConfig, ServiceId, TaskSpec } from '../../proto/objects.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { anUpdateConfig, aTaskSpec } from '../support/objects.ts';

const GIB = 1024 ** 3;
const placed = (changes: Partial<Placement>): Partial<TaskSpec> => ({
  placement: { constraints: [], preferences: [], replicasPerNodeMax: 0, ...changes },
});
const spec = (changes: Partial<TaskSpec> = {}): TaskSpec => ({
  ...aTaskSpec({ container: { image: 'good:1' } }),
  ...changes,
});
const replicas = (count: number) => ({ mode: { kind: 'replicated' as const, replicas: count } });
const hostPort = (publishedPort: number): PortConfig => ({
  protocol: 'tcp',
  targetPort: 80,
  publishedPort,
  publishMode: 'host',
});
const withLabels =
  (labels: Record<string, string>) =>
  (node: Node): Node => ({ ...node, spec: { ...node.spec, labels } });

function perNode(plane: ControlPlane, id: ServiceId): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const task of plane.running(id)) counts[task.nodeId!.slice(-1)] = (counts[task.nodeId!.slice(-1)] ?? 0) + 1;
  return counts;
}

const errorsOf = (plane: ControlPlane, id: ServiceId): string[] => [
  ...new Set(plane.wanted(id).map((task) => task.status.error ?? '')),
];

describe('the scheduler', () => {
  describe('says why a task waits', () => {
    it('for nodes and for constraints, with counts', async () => {
      await using plane = await ControlPlane.start({ nodes: 3 });
      await plane.changeNode(3, (node) => ({ ...node, spec: { ...node.spec, availability: 'pause' } }));
      const id = await plane.create({ task: spec(placed({ constraints: ['node.labels.disk==ssd'] })) });
      await plane.settle();
      assert.deepEqual(errorsOf(plane, id), [
        'no suitable node (scheduling constraints not satisfied on 2 nodes; 1 node not available for new tasks)',
      ]);
      assert.equal(plane.tasks(id)[0]?.status.state, 'pending');
    });

    for (const [what, task, explanation] of [
      ['resources', { reservations: { nanoCpus: 5e9, memoryBytes: 0 } }, 'insufficient resources on 2 nodes'],
      ['memory', { reservations: { nanoCpus: 0, memoryBytes: 9 * GIB } }, 'insufficient resources on 2 nodes'],
      ['platforms', placed({ platforms: [{ os: 'linux', architecture: 'arm64' }] }), 'unsupported platform on 2 nodes'],
    ] as const) {
      it(`for ${what}`, async () => {
        await using plane = await ControlPlane.start({ nodes: 2 });
        const id = await plane.create({ task: spec(task) });
        await plane.settle();
        assert.deepEqual(errorsOf(plane, id), [`no suitable node (${explanation})`]);
      });
    }

    it('for a host port', async () => {
      await using plane = await ControlPlane.start({ nodes: 1 });
      const endpoint = { mode: 'vip' as const, ports: [hostPort(8080)] };
      const id = await plane.create({ ...replicas(2), task: spec(), endpoint });
      await plane.until(() => plane.running(id).length === 1);
      assert.ok(errorsOf(plane, id).includes('no suitable node (host-mode port already in use on 1 node)'));
    });

    it('for a place per node', async () => {
      await using plane = await ControlPlane.start({ nodes: 2 });
      const id = await plane.create({ ...replicas(5), task: spec(placed({ replicasPerNodeMax: 2 })) });
      await plane.until(() => plane.running(id).length === 4);
      assert.ok(errorsOf(plane, id).includes('no suitable node (max replicas per node limit exceed)'));
      assert.deepEqual(perNode(plane, id), { 1: 2, 2: 2 });
    });

    it('without any node', async () => {
      await using plane = await ControlPlane.start({ nodes: 0 });
      const id = await plane.create({ task: spec() });
      await plane.settle();
      assert.deepEqual(errorsOf(plane, id), ['no suitable node']);
    });

    it('and takes it back once placed', async () => {
      await using plane = await ControlPlane.start({ nodes: 1 });
      const id = await plane.create({ task: spec(placed({ constraints: ['node.labels.disk==ssd'] })) });
      await plane.settle();
      await plane.changeNode(1, withLabels({ disk: 'ssd' }));
      await plane.settle();
      assert.deepEqual(errorsOf(plane, id), ['']);
      assert.equal(plane.tasks(id)[0]?.status.state, 'assigned');
    });
  });

  describe('wakes what waits', () => {
    it('when resources are freed', async () => {
      await using plane = await ControlPlane.start({ nodes: 1 });
      const reservations = { nanoCpus: 3e9, memoryBytes: 0 };
      const first = await plane.create({ task: spec({ reservations }) });
      await plane.until(() => plane.running(first).length === 1);
      const second = await plane.create({ task: spec({ reservations }) });
      await plane.pass(1_000);
      assert.equal(plane.running(second).length, 0);
      await plane.remove(first);
      await plane.until(() => plane.running(second).length === 1);
    });

    it('when a node joins, becomes active or gets its label', async () => {
      await using plane = await ControlPlane.start({ nodes: 0 });
      const id = await plane.create({ task: spec(placed({ constraints: ['node.labels.a==b'] })) });
      await plane.settle();
      await plane.store.update((tx) => {
        const node = plane.nodeNumbered(1);
        tx.nodes.put({ ...node, spec: { ...node.spec, availability: 'pause' } });
      });
      await plane.settle();
      await plane.changeNode(1, (node) => ({ ...node, spec: { ...node.spec, availability: 'active' } }));
      await plane.settle();
      assert.equal(plane.tasks(id)[0]?.status.state, 'pending');
      await plane.changeNode(1, withLabels({ a: 'b' }));
      await plane.until(() => plane.running(id).length === 1);
    });

    it('not for a node that only reports', async () => {
      await using plane = await ControlPlane.start({ nodes: 1 });
      await plane.create({ task: spec(placed({ constraints: ['node.labels.a==b'] })) });
      await plane.settle();
      const before = plane.store.view().version;
      await plane.changeNode(1, (node) => ({ ...node, sessionId: 'another' }));
      await plane.settle();
      assert.equal(plane.store.view().version, before + 1);
    });
  });

  describe('chooses', () => {
    it('the node with fewest tasks of the service, then with fewest tasks', async () => {
      await using plane = await ControlPlane.start({ nodes: 3 });
      const other = await plane.create({ ...replicas(1), task: spec() });
      await plane.until(() => plane.running(other).length === 1);
      const id = await plane.create({ ...replicas(2), task: spec() });
      await plane.until(() => plane.running(id).length === 2);
      assert.equal(Object.keys({ ...perNode(plane, id), ...perNode(plane, other) }).length, 3);
    });

    it('branches of a preference evenly, whatever their size', async () => {
      await using plane = await ControlPlane.start({ nodes: 4 });
      for (const [number, rack] of [
        [1, 'a'],
        [2, 'a'],
        [3, 'b'],
        [4, 'c'],
      ] as const) {
        await plane.changeNode(number, withLabels({ rack }));
      }
      const id = await plane.create({
        ...replicas(12),
        task: spec(placed({ preferences: [{ spread: 'node.labels.rack' }] })),
      });
      await plane.until(() => plane.running(id).length === 12);
      assert.deepEqual(perNode(plane, id), { 1: 2, 2: 2, 3: 4, 4: 4 });
    });

    it('branches within branches', async () => {
      await using plane = await ControlPlane.start({ nodes: 4 });
      for (const [number, labels] of [
        [1, { zone: 'x', rack: 'a' }],
        [2, { zone: 'x', rack: 'b' }],
        [3, { zone: 'x', rack: 'b' }],
        [4, { zone: 'y', rack: 'a' }],
      ] as const) {
        await plane.changeNode(number, withLabels(labels));
      }
      const preferences = [{ spread: 'node.labels.zone' }, { spread: 'node.labels.rack' }];
      const id = await plane.create({ ...replicas(8), task: spec(placed({ preferences })) });
      await plane.until(() => plane.running(id).length === 8);
      assert.deepEqual(perNode(plane, id), { 1: 2, 2: 1, 3: 1, 4: 4 });
    });

    it('another node once one has failed a service five times in five minutes', async () => {
      await using plane = await ControlPlane.start({ nodes: 2 });
      await plane.changeNode(2, (node) => ({ ...node, spec: { ...node.spec, availability: 'pause' } }));
      const restart = { condition: 'any', delayMs: 0, attemptsMax: 0, windowMs: 0 } as const;
      const id = await plane.create({ task: spec({ restart }) });
      for (let failure = 0; failure < 5; failure += 1) {
        await plane.until(() => plane.running(id).length === 1);
        if (failure === 4)
          await plane.changeNode(2, (node) => ({ ...node, spec: { ...node.spec, availability: 'active' } }));
        await plane.agents.crash(plane.running(id)[0]!.id);
      }
      // Both nodes are empty: were it not for the failures, the first would be taken.
      await plane.until(() => plane.running(id).length === 1);
      assert.deepEqual(perNode(plane, id), { 2: 1 });
    });
  });

  it('lets a stop-first successor be prepared where its predecessor holds the port and the memory', async () => {
    await using plane = await ControlPlane.start({ nodes: 1 });
    const reservations = { nanoCpus: 0, memoryBytes: 5 * GIB };
    const endpoint = { mode: 'vip' as const, ports: [hostPort(8080)] };
    const id = await plane.create({ task: spec({ reservations }), endpoint, update: anUpdateConfig({ monitorMs: 0 }) });
    await plane.until(() => plane.running(id).length === 1);
    await plane.update(id, (old) => ({ ...old, task: { ...old.task, forceUpdate: 1 } }));
    await plane.settle();
    assert.deepEqual(
      plane.tasks(id).map((task) => [task.desired, task.status.state]),
      [
        ['shutdown', 'running'],
        ['ready', 'assigned'],
      ],
    );
    const second = await plane.create({ task: spec({ reservations: { nanoCpus: 0, memoryBytes: 4 * GIB } }) });
    await plane.until(() => plane.service(id).updateStatus?.state === 'completed');
    assert.equal(plane.running(second).length, 0, 'what the pair holds is not given away');
    assert.equal(plane.agents.overlaps, 0);
  });

  it('never gives a node more than it has', async () => {
    await using plane = await ControlPlane.start({ nodes: 3 });
    const id = await plane.create({
      ...replicas(20),
      task: spec({ reservations: { nanoCpus: 1e9, memoryBytes: GIB } }),
    });
    await plane.until(() => plane.running(id).length === 12);
    assert.deepEqual(perNode(plane, id), { 1: 4, 2: 4, 3: 4 });
    assert.equal(plane.wanted(id).filter((task) => task.status.state === 'pending').length, 8);
    await plane.store.update((tx) => tx.nodes.put(plane.nodeNumbered(4)));
    await plane.until(() => plane.running(id).length === 16);
  });

  it('looks again when the node it chose is gone by the time of writing', async () => {
    await using plane = await ControlPlane.start({ nodes: 2 });
    const created = plane.create({ ...replicas(4), task: spec() });
    const drained = plane.changeNode(1, (node) => ({ ...node, spec: { ...node.spec, availability: 'drain' } }));
    const [id] = await Promise.all([created, drained]);
    await plane.until(() => plane.running(id).length === 4);
    assert.deepEqual(perNode(plane, id), { 2: 4 });
  });
});
