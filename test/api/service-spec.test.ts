import assert from 'node:assert/strict';
import { parseServiceSpec, serviceSpecJson } from '../../api/convert/service-spec.ts';
import { checkServiceSpec } from '../../proto/validate.ts';

const DEFAULTS = {
  UpdateConfig: { Parallelism: 1, FailureAction: 'pause', Monitor: 5e9, MaxFailureRatio: 0, Order: 'stop-first' },
  RollbackConfig: { Parallelism: 1, FailureAction: 'pause', Monitor: 5e9, MaxFailureRatio: 0, Order: 'stop-first' },
};

/** All that a client can say and we can do, in the form in which it comes back. */
const FULL = {
  Name: 'web',
  Labels: { 'com.example.tier': 'front' },
  TaskTemplate: {
    ContainerSpec: {
      Image: 'busybox:1.36',
      Labels: { a: 'b' },
      Command: ['sh', '-c'],
      Args: ['sleep 100'],
      Hostname: '{{.Node.Hostname}}',
      Env: ['A=1', 'B='],
      Dir: '/srv',
      User: '1000:1000',
      Groups: ['10'],
      StopSignal: 'SIGINT',
      TTY: true,
      OpenStdin: true,
      ReadOnly: true,
      Mounts: [
        { Type: 'bind', Source: '/a', Target: '/b', ReadOnly: true, BindOptions: { Propagation: 'rslave' } },
        {
          Type: 'volume',
          Source: 'v',
          Target: '/c',
          VolumeOptions: {
            NoCopy: true,
            Labels: { x: 'y' },
            DriverConfig: { Name: 'local', Options: { o: 'size=1' } },
          },
        },
        { Type: 'tmpfs', Target: '/d', TmpfsOptions: { SizeBytes: 1024, Mode: 0o1777 } },
      ],
      StopGracePeriod: 1_500_000_000,
      Healthcheck: {
        Test: ['CMD', 'true'],
        Interval: 1_000_000,
        Timeout: 2e9,
        StartPeriod: 3e9,
        StartInterval: 1e8,
        Retries: 2,
      },
      Hosts: ['10.0.0.1 db'],
      DNSConfig: { Nameservers: ['1.1.1.1'], Search: ['example.com'], Options: ['ndots:2'] },
      Init: false,
      Isolation: 'default',
      Sysctls: { 'net.ipv4.ip_forward': '1' },
      CapabilityAdd: ['CAP_NET_ADMIN'],
      CapabilityDrop: ['CAP_CHOWN'],
      Ulimits: [{ Name: 'nofile', Soft: 10, Hard: 20 }],
    },
    Resources: {
      Limits: { NanoCPUs: 500_000_000, MemoryBytes: 67_108_864, Pids: 50 },
      Reservations: { MemoryBytes: 33_554_432 },
    },
    RestartPolicy: { Condition: 'on-failure', Delay: 250_000_000, MaxAttempts: 3, Window: 60e9 },
    Placement: {
      Constraints: ['node.role==worker'],
      Preferences: [{ Spread: { SpreadDescriptor: 'node.labels.rack' } }],
      MaxReplicas: 2,
      Platforms: [{ Architecture: 'amd64', OS: 'linux' }],
    },
    Networks: [{ Target: 'bridge', Aliases: ['web'] }],
    LogDriver: { Name: 'json-file', Options: { 'max-size': '1m' } },
    ForceUpdate: 2,
    Runtime: 'container',
  },
  Mode: { Replicated: { Replicas: 0 } },
  UpdateConfig: {
    Parallelism: 0,
    Delay: 1_000_001,
    FailureAction: 'rollback',
    Monitor: 1e6,
    MaxFailureRatio: 0.25,
    Order: 'start-first',
  },
  RollbackConfig: { Parallelism: 2, FailureAction: 'continue', Monitor: 7e9, MaxFailureRatio: 1, Order: 'stop-first' },
  EndpointSpec: {
    Mode: 'dnsrr',
    Ports: [{ Name: 'http', Protocol: 'udp', TargetPort: 80, PublishedPort: 8080, PublishMode: 'host' }],
  },
};

/** As `docker service create --name web busybox` sends it. */
const PLAIN = {
  Name: 'web',
  Labels: {},
  TaskTemplate: {
    ContainerSpec: { Image: 'busybox', DNSConfig: {}, Init: false, Isolation: 'default' },
    Resources: { Limits: {}, Reservations: {} },
    Placement: {},
    ForceUpdate: 0,
    Runtime: 'container',
  },
  Mode: { Replicated: { Replicas: 1 } },
  EndpointSpec: { Mode: 'vip' },
};

describe('service specifications', () => {
  it('come back equal, whatever was said', () => {
    assert.deepEqual(serviceSpecJson(parseServiceSpec(FULL)), FULL);
  });

  it('come back with defaults where nothing was said', () => {
    assert.deepEqual(serviceSpecJson(parseServiceSpec(PLAIN)), {
      ...PLAIN,
      ...DEFAULTS,
      TaskTemplate: { ...PLAIN.TaskTemplate, RestartPolicy: { Condition: 'any', Delay: 5e9, MaxAttempts: 0 } },
    });
  });

  for (const [name, json] of [
    ['full', FULL],
    ['plain', PLAIN],
    ['global', { ...PLAIN, Mode: { Global: {} } }],
  ] as const) {
    it(`do not change by being read, written and read again (${name})`, () => {
      const once = parseServiceSpec(json);
      assert.deepEqual(parseServiceSpec({ ...serviceSpecJson(once) }), once);
    });
  }

  it('are what the managers accept', () => checkServiceSpec(parseServiceSpec(PLAIN)));

  it('survive JSON: nothing undefined is in them', () => {
    const spec = parseServiceSpec(FULL);
    assert.deepEqual(JSON.parse(JSON.stringify(spec)), spec);
  });

  it('take networks from beside the task, where old clients put them', () => {
    const spec = parseServiceSpec({ ...PLAIN, Networks: [{ Target: 'bridge' }] });
    assert.deepEqual(spec.task.networks, [{ target: 'bridge', aliases: [] }]);
  });

  it('fill a partial update config with what Go would make of it', () => {
    const { update } = parseServiceSpec({ ...PLAIN, UpdateConfig: { Parallelism: 3 } });
    assert.deepEqual(update, {
      parallelism: 3,
      delayMs: 0,
      failureAction: 'pause',
      monitorMs: 5000,
      failureRatioMax: 0,
      order: 'stop-first',
    });
  });
});
