// The helper as an OCI runtime: a bundle beside runc, which must not be told apart, and Docker Engine driving it.
import assert from 'node:assert/strict';
import { execFileSync, type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { nativeBinary } from '../../runtime/native/binary.ts';
import { BUSYBOX_IMAGE, type BenchEngine, importBusybox, startDocker } from '../bench/engines.ts';
import { DockerClient } from '../support/docker-client.ts';
import { requireRoot, requireTool } from '../support/requirements.ts';
import { until } from '../support/until.ts';

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

  it('tells its features as the OCI has them', () => {
    const features = JSON.parse(bundle.ok('features')) as {
      linux: { namespaces: string[]; seccomp: { enabled: boolean } };
    };
    assert.ok(features.linux.namespaces.includes('pid') && features.linux.seccomp.enabled);
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
