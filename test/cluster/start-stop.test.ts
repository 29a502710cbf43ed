import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeProcesses, removeCgroups } from '../../deploy/cgroups.ts';
import { startDaemon } from '../../deploy/node.ts';
import { type NodePlan, planCluster } from '../../deploy/plan.ts';
import { ended } from '../../deploy/processes.ts';
import { TestCluster } from '../support/cluster.ts';
import { leftBehind, machineSnapshot } from '../support/machine.ts';
import { requireRoot } from '../support/requirements.ts';

describe('npm start', () => {
  const name = `t${randomBytes(2).toString('hex')}`;
  const cluster = new TestCluster(name);
  let earlier: string[] = [];
  let output = '';

  before(async function (this: Mocha.Context) {
    requireRoot(this);
    earlier = machineSnapshot([name]);
    output = await cluster.start();
  });

  after(async () => {
    if (earlier.length > 0) await cluster.stop();
  });

  it('brings three managers up', async () => {
    const nodes = await cluster.docker(1, 'node', 'ls', '--format', '{{.Status}} {{.ManagerStatus}}');
    assert.deepEqual(nodes.split('\n').toSorted(), ['Ready Leader', 'Ready Reachable', 'Ready Reachable']);
  });

  it('prints addresses of the demo that answer, on every node', async () => {
    const addresses = [...output.matchAll(/http:\/\/[\d.]+:8080\//g)].map(([text]) => text);
    assert.equal(addresses.length, 3);
    for (const address of addresses) {
      const page = await (await fetch(`${address}plain`)).text();
      assert.match(page, /^version=v1 task=demo_web\.\d\.\w+ node=node\d client=\S+\n$/);
    }
  });

  it('gives up a daemon that does not answer, and leaves none of its processes', async () => {
    const program = mkdtempSync(join(tmpdir(), 'silent-'));
    mkdirSync(join(program, 'dist/daemon'), { recursive: true });
    writeFileSync(join(program, 'dist/daemon/main.js'), 'setInterval(() => undefined, 1000);\n');
    const plan = planCluster({
      name,
      nodeCount: 1,
      runDirectory: program,
      stateDirectory: program,
      program,
      subnet: 1,
    });
    const node = { ...(plan.nodes[0] as NodePlan), cgroup: `/${name}/silent` };
    try {
      await assert.rejects(startDaemon(plan, node, 500), /^Error: node1 did not answer within 0\.5 s; its log: /);
      await ended(nodeProcesses(node.cgroup), { withinMs: 10_000, reaped: true });
      assert.deepEqual(nodeProcesses(node.cgroup), []);
    } finally {
      await removeCgroups(node.cgroup);
      rmSync(program, { recursive: true });
    }
  });

  it('leaves alone what runs when it is called again', async () => {
    const pids = [1, 2, 3].map((node) => cluster.pid(node));
    await cluster.start();
    assert.deepEqual(
      [1, 2, 3].map((node) => cluster.pid(node)),
      pids,
    );
  });

  it('starts again what was killed', async () => {
    process.kill(cluster.pid(2), 'SIGKILL');
    await cluster.start();
    await cluster.running(2, 'demo_web', 3);
  });

  it('leaves nothing behind after npm stop', async () => {
    await cluster.stop();
    const left = leftBehind(earlier, machineSnapshot([name]));
    earlier = [];
    assert.deepEqual(left, []);
  });
});
