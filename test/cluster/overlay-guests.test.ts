// Containers that no service owns, on a network over three nodes, one of them a worker.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { TestCluster } from '../support/cluster.ts';
import { insideOf } from '../support/inside.ts';
import { requireRoot } from '../support/requirements.ts';

const WORKER = 3;

describe('docker run on a network over three nodes', function () {
  this.timeout(120_000);
  const cluster = new TestCluster(`t${randomBytes(2).toString('hex')}`);

  const runOn = (node: number, name: string, ...more: string[]) =>
    cluster.docker(node, 'run', '-d', '--name', name, ...more, 'shoal-demo:v1');
  const pidOf = async (node: number, name: string): Promise<number> =>
    Number(await cluster.docker(node, 'inspect', '-f', '{{.State.Pid}}', name));
  const addressOf = (node: number, name: string, network = 'back') =>
    cluster.docker(node, 'inspect', '-f', `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`, name);
  const resolved = async (node: number, name: string, asked: string): Promise<string[] | string> =>
    await insideOf(await pidOf(node, name), `return await resolve('${asked}')`);
  const asked = async (node: number, name: string, host: string): Promise<string> =>
    await insideOf(await pidOf(node, name), `const [host] = await resolve('${host}'); return await ask(host)`);

  before(async function () {
    requireRoot(this);
    await cluster.start();
    await cluster.docker(1, 'node', 'demote', `node${WORKER}`);
    await cluster.until(
      async () =>
        (await cluster.json<{ Swarm: { ControlAvailable: boolean } }>(WORKER, '/info')).Swarm.ControlAvailable ===
        false,
      { withinMs: 15_000, what: 'a worker' },
    );
    await cluster.docker(1, 'network', 'create', '-d', 'overlay', '--attachable', 'back');
    await cluster.docker(1, 'network', 'create', '-d', 'overlay', 'closed');
    const created = await cluster.api(1, 'POST', '/services/create', {
      Name: 'web',
      TaskTemplate: { ContainerSpec: { Image: 'shoal-demo:v1', StopGracePeriod: 1e9 }, Networks: [{ Target: 'back' }] },
      Mode: { Replicated: { Replicas: 3 } },
    });
    assert.equal(created.status, 201, created.body);
    await cluster.running(1, 'web', 3);
  });

  after(async () => {
    await cluster.stop();
  });

  it('gives each container a place, from a manager and from a worker', async () => {
    await runOn(1, 'alpha', '--network', 'back', '--network-alias', 'first');
    await runOn(WORKER, 'beta', '--network', 'back');
    const [alpha, beta] = [await addressOf(1, 'alpha'), await addressOf(WORKER, 'beta')];
    assert.match(alpha, /^10\./);
    assert.notEqual(alpha, beta);
    const both = async (): Promise<boolean> =>
      String(await resolved(1, 'alpha', 'beta')) === beta && String(await resolved(WORKER, 'beta', 'first')) === alpha;
    await cluster.until(both, { withinMs: 5_000, what: 'they find each other' });
    assert.match(await asked(1, 'alpha', 'beta'), /^version=v1/);
    assert.match(await asked(WORKER, 'beta', 'alpha'), /^version=v1/);
    assert.match(await asked(1, 'alpha', 'web'), /^version=v1/);
    assert.match(await asked(WORKER, 'beta', 'web'), /^version=v1/);
    const [task] = await cluster.running(1, 'web', 3);
    const seen = await insideOf(task?.Status.ContainerStatus?.PID ?? 0, `return await resolve('alpha')`);
    assert.deepEqual(seen, [alpha]);
  });

  it('gives an address that is asked for, and refuses one that is taken', async () => {
    const taken = await addressOf(1, 'alpha');
    const free = taken.replace(/\.\d+$/, '.200');
    await runOn(2, 'gamma', '--network', 'back', '--ip', free);
    assert.equal(await addressOf(2, 'gamma'), free);
    await assert.rejects(runOn(2, 'delta', '--network', 'back', '--ip', taken), /Address already in use/);
    await cluster.docker(2, 'rm', '-f', 'gamma', 'delta');
  });

  it('refuses networks that only services may be on, and those that are not there', async () => {
    await assert.rejects(runOn(1, 'x1', '--network', 'closed'), /network closed not manually attachable/);
    await assert.rejects(runOn(WORKER, 'x2', '--network', 'closed'), /network closed not manually attachable/);
    await assert.rejects(runOn(1, 'x3', '--network', 'nosuch'), /network nosuch not found/);
    await assert.rejects(runOn(WORKER, 'x4', '--network', 'nosuch'), /network nosuch not found/);
    await cluster.docker(WORKER, 'rm', '-f', 'x2', 'x4');
  });

  it('connects and disconnects a container that runs', async () => {
    await runOn(2, 'roamer');
    await cluster.docker(2, 'network', 'connect', 'back', 'roamer');
    assert.match(await asked(2, 'roamer', 'alpha'), /^version=v1/);
    await cluster.docker(2, 'network', 'disconnect', 'back', 'roamer');
    const isGone = async (): Promise<boolean> => !Array.isArray(await resolved(1, 'alpha', 'roamer'));
    await cluster.until(isGone, { withinMs: 5_000, what: 'the name is gone' });
    await cluster.docker(2, 'rm', '-f', 'roamer');
  });

  it('keeps places over the death of a daemon', async () => {
    const before = await addressOf(WORKER, 'beta');
    process.kill(cluster.pid(WORKER), 'SIGKILL');
    await cluster.start();
    assert.equal(await addressOf(WORKER, 'beta'), before);
    await cluster.until(async () => (await asked(1, 'alpha', 'beta')).startsWith('version=v1'), {
      withinMs: 10_000,
      what: 'the container answers',
    });
  });

  it('takes the names of a lost node away, and brings them back with it', async () => {
    const [beta] = [await addressOf(WORKER, 'beta')];
    const route = cluster.inNode(WORKER, 'ip', 'route', 'show', 'default').trim().split(' ');
    cluster.inNode(WORKER, 'ip', 'link', 'set', 'eth0', 'down');
    try {
      await cluster.until(async () => !Array.isArray(await resolved(1, 'alpha', 'beta')), {
        withinMs: 15_000,
        what: 'the lost name is gone',
      });
    } finally {
      cluster.inNode(WORKER, 'ip', 'link', 'set', 'eth0', 'up');
      cluster.inNode(WORKER, 'ip', 'route', 'replace', ...route);
    }
    await cluster.until(async () => String(await resolved(1, 'alpha', 'beta')) === beta, {
      withinMs: 20_000,
      what: 'the name is back',
    });
  });

  it('does not remove a network that a container is on, and does when it is gone', async () => {
    await cluster.docker(1, 'service', 'rm', 'web');
    await assert.rejects(
      cluster.docker(1, 'network', 'rm', 'back'),
      /network back is in use by container (alpha|beta)/,
    );
    await cluster.docker(1, 'rm', '-f', 'alpha');
    await cluster.docker(WORKER, 'rm', '-f', 'beta');
    await cluster.until(() => cluster.docker(1, 'network', 'rm', 'back').then(() => true), {
      withinMs: 10_000,
      what: 'the network goes',
    });
  });
});
