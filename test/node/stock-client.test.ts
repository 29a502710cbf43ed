// The stock docker client on real containers: Engine API and runtime of one machine together.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ApiServer, createApiServer } from '../../api/server.ts';
import { systemClock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import { SYSTEM } from '../api/support/fixture.ts';
import { FakeSwarm } from '../api/support/fake-swarm.ts';
import { DockerClient } from '../support/docker-client.ts';
import { requireRoot, requireTool } from '../support/requirements.ts';
import { LAB_LOG, RuntimeLab } from '../support/runtime-lab.ts';

const BYTES = 20_000_000;

describe('the stock docker client on real containers', () => {
  let lab: RuntimeLab;
  let api: ApiServer;
  let docker: DockerClient;
  const ok = (...args: string[]): Promise<string> => docker.ok(...args);

  before(async function () {
    requireRoot(this);
    requireTool(this, '/usr/bin/busybox');
    this.timeout(60_000);
    lab = await RuntimeLab.open();
    const common = { clock: systemClock, random: systemRandom, log: LAB_LOG };
    api = createApiServer({ ...common, runtime: lab.runtime, swarm: new FakeSwarm(), system: SYSTEM });
    const path = join(lab.root, 'api.sock');
    await api.listen({ kind: 'unix', path, mode: 0o600 });
    docker = new DockerClient(path);
  });
  afterEach(async () => {
    const ids = (await ok('ps', '-aq')).split('\n').filter(Boolean);
    if (ids.length > 0) await ok('rm', '-fv', ...ids);
  });
  after(async () => {
    docker?.[Symbol.dispose]();
    await api?.close();
    await lab?.[Symbol.asyncDispose]();
  });

  it('runs with output on both streams and the exit code', async () => {
    const outcome = await docker.run(['run', '--rm', 'bb', 'sh', '-c', 'echo out; echo err >&2; exit 7']);
    assert.deepEqual(outcome, { code: 7, stdout: 'out\n', stderr: 'err\n' });
    assert.equal(await ok('ps', '-aq'), '');
  });

  for (const [args, code, words] of [
    [['bb', 'nosuchprogram'], 127, /executable file not found in \$PATH/],
    [['bb', '/etc'], 126, /permission denied|is a directory/],
    [
      ['127.0.0.1:1/nosuchimage'],
      125,
      /Get "http:\/\/127.0.0.1:1\/v2\/": dial tcp 127.0.0.1:1: connect: connection refused/,
    ],
    [['--network', 'nowhere', 'bb', 'true'], 125, /network nowhere not found/],
    [['-w', 'relative', 'bb', 'true'], 125, /is invalid, it needs to be an absolute path/],
    [['--memory', '1k', 'bb', 'true'], 125, /Minimum memory limit allowed is 6MB/],
    [['--cpus', '10000', 'bb', 'true'], 125, /range of CPUs is from 0\.01/i],
    [['-u', 'nobodyhere', 'bb', 'true'], 126, /unable to find user nobodyhere/],
  ] as const) {
    it(`ends with ${code} for run ${args.join(' ')}, and leaves nothing`, async () => {
      const outcome = await docker.run(['run', '--rm', ...args]);
      assert.match(outcome.stderr, words);
      // A user that is missing: some engines find it before the program is started, some after.
      assert.ok(outcome.code === code || (code === 126 && outcome.code === 125), String(outcome.code));
      assert.equal(await ok('ps', '-aq'), '');
    });
  }

  it('takes input to its end, also more than anybody buffers', async () => {
    const input = Buffer.alloc(BYTES, 'x');
    assert.equal((await docker.run(['run', '--rm', '-i', 'bb', 'wc', '-c'], input)).stdout.trim(), String(BYTES));
    await ok('run', '-d', '--name', 'box', 'bb', 'sleep', '1000');
    assert.equal((await docker.run(['exec', '-i', 'box', 'wc', '-c'], input)).stdout.trim(), String(BYTES));
  });

  it('loses no output when the process ends without reading its input', async () => {
    const outcome = await docker.run(['run', '--rm', '-i', 'bb', 'echo', 'done'], Buffer.alloc(BYTES));
    assert.deepEqual([outcome.code, outcome.stdout], [0, 'done\n']);
  });

  it('brings all of a large output', async () => {
    const script = 'dd if=/dev/zero bs=1000000 count=20 2>/dev/null | tr "\\0" x';
    const outcome = await docker.run(['run', '--rm', '--log-driver', 'none', 'bb', 'sh', '-c', script]);
    assert.equal(outcome.stdout.length, BYTES);
  });

  it('gives a terminal with its size, and leaves it by the detach keys', async () => {
    const size = await docker.onTerminal('stty rows 33 cols 99; docker run -it --rm bb sh -c "sleep 0.2; stty size"');
    assert.match(size.stdout, /33 99/);
    await ok('run', '-dit', '--name', 'shell', 'bb', 'sh');
    const attached = await docker.onTerminal('docker attach shell; echo left', [
      { after: /#/, type: 'echo ty""ped\r' },
      { after: /typed/, type: '\x10\x11' },
    ]);
    assert.match(attached.stdout, /typed[\s\S]*left/);
    assert.equal((await ok('inspect', '-f', '{{.State.Running}}', 'shell')).trim(), 'true');
    const exec = await docker.onTerminal(
      'docker exec -it shell sh -c "echo ready; read x; echo got; exit 4"; echo code $?',
      [{ after: /ready/, type: 'word\r' }],
    );
    assert.match(exec.stdout, /got[\s\S]*code 4/);
  });

  it('executes, and tells what could not be', async () => {
    await ok('run', '-d', '--name', 'box', '-e', 'A=1', 'bb', 'sleep', '1000');
    assert.equal(await ok('exec', '-e', 'B=2', '-w', '/etc', 'box', 'sh', '-c', 'echo $A$B $PWD'), '12 /etc\n');
    const missing = await docker.run(['exec', 'box', 'nosuchprogram']);
    assert.equal(missing.code, 127);
    assert.match(missing.stdout + missing.stderr, /executable file not found/);
    await ok('exec', '-d', 'box', 'touch', '/marked');
    assert.match(await ok('top', 'box'), /sleep 1000/);
    await ok('stop', '-t', '0', 'box');
    assert.match((await docker.run(['exec', 'box', 'true'])).stderr, /is not running/);
  });

  it('follows logs to the end, and selects from them', async () => {
    const script = 'for i in 1 2 3; do echo line $i; sleep 0.1; done; echo last >&2';
    await ok('run', '-d', '--name', 'talker', 'bb', 'sh', '-c', script);
    const followed = await docker.run(['logs', '-f', 'talker']);
    assert.deepEqual([followed.stdout, followed.stderr], ['line 1\nline 2\nline 3\n', 'last\n']);
    assert.equal(await ok('logs', '--tail', '2', 'talker'), 'line 3\n');
    assert.match(await ok('logs', '-t', '--tail', '2', 'talker'), /^\d{4}-\d\d-\d\dT[\d:.]+Z line 3\n$/);
    assert.equal(await ok('logs', '--since', '1h', '--until', '50m', 'talker'), '');
  });

  it('stops, kills, pauses, restarts and waits', async () => {
    await ok('run', '-d', '--name', 'box', 'bb', 'sh', '-c', 'trap "exit 3" TERM; while :; do sleep 0.05; done');
    const waiting = docker.run(['wait', 'box']);
    await ok('pause', 'box');
    assert.match(await ok('ps'), /\(Paused\)/);
    await ok('unpause', 'box');
    await ok('stop', 'box');
    assert.equal((await waiting).stdout, '3\n');
    await ok('start', 'box');
    await ok('restart', '-t', '1', 'box');
    await ok('kill', 'box');
    assert.match(await ok('ps', '-a', '--format', '{{.Status}}'), /^Exited \(137\)/);
  });

  it('mounts what -v, --mount and --tmpfs say', async () => {
    const folder = join(lab.root, 'shared');
    mkdirSync(folder);
    const script = 'echo a > /rw/file; touch /ro/no 2>&1; echo v > /vol/file; mount | grep -c " /scratch "';
    const mounts = [
      '-v',
      `${folder}:/rw`,
      '-v',
      `${folder}:/ro:ro`,
      '--mount',
      'type=volume,source=kept,target=/vol',
      '--tmpfs',
      '/scratch',
    ];
    const outcome = await docker.run(['run', '--rm', ...mounts, 'bb', 'sh', '-c', script]);
    assert.match(outcome.stdout, /Read-only file system\n1\n/);
    assert.equal(readFileSync(join(folder, 'file'), 'utf8'), 'a\n');
    assert.equal(await ok('run', '--rm', '-v', 'kept:/vol', 'bb', 'cat', '/vol/file'), 'v\n');
    const missing = await docker.run(['run', '--rm', '--mount', 'type=bind,source=/nosuch,target=/x', 'bb', 'true']);
    assert.match(missing.stderr, /bind source path does not exist: \/nosuch/);
    assert.match(await ok('volume', 'ls'), /kept/);
    await ok('volume', 'rm', 'kept');
  });

  it('shows limits, health, ports and addresses', async () => {
    const flags = ['--memory', '64m', '--cpus', '0.5', '--pids-limit', '50', '-p', '8080:80', '--hostname', 'inside'];
    const health = ['--health-cmd', 'true', '--health-interval', '100ms'];
    await ok('run', '-d', '--name', 'box', ...flags, ...health, 'bb', 'sleep', '1000');
    assert.equal((await ok('exec', 'box', 'hostname')).trim(), 'inside');
    const format =
      '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}} {{(index .NetworkSettings.Ports "80/tcp" 0).HostPort}}';
    assert.equal((await ok('inspect', '-f', format, 'box')).trim(), '67108864 500000000 50 8080');
    assert.match(await ok('stats', '--no-stream', '--format', '{{.MemUsage}} {{.PIDs}}'), /\/ 64MiB [12]\n/); // a probe may be on its way
    assert.match(await ok('ps'), /0\.0\.0\.0:8080->80\/tcp/);
    const address = (await ok('inspect', '-f', '{{.NetworkSettings.Networks.bridge.IPAddress}}', 'box')).trim();
    assert.match(await ok('network', 'inspect', 'bridge'), new RegExp(`"IPv4Address": "${address}/`));
    while (!(await ok('ps')).includes('(healthy)')) await systemClock.sleep(50);
    await ok('update', '--memory', '32m', '--memory-swap', '32m', 'box');
    assert.equal((await ok('inspect', '-f', '{{.HostConfig.Memory}}', 'box')).trim(), '33554432');
  });

  it('tells events in the order of a life', async () => {
    const since = new Date(Date.now() - 1).toISOString();
    await ok('run', '--rm', '--name', 'brief', 'bb', 'true');
    const args = ['events', '--since', since, '--until', new Date().toISOString(), '--format', '{{.Type}} {{.Action}}'];
    const lines = (await ok(...args)).trim().split('\n');
    assert.deepEqual(lines, [
      'container create',
      'container attach',
      'network connect',
      'container start',
      'container die',
      'network disconnect',
      'container destroy',
    ]);
  });

  it('moves an image by save and load, and imports, tags and removes', async () => {
    const file = join(lab.root, 'image.tar');
    await ok('tag', 'bb', 'other:1');
    await ok('save', '-o', file, 'other:1');
    const id = (await ok('image', 'inspect', '-f', '{{.Id}}', 'other:1')).trim();
    assert.match(await ok('rmi', 'other:1'), /Untagged: other:1/);
    assert.match(await ok('load', '-i', file), /Loaded image: other:1/);
    assert.equal((await ok('image', 'inspect', '-f', '{{.Id}}', 'other:1')).trim(), id);
    assert.equal(await ok('run', '--rm', 'other:1', 'echo', 'loaded'), 'loaded\n');
    const root = execFileSync('tar', ['-C', '/etc', '-c', 'hostname']);
    const imported = await docker.run(['import', '-c', 'LABEL a=b', '-', 'mine:1'], root);
    assert.match(imported.stdout, /^sha256:[0-9a-f]{64}\n$/, imported.stderr);
    assert.equal((await ok('image', 'inspect', '-f', '{{.Config.Labels.a}}', 'mine:1')).trim(), 'b');
    await ok('rmi', 'mine:1', 'other:1');
    const broken = await docker.run(['load'], 'this is no archive');
    assert.notEqual(broken.code, 0);
  });
});
