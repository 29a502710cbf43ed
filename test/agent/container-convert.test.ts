import assert from 'node:assert/strict';
import { containerConfig, openedPorts } from '../../agent/container/convert.ts';
import type { ContainerSpec, PortConfig, Task, TaskSpec } from '../../proto/objects.ts';
import type { ContainerConfig } from '../../runtime/container/contract.ts';
import { anId, aTask, aTaskSpec } from '../support/objects.ts';

const node = { hostname: 'node1', platform: { os: 'linux', architecture: 'x86_64' } };

function task(spec: Parameters<typeof aTaskSpec>[0] = {}, changes: Partial<Task> = {}): Task {
  const rest = { version: 1, createdAtMs: 0, updatedAtMs: 0 };
  return { ...aTask({ nodeId: anId('node', 9), spec: aTaskSpec(spec), ...changes }), ...rest };
}

const configOf = (...args: Parameters<typeof task>): ContainerConfig => containerConfig(task(...args), node);

const port = (changes: Partial<PortConfig>): PortConfig => ({
  protocol: 'tcp',
  targetPort: 80,
  publishedPort: 8080,
  publishMode: 'host',
  ...changes,
});

const HEALTH = { test: ['CMD', 'ok'], intervalMs: 1, timeoutMs: 2, startPeriodMs: 3, startIntervalMs: 4, retries: 5 };
const MOUNT = { source: '/srv', target: '/data', readOnly: true };
const RUNTIME_MOUNT = { ...MOUNT, propagation: '', tmpfsOptions: '', noCopy: false, createSource: false };

describe('a task as a container', () => {
  it('has its name and its labels', () => {
    const { name, labels, restart, autoRemove } = configOf({ container: { labels: { own: '1' } } });
    const id = anId('task', 1);
    assert.equal(name, `web.1.${id}`);
    assert.deepEqual(labels, {
      own: '1',
      'com.docker.swarm.node.id': anId('node', 9),
      'com.docker.swarm.service.id': anId('service', 1),
      'com.docker.swarm.service.name': 'web',
      'com.docker.swarm.task': '',
      'com.docker.swarm.task.id': id,
      'com.docker.swarm.task.name': `web.1.${id}`,
    });
    assert.deepEqual([restart.name, autoRemove], ['no', false]);
  });

  it('can not be told another task by a label of its own', () => {
    const { labels } = configOf({ container: { labels: { 'com.docker.swarm.task.id': 'other' } } });
    assert.equal(labels['com.docker.swarm.task.id'], anId('task', 1));
  });

  const cases: readonly (readonly [string, Partial<ContainerSpec>, Partial<ContainerConfig>])[] = [
    ['nothing', {}, { entrypoint: undefined, command: undefined, network: 'bridge', stopGraceMs: -1 }],
    ['command and arguments', { command: ['a'], args: ['b', 'c'] }, { entrypoint: ['a'], command: ['b', 'c'] }],
    ['environment', { env: ['A=1', 'N={{.Task.Slot}}'] }, { env: ['A=1', 'N=1'] }],
    ['hostname', { hostname: '{{.Node.Hostname}}-{{.Task.Slot}}' }, { hostname: 'node1-1' }],
    ['folder', { workingDirectory: '/w' }, { workingDirectory: '/w' }],
    ['user and groups', { user: 'u', groups: ['g'] }, { user: 'u', groups: ['g'] }],
    ['stopping', { stopSignal: 'SIGINT', stopGraceMs: 0 }, { stopSignal: 'SIGINT', stopGraceMs: 0 }],
    ['health check', { healthCheck: HEALTH }, { healthCheck: HEALTH }],
    ['hosts', { hosts: ['10.0.0.1 a b', '::1 c'] }, { extraHosts: ['a:10.0.0.1', 'b:10.0.0.1', 'c:::1'] }],
    [
      'dns',
      { dns: { servers: ['9.9.9.9'], search: ['x'], options: ['ndots:1'] } },
      { dns: { servers: ['9.9.9.9'], search: ['x'], options: ['ndots:1'] } },
    ],
    ['terminal and stdin', { tty: true, openStdin: true }, { terminal: true, openStdin: true }],
    ['read-only root and init', { readOnly: true, init: true }, { readOnlyRoot: true, init: true }],
    [
      'capabilities',
      { capabilityAdd: ['CAP_A'], capabilityDrop: ['CAP_B'] },
      { capabilityAdd: ['CAP_A'], capabilityDrop: ['CAP_B'] },
    ],
    [
      'sysctls and ulimits',
      { sysctls: { 'net.x': '1' }, ulimits: [{ name: 'nofile', soft: 1, hard: 2 }] },
      { sysctls: { 'net.x': '1' }, ulimits: [{ name: 'nofile', soft: 1, hard: 2 }] },
    ],
    [
      'a bind mount',
      { mounts: [{ ...MOUNT, type: 'bind', source: '/srv/{{.Task.Slot}}', propagation: 'rslave' }] },
      { mounts: [{ ...RUNTIME_MOUNT, type: 'bind', source: '/srv/1', propagation: 'rslave' }] },
    ],
    [
      'a volume',
      { mounts: [{ ...MOUNT, type: 'volume', source: 'v-{{.Service.Name}}', volumeNoCopy: true }] },
      { mounts: [{ ...RUNTIME_MOUNT, type: 'volume', source: 'v-web', noCopy: true }] },
    ],
    [
      'a tmpfs',
      { mounts: [{ ...MOUNT, type: 'tmpfs', source: '', tmpfsSizeBytes: 4096, tmpfsMode: 0o1777 }] },
      { mounts: [{ ...RUNTIME_MOUNT, type: 'tmpfs', source: '', tmpfsOptions: 'size=4096,mode=1777' }] },
    ],
  ];
  for (const [what, spec, expected] of cases) {
    it(`has the asked ${what}`, () => {
      const config = configOf({ container: spec });
      const keys = Object.keys(expected) as (keyof ContainerConfig)[];
      assert.deepEqual(Object.fromEntries(keys.map((key) => [key, config[key]])), expected);
    });
  }

  it('has limits, and reservations as the kernel knows them', () => {
    const { limits } = configOf({
      limits: { nanoCpus: 5e8, memoryBytes: 64e6, pids: 7 },
      reservations: { nanoCpus: 1e8, memoryBytes: 32e6 },
    });
    assert.deepEqual(
      [limits.nanoCpus, limits.memoryBytes, limits.pids, limits.memoryReservationBytes],
      [5e8, 64e6, 7, 32e6],
    );
  });

  for (const [logDriver, expected] of [
    [undefined, { name: 'json-file', options: {} }],
    [
      { name: 'json-file', options: { 'max-size': '1m' } },
      { name: 'json-file', options: { 'max-size': '1m' } },
    ],
  ] as const) {
    it(`logs by ${JSON.stringify(logDriver)}`, () =>
      assert.deepEqual(configOf(logDriver ? { logDriver } : {}).logDriver, expected));
  }

  it('opens host-mode ports, and leaves ingress ports to the node', () => {
    const ports = [port({}), port({ publishMode: 'ingress', publishedPort: 9000 })];
    const { publish, exposedPorts } = configOf({}, { ports });
    assert.deepEqual(publish, [{ protocol: 'tcp', containerPort: 80, hostAddress: '', hostPort: 8080 }]);
    assert.deepEqual(exposedPorts, ['80/tcp']);
  });

  const networks = (...targets: string[]): Pick<TaskSpec, 'networks'> => ({
    networks: targets.map((target) => ({ target, aliases: [] })),
  });
  for (const [targets, network, published] of [
    [[], 'bridge', 1],
    [['bridge'], 'bridge', 1],
    [['host'], 'host', 0],
    [['none'], 'none', 0],
  ] as const) {
    it(`is on ${network} when the service says ${JSON.stringify(targets)}`, () => {
      const config = configOf(networks(...targets), { ports: [port({})] });
      assert.deepEqual([config.network, config.publish.length], [network, published]);
    });
  }

  it('has no bridge where all of its networks are internal and it publishes nothing', () => {
    const [inner, other] = [anId('network', 3), anId('network', 4)];
    const networks = [inner, other].map((target) => ({ target, aliases: [] }));
    const attachments = [inner, other].map((networkId, at) => ({ networkId, address: `10.0.1.${at + 3}` }));
    const placed = { attachments } as Partial<Task>;
    const on = (isInternal: (id: string) => boolean, changes: Partial<Task> = {}) => {
      const config = containerConfig(task({ networks }, { ...placed, ...changes }), node, isInternal);
      return [config.network, ...(config.attachments ?? []).map(({ network }) => network)];
    };
    assert.deepEqual(
      on(() => true),
      [inner, inner, other],
    );
    assert.deepEqual(
      on((id) => id === inner),
      ['bridge', 'bridge', inner, other],
    );
    assert.deepEqual(
      on(() => true, { ports: [port({})] }),
      ['bridge', 'bridge', inner, other],
    );
  });

  it('is on the networks of the cluster beside the bridge, with the addresses that it was given', () => {
    const attachments = [{ networkId: anId<'network'>('network', 1), address: '10.0.1.3' }];
    const asked = networks(anId('network', 1));
    const config = configOf(asked, { attachments, ports: [port({})] });
    const places = config.attachments?.map(({ network, address, gatewayPriority }) => [
      network,
      address,
      gatewayPriority,
    ]);
    assert.deepEqual(places, [
      ['bridge', '', 1],
      [anId('network', 1), '10.0.1.3', 0],
    ]);
    assert.deepEqual([config.network, config.publish.length], ['bridge', 1]);
    assert.throws(() => configOf(asked), { code: 'internal', message: /has no address in network/ });
  });

  it('is reached by IPv6 on the bridge where its ports are published', () => {
    const askedFor = (spec: Parameters<typeof task>[0], changes: Partial<Task>): (boolean | undefined)[] =>
      (configOf(spec, changes).attachments ?? []).map(({ reachedBySix }) => reachedBySix);
    const inside = { attachments: [{ networkId: anId<'network'>('network', 1), address: '10.0.1.3' }] };
    assert.deepEqual(askedFor({}, { ports: [port({ publishMode: 'ingress' })] }), [true]);
    assert.deepEqual(askedFor(networks(anId('network', 1)), { ...inside, ports: [port({})] }), [true, undefined]);
    assert.deepEqual(askedFor(networks(anId('network', 1)), inside), [undefined, undefined]);
    assert.deepEqual(askedFor({}, {}), []);
    assert.deepEqual(askedFor(networks('host'), { ports: [port({})] }), []);
  });

  it('tells which ports were opened, each once', () => {
    const ports = [port({ publishedPort: 0 }), port({ publishedPort: 8080 }), port({ publishMode: 'ingress' })];
    const opened = (hostPort: number) => ({ protocol: 'tcp', containerPort: 80, hostAddress: '', hostPort }) as const;
    const told = openedPorts(task({}, { ports }), [opened(49_153), opened(8080)]);
    assert.deepEqual(
      told.map(({ publishedPort }) => publishedPort),
      [49_153, 8080],
    );
  });
});
