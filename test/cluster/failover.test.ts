import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TestCluster } from '../support/cluster.ts';
import { requireRoot } from '../support/requirements.ts';

const OTHERS = (node: number): number[] => [1, 2, 3].filter((other) => other !== node);

describe('a cluster that loses its leader', () => {
  const cluster = new TestCluster(`t${randomBytes(2).toString('hex')}`);
  const acknowledged: string[] = [];

  before(async function () {
    requireRoot(this);
    await cluster.start();
  });

  after(async () => {
    await cluster.stop();
  });

  /** Asks until a write is accepted; every acknowledged name is kept for the end. */
  const write = async (node: number): Promise<void> => {
    const name = `s${acknowledged.length}-${randomBytes(3).toString('hex')}`;
    const spec = {
      Name: name,
      TaskTemplate: { ContainerSpec: { Image: 'shoal-demo:v1' } },
      Mode: { Replicated: { Replicas: 0 } },
    };
    await cluster.until(async () => (await cluster.api(node, 'POST', '/services/create', spec)).status === 201, {
      withinMs: 10_000,
      what: `an accepted write on node${node}`,
    });
    acknowledged.push(name);
  };

  const expectAllThere = async (node: number): Promise<void> => {
    const services = await cluster.json<{ Spec: { Name: string } }[]>(node, '/services');
    const names = new Set(services.map(({ Spec }) => Spec.Name));
    assert.deepEqual(
      acknowledged.filter((name) => !names.has(name)),
      [],
    );
  };

  const containerPids = async (node: number): Promise<number[]> =>
    (await cluster.running(node, 'demo_web', 3))
      .map((task) => task.Status.ContainerStatus?.PID ?? 0)
      .toSorted((a, b) => a - b);

  it('accepts writes again after kill -9, with every acknowledged one there and no container restarted', async () => {
    const before = await containerPids(1);
    for (let round = 0; round < 3; round++) {
      const leader = await cluster.leader();
      const [survivor = 1] = OTHERS(leader);
      await write(survivor);
      process.kill(cluster.pid(leader), 'SIGKILL');
      await write(survivor);
      await cluster.start();
      await expectAllThere(leader);
    }
    assert.deepEqual(await containerPids(1), before);
  });

  it('goes on with the containers of a daemon that was killed', async () => {
    const [task] = await cluster.running(1, 'demo_web', 3);
    const nodes = await cluster.json<{ ID: string; Description: { Hostname: string } }[]>(1, '/nodes');
    const node = Number(nodes.find(({ ID }) => ID === task?.NodeID)?.Description.Hostname.slice(4));
    const id = task?.Status.ContainerStatus?.ContainerID ?? '';
    process.kill(cluster.pid(node), 'SIGKILL');
    await cluster.start();
    assert.match(await cluster.docker(node, 'ps', '--no-trunc', '-q'), new RegExp(id));
    assert.match(await cluster.docker(node, 'logs', id), /serving v1/);
    await cluster.docker(node, 'exec', id, '/server', '--health');
  });

  it('gives up a leader whose link is down, and takes nothing from it', async () => {
    const leader = await cluster.leader();
    const [survivor = 1] = OTHERS(leader);
    cluster.inNode(leader, 'ip', 'link', 'set', 'eth0', 'down');
    try {
      await write(survivor);
      const lost = await cluster.api(leader, 'POST', '/services/create', {
        Name: 'lost',
        TaskTemplate: { ContainerSpec: { Image: 'shoal-demo:v1' } },
        Mode: { Replicated: { Replicas: 0 } },
      });
      assert.ok(lost.status >= 500, `the old leader answered ${lost.status}: ${lost.body}`);
      assert.match(lost.body, /quorum|leader/);
    } finally {
      cluster.inNode(leader, 'ip', 'link', 'set', 'eth0', 'up');
    }
    await cluster.until(async () => (await cluster.api(leader, 'GET', '/services')).status === 200, {
      withinMs: 15_000,
      what: 'the old leader is back',
    });
    await expectAllThere(leader);
    const names = (await cluster.json<{ Spec: { Name: string } }[]>(leader, '/services')).map(({ Spec }) => Spec.Name);
    assert.ok(!names.includes('lost'));
  });

  it('moves the tasks of a whole lost node and runs no slot twice when it returns', async () => {
    await cluster.docker(1, 'service', 'scale', '-d', 'demo_web=9');
    await cluster.running(1, 'demo_web', 9);
    const leader = await cluster.leader();
    const [survivor = 1] = OTHERS(leader);
    cluster.inNode(leader, 'ip', 'link', 'set', 'eth0', 'down');
    killAll(processesBelow(cluster.cgroup(leader)));
    const lostId = await nodeId(survivor, leader);
    const moved = await cluster.until(
      async () => {
        const tasks = await cluster.tasks(survivor, 'demo_web');
        const well =
          tasks.length === 9 && tasks.every((task) => task.Status.State === 'running' && task.NodeID !== lostId);
        return well ? tasks : undefined;
      },
      { withinMs: 20_000, what: 'the tasks run elsewhere' },
    );
    assert.equal(new Set(moved.map((task) => task.Slot)).size, 9);
    cluster.inNode(leader, 'ip', 'link', 'set', 'eth0', 'up');
    await cluster.start();
    await cluster.running(leader, 'demo_web', 9);
    await cluster.until(async () => (await containerCount()) === 9, {
      withinMs: 15_000,
      what: 'one container for each slot',
    });
  });

  async function nodeId(asked: number, node: number): Promise<string> {
    const nodes = await cluster.json<{ ID: string; Description: { Hostname: string } }[]>(asked, '/nodes');
    return nodes.find(({ Description }) => Description.Hostname === `node${node}`)?.ID ?? '';
  }

  async function containerCount(): Promise<number> {
    const lists = await Promise.all([1, 2, 3].map((node) => cluster.json<unknown[]>(node, '/containers/json')));
    return lists.flat().length;
  }
});

/** Some of them end by themselves, as others do. */
function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
  }
}

function processesBelow(folder: string): number[] {
  const inner = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const own = readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
  return [...own, ...inner.flatMap((entry) => processesBelow(join(folder, entry.name)))];
}
