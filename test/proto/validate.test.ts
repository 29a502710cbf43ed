// Bad specifications: each is refused with one clear sentence, Docker's where clients match on it.
import { strict as assert } from 'node:assert';
import { DEFAULT_CLUSTER_SPEC, newNodeSpec } from '../../proto/defaults.ts';
import type { ClusterSpec, ContainerSpec, Mount, PortConfig, ServiceSpec, TaskSpec } from '../../proto/objects.ts';
import { parseClusterSpec, parseNodeSpec, parseServiceSpec } from '../../proto/parse-specs.ts';
import { checkClusterSpec, checkNodeSpec, checkServiceSpec } from '../../proto/validate.ts';
import { aClusterSpec, aServiceSpec, aTaskSpec, anUpdateConfig } from '../support/objects.ts';

const withTask = (task: Partial<Omit<TaskSpec, 'runtime'>>): ServiceSpec => aServiceSpec({ task: aTaskSpec(task) });
const withContainer = (container: Partial<ContainerSpec>): ServiceSpec =>
  aServiceSpec({ task: aTaskSpec({ container }) });
const withMounts = (...mounts: Mount[]): ServiceSpec => withContainer({ mounts });
const withPorts = (mode: 'vip' | 'dnsrr', ...ports: PortConfig[]): ServiceSpec =>
  aServiceSpec({ endpoint: { mode, ports } });

const bind: Mount = { type: 'bind', source: '/a', target: '/b', readOnly: false };
const port: PortConfig = { protocol: 'tcp', targetPort: 80, publishedPort: 8080, publishMode: 'ingress' };
const none = { nanoCpus: 0, memoryBytes: 0 };
const health = { test: [], intervalMs: 0, timeoutMs: 0, startPeriodMs: 0, startIntervalMs: 0, retries: 0 };

describe('a service specification', () => {
  for (const [what, spec] of [
    ['plain', aServiceSpec()],
    ['with a long name', aServiceSpec({ name: `a${'-_b'.repeat(20)}` })],
    ['that keeps its clients', aServiceSpec({ labels: { 'shoal.session-affinity': 'client-address' } })],
    ['with no replicas', aServiceSpec({ mode: { kind: 'replicated', replicas: 0 } })],
    ['with the smallest resources', withTask({ limits: { nanoCpus: 1e6, memoryBytes: 4 * 1024 ** 2, pids: 0 } })],
    ['with one port for two protocols', withPorts('vip', port, { ...port, protocol: 'udp' })],
    ['with two ports to be chosen', withPorts('vip', { ...port, publishedPort: 0 }, { ...port, publishedPort: 0 })],
    ['with a host port under dnsrr', withPorts('dnsrr', { ...port, publishMode: 'host' })],
    ['with an image by digest', withContainer({ image: `reg.example:5000/a/b_c/d:v1@sha256:${'a'.repeat(64)}` })],
    ['with an unlimited ulimit', withContainer({ ulimits: [{ name: 'nofile', soft: 5, hard: -1 }] })],
    ['with mounts below each other', withMounts(bind, { ...bind, target: '/b/c' })],
  ] as const) {
    it(`${what} is accepted, and survives its journey as JSON`, () => {
      checkServiceSpec(spec);
      assert.deepEqual(parseServiceSpec(JSON.parse(JSON.stringify(spec)), 'spec'), spec);
    });
  }

  for (const [spec, message] of [
    [aServiceSpec({ name: '' }), 'meta: name must be provided'],
    [aServiceSpec({ name: 'a.b' }), 'name must be valid as a DNS name component'],
    [aServiceSpec({ name: '-a' }), 'name must be valid as a DNS name component'],
    [aServiceSpec({ name: 'a-' }), 'name must be valid as a DNS name component'],
    [aServiceSpec({ name: 'a'.repeat(64) }), 'name must be 63 characters or fewer'],
    [aServiceSpec({ name: `${'a'.repeat(50_000)}!` }), 'name must be valid as a DNS name component'],
    [aServiceSpec({ labels: { '': 'x' } }), 'a label must have a name'],
    [
      aServiceSpec({ labels: { 'shoal.session-affinity': 'cookie' } }),
      "label shoal.session-affinity is 'cookie': it takes client-address",
    ],
    [
      aServiceSpec({ labels: { 'shoal.session-affinity': '' } }),
      "label shoal.session-affinity is '': it takes client-address",
    ],
    [aServiceSpec({ mode: { kind: 'replicated', replicas: -1 } }), 'Number of replicas must be non-negative'],
    [aServiceSpec({ mode: { kind: 'replicated', replicas: 1e9 } }), 'Number of replicas must be at most 100000'],
    [aServiceSpec({ update: anUpdateConfig({ parallelism: -1 }) }), 'TaskSpec: update-parallelism cannot be negative'],
    [aServiceSpec({ update: anUpdateConfig({ delayMs: -1 }) }), 'TaskSpec: update-delay cannot be negative'],
    [aServiceSpec({ rollback: anUpdateConfig({ monitorMs: -1 }) }), 'TaskSpec: rollback-monitor cannot be negative'],
    [
      aServiceSpec({ update: anUpdateConfig({ failureRatioMax: 1.1 }) }),
      'TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1',
    ],
    [
      aServiceSpec({ rollback: anUpdateConfig({ failureAction: 'rollback' }) }),
      'TaskSpec: a rollback cannot be rolled back: rollback-failure-action is pause or continue',
    ],
    [withTask({ limits: { ...none, nanoCpus: 999_999 } }), 'invalid cpu value 0.000999999: Must be at least 0.001'],
    [withTask({ reservations: { ...none, nanoCpus: -1e9 } }), 'invalid cpu value -1: Must be at least 0.001'],
    [withTask({ limits: { ...none, memoryBytes: 4_194_303 } }), 'invalid memory value 4194303: Must be at least 4MiB'],
    [withTask({ limits: { ...none, pids: -1 } }), 'invalid pids value -1: must be 0 for no limit or more'],
    [
      withTask({ restart: { condition: 'any', delayMs: -1, attemptsMax: 0, windowMs: 0 } }),
      'TaskSpec: restart-delay cannot be negative',
    ],
    [
      withTask({ placement: { constraints: ['node.role=manager'], preferences: [], replicasPerNodeMax: 0 } }),
      'constraint expected one operator from ==, !=',
    ],
    [
      withTask({ placement: { constraints: [], preferences: [{ spread: 'rack' }], replicasPerNodeMax: 0 } }),
      "placement preference 'rack' is invalid: spread takes node.labels.NAME or engine.labels.NAME",
    ],
    [withContainer({ image: '' }), 'ContainerSpec: image reference must be provided'],
    [withContainer({ image: 'Demo' }), 'ContainerSpec: "Demo" is not a valid repository/tag'],
    [withContainer({ image: 'a:b:c' }), 'ContainerSpec: "a:b:c" is not a valid repository/tag'],
    [withContainer({ image: 'a'.repeat(64) }), `ContainerSpec: "${'a'.repeat(64)}" is not a valid repository/tag`],
    [withContainer({ env: ['=x'] }), 'invalid environment variable: =x'],
    [
      withContainer({ healthCheck: { ...health, intervalMs: -1 } }),
      'ContainerSpec: Interval in HealthConfig cannot be negative',
    ],
    [withMounts(bind, { ...bind, target: '/b/' }), 'ContainerSpec: duplicate mount point: /b/'],
    [
      withMounts({ ...bind, target: 'b' }),
      `invalid mount config for type "bind": invalid mount path: 'b' mount path must be absolute`,
    ],
    [withMounts({ ...bind, source: '' }), 'invalid mount config for type "bind": field Source must not be empty'],
    [
      withMounts({ ...bind, target: '/' }),
      `invalid mount config for type "bind": invalid specification: destination can't be '/'`,
    ],
    [
      withMounts({ ...bind, type: 'tmpfs' }),
      'invalid mount config for type "tmpfs": field Source must not be specified',
    ],
    [withPorts('vip', port, port), 'EndpointSpec: duplicate published ports provided: 8080/tcp'],
    [withPorts('dnsrr', port), "EndpointSpec: port published with ingress mode can't be used with dnsrr mode"],
    [withPorts('vip', { ...port, targetPort: 0 }), 'EndpointSpec: invalid target port 0: it is 1 to 65535'],
    [
      withPorts('vip', { ...port, publishedPort: 65_536 }),
      'EndpointSpec: invalid published port 65536: it is 1 to 65535, or 0 to have one chosen',
    ],
    [
      withContainer({ env: ['A='.padEnd(600_000, 'x')] }),
      /^the specification has 600\d\d\d bytes, the most is 524288$/,
    ],
  ] as const) {
    it(`is refused: ${String(message)}`, () =>
      assert.throws(() => checkServiceSpec(spec), { code: 'invalid', message }));
  }
});

describe('a specification from outside', () => {
  const json = (): Record<string, unknown> => JSON.parse(JSON.stringify(aServiceSpec())) as Record<string, unknown>;
  for (const [what, body, message] of [
    ['no object', 7, 'spec must be an object'],
    ['a wrong type', { ...json(), name: 7 }, 'spec.name must be a string'],
    ['a missing part', { ...json(), task: undefined }, 'spec.task must be an object'],
    [
      'an unknown mode',
      { ...json(), mode: { kind: 'job' } },
      "spec.mode.kind must be one of replicated, global, not 'job'",
    ],
    [
      'half a replica',
      { ...json(), mode: { kind: 'replicated', replicas: 1.5 } },
      'spec.mode.replicas must be a whole number',
    ],
    ['a label that is no text', { ...json(), labels: { a: 1 } }, 'spec.labels.a must be a string'],
  ] as const) {
    it(`with ${what} is refused`, () =>
      assert.throws(() => parseServiceSpec(body, 'spec'), { code: 'invalid', message }));
  }

  it('loses what only a newer machine knows', () => {
    const spec = parseServiceSpec({ ...json(), novelty: true }, 'spec');
    assert.deepEqual(spec, aServiceSpec());
  });

  it('cannot plant a prototype', () => {
    const spec = parseServiceSpec(
      JSON.parse(JSON.stringify(json()).replace('"labels":{}', '"labels":{"__proto__":"x"}')),
      'spec',
    );
    assert.equal(Object.getPrototypeOf(spec.labels), Object.prototype);
  });
});

describe('a cluster specification', () => {
  it('of the defaults is accepted, and is what the tests use', () => {
    checkClusterSpec(DEFAULT_CLUSTER_SPEC);
    assert.deepEqual(parseClusterSpec(JSON.parse(JSON.stringify(DEFAULT_CLUSTER_SPEC)), 'spec'), aClusterSpec());
  });

  const { raft, dispatcher } = DEFAULT_CLUSTER_SPEC;
  for (const [change, message] of [
    [{ name: 'mine' }, 'modification of cluster name is not allowed'],
    [{ orchestration: { taskHistoryLimit: -1 } }, 'task history retention limit cannot be negative'],
    [{ certificates: { lifetimeMs: 3_599_999 } }, 'minimum certificate expiry time is 1h0m0s'],
    [{ raft: { ...raft, electionTicksMin: 2 } }, 'raft: election tick must be greater than heartbeat tick'],
    [
      { raft: { ...raft, electionTicksMax: 8 } },
      'raft: the longest election timeout must be greater than the shortest',
    ],
    [{ dispatcher: { ...dispatcher, heartbeatMs: -1 } }, 'heartbeat time period cannot be a negative duration'],
    [{ dispatcher: { ...dispatcher, nodeDownAfterMs: 1_999 } }, /taken for down after two heartbeat periods/],
  ] as readonly [Partial<ClusterSpec>, string | RegExp][]) {
    it(`is refused: ${String(message)}`, () =>
      assert.throws(() => checkClusterSpec(aClusterSpec(change)), { code: 'invalid', message }));
  }
});

describe('a node specification', () => {
  it('of a new node is accepted', () => checkNodeSpec(parseNodeSpec(newNodeSpec('manager'), 'spec')));

  it('with a bad availability is refused', () =>
    assert.throws(() => parseNodeSpec({ ...newNodeSpec('worker'), availability: 'sleepy' }, 'spec'), {
      message: "spec.availability must be one of active, pause, drain, not 'sleepy'",
    }));
});
