// The stock client and bad input against real managers: certificates, consensus, store and loops in this process; tasks
// run on nothing. The client talks to a follower, which passes on what it can not answer.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { join } from 'node:path';
import { type ApiServer, createApiServer } from '../../api/server.ts';
import { systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { SYSTEM } from '../api/support/fixture.ts';
import { FakeRuntime } from '../api/support/fake-runtime.ts';
import { DockerClient } from '../support/docker-client.ts';
import { startTestSwarm, type TestSwarm, untilReady } from '../support/test-swarm.ts';

const CREATE = ['service', 'create', '--no-resolve-image', '--update-monitor', '200ms'];

describe('the stock docker client on a follower', () => {
  let swarm: TestSwarm;
  let api: ApiServer;
  let docker: DockerClient;
  let socketPath: string;
  const ok = (...args: string[]): Promise<string> => docker.ok(...args);

  before(async function () {
    this.timeout(60_000);
    swarm = await startTestSwarm();
    const follower = await swarm.join('manager');
    await swarm.join('manager');
    await untilReady(swarm, 3);
    const common = { clock: systemClock, random: systemRandom, log: silentLog };
    api = createApiServer({ ...common, runtime: new FakeRuntime(), swarm: follower.node, system: SYSTEM });
    socketPath = join(follower.dataRoot, 'api.sock');
    await api.listen({ kind: 'unix', path: socketPath, mode: 0o600 });
    docker = new DockerClient(socketPath);
  });
  after(async () => {
    docker?.[Symbol.dispose]();
    await api?.close();
    await swarm?.[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    const ids = (await ok('service', 'ls', '-q')).split('\n').filter(Boolean);
    if (ids.length > 0) await ok('service', 'rm', ...ids);
  });

  it('shows three managers, one of them the leader', async () => {
    const lines = (await ok('node', 'ls', '--format', '{{.Hostname}} {{.Status}} {{.ManagerStatus}}'))
      .trim()
      .split('\n');
    assert.equal(lines.filter((line) => /^node\d Ready (Leader|Reachable)$/.test(line)).length, 3);
    assert.equal(lines.filter((line) => line.endsWith('Leader')).length, 1);
    assert.match(await ok('info'), /Is Manager: true[\s\S]*Managers: 3\n {2}Nodes: 3/);
    assert.match(await ok('node', 'inspect', '--pretty', 'self'), /Raft Status:\s+Reachable/);
  });

  it('creates, scales, updates and rolls back a service, each time until it has converged', async () => {
    assert.match(await ok(...CREATE, '--name', 'web', '--replicas', '3', '-p', '8080:80', 'app:1'), /converged/);
    assert.match(await ok('service', 'scale', 'web=6'), /converged/);
    const nodes = (
      await ok('service', 'ps', 'web', '--filter', 'desired-state=running', '--format', '{{.Node}}')
    ).trim();
    assert.deepEqual(nodes.split('\n').sort(), ['node1', 'node1', 'node2', 'node2', 'node3', 'node3']);
    assert.match(
      await ok('service', 'update', '--no-resolve-image', '--image', 'app:2', '--update-parallelism', '3', 'web'),
      /converged/,
    );
    assert.match(await ok('service', 'ls'), /web +replicated +6\/6 +app:2 +\*:8080->80\/tcp/);
    assert.match(await ok('service', 'rollback', 'web'), /rollback[\s\S]*converged/);
    assert.match(await ok('service', 'ls'), /app:1/);
    assert.match(await ok('service', 'scale', 'web=1'), /converged/);
  });

  it('explains a constraint that nobody meets, and lets it go when somebody does', async () => {
    await ok(...CREATE, '-d', '--name', 'picky', '--constraint', 'node.labels.disk==ssd', 'app:1');
    const ps = (): Promise<string> =>
      ok('service', 'ps', '--no-trunc', '--format', '{{.CurrentState}} {{.Error}}', 'picky');
    while (!(await ps()).includes('no suitable node (scheduling constraints not satisfied on 3 nodes)'))
      await systemClock.sleep(20);
    await ok('node', 'update', '--label-add', 'disk=ssd', 'node3');
    while (!(await ps()).startsWith('Running')) await systemClock.sleep(20);
    await ok('node', 'update', '--label-rm', 'disk', 'node3');
  });

  it('drains a node and takes it back', async () => {
    await ok(...CREATE, '--name', 'web', '--mode', 'global', 'app:1');
    await ok('node', 'update', '--availability', 'drain', 'node3');
    while (!/global +2\/2/.test(await ok('service', 'ls'))) await systemClock.sleep(20);
    assert.match(await ok('node', 'ls'), /node3 +Ready +Drain/);
    await ok('node', 'update', '--availability', 'active', 'node3');
    while (!/global +3\/3/.test(await ok('service', 'ls'))) await systemClock.sleep(20);
  });

  it('rotates a join token, and changes the cluster', async () => {
    const before = await ok('swarm', 'join-token', '-q', 'worker');
    const rotated = await ok('swarm', 'join-token', '--rotate', '-q', 'worker');
    assert.notEqual(rotated, before);
    assert.equal(await ok('swarm', 'join-token', '-q', 'worker'), rotated);
    await ok('swarm', 'update', '--task-history-limit', '3');
    assert.match(await ok('info'), /Task History Retention Limit: 3/);
  });

  it('announces what happens to services', async () => {
    const since = new Date(Date.now() + 1_500).toISOString();
    const events = docker.run([
      'events',
      '--until',
      since,
      '--filter',
      'type=service',
      '--format',
      '{{.Action}} {{.Actor.Attributes.name}}',
    ]);
    await systemClock.sleep(300);
    await ok(...CREATE, '-d', '--name', 'seen', 'app:1');
    await ok('service', 'rm', 'seen');
    const lines = (await events).stdout.trim().split('\n');
    assert.equal(lines[0], 'create seen');
    assert.equal(lines.at(-1), 'remove seen');
  });

  describe('is refused and changes nothing', () => {
    const spec = (change: object) => ({ Name: 'bad', TaskTemplate: { ContainerSpec: { Image: 'app:1' } }, ...change });
    const placed = (Placement: object) => spec({ TaskTemplate: { ContainerSpec: { Image: 'app:1' }, Placement } });
    const published = (...ports: number[]) =>
      spec({ EndpointSpec: { Ports: ports.map((port) => ({ TargetPort: 80, PublishedPort: port })) } });

    const call = (method: string, path: string, body?: unknown): Promise<{ status: number; text: string }> =>
      new Promise((resolve, reject) => {
        const content = typeof body === 'string' ? body : JSON.stringify(body ?? {});
        const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(content) };
        const sent = request({ socketPath, method, path, headers, agent: false }, (response) => {
          let text = '';
          response.on('data', (chunk: Buffer) => (text += chunk.toString()));
          response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
        });
        sent.on('error', reject);
        sent.end(content);
      });

    /** Everything that a request could have changed, with its version. */
    const state = async (): Promise<string> => {
      const control = swarm.first.control();
      const [{ services }, { tasks }, { nodes }, { cluster }, { networks }] = await Promise.all([
        control.call('ListServices', { filter: {}, status: false }),
        control.call('ListTasks', { filter: {} }),
        control.call('ListNodes', { filter: {} }),
        control.call('GetCluster', {}),
        control.call('ListNetworks', { filter: {} }),
      ]);
      return JSON.stringify([
        services,
        tasks.map(({ id, desired }) => [id, desired]),
        nodes.map(({ spec: node }) => node),
        cluster,
        networks,
      ]);
    };

    beforeEach(async () => {
      await ok(...CREATE, '--name', 'web', '-p', '8080:80', 'app:1');
    });

    for (const [what, method, path, body, status, words] of [
      ['malformed JSON', 'POST', '/services/create', '{"Name":', 400, /not valid JSON/],
      [
        'no name for the image',
        'POST',
        '/services/create',
        spec({ TaskTemplate: { ContainerSpec: { Image: '' } } }),
        400,
        /image reference must be provided/,
      ],
      [
        'negative replicas',
        'POST',
        '/services/create',
        spec({ Mode: { Replicated: { Replicas: -1 } } }),
        400,
        /replicas must be non-negative/i,
      ],
      [
        'a taken name',
        'POST',
        '/services/create',
        spec({ Name: 'web' }),
        409,
        /name conflicts with an existing object: service web already exists/,
      ],
      [
        'a name that is none',
        'POST',
        '/services/create',
        spec({ Name: 'a b' }),
        400,
        /name must be valid as a DNS name component/,
      ],
      [
        'a taken port',
        'POST',
        '/services/create',
        published(8080),
        400,
        /port '8080' is already in use by service 'web'/,
      ],
      ['one port twice', 'POST', '/services/create', published(81, 81), 400, /duplicate published ports/],
      ['a port beyond all', 'POST', '/services/create', published(70_000), 400, /70000/],
      [
        'a bad constraint',
        'POST',
        '/services/create',
        placed({ Constraints: ['not a constraint'] }),
        400,
        /constraint expected one operator from ==, !=/,
      ],
      [
        'an unknown network',
        'POST',
        '/services/create',
        spec({ TaskTemplate: { ContainerSpec: { Image: 'app:1' }, Networks: [{ Target: 'nowhere' }] } }),
        404,
        /network nowhere not found/,
      ],
      [
        'a stale version',
        'POST',
        '/services/web/update?version=1',
        spec({ Name: 'web' }),
        400,
        /update out of sequence/,
      ],
      ['an unknown service', 'POST', '/services/nobody/update?version=1', spec({}), 404, /service nobody not found/],
      ['the removal of nothing', 'DELETE', '/services/nobody', undefined, 404, /service nobody not found/],
      [
        'a stale node version',
        'POST',
        '/nodes/node2/update?version=1',
        { Role: 'manager', Availability: 'drain' },
        400,
        /update out of sequence/,
      ],
      [
        'the removal of a node that is up',
        'DELETE',
        '/nodes/node2',
        undefined,
        400,
        /is a cluster manager|is not down/,
      ],
      [
        'a stale cluster version',
        'POST',
        '/swarm/update?version=1',
        { Name: 'default' },
        400,
        /update out of sequence/,
      ],
      [
        'a heartbeat that is too quick',
        'POST',
        '/swarm/update?version=1',
        { Dispatcher: { HeartbeatPeriod: 1_000 } },
        400,
        /at least 100 ms/,
      ],
      ['a second swarm', 'POST', '/swarm/init', { ListenAddr: '127.0.0.1:1' }, 503, /already part of a swarm/],
      [
        'a join into a second swarm',
        'POST',
        '/swarm/join',
        { RemoteAddrs: ['127.0.0.1:1'], JoinToken: 'SWMTKN-1-x' },
        400,
        /join token/,
      ],
    ] as const) {
      it(`${what}: ${status}`, async () => {
        const before = await state();
        const answer = await call(method, path, body);
        assert.match((JSON.parse(answer.text) as { message: string }).message, words);
        assert.equal(answer.status, status);
        assert.equal(await state(), before);
      });
    }
  });
});
