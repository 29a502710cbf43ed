// The helper as an OCI runtime: a bundle beside runc, which must not be told apart, and Docker Engine driving it.
import assert from 'node:assert/strict';
import { execFileSync, type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { nativeBinary } from '../../runtime/native/binary.ts';
import { BUSYBOX_IMAGE, type BenchEngine, importBusybox, startDocker } from '../bench/engines.ts';
import { DockerClient } from '../support/docker-client.ts';
import { requireRoot, requireTool } from '../support/requirements.ts';
import { until } from '../support/until.ts';

const NO_PROFILE = /apply the AppArmor profile 'mine': (this kernel has no AppArmor|it is not loaded)/;
const RUNC = ['/usr/sbin/runc', '/usr/bin/runc'].find((path) => existsSync(path)) ?? '/usr/sbin/runc';
const CACHE = process.env['SHOAL_TEST_CACHE'] ?? '/tmp/shoal-native-cache';
const SECONDS_MAX = 20;

type Json = Record<string, unknown>;
type Spec = Json & { readonly process: Json; readonly linux: Json };

class Bundle {
  readonly folder = mkdtempSync('/tmp/shoal-oci-');
  readonly runtime = join(this.folder, 'shoal-runtime');
  readonly #spec: Spec;

  constructor(binary: string) {
    symlinkSync(binary, this.runtime);
    mkdirSync(join(this.folder, 'rootfs/bin'), { recursive: true });
    mkdirSync(join(this.folder, 'rootfs/etc'));
    cpSync('/usr/bin/busybox', join(this.folder, 'rootfs/bin/busybox'));
    const names = execFileSync('/usr/bin/busybox', ['--list'], { encoding: 'utf8' }).split('\n').filter(Boolean);
    for (const name of names.filter((other) => other !== 'busybox'))
      symlinkSync('busybox', join(this.folder, 'rootfs/bin', name));
    execFileSync(RUNC, ['spec'], { cwd: this.folder });
    this.#spec = JSON.parse(readFileSync(join(this.folder, 'config.json'), 'utf8')) as Spec;
  }

  /** The namespaces of `runc spec`, all new, and these. */
  namespaces(...more: readonly Json[]): readonly unknown[] {
    return [...(this.#spec.linux['namespaces'] as readonly unknown[]), ...more];
  }

  /** Gives the root file system to this user and group; the folder lets them through. */
  own(uid: number, gid: number): void {
    chmodSync(this.folder, 0o711);
    execFileSync('chown', ['-hR', `${uid}:${gid}`, join(this.folder, 'rootfs')]);
  }

  /** Writes config.json: `runc spec` with these changes. */
  write(args: readonly string[], process: Json = {}, linux: Json = {}, rest: Json = {}): void {
    const config = {
      ...this.#spec,
      ...rest,
      process: { ...this.#spec.process, terminal: false, args, ...process },
      linux: { ...this.#spec.linux, ...linux },
    };
    writeFileSync(join(this.folder, 'config.json'), JSON.stringify(config));
  }

  call(runtime: 'runc' | 'shoal', ...args: readonly string[]): SpawnSyncReturns<string> {
    const [program, root] = runtime === 'runc' ? [RUNC, 'runc-state'] : [this.runtime, 'state'];
    const words = [String(SECONDS_MAX), program, '--root', join(this.folder, root), ...args];
    return spawnSync('timeout', words, { cwd: this.folder, encoding: 'utf8', input: '' });
  }

  ok(...args: readonly string[]): string {
    const { status, stdout, stderr } = this.call('shoal', ...args);
    assert.equal(status, 0, `${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  /** Like an engine: the streams of `create` are the container's, so they must not be pipes that we wait for. */
  create(id: string, output: string, ...options: readonly string[]): void {
    this.detached(output, 'create', ...options, id);
  }

  detached(output: string, ...words: readonly string[]): void {
    const file = openSync(join(this.folder, output), 'a');
    const args = ['--root', join(this.folder, 'state'), ...words];
    const stdio = ['ignore', file, file] as const;
    const { status } = spawnSync(this.runtime, args, {
      cwd: this.folder,
      stdio: [...stdio],
      timeout: SECONDS_MAX * 1000,
    });
    closeSync(file);
    assert.equal(status, 0, this.read(output));
  }

  state(id: string): Json {
    return JSON.parse(this.ok('state', id)) as Json;
  }

  read(name: string): string {
    return readFileSync(join(this.folder, name), 'utf8');
  }

  removeAll(): void {
    const state = join(this.folder, 'state');
    for (const id of existsSync(state) ? readdirSync(state) : []) this.call('shoal', 'delete', '--force', id);
  }

  dispose(): void {
    this.removeAll();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

describe('shoal-runtime, the OCI command line', () => {
  let bundle: Bundle;
  let binary: string;

  before(async function () {
    this.timeout(60_000);
    requireRoot(this);
    requireTool(this, '/usr/bin/busybox');
    requireTool(this, RUNC);
    binary = (await nativeBinary(CACHE)).path;
    bundle = new Bundle(binary);
  });
  afterEach(() => bundle?.removeAll());
  after(() => bundle?.dispose());

  const both = (...args: readonly string[]): Record<'runc' | 'shoal', SpawnSyncReturns<string>> => ({
    runc: bundle.call('runc', ...args),
    shoal: bundle.call('shoal', ...args),
  });

  const INSIDE: readonly (readonly [what: string, script: string, process?: Json, linux?: Json])[] = [
    ['capabilities, filter and privileges', 'grep -E "^(Cap|Seccomp:|NoNewPrivs|Umask)" /proc/self/status'],
    [
      'every set of capabilities by itself',
      'grep ^Cap /proc/self/status',
      {
        user: { uid: 7, gid: 8, additionalGids: [9] },
        capabilities: {
          bounding: ['CAP_CHOWN', 'CAP_KILL'],
          permitted: ['CAP_CHOWN', 'CAP_KILL'],
          effective: ['CAP_KILL'],
          inheritable: ['CAP_KILL'],
          ambient: ['CAP_KILL'],
        },
      },
    ],
    ['user and umask', 'id -u; id -g; umask', { user: { uid: 7, gid: 8, umask: 0o77 } }],
    ['limits', 'ulimit -n; ulimit -Hn; ulimit -c', { rlimits: [{ type: 'RLIMIT_NOFILE', soft: 100, hard: 200 }] }],
    ['environment and working directory', 'env | sort; pwd', { env: ['PATH=/bin', 'A=b c'], cwd: '/made/here' }],
    ['host name and process number', 'hostname; echo $$'],
    ['devices', 'ls -l /dev | awk \'{print $1, $3, $4, $5, $6, $NF}\' | grep -v "^total" | sort'],
    [
      'a device of the bundle',
      'ls -l /dev/mine | cut -c1-40',
      {},
      { devices: [{ path: '/dev/mine', type: 'c', major: 1, minor: 5, fileMode: 0o640, uid: 3, gid: 4 }] },
    ],
    ['masked and read-only paths', 'wc -c < /proc/kcore; ls /sys/firmware; echo x > /proc/sysrq-trigger'],
    ['read-only root', 'echo x > /file'],
    ['descriptors', 'ls /proc/self/fd'],
    ['sysctls', 'cat /proc/sys/net/ipv4/ip_forward', {}, { sysctl: { 'net.ipv4.ip_forward': '1' } }],
    ['exit code', 'exit 37'],
    [
      'the filter of the bundle',
      'mkdir /tmp; chmod 700 /bin; echo $?',
      {},
      {
        seccomp: {
          defaultAction: 'SCMP_ACT_ALLOW',
          architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
          syscalls: [{ names: ['chmod', 'fchmodat'], action: 'SCMP_ACT_ERRNO', errnoRet: 95 }],
        },
      },
    ],
  ];
  for (const [what, script, process, linux] of INSIDE) {
    it(`has a bundle see what runc has it see: ${what}`, function () {
      this.timeout(30_000);
      bundle.write(['sh', '-c', `exec 2>&1; ${script}`], process, linux);
      const { runc, shoal } = both('run', 'beside');
      assert.equal(shoal.stdout, runc.stdout, shoal.stderr);
      assert.equal(shoal.status, runc.status);
      assert.ok(runc.stdout !== '' || runc.status !== 0, runc.stderr);
    });
  }

  it('writes the limits of the bundle into its groups', () => {
    const resources = { pids: { limit: 33 }, memory: { limit: 50 << 20 }, cpu: { shares: 512 } };
    bundle.write(['sleep', '1000'], {}, { resources, cgroupsPath: `/shoal-oci-${process.pid}` });
    bundle.create('limited', 'out');
    const group = readFileSync(`/proc/${String(bundle.state('limited')['pid'])}/cgroup`, 'utf8');
    assert.match(group, new RegExp(`/shoal-oci-${process.pid}$`, 'm'));
    const files = readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' '))
      .filter(([, , type]) => type === 'cgroup' || type === 'cgroup2')
      .flatMap(([, path]) =>
        ['pids.max', 'memory.limit_in_bytes', 'memory.max'].map((name) => `${path}/shoal-oci-${process.pid}/${name}`),
      )
      .filter((path) => existsSync(path));
    const values = files.map((path) => readFileSync(path, 'utf8').trim());
    assert.ok(values.includes('33') && values.includes(String(50 << 20)), values.join(' '));
    writeFileSync(join(bundle.folder, 'resources.json'), '{"pids":{"limit":44}}');
    bundle.ok('update', '--resources', 'resources.json', 'limited');
    assert.ok(files.some((path) => readFileSync(path, 'utf8').trim() === '44'));
    bundle.ok('delete', '--force', 'limited');
    assert.ok(files.every((path) => !existsSync(path)));
  });

  it('goes through created, running, paused and stopped, and then is gone', async () => {
    bundle.write(['sh', '-c', 'trap "exit 3" TERM; echo ready; while :; do sleep 0.1; done']);
    bundle.create('life', 'life', '--pid-file', join(bundle.folder, 'pid'));
    const { pid, status, bundle: folder } = bundle.state('life');
    assert.deepEqual([String(pid), status, folder], [bundle.read('pid'), 'created', bundle.folder]);
    assert.equal(bundle.read('life'), '');
    assert.match(bundle.call('shoal', 'create', 'life').stderr, /container with id exists/);
    bundle.ok('start', 'life');
    assert.equal(bundle.state('life')['status'], 'running');
    assert.match(bundle.call('shoal', 'start', 'life').stderr, /cannot start an already running container/);
    assert.match(bundle.call('shoal', 'delete', 'life').stderr, /cannot delete container life that is not stopped/);
    bundle.ok('pause', 'life');
    assert.equal(bundle.state('life')['status'], 'paused');
    assert.match(bundle.call('shoal', 'exec', 'life', 'true').stderr, /paused container/);
    bundle.ok('resume', 'life');
    await until('the container is ready', () => bundle.read('life').includes('ready'));
    bundle.ok('kill', 'life', 'TERM');
    await until('it has stopped', () => bundle.state('life')['status'] === 'stopped');
    assert.match(bundle.call('shoal', 'kill', 'life', 'KILL').stderr, /container not running/);
    bundle.ok('delete', 'life');
    assert.match(bundle.call('shoal', 'state', 'life').stderr, /container "life" does not exist/);
    bundle.ok('delete', '--force', 'life');
  });

  it('runs further processes inside: streams, exit code, process file, numbers of all', () => {
    bundle.write(['sleep', '1000'], { noNewPrivileges: true });
    bundle.create('box', 'box');
    bundle.ok('start', 'box');
    const said = bundle.call(
      'shoal',
      'exec',
      '--cwd',
      '/bin',
      '--user',
      '5:6',
      '--env',
      'A=b',
      'box',
      'sh',
      '-c',
      'id -u; id -g; pwd; echo $A; exit 9',
    );
    assert.deepEqual([said.stdout, said.status], ['5\n6\n/bin\nb\n', 9]);
    writeFileSync(
      join(bundle.folder, 'process.json'),
      JSON.stringify({ args: ['sleep', '50'], cwd: '/', env: ['PATH=/bin'], user: { uid: 0, gid: 0 } }),
    );
    bundle.detached(
      'execed',
      'exec',
      '--detach',
      '--process',
      join(bundle.folder, 'process.json'),
      '--pid-file',
      join(bundle.folder, 'exec-pid'),
      'box',
    );
    const pids = JSON.parse(bundle.ok('ps', '--format', 'json', 'box')) as number[];
    assert.deepEqual(
      pids.toSorted((a, b) => a - b),
      [Number(bundle.state('box')['pid']), Number(bundle.read('exec-pid'))],
    );
    assert.match(bundle.call('shoal', 'exec', 'box', '/nothing').stderr, /no such file or directory/);
    bundle.ok('delete', '--force', 'box');
  });

  it('gives a terminal to who listens at the console socket', async () => {
    const path = join(bundle.folder, 'console');
    const receiver = spawn('python3', ['-c', RECEIVE_TERMINAL, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    await until('the receiver listens', () => existsSync(path));
    bundle.write(['sh', '-c', 'tty; stty size; echo done'], { terminal: true, consoleSize: { height: 11, width: 22 } });
    bundle.ok('run', '--detach', '--console-socket', path, 'tty');
    let said = '';
    receiver.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()));
    await once(receiver, 'close');
    assert.equal(said, '/dev/pts/0\r\n11 22\r\ndone\r\n');
    bundle.ok('delete', '--force', 'tty');
  });

  it('runs the hooks of the bundle at their moments, the state on their input; one that fails undoes the container', () => {
    const hook = (name: string): Json => ({
      path: '/bin/sh',
      args: ['sh', '-c', `echo ${name} $(grep status) >> ${bundle.folder}/hooks`],
    });
    const names = ['prestart', 'createRuntime', 'poststart', 'poststop'];
    const hooks = Object.fromEntries(names.map((name) => [name, [hook(name)]]));
    bundle.write(['true'], {}, {}, { hooks });
    bundle.ok('run', 'hooked');
    assert.deepEqual(
      bundle
        .read('hooks')
        .split('\n')
        .map((line) => line.split(' ')[0])
        .filter(Boolean),
      names,
    );
    assert.match(bundle.read('hooks'), /prestart "status": "created"/);
    bundle.write(['true'], {}, {}, { hooks: { createRuntime: [{ path: '/bin/false' }] } });
    assert.match(bundle.call('shoal', 'run', 'hooked').stderr, /error running hook \/bin\/false: exit status 1/);
    assert.deepEqual(readdirSync(join(bundle.folder, 'state')), []);
  });

  it('tells an engine what went wrong in its log, and leaves nothing behind', () => {
    const log = join(bundle.folder, 'log.json');
    const failures: readonly (readonly [() => void, RegExp])[] = [
      [() => bundle.write(['nope']), /exec: "nope": executable file not found in \$PATH/],
      [() => bundle.write(['true'], { cwd: 'relative' }), /Cwd must be an absolute path/],
      [
        () => bundle.write(['true'], {}, { namespaces: [{ type: 'mount' }, { type: 'time' }] }),
        /time namespaces are not supported/,
      ],
      [
        () => bundle.write(['true'], {}, {}, { mounts: [{ destination: '/x', type: 'ext9', source: 'x' }] }),
        /type 'ext9' is not supported/,
      ],
      [() => writeFileSync(join(bundle.folder, 'config.json'), '{"ociVersion":"1.0.2",'), /invalid JSON/],
      [() => writeFileSync(join(bundle.folder, 'config.json'), '['.repeat(1000)), /too deep/],
    ];
    for (const [prepare, words] of failures) {
      prepare();
      rmSync(log, { force: true });
      const { status } = bundle.call('shoal', '--log', log, '--log-format', 'json', 'create', 'failing');
      assert.equal(status, 1);
      const { level, msg } = JSON.parse(readFileSync(log, 'utf8')) as { level: string; msg: string };
      assert.equal(level, 'error');
      assert.match(msg, words);
      assert.deepEqual(readdirSync(join(bundle.folder, 'state')), []);
    }
  });

  it('refuses a profile of AppArmor that the kernel does not have, for the first process and for further ones', () => {
    bundle.write(['true'], { apparmorProfile: 'mine' });
    assert.match(bundle.call('runc', 'create', 'failing').stderr, /apparmor/);
    assert.match(bundle.call('shoal', 'create', 'failing').stderr, NO_PROFILE);
    bundle.write(['sleep', '1000'], { apparmorProfile: 'unconfined' });
    bundle.create('box', 'box');
    bundle.ok('start', 'box');
    assert.match(bundle.call('shoal', 'exec', '--apparmor', 'mine', 'box', 'true').stderr, NO_PROFILE);
    assert.equal(bundle.call('shoal', 'exec', '--apparmor', 'unconfined', 'box', 'true').status, 0);
  });

  it('tells its features as the OCI has them', () => {
    const features = JSON.parse(bundle.ok('features')) as {
      linux: { namespaces: string[]; seccomp: { enabled: boolean } };
    };
    assert.ok(
      features.linux.namespaces.includes('pid') &&
        features.linux.namespaces.includes('user') &&
        features.linux.seccomp.enabled,
    );
  });

  it('runs from a copy that no container can write to (CVE-2019-5736)', () => {
    bundle.write(
      ['sh', '-c', '(echo x > /proc/1/exe) 2>/dev/null; echo $?'],
      {},
      {},
      { root: { path: 'rootfs', readonly: false } },
    );
    const before = execFileSync('sha256sum', [binary], { encoding: 'utf8' });
    bundle.ok('run', 'writer');
    assert.equal(execFileSync('sha256sum', [binary], { encoding: 'utf8' }), before);
    bundle.write(['/proc/self/exe', 'state', 'writer']);
    assert.notEqual(bundle.call('shoal', 'run', 'writer').status, 0);
    assert.equal(execFileSync('sha256sum', [binary], { encoding: 'utf8' }), before);
  });
});

describe('shoal-runtime, a container in a user namespace', () => {
  const UID = 200_000;
  const GID = 300_000;
  const IDS = 65_536;
  const uidMappings = [{ containerID: 0, hostID: UID, size: IDS }];
  const gidMappings = [{ containerID: 0, hostID: GID, size: IDS }];
  let bundle: Bundle;

  before(async function () {
    this.timeout(60_000);
    requireRoot(this);
    requireTool(this, '/usr/bin/busybox');
    requireTool(this, RUNC);
    requireTool(this, '/proc/self/ns/user');
    bundle = new Bundle((await nativeBinary(CACHE)).path);
    bundle.own(UID, GID);
    mkdirSync(join(bundle.folder, 'private'), { mode: 0o700 });
    writeFileSync(join(bundle.folder, 'private/f'), 'of the host\n');
  });
  afterEach(() => bundle?.removeAll());
  after(() => bundle?.dispose());

  const writable: Json = { root: { path: 'rootfs', readonly: false } };
  const remapped = (linux: Json = {}): Json => ({
    namespaces: bundle.namespaces({ type: 'user' }),
    uidMappings,
    gidMappings,
    ...linux,
  });
  const having = (...names: readonly string[]): Json => ({
    capabilities: { bounding: names, permitted: names, effective: names, inheritable: [], ambient: [] },
  });

  const INSIDE: readonly (readonly [what: string, script: string, process?: Json, linux?: Json, rest?: Json])[] = [
    ['ids and maps', 'id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups'],
    ['capabilities, filter and privileges', 'grep -E "^(Cap|Seccomp:|NoNewPrivs|Umask)" /proc/self/status'],
    [
      'another user with groups, and what it makes',
      'id -u; id -G; echo x > /tmp/of-7 && stat -c "%u %g %a" /tmp/of-7; rm -f /tmp/of-7',
      { user: { uid: 7, gid: 8, additionalGids: [9] } },
      {},
      writable,
    ],
    ['the owners of files', 'touch /mine; stat -c "%n %u %g %a" /mine / /proc /sys /dev; rm /mine', {}, {}, writable],
    [
      'devices that work',
      "ls -l /dev | awk '{print $1, $3, $4, $5, $6, $NF}' | grep -v -e ^total -e mqueue | sort; echo x > /dev/null; head -c 3 /dev/zero | wc -c",
    ],
    [
      'a device of the bundle',
      "ls -l /dev/null /dev/full | awk '{print $1, $3, $4, $5, $6}'",
      {},
      { devices: [{ path: '/dev/full', type: 'c', major: 1, minor: 7, fileMode: 0o666, uid: 0, gid: 0 }] },
    ],
    [
      'the kernel’s file systems',
      'awk \'{print $1, $2, $3}\' /proc/mounts | grep -E "proc|mqueue|devpts|sysfs|/dev" | grep -v /proc/ | sort',
    ],
    ['masked and read-only paths', 'wc -c < /proc/kcore; ls /sys/firmware; echo x > /proc/sysrq-trigger'],
    ['a read-only root', 'echo x > /file'],
    ['descriptors', 'ls /proc/self/fd'],
    ['host name and process number', 'hostname; echo $$'],
    ['limits', 'ulimit -n; ulimit -Hn', { rlimits: [{ type: 'RLIMIT_NOFILE', soft: 100, hard: 200 }] }],
    ['sysctls', 'cat /proc/sys/net/ipv4/ip_forward', {}, { sysctl: { 'net.ipv4.ip_forward': '1' } }],
    [
      'namespaces that belong to it',
      'hostname other; hostname; mount -t tmpfs none /mnt && echo mounted; ip link set lo down && echo down; mknod /mnt/n c 1 3',
      having('CAP_SYS_ADMIN', 'CAP_NET_ADMIN', 'CAP_MKNOD'),
    ],
    [
      'no power over the host',
      'nice -n -5 true; mknod /tmp/n b 1 1; chown 70000 /tmp',
      having('CAP_SYS_NICE', 'CAP_MKNOD', 'CAP_CHOWN'),
      {},
      writable,
    ],
    ['an exit code', 'exit 37'],
  ];
  for (const [what, script, process, linux, rest] of INSIDE) {
    it(`has it see what runc has it see: ${what}`, function () {
      this.timeout(30_000);
      mkdirSync(join(bundle.folder, 'rootfs/tmp'), { recursive: true });
      mkdirSync(join(bundle.folder, 'rootfs/mnt'), { recursive: true });
      chmodSync(join(bundle.folder, 'rootfs/tmp'), 0o1777);
      bundle.write(['sh', '-c', `exec 2>&1; ${script}`], process, remapped(linux), rest);
      const runc = bundle.call('runc', 'run', 'beside');
      const shoal = bundle.call('shoal', 'run', 'beside');
      assert.equal(shoal.stdout, runc.stdout, shoal.stderr);
      assert.equal(shoal.status, runc.status, shoal.stderr);
      assert.ok(runc.stdout !== '' || runc.status !== 0, runc.stderr);
    });
  }

  it('binds a device by its number where the bundle gives it another path, and owns its message queues', () => {
    const device = { path: '/dev/mine', type: 'c', major: 1, minor: 5, fileMode: 0o666, uid: 0, gid: 0 };
    const script = 'head -c 2 /dev/mine | od -An -tx1; stat -c "%u %g" /dev/mqueue';
    bundle.write(['sh', '-c', script], {}, remapped({ devices: [device] }));
    const { stdout, stderr } = bundle.call('shoal', 'run', 'device');
    assert.equal(stdout, ' 00 00\n0 0\n', stderr);
  });

  it('binds what only the host’s root may reach, and lets nobody in who may not', () => {
    const mounts = [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
      { destination: '/bound', type: 'bind', source: join(bundle.folder, 'private/f'), options: ['bind', 'ro'] },
      { destination: '/folder', type: 'bind', source: 'private', options: ['rbind'] },
    ];
    bundle.write(['sh', '-c', 'cat /bound; echo x > /bound; ls /folder'], {}, remapped(), { ...writable, mounts });
    const { stdout, stderr } = bundle.call('shoal', 'run', 'binds');
    assert.equal(stdout, 'of the host\n', stderr);
    assert.match(stderr, /can't create \/bound: Read-only file system[\s\S]*can't open '\/folder': Permission denied/);
    bundle.write(['true'], {}, remapped(), {
      ...writable,
      mounts: [...mounts.slice(0, 2), { ...mounts[2], source: '/not/there' }],
    });
    assert.match(bundle.call('shoal', 'run', 'binds').stderr, /bind source path does not exist: \/not\/there/);
    assert.deepEqual(readdirSync(join(bundle.folder, 'state')), []);
  });

  it('lives through create, start, exec, kill and delete as a user of the range', async () => {
    bundle.write(
      ['sh', '-c', 'trap "exit 3" TERM; echo made > /of-root; echo ready; while :; do sleep 0.1; done'],
      {},
      remapped(),
      writable,
    );
    bundle.create('life', 'life');
    const pid = String(bundle.state('life')['pid']);
    assert.equal(bundle.state('life')['status'], 'created');
    bundle.ok('start', 'life');
    await until('the container is ready', () => bundle.read('life').includes('ready'));
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    assert.match(status, new RegExp(`^Uid:\\t${UID}\\t${UID}\\t${UID}\\t${UID}\\nGid:\\t${GID}\\t`, 'm'));
    assert.match(readFileSync(`/proc/${pid}/uid_map`, 'utf8'), new RegExp(`^ *0 +${UID} +${IDS}\\n$`));
    const { uid, gid } = statSync(join(bundle.folder, 'rootfs/of-root'));
    assert.deepEqual([uid, gid], [UID, GID]);
    const script = 'id -u; id -g; cat /proc/self/uid_map; readlink /proc/self/ns/user; grep ^CapEff /proc/self/status';
    const inside = bundle.call('shoal', 'exec', 'life', 'sh', '-c', script);
    const first = bundle.call('shoal', 'exec', 'life', 'grep', '^CapEff', '/proc/1/status').stdout;
    assert.equal(
      inside.stdout.replace(/ +/g, ' '),
      `0\n0\n 0 ${UID} ${IDS}\n${readlinkSync(`/proc/${pid}/ns/user`)}\n${first}`,
      inside.stderr,
    );
    const piped = `${bundle.runtime} --root ${bundle.folder}/state exec life sh -c 'echo again > /dev/stdout' | cat`;
    assert.equal(execFileSync('sh', ['-c', piped], { encoding: 'utf8', timeout: SECONDS_MAX * 1000 }), 'again\n');
    const as = bundle.call('shoal', 'exec', '--user', '5:6', 'life', 'sh', '-c', 'id -u; id -g; touch /f; exit 9');
    assert.deepEqual([as.stdout, as.status], ['5\n6\n', 9]);
    assert.match(as.stderr, /Permission denied/);
    bundle.ok('kill', 'life', 'TERM');
    await until('it has stopped', () => bundle.state('life')['status'] === 'stopped');
    bundle.ok('delete', 'life');
    rmSync(join(bundle.folder, 'rootfs/of-root'));
  });

  it('refuses a profile of AppArmor that the kernel does not have, also where only a masked /proc is to be seen', () => {
    bundle.write(['true'], { apparmorProfile: 'mine' }, remapped());
    assert.match(bundle.call('shoal', 'create', 'failing').stderr, NO_PROFILE);
    bundle.write(['sleep', '1000'], {}, remapped());
    bundle.create('box', 'box');
    bundle.ok('start', 'box');
    assert.match(bundle.call('shoal', 'exec', '--apparmor', 'mine', 'box', 'true').stderr, NO_PROFILE);
    assert.equal(bundle.call('shoal', 'exec', 'box', 'true').status, 0);
  });

  it('joins the namespaces of another one, and its own belong to that', () => {
    bundle.write(['sleep', '1000'], {}, remapped());
    bundle.create('first', 'first');
    bundle.ok('start', 'first');
    const pid = String(bundle.state('first')['pid']);
    const namespaces = [
      { type: 'user', path: `/proc/${pid}/ns/user` },
      { type: 'network', path: `/proc/${pid}/ns/net` },
      ...bundle.namespaces().filter((entry) => (entry as Json)['type'] !== 'network'),
    ];
    const script =
      'cat /proc/self/uid_map; readlink /proc/self/ns/user; readlink /proc/self/ns/net; hostname mine && hostname';
    bundle.write(['sh', '-c', script], having('CAP_SYS_ADMIN'), remapped({ namespaces }));
    const { stdout, stderr } = bundle.call('shoal', 'run', 'second');
    const links = ['user', 'net'].map((name) => `${readlinkSync(`/proc/${pid}/ns/${name}`)}\n`).join('');
    assert.equal(stdout.replace(/ +/g, ' '), ` 0 ${UID} ${IDS}\n${links}mine\n`, stderr);
  });

  it('joins all namespaces of another one but that of mounts', () => {
    bundle.write(['sleep', '1000'], {}, remapped());
    bundle.create('first', 'first');
    bundle.ok('start', 'first');
    const pid = String(bundle.state('first')['pid']);
    const types = { user: 'user', network: 'net', ipc: 'ipc', uts: 'uts', cgroup: 'cgroup', pid: 'pid' };
    const joined = Object.entries(types).map(([type, name]) => ({ type, path: `/proc/${pid}/ns/${name}` }));
    const script = `for i in ${Object.values(types).join(' ')}; do readlink /proc/self/ns/$i; done; id -u; touch /dev/mqueue/x`;
    bundle.write(['sh', '-c', script], {}, remapped({ namespaces: [{ type: 'mount' }, ...joined] }));
    const { stdout, stderr } = bundle.call('shoal', 'run', 'third');
    const expected = [...Object.values(types).map((name) => readlinkSync(`/proc/${pid}/ns/${name}`)), '0', ''];
    assert.equal(stdout, expected.join('\n'), stderr);
    assert.equal(stderr, '');
  });

  it('gives a terminal that belongs to the root inside', async () => {
    const path = join(bundle.folder, 'console');
    const receiver = spawn('python3', ['-c', RECEIVE_TERMINAL, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    await until('the receiver listens', () => existsSync(path));
    bundle.write(
      ['sh', '-c', 'tty; stat -c "%u %t" /dev/pts/0 /dev/console; echo x > /dev/tty'],
      { terminal: true },
      remapped(),
    );
    bundle.ok('run', '--detach', '--console-socket', path, 'tty');
    let said = '';
    receiver.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()));
    await once(receiver, 'close');
    assert.equal(said, '/dev/pts/0\r\n0 88\r\n0 88\r\nx\r\n');
  });

  it('does not own the terminal of who called the runtime', function () {
    requireTool(this, '/usr/bin/script');
    bundle.write(['sh', '-c', 'test -t 0 && echo on a terminal'], {}, remapped());
    const owner = 'stat -Lc "%u %g" /proc/self/fd/0';
    const run = `${bundle.runtime} --root ${bundle.folder}/state run --bundle ${bundle.folder} called`;
    const { stdout } = spawnSync('script', ['-qec', `${owner}; ${run}; ${owner}`, '/dev/null'], { encoding: 'utf8' });
    const [before, said, after] = stdout.split('\r\n');
    assert.deepEqual([said, after], ['on a terminal', before]);
  });

  it('refuses maps that make no container, and leaves nothing behind', () => {
    const failures: readonly (readonly [Json, RegExp])[] = [
      [{ uidMappings, gidMappings }, /mappings specified, but USER namespace isn't enabled/],
      [remapped({ uidMappings: [] }), /must map its id 0/],
      [remapped({ gidMappings: [{ containerID: 1, hostID: 1, size: 1 }] }), /must map its id 0/],
      [remapped({ uidMappings: [{ containerID: 0, hostID: 4_294_967_295, size: 2 }] }), /not a range of ids/],
      [remapped({ uidMappings: [...uidMappings, ...uidMappings] }), /write the uid_map: invalid argument/i],
      [
        remapped({ namespaces: bundle.namespaces({ type: 'user', path: '/not/there' }) }),
        /open namespace \/not\/there/,
      ],
      [
        remapped({ devices: [{ path: '/dev/none', type: 'c', major: 4000, minor: 1 }] }),
        /\/dev\/none: this machine has no node of number 4000:1/,
      ],
    ];
    for (const [linux, words] of failures) {
      bundle.write(['true'], {}, linux);
      const { status, stderr } = bundle.call('shoal', 'create', 'failing');
      assert.match(stderr, words);
      assert.equal(status, 1);
      assert.deepEqual(readdirSync(join(bundle.folder, 'state')), []);
    }
  });
});

/** Takes one terminal over a socket at argv[1] and says what comes out of it. */
const RECEIVE_TERMINAL = `
import os, socket, sys
server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1]); server.listen()
line, _ = server.accept()
_, fds, _, _ = socket.recv_fds(line, 4096, 1)
try:
    while part := os.read(fds[0], 4096): sys.stdout.buffer.write(part)
except OSError: pass
`;

describe('Docker Engine on shoal-runtime', () => {
  let engine: BenchEngine | undefined;
  let folder: string | undefined;

  before(async function () {
    this.timeout(180_000);
    requireRoot(this);
    requireTool(this, '/usr/sbin/dockerd');
    folder = mkdtempSync('/tmp/shoal-oci-engine-');
    const runtime = join(folder, 'shoal-runtime');
    symlinkSync((await nativeBinary(CACHE)).path, runtime);
    engine = await startDocker(1, ['--add-runtime', `shoal=${runtime}`, '--default-runtime', 'shoal']);
    await importBusybox(engine);
  });
  after(async function () {
    this.timeout(60_000);
    await engine?.[Symbol.asyncDispose]();
    if (folder) rmSync(folder, { recursive: true });
  });

  const docker = (...args: readonly string[]): SpawnSyncReturns<string> =>
    spawnSync('docker', ['-H', `unix://${engine?.sockets[0]}`, ...args], {
      encoding: 'utf8',
      timeout: 60_000,
      input: '',
    });
  const ok = (...args: readonly string[]): string => {
    const { status, stdout, stderr } = docker(...args);
    assert.equal(status, 0, `${args.join(' ')}: ${stderr}`);
    return stdout;
  };

  const SAID: readonly (readonly [what: string, args: readonly string[], said: RegExp | string, code?: number])[] = [
    ['a plain command on a bridge', ['sh', '-c', 'echo $$'], '1\n'],
    ['an exit code', ['sh', '-c', 'exit 41'], '', 41],
    ['a command that is not there', ['nope'], /executable file not found in \$PATH/, 127],
  ];
  for (const [what, args, said, code = 0] of SAID) {
    it(`runs ${what}`, function () {
      this.timeout(60_000);
      const runc = docker('run', '--rm', '--runtime', 'runc', BUSYBOX_IMAGE, ...args);
      const shoal = docker('run', '--rm', '--runtime', 'shoal', BUSYBOX_IMAGE, ...args);
      assert.equal(shoal.status, code, shoal.stderr);
      assert.equal(shoal.status, runc.status);
      const text = `${shoal.stdout}${shoal.stderr}`;
      if (typeof said === 'string') assert.equal(text, said);
      else assert.match(text, said);
    });
  }

  it('runs with limits, users, volumes, init and without privileges as on runc', function () {
    this.timeout(60_000);
    const script =
      'grep -E "^(Cap|Seccomp:|NoNew|Uid|Gid)" /proc/self/status; cat /v/f; echo x > /v/f; cat /proc/self/limits | head -9';
    const options = [
      '-u',
      '5:6',
      '-v',
      `${folder}:/v:ro`,
      '--init',
      '--memory',
      '50m',
      '--cap-drop',
      'ALL',
      '--cap-add',
      'CHOWN',
      '--read-only',
      '--security-opt',
      'no-new-privileges',
      '--ulimit',
      'nofile=99',
    ];
    writeFileSync(join(folder ?? '', 'f'), 'of the host\n');
    const said = (runtime: string): string =>
      ok('run', '--rm', '--runtime', runtime, ...options, BUSYBOX_IMAGE, 'sh', '-c', `${script} 2>&1; true`);
    assert.equal(said('shoal'), said('runc'));
  });

  it('drives a container’s whole life: exec, pause, top, update, stats, logs, stop, start, rm', function () {
    this.timeout(120_000);
    ok(
      'run',
      '-d',
      '--name',
      'box',
      '--runtime',
      'shoal',
      '-p',
      '8080:80',
      BUSYBOX_IMAGE,
      'sh',
      '-c',
      'trap "exit 4" TERM; echo up; while :; do sleep 0.1; done',
    );
    assert.equal(ok('exec', 'box', 'sh', '-c', 'echo from inside'), 'from inside\n');
    assert.equal(docker('exec', 'box', 'sh', '-c', 'exit 5').status, 5);
    assert.equal(docker('exec', 'box', 'nope').status, 126); // as with runc: newer engines say 127
    ok('pause', 'box');
    assert.equal(ok('inspect', '-f', '{{.State.Status}}', 'box').trim(), 'paused');
    ok('unpause', 'box');
    assert.match(ok('top', 'box'), /sh -c trap/);
    ok('update', '--pids-limit', '77', 'box');
    assert.match(ok('stats', '--no-stream', '--format', '{{.PIDs}}', 'box'), /^[1-9]/);
    assert.equal(ok('logs', 'box'), 'up\n');
    ok('stop', 'box');
    assert.equal(ok('inspect', '-f', '{{.State.ExitCode}}', 'box').trim(), '4');
    ok('start', 'box');
    ok('kill', 'box');
    assert.equal(ok('wait', 'box').trim(), '137');
    ok('rm', 'box');
  });

  it('gives terminals by run and exec', async function () {
    this.timeout(60_000);
    using client = new DockerClient(engine?.sockets[0] ?? '');
    const run = `docker run --rm -it --runtime shoal ${BUSYBOX_IMAGE} sh -c 'test -t 0 && echo a terminal'`;
    assert.match((await client.onTerminal(run)).stdout, /a terminal/);
    ok('run', '-d', '--name', 'tty', '--runtime', 'shoal', BUSYBOX_IMAGE);
    assert.match(
      (await client.onTerminal("docker exec -it tty sh -c 'test -t 1 && echo a terminal'")).stdout,
      /a terminal/,
    );
    ok('rm', '-f', 'tty');
  });
});

describe('Docker Engine with --userns-remap on shoal-runtime', () => {
  let engine: BenchEngine | undefined;
  let folder: string | undefined;
  const path = process.env['PATH'];

  // The ranges are read from /etc, which here is only ours: the engine runs in a mount namespace of its own.
  before(async function () {
    this.timeout(180_000);
    requireRoot(this);
    for (const file of ['/usr/sbin/dockerd', '/etc/subuid', '/etc/subgid']) requireTool(this, file);
    folder = mkdtempSync('/tmp/shoal-oci-remap-');
    const runtime = join(folder, 'shoal-runtime');
    symlinkSync((await nativeBinary(CACHE)).path, runtime);
    writeFileSync(join(folder, 'ids'), 'daemon:200000:65536\n');
    const lines = [
      '#!/bin/sh',
      ...['uid', 'gid'].map((kind) => `mount --bind ${folder}/ids /etc/sub${kind} || exit 1`),
    ];
    writeFileSync(join(folder, 'inside'), [...lines, 'exec /usr/sbin/dockerd "$@"', ''].join('\n'), { mode: 0o755 });
    writeFileSync(join(folder, 'dockerd'), `#!/bin/sh\nexec unshare -m ${folder}/inside "$@"\n`, { mode: 0o755 });
    process.env['PATH'] = `${folder}:${path}`;
    const settings = ['--add-runtime', `shoal=${runtime}`, '--userns-remap', 'daemon'];
    engine = await startDocker(1, settings, 'remap').finally(() => (process.env['PATH'] = path));
    await importBusybox(engine);
  });
  after(async function () {
    this.timeout(60_000);
    await engine?.[Symbol.asyncDispose]();
    if (folder) rmSync(folder, { recursive: true });
  });

  const docker = (...args: readonly string[]): SpawnSyncReturns<string> =>
    spawnSync('docker', ['-H', `unix://${engine?.sockets[0]}`, ...args], {
      encoding: 'utf8',
      timeout: 60_000,
      input: '',
    });
  const ok = (...args: readonly string[]): string => {
    const { status, stdout, stderr } = docker(...args);
    assert.equal(status, 0, `${args.join(' ')}: ${stderr}`);
    return stdout;
  };

  it('runs what runc runs: ids, owners, devices, groups, volumes, users', function () {
    this.timeout(60_000);
    const script =
      'exec 2>&1; id -u; id -G; cat /proc/self/uid_map; stat -c "%u %g %a" /etc/hosts /dev/null; grep -E "^(Cap|Seccomp:|NoNew)" /proc/self/status; ' +
      'awk \'{print $2, $3}\' /proc/mounts | grep -v cgroup2 | sort; touch /v/f; stat -c "%u %g" /v/f; echo x > /dev/stdout';
    const said = (runtime: string, ...options: readonly string[]): string =>
      ok('run', '--rm', '--runtime', runtime, '-v', `of-${runtime}:/v`, ...options, BUSYBOX_IMAGE, 'sh', '-c', script);
    for (const options of [[], ['--init', '--read-only', '--cap-add', 'SYS_ADMIN', '--memory', '50m'], ['-u', '5:6']])
      assert.equal(said('shoal', ...options), said('runc', ...options));
    assert.match(said('shoal'), /^0\n.*\n +0 +200000 +65536\n/);
  });

  it('drives a container’s whole life, and another one in its network', function () {
    this.timeout(120_000);
    const command = ['sh', '-c', 'trap "exit 4" TERM; echo up; while :; do sleep 0.1; done'];
    ok('run', '-d', '--name', 'box', '--runtime', 'shoal', BUSYBOX_IMAGE, ...command);
    const pid = ok('inspect', '-f', '{{.State.Pid}}', 'box').trim();
    assert.match(readFileSync(`/proc/${pid}/status`, 'utf8'), /^Uid:\t200000\t/m);
    assert.equal(ok('exec', 'box', 'sh', '-c', 'id -u; awk "{print \\$2}" /proc/self/uid_map'), '0\n200000\n');
    assert.equal(docker('exec', '-u', '5', 'box', 'sh', '-c', 'exit $(id -u)').status, 5);
    const beside = [
      '--network',
      'container:box',
      '--runtime',
      'shoal',
      BUSYBOX_IMAGE,
      'sh',
      '-c',
      'ls -l /proc/self/ns/net',
    ];
    assert.ok(ok('run', '--rm', ...beside).includes(readlinkSync(`/proc/${pid}/ns/net`)));
    ok('stop', 'box');
    assert.equal(ok('inspect', '-f', '{{.State.ExitCode}}', 'box').trim(), '4');
    ok('rm', 'box');
  });
});
