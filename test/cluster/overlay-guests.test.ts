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

  it('shows who is on it on every node, how far the nodes are, and what serves', async () => {
    const beta = await addressOf(WORKER, 'beta');
    const shown = await cluster.json<{
      Containers: Record<string, { Name: string; IPv4Address: string; MacAddress: string }>;
      Peers: { Name: string; IP: string; Lag: number }[];
      Services: Record<string, { VIP: string; Tasks: { EndpointIP: string; Info: { 'Host IP': string } }[] }>;
    }>(1, '/networks/back?verbose=1');
    const other = Object.values(shown.Containers).find(({ Name }) => Name === 'beta');
    assert.equal(other?.IPv4Address, `${beta}/24`);
    assert.match(other?.MacAddress ?? '', /^02:42:0a:/);
    assert.ok(Object.values(shown.Containers).some(({ Name }) => Name === 'alpha'));
    assert.equal(shown.Peers.length, 3);
    assert.ok(shown.Peers.every(({ Lag }) => Number.isInteger(Lag)));
    const web = shown.Services['web'];
    assert.match(web?.VIP ?? '', /^10\./);
    assert.deepEqual(
      web?.Tasks.map(({ Info }) => Info['Host IP']).sort(),
      [1, 2, 3].map((node) => cluster.address(node)).sort(),
    );
    const settled = async (): Promise<boolean> =>
      (await cluster.json<{ Peers: { Lag: number }[] }>(2, '/networks/back')).Peers.every(({ Lag }) => Lag === 0);
    await cluster.until(settled, { withinMs: 5_000, what: 'every node has applied everything' });
  });

  it('gives an address that is asked for, and refuses one that is taken', async () => {
    const taken = await addressOf(1, 'alpha');
    const free = taken.replace(/\.\d+$/, '.200');
    await runOn(2, 'gamma', '--network', 'back', '--ip', free);
    assert.equal(await addressOf(2, 'gamma'), free);
    await assert.rejects(runOn(2, 'delta', '--network', 'back', '--ip', taken), /Address already in use/);
    await cluster.docker(2, 'rm', '-f', 'gamma', 'delta');
  });

  it('refuses networks that only services may be on', async () => {
    await assert.rejects(runOn(1, 'x1', '--network', 'closed'), /network closed not manually attachable/);
    await assert.rejects(runOn(WORKER, 'x2', '--network', 'closed'), /network closed not manually attachable/);
    assert.equal(await cluster.docker(WORKER, 'ps', '-aq', '--filter', 'name=^x2$'), '', 'nothing was made');
  });

  it('starts what names a network that is not there when that has come', async () => {
    for (const node of [1, WORKER]) {
      await assert.rejects(runOn(node, 'early', '--network', 'later'), /network later not found/);
      assert.equal(await cluster.docker(node, 'inspect', '-f', '{{.State.Status}}', 'early'), 'created');
    }
    await cluster.docker(1, 'network', 'create', '-d', 'overlay', '--attachable', 'later');
    for (const node of [1, WORKER]) {
      await cluster.docker(node, 'start', 'early');
      await cluster.docker(node, 'rm', '-f', 'early');
    }
    await cluster.docker(1, 'network', 'rm', 'later');
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

  it('leads nowhere else from an internal network, neither a container nor a task, nor a question for a name', async () => {
    await cluster.docker(1, 'network', 'create', '-d', 'overlay', '--internal', '--attachable', 'inner');
    const created = await cluster.api(1, 'POST', '/services/create', {
      Name: 'inside',
      TaskTemplate: {
        ContainerSpec: { Image: 'shoal-demo:v1', StopGracePeriod: 1e9 },
        RestartPolicy: { Condition: 'any', Delay: 0 },
        Networks: [{ Target: 'inner' }],
      },
      Mode: { Replicated: { Replicas: 3 } },
    });
    assert.equal(created.status, 201, created.body);
    const tasks = await cluster.running(1, 'inside', 3);
    await runOn(WORKER, 'closed-in', '--network', 'inner');
    const pids = [...tasks.map(({ Status }) => Status.ContainerStatus?.PID ?? 0), await pidOf(WORKER, 'closed-in')];
    for (const pid of pids) {
      const seen = await insideOf<unknown>(
        pid,
        `const [vip] = await resolve('inside');
         const outside = await Promise.all(${JSON.stringify([cluster.address(1), '192.0.2.1'])}.map(ask));
         return { inside: await ask(vip), outside, name: await resolve('example.com') }`,
      );
      const { inside, ...rest } = seen as { inside: string };
      assert.match(inside, /^version=v1/);
      assert.deepEqual(rest, { outside: ['ENETUNREACH', 'ENETUNREACH'], name: 'ESERVFAIL' });
    }
    await cluster.docker(WORKER, 'rm', '-f', 'closed-in');
    await cluster.docker(1, 'service', 'rm', 'inside');
    await cluster.until(() => cluster.docker(1, 'network', 'rm', 'inner').then(() => true), {
      withinMs: 10_000,
      what: 'the internal network goes',
    });
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

  it('brings a container back that is always to run, once its daemon is in touch with the swarm again', async () => {
    await runOn(WORKER, 'keeper', '--network', 'back', '--restart', 'always');
    const pid = await pidOf(WORKER, 'keeper');
    process.kill(cluster.pid(WORKER), 'SIGKILL');
    process.kill(pid, 'SIGKILL');
    await cluster.start();
    const isBack = async (): Promise<boolean> => (await asked(1, 'alpha', 'keeper')).startsWith('version=v1');
    await cluster.until(isBack, { withinMs: 20_000, what: 'it answers again' });
    assert.notEqual(await pidOf(WORKER, 'keeper'), pid);
    await cluster.docker(WORKER, 'rm', '-f', 'keeper');
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
