// Volumes with a file system of their own, as people make and use them: mounted while a container needs them, and no
// longer. What is really mounted is read from the kernel.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ClientLab } from '../support/client-lab.ts';
import { requireRoot, requireTool } from '../support/requirements.ts';
import { mountPointsOf } from '../../base/mount-info.ts';

const MEMORY = ['-o', 'type=tmpfs', '-o', 'device=tmpfs', '-o', 'o=size=2m,mode=0750'];
const WORKS = ['sleep', '1000'];

describe('options of volumes', () => {
  let client: ClientLab;
  let at: string;
  const ok = (...args: string[]): Promise<string> => client.ok(...args);

  const volumes = (): string => join(client.lab.root, 'data/volumes');
  const mounted = (): string[] =>
    mountPointsOf(readFileSync('/proc/self/mountinfo', 'utf8'))
      .filter((point) => point.startsWith(`${volumes()}/`))
      .map((point) => point.slice(volumes().length + 1));
  const folder = (name: string, file = ''): string => {
    const path = join(at, name);
    mkdirSync(path, { recursive: true });
    if (file !== '') writeFileSync(join(path, file), `${name}\n`);
    return path;
  };
  const bound = async (name: string, path: string, options = 'bind'): Promise<void> => {
    await ok('volume', 'create', '-o', 'type=none', '-o', `o=${options}`, '-o', `device=${path}`, name);
  };
  const sleeper = (name: string, ...options: string[]): Promise<string> =>
    ok('run', '-d', '--init', '--name', name, ...options, 'bb', ...WORKS);

  before(async function () {
    requireRoot(this);
    requireTool(this, '/usr/bin/busybox');
    this.timeout(120_000); // the helper may have to be compiled
    client = await ClientLab.open();
    at = join(client.lab.root, 'host');
  });
  afterEach(async () => {
    await client.removeAll();
    assert.deepEqual(mounted(), []);
    const names = (await ok('volume', 'ls', '-q')).split('\n').filter(Boolean);
    if (names.length > 0) await ok('volume', 'rm', ...names);
  });
  after(async () => {
    await client?.[Symbol.asyncDispose]();
  });

  it('are mounted with the first container that runs and unmounted after the last', async () => {
    await ok('volume', 'create', ...MEMORY, 'mem');
    assert.match(await ok('volume', 'inspect', '-f', '{{json .Options}}', 'mem'), /"o":"size=2m,mode=0750"/);
    await ok('create', '--name', 'never', '-v', 'mem:/m', 'bb', ...WORKS);
    assert.deepEqual(mounted(), []);
    await sleeper('one', '-v', 'mem:/m');
    await sleeper('two', '-v', 'mem:/m', '-v', 'mem:/again');
    assert.deepEqual(mounted(), ['mem/_data']);
    assert.match(await ok('exec', 'one', 'df', '-k', '/m'), /tmpfs +2048 /);
    await ok('exec', 'one', 'sh', '-c', 'echo shared > /m/f');
    await ok('rm', '-f', 'one');
    assert.equal(await ok('exec', 'two', 'cat', '/again/f'), 'shared\n');
    assert.equal(await ok('exec', 'two', 'stat', '-c', '%a', '/m'), '750\n');
    assert.deepEqual(mounted(), ['mem/_data']);
    await ok('kill', 'two');
    await ok('wait', 'two');
    assert.deepEqual(mounted(), []);
    assert.equal(await client.sh('ls /m', '-v', 'mem:/m'), '');
  });

  it('bind a folder of the machine, which outlives the volume', async () => {
    const path = folder('kept', 'f');
    await bound('own', path);
    assert.equal(await client.sh('cat /m/f; echo more > /m/g', '-v', 'own:/m'), 'kept\n');
    assert.deepEqual(mounted(), []);
    assert.match((await client.run('volume', 'rm', 'own')).stdout, /own/);
    assert.equal(readFileSync(join(path, 'g'), 'utf8'), 'more\n');
  });

  it('hold for the mount: read-only, and not to be executed', async () => {
    await bound('closed', folder('closed', 'f'), 'bind,ro');
    assert.match(await client.sh('cat /m/f; touch /m/x 2>&1; true', '-v', 'closed:/m'), /^closed\n.*Read-only/);
    await ok('volume', 'create', '-o', 'type=tmpfs', '-o', 'device=tmpfs', '-o', 'o=noexec', 'still');
    assert.match(await client.sh('grep " /m " /proc/mounts', '-v', 'still:/m'), /noexec/);
  });

  it('fail the start in a sentence, and leave nothing', async () => {
    await bound('lost', join(at, 'nowhere'));
    await ok('create', '--name', 'tried', '-v', 'lost:/m', 'bb', ...WORKS);
    const answer = await client.http('POST', '/v1.41/containers/tried/start', Buffer.alloc(0), 'application/json');
    const target = join(volumes(), 'lost/_data');
    const mount = `mount ${join(at, 'nowhere')}:${target}, flags: 0x1000: no such file or directory`;
    assert.deepEqual(
      [answer.status, JSON.parse(answer.body.toString())],
      [500, { message: `error while mounting volume '${target}': failed to mount local volume: ${mount}` }],
    );
    assert.equal((await ok('inspect', '-f', '{{.State.Status}} {{.State.ExitCode}}', 'tried')).trim(), 'created 128');
    assert.deepEqual(mounted(), []);
    folder('nowhere', 'f');
    await ok('start', 'tried');
    assert.equal(await ok('exec', 'tried', 'cat', '/m/f'), 'nowhere\n');
  });

  it('that fail take down what other volumes of the container had mounted', async () => {
    await ok('volume', 'create', ...MEMORY, 'mem');
    await ok('volume', 'create', '-o', 'type=nosuchfs', '-o', 'device=x', 'strange');
    const { code, stderr } = await client.run('run', '--rm', '-v', 'mem:/m', '-v', 'strange:/s', 'bb', 'true');
    assert.notEqual(code, 0);
    assert.match(stderr, /failed to mount local volume: mount x:\S+\/strange\/_data: no such device/);
    assert.deepEqual(mounted(), []);
  });

  for (const [options, reason] of [
    [['type=tmpfs'], 'missing required option: "device"'],
    [['device=x'], 'missing required option: "type"'],
    [['o=bind'], 'missing required option: "device"'],
    [['size=10m'], 'quota size requested but no quota support'],
    [['nope=x'], 'invalid option: "nope"'],
  ] as const) {
    it(`are refused: ${options.join(' ')}`, async () => {
      const { stderr } = await client.run('volume', 'create', ...options.flatMap((each) => ['-o', each]), 'bad');
      assert.ok(stderr.includes(`create bad: ${reason}`), stderr);
      assert.notEqual((await client.run('volume', 'inspect', 'bad')).code, 0);
    });
  }

  it('take over what the image has, into what is mounted', async () => {
    const path = folder('empty');
    await bound('filled', path);
    await ok('create', '-v', 'filled:/data', 'bb', 'true');
    assert.equal(readFileSync(join(path, 'from-image'), 'utf8'), 'image');
    assert.deepEqual(mounted(), []);
    await bound('full', folder('full', 'own'));
    assert.equal(await client.sh('ls /data', '-v', 'full:/data'), 'own\n');
  });

  it('go with parts of volumes, and with volumes of another container', async () => {
    folder('parts/sub', 'f');
    await bound('parts', folder('parts'));
    const part = 'type=volume,source=parts,target=/m,volume-subpath=sub';
    assert.equal(await client.sh('cat /m/f', '--mount', part), 'parts/sub\n');
    await sleeper('donor', '-v', 'parts:/p');
    assert.equal(await client.sh('cat /p/sub/f', '--volumes-from', 'donor'), 'parts/sub\n');
    assert.deepEqual(mounted(), ['parts/_data']);
  });

  it('are mounted for a copy into and out of a container that does not run', async () => {
    const path = folder('copied', 'f');
    await bound('copied', path);
    await ok('create', '--name', 'still', '-v', 'copied:/m', 'bb', 'true');
    const file = join(folder('there'), 'out');
    await ok('cp', 'still:/m/f', file);
    assert.equal(readFileSync(file, 'utf8'), 'copied\n');
    await ok('cp', file, 'still:/m/back');
    assert.ok(existsSync(join(path, 'back')));
    assert.deepEqual(mounted(), []);
  });

  it('of a mount make its volume, which goes with its container', async () => {
    const mount =
      'type=volume,target=/m,volume-opt=type=tmpfs,volume-opt=device=tmpfs,"volume-opt=o=size=3m,mode=0700"';
    assert.match(await client.sh('df -k /m', '--mount', mount), /tmpfs +3072 /);
    assert.equal(await ok('volume', 'ls', '-q'), '');
  });

  it('and mounts by others that are below a volume do not cost what is mounted there when it is removed', async () => {
    const path = folder('precious', 'f');
    const [plain, rich] = [join(volumes(), 'plain/_data/inner'), join(volumes(), 'rich/_data/inner')];
    await ok('volume', 'create', 'plain');
    await bound('rich', folder('of-rich'));
    for (const inner of [plain, rich]) {
      mkdirSync(inner);
      execFileSync('mount', ['--bind', path, inner]);
    }
    await ok('volume', 'rm', 'plain', 'rich');
    assert.deepEqual(mounted(), []);
    assert.equal(readFileSync(join(path, 'f'), 'utf8'), 'precious\n');
  });

  it('do not keep a container from leaving a volume that can be removed, however deep its folders are', async () => {
    const deep =
      'i=0; while [ $i -lt 40 ]; do mkdir -p $(printf "%0200d" 1) && cd $(printf "%0200d" 1); i=$((i+1)); done';
    await client.sh(`cd /d; ${deep}`, '-v', 'deep:/d');
    await ok('volume', 'rm', 'deep');
    assert.deepEqual(
      readdirSync(volumes()).filter((name) => name !== 'format'),
      [],
    );
  });

  it('keep a volume out of prunes and sums', async () => {
    const path = folder('counted', 'f');
    await bound('counted', path);
    await ok('volume', 'create', 'plain');
    assert.doesNotMatch(await ok('system', 'df', '-v'), /counted/);
    assert.match(await ok('volume', 'prune', '-af'), /plain/);
    assert.equal(await ok('volume', 'ls', '-q'), 'counted\n');
    assert.ok(existsSync(join(path, 'f')));
  });

  it('survive a restart of the container', async () => {
    await ok('volume', 'create', ...MEMORY, 'mem');
    await sleeper('again', '-v', 'mem:/m');
    await ok('restart', '-t', '0', 'again');
    assert.deepEqual(mounted(), ['mem/_data']);
  });

  it('work where another runtime makes the container', async function () {
    if (!existsSync('/usr/sbin/runc')) this.skip();
    await bound('other', folder('other', 'f'));
    assert.equal(await client.sh('cat /m/f', '--runtime', 'runc', '-v', 'other:/m'), 'other\n');
    assert.deepEqual(mounted(), []);
  });
});
