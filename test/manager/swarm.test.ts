import assert from 'node:assert/strict';
import type { ClusterControl } from '../../proto/control.ts';
import { aServiceSpec } from '../support/objects.ts';
import { startTestSwarm, untilReady } from '../support/test-swarm.ts';
import { until } from '../support/until.ts';

async function runningOf(control: ClusterControl, service: string): Promise<string[]> {
  const { tasks } = await control.call('ListTasks', { filter: { services: [service], desired: ['running'] } });
  return tasks.flatMap((task) => (task.status.state === 'running' && task.nodeId ? [task.nodeId] : []));
}

describe('a swarm of whole nodes', function () {
  this.timeout(30_000);

  it('is founded by one node, which runs a service', async () => {
    await using swarm = await startTestSwarm();
    await untilReady(swarm, 1);
    const control = swarm.first.control();
    const spec = aServiceSpec({ mode: { kind: 'replicated', replicas: 3 } });
    await control.call('CreateService', { spec });
    await until('three tasks run', async () => (await runningOf(control, 'web')).length === 3);
  });

  it('spreads a service over three managers, asked through a follower', async () => {
    await using swarm = await startTestSwarm();
    await swarm.join('manager');
    const third = await swarm.join('manager');
    await untilReady(swarm, 3);
    const spec = aServiceSpec({ mode: { kind: 'replicated', replicas: 6 } });
    await third.control().call('CreateService', { spec });
    await until('six tasks run', async () => (await runningOf(third.control(), 'web')).length === 6);
    const nodes = await runningOf(third.control(), 'web');
    assert.equal(new Set(nodes).size, 3);
    const { managers } = await third.control().call('ListNodes', { filter: {} });
    assert.deepEqual([managers.length, managers.filter((manager) => manager.leader).length], [3, 1]);
    assert.ok(managers.every((manager) => manager.reachable));
  });
});
