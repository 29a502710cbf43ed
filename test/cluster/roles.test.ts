import assert from 'node:assert/strict';
import { codeOf } from '../../base/errors.ts';
import type { ClusterControl } from '../../proto/control.ts';
import type { NodeRole, NodeSpec } from '../../proto/objects.ts';
import { aServiceSpec } from '../support/objects.ts';
import { startTestSwarm, type TestNode, type TestSwarm, untilReady } from '../support/test-swarm.ts';
import { until } from '../support/until.ts';

async function changeNode(control: ClusterControl, of: TestNode, change: Partial<NodeSpec>): Promise<void> {
  const { node } = await control.call('GetNode', { node: of.node.info().nodeId });
  await control.call('UpdateNode', { node: node.id, version: node.version, spec: { ...node.spec, ...change } });
}

const isManager = (of: TestNode): boolean => of.node.info().controlAvailable;

async function voters(control: ClusterControl): Promise<number> {
  return (await control.call('ListNodes', { filter: {} })).managers.length;
}

async function untilRole(swarm: TestSwarm, of: TestNode, role: NodeRole, ask: TestNode = swarm.first): Promise<void> {
  await until(
    `${of.name} is a ${role}`,
    async () => {
      const { node, manager } = await ask.control().call('GetNode', { node: of.node.info().nodeId });
      return (
        node.role === role && (manager !== undefined) === (role === 'manager') && isManager(of) === (role === 'manager')
      );
    },
    { withinMs: 15_000 },
  );
}

describe('the role of a node', function () {
  this.timeout(60_000);

  it('changes to manager and back without a restart, and its tasks run on', async () => {
    await using swarm = await startTestSwarm();
    const worker = await swarm.join('worker');
    await untilReady(swarm, 2);
    const control = swarm.first.control();
    const spec = aServiceSpec({ mode: { kind: 'global' } });
    await control.call('CreateService', { spec });
    await until('its task runs', () => worker.executor.events.some((event) => event.startsWith('start')));

    await changeNode(control, worker, { role: 'manager' });
    await untilRole(swarm, worker, 'manager');
    assert.equal((await worker.control().call('ListServices', { filter: {}, status: false })).services.length, 1);

    await changeNode(control, worker, { role: 'worker' });
    await untilRole(swarm, worker, 'worker');
    assert.equal(await voters(control), 1);
    assert.throws(
      () => worker.control(),
      (error) => codeOf(error) === 'unavailable' && /Worker nodes can't be used/.test((error as Error).message),
    );
    assert.deepEqual(worker.executor.events.filter((event) => /^(start|stop)/.test(event)).length, 1);
  });

  it('is taken from the leader by another leader', async () => {
    await using swarm = await startTestSwarm();
    const second = await swarm.join('manager');
    const third = await swarm.join('manager');
    await untilReady(swarm, 3);
    await changeNode(second.control(), swarm.first, { role: 'worker' });
    await untilRole(swarm, swarm.first, 'worker', second);
    assert.equal(await voters(third.control()), 2);
    const spec = aServiceSpec({ mode: { kind: 'replicated', replicas: 0 } });
    await third.control().call('CreateService', { spec });
  });
});

describe('leaving a swarm', function () {
  this.timeout(60_000);

  it('is refused to a manager unless forced, with the arithmetic', async () => {
    await using swarm = await startTestSwarm();
    await assert.rejects(
      swarm.first.node.leave({ force: false }),
      /Removing the last manager erases all current state/,
    );
    await swarm.join('manager');
    await assert.rejects(
      swarm.first.node.leave({ force: false }),
      /leaves 1 managers out of 2\. Without a Raft quorum/,
    );
  });

  it('takes a manager out of the raft group first, so that the rest can go on', async () => {
    await using swarm = await startTestSwarm();
    const second = await swarm.join('manager');
    await untilReady(swarm, 2);
    await second.node.leave({ force: true });
    assert.equal(second.node.info().state, 'inactive');
    assert.equal(await voters(swarm.first.control()), 1);
    const spec = aServiceSpec({ mode: { kind: 'replicated', replicas: 0 } });
    await swarm.first.control().call('CreateService', { spec });
  });

  it('ends the tasks, and the node can join again and is another one', async () => {
    await using swarm = await startTestSwarm();
    const worker = await swarm.join('worker');
    await untilReady(swarm, 2);
    await swarm.first.control().call('CreateService', { spec: aServiceSpec({ mode: { kind: 'global' } }) });
    await until('its task runs', () => worker.executor.containers.size === 1);
    const before = worker.node.info().nodeId;
    await worker.node.leave({ force: false });
    assert.equal(worker.executor.containers.size, 0);
    assert.throws(() => worker.control(), /This node is not a swarm manager\. Use "docker swarm init"/);
    await swarm.rejoin(worker, 'worker');
    assert.notEqual(worker.node.info().nodeId, before);
  });
});

describe('a swarm', function () {
  this.timeout(60_000);

  it('is taken up again from disk, with its tasks running on', async () => {
    await using swarm = await startTestSwarm();
    const control = swarm.first.control();
    await untilReady(swarm, 1);
    await control.call('CreateService', { spec: aServiceSpec({ mode: { kind: 'replicated', replicas: 2 } }) });
    await until('two tasks run', () => swarm.first.executor.events.length === 2);
    await swarm.first.restart();
    await until('it answers', () => isManager(swarm.first), { withinMs: 10_000 });
    await untilReady(swarm, 1);
    const { tasks } = await swarm.first.control().call('ListTasks', { filter: {} });
    assert.deepEqual(
      tasks.map(({ status }) => status.state),
      ['running', 'running'],
    );
    assert.equal(swarm.first.executor.events.length, 2);
  });

  it('refuses init and join to a node that is in it, and a wrong token, and keeps nothing of a failed join', async () => {
    await using swarm = await startTestSwarm();
    await assert.rejects(swarm.rejoin(swarm.first, 'worker'), /This node is already part of a swarm/);
    const tokens = (await swarm.first.control().call('GetCluster', {})).cluster.tokens;
    const stranger = await swarm.add();
    const wrong = tokens.worker.replace(/.{25}$/, '0'.repeat(25));
    await assert.rejects(swarm.joinWith(stranger, wrong), /A valid join token is necessary/);
    assert.equal(stranger.node.info().state, 'inactive');
    await swarm.joinWith(stranger, tokens.worker);
    assert.equal(stranger.node.info().state, 'active');
  });

  it('no longer takes a token that was rotated; nodes that joined with it stay', async () => {
    await using swarm = await startTestSwarm();
    const worker = await swarm.join('worker');
    await untilReady(swarm, 2);
    const control = swarm.first.control();
    const { cluster } = await control.call('GetCluster', {});
    const rotation = { rotateWorkerToken: true, rotateManagerToken: false };
    const after = await control.call('UpdateCluster', { version: cluster.version, spec: cluster.spec, ...rotation });
    assert.equal(after.cluster.tokens.manager, cluster.tokens.manager);
    const late = await swarm.add();
    await assert.rejects(swarm.joinWith(late, cluster.tokens.worker), /A valid join token is necessary/);
    await swarm.joinWith(late, after.cluster.tokens.worker);
    await untilReady(swarm, 3);
    assert.equal(worker.node.info().state, 'active');
  });

  it('drains a node: its tasks run elsewhere', async () => {
    await using swarm = await startTestSwarm();
    const worker = await swarm.join('worker');
    await untilReady(swarm, 2);
    const control = swarm.first.control();
    await control.call('CreateService', { spec: aServiceSpec({ mode: { kind: 'replicated', replicas: 4 } }) });
    const runningOn = (of: TestNode) =>
      [...of.executor.containers.values()].filter(({ state }) => state === 'running').length;
    await until('two on each', () => runningOn(worker) === 2 && runningOn(swarm.first) === 2);
    await changeNode(control, worker, { availability: 'drain' });
    await until('four on one', () => runningOn(worker) === 0 && runningOn(swarm.first) === 4, { withinMs: 15_000 });
  });

  it('removes a node that is down, and refuses one that is not', async () => {
    await using swarm = await startTestSwarm();
    const worker = await swarm.join('worker');
    await untilReady(swarm, 2);
    const control = swarm.first.control();
    const node = worker.node.info().nodeId;
    await assert.rejects(control.call('RemoveNode', { node, force: false }), /is not down and can't be removed/);
    await control.call('RemoveNode', { node, force: true });
    await until('it is told', () => /removed|not part of this cluster/.test(worker.node.info().error), {
      withinMs: 10_000,
    });
  });
});
