// The pure parts: merging with the image, limits as cgroup files, capabilities, mounts, restart and health rules.
import { strict as assert } from 'node:assert';
import { availableCapabilities, capabilitiesOf } from '../../runtime/container/capabilities.ts';
import { detectCgroups } from '../../runtime/container/cgroup-layout.ts';
import { cgroupPlan } from '../../runtime/container/cgroup-plan.ts';
import type { ContainerConfig, ContainerLimits, HealthState } from '../../runtime/container/contract.ts';
import { nextProbeMs, withDefaults, withResult } from '../../runtime/container/health.ts';
import { hostsText, resolvText } from '../../runtime/container/host-files.ts';
import { cleanTarget, mergeEnv, mergeImage } from '../../runtime/container/merge.ts';
import { byDepth, tmpfsMount } from '../../runtime/container/mounts.ts';
import { comesBackAtBoot, restartDelayMs } from '../../runtime/container/restart.ts';
import { parseSecurityOptions } from '../../runtime/container/security.ts';
import { isAvailable, isNumberList, online } from '../../runtime/container/online.ts';
import { parseSignal } from '../../runtime/container/signals.ts';
import { validateConfig } from '../../runtime/container/validate.ts';
import { EMPTY_CONFIG } from '../../runtime/image/image-config.ts';
import { aConfig, LIMITS } from './support.ts';

const ABILITIES = {
  swapIsAccounted: true,
  blockIoWeightFile: 'io.weight',
  oomCanBeDisabled: true,
  blockDevice: () => '8:0',
};
const BLKIO = '40 32 0:37 / /sys/fs/cgroup/blkio rw,nosuid - cgroup cgroup rw,blkio';

const TWO_PROCESSORS = { cpus: 2, online: (kind: 'cpu' | 'node') => (kind === 'cpu' ? '0-1' : '0') };

describe('merging with the image', () => {
  const image = { ...EMPTY_CONFIG, entrypoint: ['/e'], command: ['c'] };
  for (const [name, asked, args] of [
    ['nothing of its own', {}, ['/e', 'c']],
    ['a command', { command: ['x'] }, ['/e', 'x']],
    ['an entrypoint drops the image’s command', { entrypoint: ['/x'] }, ['/x']],
    ['both', { entrypoint: ['/x'], command: ['y'] }, ['/x', 'y']],
    ['an entrypoint reset', { entrypoint: [''], command: ['y'] }, ['y']],
    ['no entrypoint', { entrypoint: [], command: ['y'] }, ['y']],
    ['an empty command', { command: [] }, ['/e', 'c']],
  ] as const) {
    it(`takes ${name}`, () => assert.deepEqual(mergeImage(aConfig(asked), image).args, args));
  }

  it('needs a command from somewhere', () => {
    assert.throws(() => mergeImage(aConfig(), EMPTY_CONFIG), { code: 'invalid', message: 'no command specified' });
    assert.throws(() => mergeImage(aConfig({ entrypoint: [''] }), image), { message: 'no command specified' });
  });

  it('fills what the container leaves open', () => {
    const rich = {
      ...image,
      user: '5',
      workingDirectory: '/w',
      labels: { a: '1', b: '1' },
      exposedPorts: ['80/tcp'],
      stopSignal: 'INT',
    };
    const { config } = mergeImage(aConfig({ labels: { b: '2' }, exposedPorts: ['90/udp'] }), rich);
    assert.deepEqual(
      [config.user, config.workingDirectory, config.labels, config.exposedPorts, config.stopSignal],
      ['5', '/w', { a: '1', b: '2' }, ['80/tcp', '90/udp'], 'INT'],
    );
  });

  it('makes declared volumes anonymous ones, unless something is mounted there', () => {
    const { config } = mergeImage(aConfig({ tmpfs: { '/b/': '' } }), { ...image, volumes: ['/a', '/b'] });
    assert.deepEqual(
      config.mounts.map(({ type, source, target }) => [type, source, target]),
      [['volume', '', '/a']],
    );
  });

  it('merges health checks field by field', () => {
    const zero = { intervalMs: 0, timeoutMs: 0, startPeriodMs: 0, startIntervalMs: 0, retries: 0 };
    const ofImage = { ...zero, test: ['CMD', 'x'], intervalMs: 7, retries: 2 };
    const merged = mergeImage(aConfig({ healthCheck: { ...zero, test: [], retries: 9 } }), {
      ...image,
      healthCheck: ofImage,
    });
    assert.deepEqual(merged.config.healthCheck, { ...ofImage, retries: 9 });
    assert.deepEqual(mergeImage(aConfig(), { ...image, healthCheck: ofImage }).config.healthCheck, ofImage);
    assert.equal(mergeImage(aConfig(), image).config.healthCheck, undefined);
  });

  it('lets the container’s variables win, and removes a bare name', () => {
    assert.deepEqual(mergeEnv(['A=1', 'B=1', 'C=1'], ['B=2', 'C', 'D=x=y']), ['A=1', 'B=2', 'D=x=y']);
  });

  for (const [path, clean] of [
    ['/a/../b//c/', '/b/c'],
    ['/../..', '/'],
    ['/a/./b', '/a/b'],
  ] as const) {
    it(`cleans ${path}`, () => assert.equal(cleanTarget(path), clean));
  }
});

describe('refused configs', () => {
  const limits = (change: Partial<ContainerLimits>) => ({ limits: { ...LIMITS, ...change } });
  const volume = {
    type: 'volume',
    source: 'v1',
    readOnly: false,
    propagation: '',
    tmpfsOptions: '',
    noCopy: false,
    createSource: false,
  } as const;
  const cases: readonly (readonly [string, Partial<ContainerConfig>, RegExp])[] = [
    [
      'a relative working directory',
      { workingDirectory: 'x' },
      /working directory 'x' is invalid, it needs to be an absolute path/,
    ],
    ['a wrong stop signal', { stopSignal: 'SIGFOO' }, /Invalid signal: SIGFOO/],
    ['a wrong device rule', { deviceRules: ['x 1:3 r'] }, /invalid device cgroup rule format: 'x 1:3 r'/],
    ['too little memory', limits({ memoryBytes: 1024 }), /Minimum memory limit allowed is 6MB/],
    [
      'swap without memory',
      limits({ memorySwapBytes: 1e9 }),
      /You should always set the Memory limit when using Memoryswap/,
    ],
    [
      'less swap than memory',
      limits({ memoryBytes: 2e7, memorySwapBytes: 1e7 }),
      /Minimum memoryswap limit should be larger/,
    ],
    [
      'more CPUs than there are',
      limits({ nanoCpus: 3e9 }),
      /range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available/,
    ],
    [
      'two ways to limit the CPU',
      limits({ nanoCpus: 1e9, cpuQuota: 5000 }),
      /Nano CPUs and CPU Quota cannot both be set/,
    ],
    ['a wrong period', limits({ cpuPeriod: 10 }), /CPU cfs period can not be less than 1ms/],
    ['a wrong cpuset', limits({ cpusetCpus: 'a-b' }), /Invalid value a-b for cpuset cpus/],
    ['a cpuset that runs backwards', limits({ cpusetCpus: '1-0' }), /Invalid value 1-0 for cpuset cpus/],
    [
      'a processor that is offline',
      limits({ cpusetCpus: '1-3' }),
      /Requested CPUs are not available - requested 1-3, available: 0-1/,
    ],
    [
      'a memory node that is not there',
      limits({ cpusetMems: '0,1' }),
      /Requested memory nodes are not available - requested 0,1, available: 0/,
    ],
    [
      'auto-removal with a restart policy',
      { autoRemove: true, restart: { name: 'always', attemptsMax: 0 } },
      /can't create 'AutoRemove' container with restart policy/,
    ],
    [
      'attempts without on-failure',
      { restart: { name: 'always', attemptsMax: 2 } },
      /maximum retry count can only be used with 'on-failure'/,
    ],
    [
      'a relative mount',
      { mounts: [{ ...volume, target: 'x' }] },
      /invalid mount path: 'x' mount path must be absolute/,
    ],
    [
      'two mounts at one place',
      {
        mounts: [
          { ...volume, target: '/x' },
          { ...volume, target: '/x/' },
        ],
      },
      /Duplicate mount point: \/x/,
    ],
    ['a mount over the root', { mounts: [{ ...volume, target: '/' }] }, /mount path can't be '\/'/],
    [
      'a hostname with the host’s UTS',
      { utsMode: 'host', hostname: 'x' },
      /conflicting options: hostname and the UTS mode/,
    ],
    [
      'ports on another’s network',
      { network: 'container:x', publish: [{ protocol: 'tcp', containerPort: 1, hostAddress: '', hostPort: 0 }] },
      /port publishing and the container type network mode/,
    ],
    [
      'an unknown log driver',
      { logDriver: { name: 'x', options: {} } },
      /logger: no log driver named 'x' is registered/,
    ],
    [
      'an unknown log option',
      { logDriver: { name: 'json-file', options: { foo: '1' } } },
      /unknown log opt 'foo' for json-file log driver/,
    ],
    ['a bad extra host', { extraHosts: ['x'] }, /bad format for add-host: "x"/],
  ];
  for (const [name, change, reason] of cases) {
    it(name, () =>
      assert.throws(() => validateConfig(aConfig(change), TWO_PROCESSORS), {
        code: 'invalid',
        message: reason,
      }),
    );
  }
  it('accepts the usual', () =>
    validateConfig(aConfig(limits({ memoryBytes: 5e7, nanoCpus: 5e8, pids: 50 })), TWO_PROCESSORS));
});

describe('numbers of processors', () => {
  for (const [asked, available, expected] of [
    ['0', '0', true],
    ['0-1', '0-1', true],
    ['2', '0-1', false],
    ['1-2', '0-1', false],
    ['4', '0-3,8-11', false],
    ['0,8-9', '0-3,8-11', true],
    ['3-8', '0-3,8-11', false],
    ['0', '4-7', false],
    ['5', '4-7', true],
    ['0-99999999999999999999', '0-1', false],
  ] as const) {
    it(`${asked} ${expected ? 'are' : 'are not'} among ${available}`, () =>
      assert.equal(isAvailable(asked, available), expected));
  }

  it('are lists of numbers and ranges', () => {
    for (const good of ['0', '0-3', '1,3-5,7']) assert.ok(isNumberList(good), good);
    for (const bad of ['', 'a', '1-', '-1', '1,,2', '3-1', '1-2-3', ' 1']) assert.ok(!isNumberList(bad), bad);
  });

  it('are there, on this machine too', () => {
    assert.ok(isNumberList(online('cpu')));
    assert.ok(isNumberList(online('node')));
  });
});

describe('cgroups', () => {
  const hybrid = `31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw`;
  const unified = '30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate';
  const ask = (change: Partial<ContainerLimits>) => ({
    path: '/shoal/c1',
    limits: { ...LIMITS, ...change },
    devices: undefined,
    abilities: ABILITIES,
    memoryNodes: '0',
  });
  it('writes block input and output for both versions', () => {
    const limits = {
      blockIoWeight: 500,
      blockIo: [
        { kind: 'weight', path: '/dev/sda', value: 200 },
        { kind: 'read-bps', path: '/dev/sda', value: 1024 },
        { kind: 'write-iops', path: '/dev/sda', value: 7 },
      ],
    } as const;
    const [v2] = cgroupPlan(detectCgroups(unified), ask(limits)).groups;
    assert.deepEqual(v2?.writes, [
      ['io.weight', 'default 4950'],
      ['io.weight', '8:0 1920'],
      ['io.max', '8:0 rbps=1024'],
      ['io.max', '8:0 wiops=7'],
    ]);
    const abilities = { ...ABILITIES, blockIoWeightFile: 'blkio.weight' };
    const v1 = cgroupPlan(detectCgroups(`${hybrid}\n${BLKIO}`), { ...ask(limits), abilities }).groups;
    assert.deepEqual(v1.find(({ path }) => path.includes('blkio'))?.writes, [
      ['blkio.weight', '500'],
      ['blkio.weight_device', '8:0 200'],
      ['blkio.throttle.read_bps_device', '8:0 1024'],
      ['blkio.throttle.write_iops_device', '8:0 7'],
    ]);
  });

  const all = { memoryBytes: 1e8, nanoCpus: 5e8, cpuShares: 1024, pids: 20, cpusetCpus: '0-1' };

  it('knows version 2, version 1 and the hybrid', () => {
    assert.deepEqual(detectCgroups(unified), { unified: '/sys/fs/cgroup', unifiedControls: true, v1: {}, others: [] });
    const both = detectCgroups(hybrid);
    assert.equal(both.unified, '/sys/fs/cgroup/unified');
    assert.equal(both.unifiedControls, false);
    assert.equal(both.v1.cpuacct, '/sys/fs/cgroup/cpu,cpuacct');
    assert.deepEqual(both.others, ['/sys/fs/cgroup/systemd']);
    assert.equal(detectCgroups(hybrid.replace(/.*cgroup2.*/, '')).unified, undefined);
  });

  it('writes limits for version 2', () => {
    const { groups } = cgroupPlan(detectCgroups(unified), ask(all));
    assert.deepEqual(groups, [
      {
        version: 2,
        path: '/sys/fs/cgroup/shoal/c1',
        writes: [
          ['memory.max', '100000000'],
          ['memory.swap.max', '100000000'],
          ['cpu.max', '50000 100000'],
          ['cpu.weight', '39'],
          ['cpuset.cpus', '0-1'],
          ['pids.max', '20'],
        ],
      },
    ]);
  });

  it('writes limits for the hybrid, each hierarchy once', () => {
    const { groups } = cgroupPlan(detectCgroups(hybrid), ask(all));
    assert.deepEqual(groups, [
      { version: 2, path: '/sys/fs/cgroup/unified/shoal/c1', writes: [] },
      {
        version: 1,
        path: '/sys/fs/cgroup/memory/shoal/c1',
        writes: [
          ['memory.limit_in_bytes', '100000000'],
          ['memory.memsw.limit_in_bytes', '200000000'],
        ],
      },
      {
        version: 1,
        path: '/sys/fs/cgroup/cpu,cpuacct/shoal/c1',
        writes: [
          ['cpu.shares', '1024'],
          ['cpu.cfs_period_us', '100000'],
          ['cpu.cfs_quota_us', '50000'],
        ],
      },
      { version: 1, path: '/sys/fs/cgroup/pids/shoal/c1', writes: [['pids.max', '20']] },
    ]);
  });

  for (const [swap, accounted, expected] of [
    [-1, true, ['memory.swap.max', 'max']],
    [3e8, true, ['memory.swap.max', '200000000']],
    [0, false, undefined],
  ] as const) {
    it(`treats a swap of ${swap} as Docker does`, () => {
      const request = {
        ...ask({ memoryBytes: 1e8, memorySwapBytes: swap }),
        abilities: { ...ABILITIES, swapIsAccounted: accounted },
      };
      const [group] = cgroupPlan(detectCgroups(unified), request).groups;
      assert.deepEqual(
        group?.writes.find(([file]) => file.includes('swap')),
        expected,
      );
    });
  }
});

describe('capabilities', () => {
  const available = new Set(['CAP_CHOWN', 'CAP_SYS_ADMIN', 'CAP_NET_ADMIN']);
  const of = (add: string[], drop: string[], privileged = false): string[] =>
    capabilitiesOf({ add, drop, privileged, available });
  it('are Docker’s fourteen by default', () => assert.equal(of([], []).length, 14));
  it('can be added and dropped, in any spelling', () => {
    assert.ok(of(['net_admin'], []).includes('CAP_NET_ADMIN'));
    assert.ok(!of([], ['CAP_CHOWN']).includes('CAP_CHOWN'));
    assert.deepEqual(of(['CHOWN'], ['ALL']), ['CAP_CHOWN']);
    assert.deepEqual(of(['ALL'], ['CHOWN']), ['CAP_NET_ADMIN', 'CAP_SYS_ADMIN']);
  });
  it('are all that the machine has for the privileged', () => assert.equal(of([], [], true).length, 3));
  it('must exist', () =>
    assert.throws(() => of(['FOO'], []), { message: 'invalid CapAdd: unknown capability: "CAP_FOO"' }));
  it('are read from the bounding set', () => {
    assert.deepEqual([...availableCapabilities('CapBnd:\t0000000000000021\n')], ['CAP_CHOWN', 'CAP_KILL']);
  });
});

describe('security options', () => {
  it('are read', () => {
    const options = parseSecurityOptions([
      'no-new-privileges',
      'seccomp=unconfined',
      'systempaths=unconfined',
      'label=disable',
      'apparmor=docker-custom',
    ]);
    assert.deepEqual(options, {
      noNewPrivileges: true,
      seccomp: 'unconfined',
      appArmor: 'docker-custom',
      hidesPaths: false,
    });
    assert.deepEqual(parseSecurityOptions(['seccomp={"a":1}']).seccomp, { profile: { a: 1 } });
  });
  for (const text of ['foo=bar', 'no-new-privileges=x', 'seccomp=/profile.json']) {
    it(`refuse ${text}`, () => assert.throws(() => parseSecurityOptions([text]), { code: 'invalid' }));
  }
});

describe('mount plans', () => {
  it('reads tmpfs options', () => {
    const mount = tmpfsMount('/run', 'rw,exec,size=64m,mode=1777');
    assert.deepEqual([mount.flags, mount.data, mount.readOnly], [['nosuid', 'nodev'], 'size=64m,mode=1777', false]);
    assert.throws(() => tmpfsMount('/run', 'lowerdir=/'), { message: 'invalid tmpfs option ["lowerdir=/"]' });
  });
  it('puts inner mounts after outer ones', () => {
    const mounts = ['/a/b/c', '/a', '/a/b'].map((target) => tmpfsMount(target, ''));
    assert.deepEqual(
      byDepth(mounts).map(({ target }) => target),
      ['/a', '/a/b', '/a/b/c'],
    );
  });
});

describe('files of the network', () => {
  it('name the container itself and extra hosts', () => {
    const text = hostsText({
      base: undefined,
      hostname: 'c1',
      domainName: 'example.org',
      addresses: ['172.17.0.2'],
      gateway: '172.17.0.1',
      extraHosts: ['db:10.0.0.9', 'up:host-gateway', 'six=[fd00::1]'],
    });
    assert.match(text, /10\.0\.0\.9\tdb\n172\.17\.0\.1\tup\nfd00::1\tsix\n172\.17\.0\.2\tc1\.example\.org c1\n$/);
  });
  it('leave out name servers that only the machine itself can reach', () => {
    const none = { servers: [], search: [], options: [] };
    const host = '# x\nnameserver 127.0.0.53\nnameserver 10.1.1.1\nsearch a b\noptions ndots:2\n';
    assert.equal(resolvText(host, none, { ownNetwork: true }), 'nameserver 10.1.1.1\nsearch a b\noptions ndots:2\n');
    assert.match(resolvText('nameserver ::1', none, { ownNetwork: true }), /^nameserver 8\.8\.8\.8\n/);
    assert.equal(resolvText('nameserver ::1', none, { ownNetwork: false }), 'nameserver ::1\n');
    assert.equal(
      resolvText(host, { servers: ['1.1.1.1'], search: ['.'], options: ['x'] }, { ownNetwork: true }),
      'nameserver 1.1.1.1\noptions x\n',
    );
  });
});

describe('restart rules', () => {
  const run = { exitCode: 1, ranMs: 0, restartCount: 0, stoppedByHand: false, previousDelayMs: 0 };
  const rule = (name: 'no' | 'always' | 'unless-stopped' | 'on-failure', attemptsMax = 0) => ({ name, attemptsMax });
  for (const [name, change, expected] of [
    ['never without a policy', { rule: rule('no') }, 'never'],
    ['at first after 100 ms', { rule: rule('always') }, 100],
    ['then twice as late', { rule: rule('always'), previousDelayMs: 800 }, 1600],
    ['at most after a minute', { rule: rule('always'), previousDelayMs: 50_000 }, 60_000],
    ['anew after a good run', { rule: rule('always'), previousDelayMs: 50_000, ranMs: 10_000 }, 100],
    ['not after a stop by hand', { rule: rule('always'), stoppedByHand: true }, 'never'],
    ['not after success', { rule: rule('on-failure'), exitCode: 0 }, 'never'],
    ['up to its attempts', { rule: rule('on-failure', 3), restartCount: 2 }, 100],
    ['no more after them', { rule: rule('on-failure', 3), restartCount: 3 }, 'never'],
  ] as const) {
    it(name, () => assert.equal(restartDelayMs({ ...run, ...change }), expected));
  }
  for (const [name, last, expected] of [
    ['always', { stoppedByHand: true }, true],
    ['unless-stopped', { stoppedByHand: true }, false],
    ['unless-stopped', {}, true],
    ['on-failure', { exitCode: 1 }, true],
    ['on-failure', { exitCode: 0 }, false],
    ['no', {}, false],
  ] as const) {
    it(`at boot: ${name} ${JSON.stringify(last)}`, () => {
      assert.equal(comesBackAtBoot(rule(name), { exitCode: 0, stoppedByHand: false, wasUp: true, ...last }), expected);
    });
  }
});

describe('health rules', () => {
  const spec = withDefaults({
    test: ['CMD', 'x'],
    intervalMs: 1000,
    timeoutMs: 0,
    startPeriodMs: 5000,
    startIntervalMs: 100,
    retries: 2,
  });
  const starting: HealthState = { status: 'starting', failingStreak: 0, log: [] };
  const result = (exitCode: number, startMs: number) => ({ startMs, endMs: startMs, exitCode, output: '' });

  it('probes often until the first success of the start period', () => {
    assert.equal(nextProbeMs(spec, starting, 0), 100);
    assert.equal(nextProbeMs(spec, { ...starting, status: 'healthy' }, 0), 1000);
    assert.equal(nextProbeMs(spec, starting, 5000), 1000);
  });
  it('does not count failures of the start period', () => {
    const after = withResult(starting, spec, result(1, 4000), 0);
    assert.deepEqual([after.status, after.failingStreak], ['starting', 0]);
  });
  it('turns unhealthy after its retries, and healthy at one success', () => {
    let health = withResult(starting, spec, result(0, 100), 0);
    assert.equal(health.status, 'healthy');
    health = withResult(health, spec, result(1, 200), 0);
    assert.deepEqual([health.status, health.failingStreak], ['healthy', 1]);
    health = withResult(health, spec, result(2, 300), 0);
    assert.deepEqual([health.status, health.failingStreak], ['unhealthy', 2]);
    for (let index = 0; index < 9; index += 1) health = withResult(health, spec, result(1, 400), 0);
    assert.equal(health.log.length, 5);
    assert.equal(withResult(health, spec, result(0, 500), 0).status, 'healthy');
  });
});

describe('signals', () => {
  for (const [text, number] of [
    ['SIGTERM', 15],
    ['kill', 9],
    ['2', 2],
    ['RTMIN+3', 37],
    ['SIGRTMAX', 64],
  ] as const) {
    it(`reads ${text}`, () => assert.equal(parseSignal(text), number));
  }
  for (const text of ['', '0', '65', 'SIGFOO', 'RTMIN+99']) {
    it(`refuses '${text}'`, () => assert.throws(() => parseSignal(text), { code: 'invalid' }));
  }
});
