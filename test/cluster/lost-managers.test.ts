// Losing machines, with whole managers and agents in processes of their own and tasks that run on nothing.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Scope } from '../../base/scope.ts';
import { codeOf } from '../../base/errors.ts';
import { aServiceSpec, aTaskSpec } from '../support/objects.ts';
import { SwarmProcess } from '../support/swarm-process.ts';
import { until } from '../support/until.ts';

async function threeManagers(scope: Scope): Promise<SwarmProcess[]> {
  const nodes = await Promise.all(['node1', 'node2', 'node3'].map((name) => SwarmProcess.start(name)));
  for (const node of nodes) scope.own(node);
  const [first, ...others] = nodes as [SwarmProcess, ...SwarmProcess[]];
  await first.init();
  for (const other of others) await other.join(first, 'manager');
  await until('three nodes are ready', async () => {
    const reply = await first.control('ListNodes', { filter: {} });
    return reply.nodes.filter((node) => node.status.state === 'ready').length === 3;
  });
  return nodes;
}

async function leaderOf(nodes: readonly SwarmProcess[], ask: SwarmProcess): Promise<SwarmProcess> {
  const { managers } = await ask.control('ListNodes', { filter: {} });
  const leader = managers.find((manager) => manager.leader);
  for (const node of nodes) if ((await node.info()).nodeId === leader?.nodeId) return node;
  return assert.fail('nobody leads');
}

let names = 0;
const anEmptyService = () => aServiceSpec({ name: `s${++names}`, mode: { kind: 'replicated', replicas: 0 } });

/** Resolves once `node` accepts a write; until then it may only refuse for want of a leader. */
async function untilAccepted(node: SwarmProcess): Promise<void> {
  const startMs = performance.now();
  for (;;) {
    try {
      await node.control('CreateService', { spec: anEmptyService() });
      return;
    } catch (error) {
      assert.ok(['unavailable', 'unknown-outcome'].includes(codeOf(error)), String(error));
      if (performance.now() - startMs > 10_000) throw error;
    }
  }
}

async function running(ask: SwarmProcess, service: string): Promise<string[]> {
  const { tasks } = await ask.control('ListTasks', { filter: { services: [service], desired: ['running'] } });
  return tasks.flatMap((task) => (task.status.state === 'running' && task.nodeId ? [task.nodeId] : []));
}

describe('losing a machine', function () {
  this.timeout(60_000);

  it('accepts writes again after the leader was killed', async () => {
    await using scope = new Scope();
    const nodes = await threeManagers(scope);
    const [asked] = nodes as [SwarmProcess];
    const leader = await leaderOf(nodes, asked);
    const survivor = nodes.find((node) => node !== leader) ?? assert.fail();
    leader.kill();
    await untilAccepted(survivor);
  });

  for (const [how, lose] of [
    ['killed', (node: SwarmProcess) => node.kill()],
    ['frozen', (node: SwarmProcess) => node.freeze()],
  ] as const) {
    it(`runs a node's tasks elsewhere when it, the leader, is ${how}`, async () => {
      await using scope = new Scope();
      const nodes = await threeManagers(scope);
      const [asked] = nodes as [SwarmProcess];
      const task = aTaskSpec({ restart: { condition: 'any', delayMs: 0, attemptsMax: 0, windowMs: 0 } });
      await asked.control('CreateService', {
        spec: aServiceSpec({ task, mode: { kind: 'replicated', replicas: 12 } }),
      });
      await until('twelve tasks run', async () => (await running(asked, 'web')).length === 12);
      const leader = await leaderOf(nodes, asked);
      const lostId = (await leader.info()).nodeId;
      const survivor = nodes.find((node) => node !== leader) ?? assert.fail();
      lose(leader);
      await until(
        'twelve tasks run on the other two',
        async () => {
          const now = await running(survivor, 'web').catch((): string[] => []);
          return now.length === 12 && !now.includes(lostId);
        },
        { withinMs: 20_000 },
      );
      if (how === 'killed') return;
      await sleep(1_000);
      leader.thaw();
      await until('the old tasks are stopped', async () => (await leader.executor()).running.length === 0, {
        withinMs: 10_000,
      });
    });
  }
});
