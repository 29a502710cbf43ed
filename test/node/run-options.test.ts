// Every option of docker run, seen inside the container or in its cgroup. Anything accepted has to work.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { whyNoAppArmor } from '../../runtime/container/app-armor.ts';
import { ClientLab } from '../support/client-lab.ts';
import { requireRoot, requireTool } from '../support/requirements.ts';

const DEVICE = ['/dev/loop-control', '/dev/fuse', '/dev/tty0'].find((path) => existsSync(path)) ?? '';
const HAS_V1 = existsSync('/sys/fs/cgroup/memory/memory.limit_in_bytes');

/** Options, what a shell in the container is asked, and what it must say. */
const SEEN: readonly (readonly [options: string, script: string, seen: RegExp])[] = [
  ['-u 5:6', 'id -u; id -g', /^5\n6\n$/],
  ['-u user --group-add extra --group-add 77', 'id -G', /^1000 77 2000\n$/],
  ['-w /a/b', 'pwd', /^\/a\/b\n$/],
  ['-e A=1 --env-file AT/env', 'echo $A-$B', /^1-from-file\n$/],
  [
    '-h box --domainname example.org',
    'hostname; cat /proc/sys/kernel/domainname; grep -c "box.example.org box" /etc/hosts',
    /^box\nexample.org\n1\n$/,
  ],
  ['--entrypoint cat', '/etc/hostname', /^[0-9a-f]{12}\n$/],
  ['--init', 'cat /proc/1/comm; echo $$', /^(shoal-init|init)\n[2-9]\d*\n$/],
  [
    '--read-only --tmpfs /t:size=1m,mode=700',
    'touch /x 2>&1; touch /t/x && stat -c %a /t; df -k /t | tail -1 | awk "{print \\$2}"',
    /Read-only file system\n700\n1024\n$/,
  ],
  ['--shm-size 8m', 'df -k /dev/shm | tail -1 | awk "{print \\$2}"', /^8192\n$/],
  ['--tmpfs /t:exec', 'grep " /t " /proc/mounts', /^(?!.*noexec).*nosuid/],
  ['--cap-drop ALL --cap-add CHOWN', 'grep CapEff /proc/self/status', /0000000000000001/],
  ['--cap-add ALL --cap-drop MKNOD', 'mknod /x c 1 3 2>&1', /Operation not permitted/],
  ['--privileged', 'grep Seccomp: /proc/self/status; test -w /sys/kernel && echo sys', /Seccomp:\t0\nsys\n/],
  ['--security-opt no-new-privileges', 'grep NoNewPrivs /proc/self/status', /NoNewPrivs:\t1/],
  ['--security-opt seccomp=unconfined', 'grep Seccomp: /proc/self/status', /Seccomp:\t0/],
  ['--security-opt seccomp=PROFILE', 'mkdir /made 2>&1; ls -d /made 2>&1', /mkdir: .*Operation not permitted/],
  [
    '--security-opt systempaths=unconfined',
    'wc -c < /proc/interrupts; grep -c "^proc /proc/sys " /proc/mounts',
    /^[1-9]\d*\n0\n$/,
  ],
  ['--ulimit nofile=64:128 --ulimit core=0', 'ulimit -n; ulimit -Hn; ulimit -c', /^64\n128\n0\n$/],
  [
    '--sysctl net.ipv4.ip_forward=0 --sysctl kernel.msgmax=4096',
    'cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax',
    /^0\n4096\n$/,
  ],
  ['--oom-score-adj 300', 'cat /proc/self/oom_score_adj', /^300\n$/],
  [
    '--device DEVICE:/dev/other:r',
    '(: < /dev/other) 2>&1; (: > /dev/other) 2>&1; ls /dev/other',
    /^[^<]*\/dev\/other: (Operation not permitted|Permission denied)\n\/dev\/other\n$/,
  ],
  [
    '--device-cgroup-rule=c\\ 10:200\\ rwm',
    'mknod /tun c 10 200; (: < /tun) 2>&1; mknod /kmsg c 1 11; (: < /kmsg) 2>&1',
    /^(?!.*tun.*Operation not permitted)[^]*kmsg.*Operation not permitted/,
  ],
  [
    '--add-host db:10.9.8.7 --add-host=gw:host-gateway',
    'grep -E "db|gw" /etc/hosts | tr "\\t" " "',
    /10\.9\.8\.7 db\n\d+\.\d+\.\d+\.1 gw/,
  ],
  ['--dns 10.1.1.1 --dns-search a.b --dns-opt ndots:3', 'cat /etc/resolv.conf', /search a\.b[^]*options .*ndots:3/],
  ['--network none', 'ls /sys/class/net', /^lo\n$/],
  ['--network host --uts host', 'hostname', /./],
  ['--pid host', 'test "$(readlink /proc/self/ns/pid)" = "HOST:pid" && echo same', /^same\n$/],
  ['--ipc host', 'test "$(readlink /proc/self/ns/ipc)" = "HOST:ipc" && echo same', /^same\n$/],
  ['--uts host', 'test "$(readlink /proc/self/ns/uts)" = "HOST:uts" && echo same', /^same\n$/],
  ['--cgroupns host', 'test "$(readlink /proc/self/ns/cgroup)" = "HOST:cgroup" && echo same', /^same\n$/],
  ['--cgroupns private', 'test "$(readlink /proc/self/ns/cgroup)" = "HOST:cgroup" || echo own', /^own\n$/],
  ['--ipc none', 'grep -c " /dev/shm " /proc/mounts', /^0\n$/],
  ['--userns host', 'cat /proc/self/uid_map', / 0 +0 +4294967295/],
  ['-v AT/d:/m', 'cat /m/f; touch /m/written && echo ok', /^in d\nok\n$/],
  ['-v AT/d:/m:ro', 'touch /m/x 2>&1', /Read-only file system/],
  ['-v AT/fresh:/m', 'touch /m/x && echo made', /^made\n$/],
  ['-v AT/d/f:/one', 'cat /one', /^in d\n$/],
  ['-v AT/shared:/m:rslave', 'grep -c " /m .*master:" /proc/self/mountinfo', /^1\n$/],
  ['-v AT/shared:/m:rshared', 'grep -c " /m .*shared:" /proc/self/mountinfo', /^1\n$/],
  ['-v AT/d:/m', 'grep " /m " /proc/self/mountinfo | grep -cE "shared:|master:"', /^0\n$/],
  ['--mount type=bind,source=AT/d,target=/m,readonly', 'cat /m/f; touch /m/x 2>&1', /^in d\n.*Read-only/],
  [
    '--mount type=bind,source=AT/shared,target=/m,bind-propagation=rslave',
    'grep -c " /m .*master:" /proc/self/mountinfo',
    /^1\n$/,
  ],
  [
    '--mount type=tmpfs,target=/m,tmpfs-size=2m,tmpfs-mode=0711',
    'stat -c %a /m; df -k /m | tail -1 | awk "{print \\$2}"',
    /^711\n2048\n$/,
  ],
  ['--mount type=volume,source=opts,target=/m,volume-label=a=b', 'touch /m/x && echo ok', /^ok\n$/],
  ['--mount type=volume,target=/data', 'cat /data/from-image', /^image$/],
  ['--mount type=volume,target=/data,volume-nocopy', 'ls /data | wc -l', /^0\n$/],
  ['-v /data', 'cat /data/from-image', /^image$/],
  ['--mount type=volume,source=parts,target=/m,volume-subpath=sub/dir', 'cat /m/f', /^part\n$/],
  ['--mount type=volume,source=parts,target=/m,volume-subpath=inside', 'cat /m/f', /^part\n$/],
  ['--volumes-from donor', 'cat /parts/sub/dir/f', /^part\n$/],
  ['--volumes-from donor:ro', 'touch /parts/x 2>&1', /Read-only/],
  ['--network container:donor', 'hostname; ls /sys/class/net | tr "\\n" " "', /^donorhost\neth0 lo/],
  ['--pid container:donor', 'cat /proc/1/cmdline | tr "\\0" " "', /sleep 1000/],
  ['--ipc container:donor', 'test "$(readlink /proc/self/ns/ipc)" != "HOST:ipc" && cat /dev/shm/shared', /^in shm\n$/],
  ['--mac-address 02:42:ac:11:00:99', 'cat /sys/class/net/eth0/address', /^02:42:ac:11:00:99\n$/],
  ['-it', 'tty', /^\/dev\/pts\/0\r\n$/],
];

/** Options and, below the container's cgroup, a file with what it must hold: on version 1, on version 2. */
const LIMITED: readonly (readonly [
  options: string,
  v1: readonly [string, string, string] | undefined,
  v2: readonly [string, string],
])[] = [
  ['-m 64m', ['memory', 'memory.limit_in_bytes', '67108864'], ['memory.max', '67108864']],
  ['-m 64m --memory-swap 96m', ['memory', 'memory.memsw.limit_in_bytes', '100663296'], ['memory.swap.max', '33554432']],
  ['--memory-reservation 32m', ['memory', 'memory.soft_limit_in_bytes', '33554432'], ['memory.low', '33554432']],
  ['-m 64m --oom-kill-disable', ['memory', 'memory.oom_control', 'oom_kill_disable 1'], ['memory.max', '67108864']],
  ['--memory-swappiness 7', ['memory', 'memory.swappiness', '7'], ['memory.max', 'max']],
  ['--cpus 0.5', ['cpu', 'cpu.cfs_quota_us', '50000'], ['cpu.max', '50000 100000']],
  ['--cpu-period 50000 --cpu-quota 10000', ['cpu', 'cpu.cfs_quota_us', '10000'], ['cpu.max', '10000 50000']],
  ['-c 512', ['cpu', 'cpu.shares', '512'], ['cpu.weight', '20']],
  ['--cpuset-cpus 0', ['cpuset', 'cpuset.cpus', '0'], ['cpuset.cpus', '0']],
  ['--cpuset-mems 0', ['cpuset', 'cpuset.mems', '0'], ['cpuset.mems', '0']],
  ['--pids-limit 33', ['pids', 'pids.max', '33'], ['pids.max', '33']],
];

describe('run options', () => {
  let client: ClientLab;
  let at: string;
  const ok = (...args: string[]): Promise<string> => client.ok(...args);

  before(async function () {
    requireRoot(this);
    requireTool(this, '/usr/bin/busybox');
    this.timeout(120_000); // the helper may have to be compiled
    client = await ClientLab.open();
    at = join(client.lab.root, 'host');
    mkdirSync(join(at, 'd'), { recursive: true });
    writeFileSync(join(at, 'd/f'), 'in d\n');
    writeFileSync(join(at, 'env'), 'B=from-file\n');
    mkdirSync(join(at, 'shared'));
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', join(at, 'shared')]);
    execFileSync('mount', ['--make-shared', join(at, 'shared')]);
    const refuseMkdir = [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO' }];
    writeFileSync(join(at, 'profile.json'), JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: refuseMkdir }));
    const fill =
      'mkdir -p /parts/sub/dir; echo part > /parts/sub/dir/f; ln -s sub/dir /parts/inside; ln -s /etc /parts/outside; echo in shm > /dev/shm/shared; exec sleep 1000';
    await ok(
      'run',
      '-d',
      '--name',
      'donor',
      '--ipc',
      'shareable',
      '-h',
      'donorhost',
      '-v',
      'parts:/parts',
      'bb',
      'sh',
      '-c',
      fill,
    );
    await ok('exec', 'donor', 'sh', '-c', 'until test -s /dev/shm/shared; do :; done');
  });
  afterEach(async () => {
    const ids = (await ok('ps', '-aq', '--filter', 'name=tested')).split('\n').filter(Boolean);
    if (ids.length > 0) await ok('rm', '-fv', ...ids);
  });
  after(async () => {
    if (at !== undefined && existsSync(join(at, 'shared'))) execFileSync('umount', [join(at, 'shared')]);
    await client?.removeAll();
    await client?.[Symbol.asyncDispose]();
  });

  const words = (options: string): string[] =>
    options
      .replaceAll('AT/', `${at}/`)
      .replace('PROFILE', join(at, 'profile.json'))
      .replace('DEVICE', DEVICE)
      .split(/(?<!\\) /)
      .map((word) => word.replaceAll('\\ ', ' '));
  const ownNamespace = (text: string): string =>
    text.replace(/HOST:(\w+)/, (_, kind: string) =>
      execFileSync('readlink', [`/proc/self/ns/${kind}`], { encoding: 'utf8' }).trim(),
    );

  for (const [options, script, seen] of SEEN) {
    it(`shows ${options} inside`, async () => {
      const command = options.includes('--entrypoint') ? [script] : ['sh', '-c', ownNamespace(script)];
      const args = ['run', '--rm', '--name', 'tested', ...words(options), 'bb', ...command];
      const outcome =
        options === '-it'
          ? await client.client.onTerminal(`docker ${args.map((word) => `'${word}'`).join(' ')}`)
          : await client.client.run(args);
      assert.match(outcome.stdout, seen, outcome.stderr);
    });
  }

  for (const [options, v1, v2] of LIMITED) {
    it(`writes ${options} into the cgroup`, async () => {
      const id = (await ok('run', '-d', '--init', '--name', 'tested', ...words(options), 'bb', 'sleep', '1000')).trim();
      const { cgroupParent } = client.lab;
      const [controller, file, value] = HAS_V1 && v1 ? v1 : ['', ...v2];
      const text = readFileSync(join('/sys/fs/cgroup', controller, cgroupParent, id, file), 'utf8');
      assert.ok(text.split('\n').includes(value), text);
    });
  }

  it('weighs block input and output, or says that this kernel can not', async () => {
    const { stderr, stdout, code } = await client.run(
      'run',
      '-d',
      '--init',
      '--name',
      'tested',
      '--blkio-weight',
      '300',
      'bb',
      'sleep',
      '1000',
    );
    assert.equal(code, 0);
    const folder = join('/sys/fs/cgroup', HAS_V1 ? 'blkio' : '', client.lab.cgroupParent, stdout.trim());
    const file = ['blkio.bfq.weight', 'blkio.weight', 'io.bfq.weight']
      .map((name) => join(folder, name))
      .find(existsSync);
    if (file) assert.match(readFileSync(file, 'utf8'), /\b300\b/);
    else if (HAS_V1) assert.match(stderr, /Weight discarded/);
  });

  it('limits what a device takes', async function () {
    const disk = execFileSync('sh', ['-c', 'ls /sys/block | grep -vE "loop|ram|zram" | head -1'], {
      encoding: 'utf8',
    }).trim();
    if (disk === '' || !existsSync(`/dev/${disk}`) || !HAS_V1) return;
    const id = (
      await ok(
        'run',
        '-d',
        '--init',
        '--name',
        'tested',
        '--device-write-bps',
        `/dev/${disk}:1mb`,
        'bb',
        'sleep',
        '1000',
      )
    ).trim();
    const file = join('/sys/fs/cgroup/blkio', client.lab.cgroupParent, id, 'blkio.throttle.write_bps_device');
    assert.match(readFileSync(file, 'utf8'), /^\d+:\d+ 1048576$/m);
  });

  for (const [options, why] of [
    ['--mount type=volume,source=parts,target=/m,volume-subpath=outside', /cannot access path/],
    ['--mount type=volume,source=parts,target=/m,volume-subpath=nope', /cannot access path/],
    ['--mount type=volume,source=parts,target=/m,volume-subpath=../x', /subpath must be a relative path/],
    ['--mount type=bind,source=AT/none,target=/m', /bind source path does not exist/],
    ['--ipc container:lonely', /non-shareable IPC/],
    ['--log-opt max-size=much', /not a size/],
    ['--log-driver syslog', /no log driver named/],
    ['--memory-swappiness 101', /swappiness/],
    ['--blkio-weight 5', /blkio weight/i],
    ['--device-write-bps /dev/null:1mb', /is not a block device/],
    ['-v AT/d:/m:rshared', /is mounted on .* but it is not a shared mount/],
    ['--sysctl kernel.panic=5', /sysctl/],
    ['--runtime other', /unknown or invalid runtime name/],
    ['--isolation hyperv', /isolation/],
    ['--gpus all', /not implemented|could not select/],
    ['--storage-opt size=1g', /storage/],
  ] as const) {
    it(`refuses ${options} in a sentence`, async () => {
      if (options.includes('lonely')) await ok('run', '-d', '--init', '--name', 'lonely-tested', 'bb', 'sleep', '1000');
      const { code, stderr } = await client.run(
        'run',
        '--rm',
        '--name',
        'tested',
        ...words(options.replace('lonely', 'lonely-tested')),
        'bb',
        'true',
      );
      assert.notEqual(code, 0);
      assert.match(stderr, why);
    });
  }

  it('says that a profile of AppArmor is not applied where the kernel has none', async function () {
    if (whyNoAppArmor() === undefined) return this.skip();
    const run = await client.run('run', '--rm', '--security-opt', 'apparmor=mine', 'bb', 'echo', 'ran');
    assert.deepEqual([run.code, run.stdout], [0, 'ran\n']);
    assert.match(run.stderr, /AppArmor profile "mine" is not applied/);
    assert.doesNotMatch(await ok('info', '-f', '{{.SecurityOptions}}'), /apparmor/);
  });

  it('gives a volume of a mount its labels', async () => {
    assert.equal((await ok('volume', 'inspect', '-f', '{{.Labels}}', 'opts')).trim(), 'map[a:b]');
  });

  it('leaves out or leaves writable what is mounted below a source', async () => {
    mkdirSync(join(at, 'tree/below'), { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', join(at, 'tree/below')]);
    try {
      const mount = (more: string): string[] => ['--mount', `type=bind,source=${at}/tree,target=/m,readonly${more}`];
      const touch = 'touch /m/below/x 2>&1 && echo written';
      assert.match(await client.sh(`${touch}; true`, ...mount('')), /Read-only/);
      assert.match(await client.sh(touch, ...mount(',bind-recursive=writable')), /written/);
      assert.equal(await client.sh('grep -c /m/below /proc/mounts; true', ...mount(',bind-recursive=disabled')), '0\n');
    } finally {
      execFileSync('umount', [join(at, 'tree/below')]);
    }
  });

  it('rotates logs by json-file and local, reads both, and none not at all', async () => {
    const script = 'for i in $(seq 2000); do echo line $i; done';
    for (const driver of ['json-file', 'local']) {
      await ok(
        'run',
        '--name',
        'tested',
        '--log-driver',
        driver,
        '--log-opt',
        'max-size=20k',
        '--log-opt',
        'max-file=2',
        'bb',
        'sh',
        '-c',
        script,
      );
      const lines = (await ok('logs', 'tested')).trim().split('\n');
      assert.equal(lines.at(-1), 'line 2000');
      assert.ok(lines.length > 100 && lines.length < 1_500, String(lines.length));
      const path = (await ok('inspect', '-f', '{{.LogPath}}', 'tested')).trim();
      assert.equal(path === '', driver === 'local');
      await ok('rm', 'tested');
    }
    await ok('run', '--name', 'tested', '--log-driver', 'none', 'bb', 'echo', 'x');
    const none = await client.run('logs', 'tested');
    assert.match(none.stderr, /configured logging driver does not support reading/);
  });

  it('tells of labels and variables with the log when asked', async () => {
    await ok(
      'run',
      '--name',
      'tested',
      '-l',
      'team=a b',
      '-e',
      'KEY=v',
      '--log-opt',
      'labels=team',
      '--log-opt',
      'env=KEY',
      'bb',
      'echo',
      'said',
    );
    assert.equal(await ok('logs', '--details', 'tested'), 'KEY=v,team=a%20b said\n');
    assert.equal(await ok('logs', 'tested'), 'said\n');
  });

  it('stops by the signal and after the time that were asked for', async () => {
    await ok(
      'run',
      '-d',
      '--name',
      'tested',
      '--stop-signal',
      'USR1',
      'bb',
      'sh',
      '-c',
      'trap "exit 9" USR1; echo up; while :; do sleep 0.01; done',
    );
    while ((await ok('logs', 'tested')) === '') continue;
    await ok('stop', 'tested');
    assert.equal(await ok('wait', 'tested'), '9\n');
    await ok('rm', 'tested');
    await ok('run', '-d', '--name', 'tested', '--stop-timeout', '0', 'bb', 'sleep', '1000');
    await ok('stop', 'tested');
    assert.equal(await ok('wait', 'tested'), '137\n');
  });

  it('probes health at the start interval, and then tells', async () => {
    const started = Date.now();
    await ok(
      'run',
      '-d',
      '--init',
      '--name',
      'tested',
      '--health-cmd',
      'test -e /healthy',
      '--health-interval',
      '60s',
      '--health-start-period',
      '30s',
      '--health-start-interval',
      '50ms',
      'bb',
      'sleep',
      '1000',
    );
    await ok('exec', 'tested', 'touch', '/healthy');
    const health = async (): Promise<string> =>
      (await ok('inspect', '-f', '{{.State.Health.Status}}', 'tested')).trim();
    while ((await health()) !== 'healthy') assert.ok(Date.now() - started < 20_000);
  });

  it('shows sizes of containers, volumes and all', async () => {
    await ok('run', '--name', 'tested', 'bb', 'sh', '-c', 'head -c 100000 /dev/zero > /big; ln /big /twice');
    assert.match(
      await ok('ps', '-a', '--size', '--filter', 'name=tested', '--format', '{{.Size}}'),
      /^100kB \(virtual /,
    );
    assert.equal((await ok('inspect', '--size', '-f', '{{.SizeRw}}', 'tested')).trim(), '100000');
    assert.match(await ok('system', 'df', '-v'), /parts +1 +5B/);
    assert.match(await ok('container', 'prune', '-f', '--filter', 'label!=x'), /Total reclaimed space: 100kB/);
  });
});
