import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
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
