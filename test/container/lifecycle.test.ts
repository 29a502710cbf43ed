import { strict as assert } from 'node:assert';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CodedError } from '../../base/errors.ts';
import { aConfig, machine, until } from './support.ts';

const never = new AbortController().signal;

describe('container life', () => {
  it('runs to its end, in Docker’s order of events, and says its exit code', async () => {
    await using node = await machine();
    const { store, native } = node;
    const { id } = await store.create(aConfig({ name: 'one', labels: { a: 'b' } }));
    const exit = store.wait(id, 'next-exit', never);
    await store.start('one');
    assert.equal(store.get('one').state, 'running');
    native.last.exit(3, { atMs: node.clock.nowMs() + 2500 });
    assert.deepEqual(await exit, { exitCode: 3, error: '' });
    await until(() => native.last.acknowledged);
    assert.deepEqual(node.actions(), ['create', 'network connect', 'start', 'die', 'network disconnect']);
    const die = node.events.find(({ action }) => action === 'die');
    assert.deepEqual(die?.attributes, { a: 'b', exitCode: '3', execDuration: '2', image: 'app', name: 'one' });
    const info = store.get(id);
    assert.equal(info.state, 'exited');
    assert.equal(info.exitCode, 3);
    assert.equal(info.pid, 0);
    assert.equal(node.networks.joined.size, 0);
    assert.deepEqual(node.failures, []);
  });

  it('joins the image’s command with its own, and hands the helper what it needs', async () => {
    await using node = await machine({
      config: { Entrypoint: ['/entry'], Cmd: ['x'], Env: ['A=1', 'B=1'], WorkingDir: '/w' },
    });
    const { id } = await node.store.create(aConfig({ command: ['y'], env: ['B=2'], terminal: true }));
    await node.store.start(id);
    const request = node.native.last.request;
    assert.deepEqual(request?.process.args, ['/entry', 'y']);
    assert.deepEqual(request?.process.env.slice(1), [`HOSTNAME=${id.slice(0, 12)}`, 'TERM=xterm', 'A=1', 'B=2']);
    assert.equal(request?.process.workingDirectory, '/w');
    assert.equal(request?.namespaces.network.kind, 'path');
    const files = new Map(request?.runFiles.map(({ name, content }) => [name, content]));
    assert.match(files.get('hosts') ?? '', new RegExp(`172.17.0.2\t${id.slice(0, 12)}\n$`));
    assert.equal(files.get('hostname'), `${id.slice(0, 12)}\n`);
    assert.deepEqual([...files.keys()].toSorted(), ['hostname', 'hosts', 'resolv.conf']);
  });

  it('names the program of another runtime to the helper, and refuses one that nobody has', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'runtimes-'));
    await writeFile(join(folder, 'crun'), '', { mode: 0o755 });
    await using node = await machine({ searchPath: folder, preparesAhead: true });
    const { id } = await node.store.create(aConfig({ runtime: 'crun' }));
    assert.equal(node.native.shims.length, 0); // not made before its start
    await node.store.start(id);
    const { path, cgroupsPath, devices } = node.native.last.request?.runtime ?? {};
    assert.deepEqual([path, cgroupsPath], [join(folder, 'crun'), `/shoal/${id}`]);
    assert.ok(devices && devices.length > 0);
    const refused = { code: 'invalid', message: 'unknown or invalid runtime name: warp' };
    await assert.rejects(node.store.create(aConfig({ runtime: 'warp' })), refused);
    for (const own of ['', 'shoal', 'runc']) {
      await node.store.start((await node.store.create(aConfig({ runtime: own }))).id);
      assert.equal(node.native.last.request?.runtime, undefined);
    }
    await rm(folder, { recursive: true });
  });

  it('writes a hosts file itself that is too long to be sent to the helper', async () => {
    await using node = await machine();
    const extraHosts = Array.from({ length: 5_000 }, (_, index) => `name-${index}.example:192.0.2.1`);
    const { id } = await node.store.create(aConfig({ extraHosts }));
    await node.store.start(id);
    const names = node.native.last.request?.runFiles.map(({ name }) => name);
    assert.deepEqual(names?.toSorted(), ['hostname', 'resolv.conf']);
    assert.match(await readFile(node.store.get(id).paths.hosts, 'utf8'), /192\.0\.2\.1\tname-4999\.example\n/);
  });

  it('removes itself after its exit, and still tells the code to who waits for that', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig({ autoRemove: true }));
    const removed = node.store.wait(id, 'removed', never);
    await node.store.start(id);
    node.native.last.exit(7);
    assert.equal((await removed).exitCode, 7);
    assert.throws(() => node.store.get(id), { code: 'not-found', message: `No such container: ${id}` });
    assert.equal(node.actions().at(-1), 'destroy');
    await until(() => node.native.last.acknowledged);
  });

  for (const [reason, exitCode] of [
    ['exec: "nope": executable file not found in $PATH', 127],
    ['exec: "/etc": permission denied', 126],
    ['something else', 128],
  ] as const) {
    it(`says why it did not start: ${reason}`, async () => {
      await using node = await machine();
      const { id } = await node.store.create(aConfig());
      node.native.onLaunch = (shim) => {
        shim.startError = new CodedError('invalid', reason);
      };
      await assert.rejects(node.store.start(id), (error: CodedError) => {
        assert.equal(error.code, 'invalid');
        assert.match(error.message, /^failed to create task for container: .*OCI runtime create failed: /);
        assert.ok(error.message.includes(reason));
        return true;
      });
      const info = node.store.get(id);
      assert.equal(info.state, 'created');
      assert.equal(info.exitCode, exitCode);
      assert.equal(node.networks.joined.size, 0);
      assert.ok(node.native.last.killed);
      node.native.onLaunch = () => undefined;
      await node.store.start(id);
      assert.equal(node.store.get(id).state, 'running');
    });
  }

  it('keeps a port conflict a conflict, and leaves nothing joined', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig({ autoRemove: true }));
    node.networks.joinError = new CodedError('conflict', 'Bind for 0.0.0.0:80 failed: port is already allocated');
    await assert.rejects(node.store.start(id), { code: 'conflict', message: /port is already allocated/ });
    assert.throws(() => node.store.get(id), { code: 'not-found' });
  });

  it('refuses to start twice, and to stop what does not run', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig());
    await assert.rejects(node.store.stop(id, {}), { code: 'not-modified' });
    await node.store.start(id);
    await assert.rejects(node.store.start(id), { code: 'not-modified' });
    await assert.rejects(node.store.kill(id, 'NOPE'), { code: 'invalid', message: 'Invalid signal: NOPE' });
  });

  it('stops with its own signal first, and kills after the grace', async () => {
    await using node = await machine({ config: { StopSignal: 'SIGINT' } });
    const { id } = await node.store.create(aConfig({ stopGraceMs: 3000 }));
    await node.store.start(id);
    const stopped = node.store.stop(id, {});
    await until(() => node.native.last.signals.length === 1);
    assert.deepEqual(node.native.last.signals, [2]);
    node.clock.advance(2999);
    assert.equal(node.store.get(id).state, 'running');
    node.clock.advance(1);
    await stopped;
    assert.deepEqual(node.native.last.signals, [2, 9]);
    assert.equal(node.store.get(id).exitCode, 137);
    assert.deepEqual(node.actions().slice(-5), ['kill', 'kill', 'die', 'network disconnect', 'stop']);
  });

  it('is stopped, too, where the kill comes after its end and before we heard of that', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig({}));
    await node.store.start(id);
    const { last } = node.native;
    last.signal = (signal) => {
      last.signals.push(signal);
      return signal === 9
        ? Promise.reject(new CodedError('not-found', 'the process is not running'))
        : Promise.resolve();
    };
    const stopped = node.store.stop(id, { graceMs: 0 });
    await until(() => last.signals.length === 1);
    node.clock.advance(1);
    await until(() => last.signals.length === 2);
    last.exit(143, { signal: 15 });
    await stopped;
    assert.equal(node.store.get(id).exitCode, 143);
  });

  it('is down when a kill is over; another signal is only sent', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig());
    await node.store.start(id);
    const { last } = node.native;
    last.onSignal = () => undefined;
    await node.store.kill(id, 'USR1');
    assert.equal(node.store.get(id).state, 'running');
    let over = false;
    const killed = node.store.kill(id, 'KILL').then(() => {
      over = true;
    });
    await until(() => last.signals.length === 2);
    assert.equal(over, false);
    last.exit(137, { signal: 9 });
    await killed;
    assert.equal(node.store.get(id).state, 'exited');
    assert.deepEqual(node.actions().slice(-3), ['kill', 'die', 'network disconnect']);
  });

  it('is paused and comes back; a stop wakes it first', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig());
    await assert.rejects(node.store.pause(id), { code: 'conflict', message: `container ${id} is not running` });
    await node.store.start(id);
    await node.store.pause(id);
    assert.equal(node.store.get(id).state, 'paused');
    await assert.rejects(node.store.execCreate(id, anExec()), { code: 'conflict', message: /is paused/ });
    await node.store.unpause(id);
    await node.store.pause(id);
    node.native.last.onSignal = () => node.native.last.exit(143);
    await node.store.stop(id, {});
    assert.equal(node.cgroups.frozen.size, 0);
    assert.equal(node.store.get(id).exitCode, 143);
  });

  it('is not removed while it runs, unless by force', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig({ name: 'busy' }));
    await node.store.start(id);
    await assert.rejects(node.store.remove(id, { force: false, volumes: false }), {
      code: 'conflict',
      message:
        'cannot remove container "/busy": container is running: stop the container before removing or force remove',
    });
    await node.store.remove(id, { force: true, volumes: false });
    assert.deepEqual(node.store.list(), []);
    const left = async (): Promise<number> => (await readdir(join(node.root, 'run', 'c'))).length;
    await until(async () => (await left()) === 0);
    assert.deepEqual(node.failures, []);
    await node.store.create(aConfig({ name: 'busy' }));
  });

  it('can be removed again after a removal failed', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig());
    const obstacle = join(node.root, 'containers', `.removing-${id}`);
    await writeFile(obstacle, '');
    await assert.rejects(node.store.remove(id, { force: false, volumes: false }), { code: 'ENOTDIR' });
    assert.equal(node.store.get(id).state, 'dead');
    await rm(obstacle);
    await node.store.remove(id, { force: false, volumes: false });
    assert.deepEqual(node.store.list(), []);
  });

  it('connects clients that came before the start, so that nothing is lost', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig({ openStdin: true, stdinOnce: true }));
    const stdio = await node.store.attach(id, { stdin: true, stdout: true, stderr: true });
    const written = stdio.write(Buffer.from('in'));
    node.native.onLaunch = (shim) => shim.output.push('hello');
    await node.store.start(id);
    await written;
    await stdio.closeStdin();
    assert.deepEqual(node.native.last.written, ['in']);
    assert.ok(node.native.last.stdinClosed);
    node.native.last.exit(0);
    const texts: string[] = [];
    for await (const frame of stdio.output) texts.push(frame.bytes.toString());
    assert.deepEqual(texts, ['hello']);
  });

  it('ends a waiting client when the start fails', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig());
    const stdio = await node.store.attach(id, { stdin: false, stdout: true, stderr: true });
    node.native.launchError = new CodedError('invalid', 'no such user');
    await assert.rejects(node.store.start(id), /no such user/);
    for await (const _ of stdio.output) assert.fail('there is no output');
  });
});

describe('container names', () => {
  it('finds by id, name with or without slash, and unique prefix', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig({ name: 'web' }));
    for (const reference of [id, 'web', '/web', id.slice(0, 4)]) assert.equal(node.store.get(reference).id, id);
    assert.throws(() => node.store.get('absent'), { code: 'not-found', message: 'No such container: absent' });
  });

  it('gives a name once', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig({ name: 'web' }));
    await assert.rejects(node.store.create(aConfig({ name: 'web' })), {
      code: 'conflict',
      message: `Conflict. The container name "/web" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`,
    });
    await assert.rejects(node.store.create(aConfig({ name: 'a b' })), {
      code: 'invalid',
      message: /Invalid container name \(a b\)/,
    });
    await node.store.rename(id, 'shop');
    assert.equal(node.store.get('shop').name, 'shop');
    assert.throws(() => node.store.get('web'), { code: 'not-found' });
    await node.store.create(aConfig({ name: 'web' }));
    await assert.rejects(node.store.rename('shop', 'web'), { code: 'conflict' });
    assert.equal(node.store.get(id).name, 'shop');
  });

  it('makes one up in Docker’s shape', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig());
    assert.match(node.store.get(id).name, /^[a-z]+_[a-z]+\d?$/);
  });

  it('takes the name of a network, or of whose network it shares, that is not there yet', async () => {
    await using node = await machine();
    for (const [name, network] of [
      ['one', 'absent'],
      ['two', 'container:absent'],
    ] as const) {
      await node.store.create(aConfig({ name, network }));
      await assert.rejects(node.store.start(name), { code: 'not-found', message: /absent/ });
      assert.equal(node.store.get(name).state, 'created');
    }
  });

  it('leaves nothing of a refused request', async () => {
    await using node = await machine();
    const bind = {
      type: 'bind',
      target: '/x',
      readOnly: false,
      propagation: '',
      tmpfsOptions: '',
      noCopy: false,
    } as const;
    for (const [change, code] of [
      [{ image: 'absent' }, 'not-found'],
      [{ network: '' }, 'invalid'],
      [{ pidMode: 'container:absent' }, 'invalid'],
      [{ ipcMode: 'container:absent' }, 'invalid'],
      [{ mounts: [{ ...bind, source: '/does/not/exist', createSource: false }] }, 'invalid'],
      [{ mounts: [{ ...bind, type: 'volume', source: '', createSource: false }], devices: [], name: '/' }, 'invalid'],
      [{ capabilityAdd: ['NOPE'] }, 'invalid'],
      [{ securityOptions: ['seccomp={'] }, 'invalid'],
    ] as const) {
      await assert.rejects(node.store.create(aConfig({ name: 'bad', ...change })), { code });
    }
    assert.deepEqual(node.store.list(), []);
    assert.deepEqual(await readdir(join(node.root, 'containers')), ['format']);
    assert.deepEqual(node.volumes.list(), []);
    assert.deepEqual(node.actions(), []);
    await node.store.create(aConfig({ name: 'bad' }));
  });
});

describe('restart policy at work', () => {
  it('brings a container back with growing delays, until it is stopped by hand', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig({ restart: { name: 'always', attemptsMax: 0 } }));
    await node.store.flush();
    await node.store.start(id);
    for (const [delayMs, count] of [
      [100, 1],
      [200, 2],
      [400, 3],
    ] as const) {
      node.native.last.exit(0, { atMs: node.clock.nowMs() });
      await until(() => node.store.get(id).state === 'restarting' && node.clock.untilNextMs() === delayMs);
      node.clock.advance(delayMs);
      await until(() => node.store.get(id).state === 'running');
      assert.equal(node.store.get(id).restartCount, count);
    }
    node.native.last.onSignal = () => node.native.last.exit(0);
    await node.store.stop(id, {});
    assert.equal(node.store.get(id).state, 'exited');
  });

  it('gives up after the last attempt, and a stop ends the waiting', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig({ restart: { name: 'on-failure', attemptsMax: 1 } }));
    await node.store.flush();
    await node.store.start(id);
    node.native.last.exit(1);
    await until(() => node.store.get(id).state === 'restarting');
    await node.store.stop(id, {});
    assert.equal(node.store.get(id).state, 'exited');
    await node.store.start(id);
    node.native.last.exit(1);
    await until(() => node.clock.untilNextMs() === 100);
    node.clock.advance(100);
    await until(() => node.store.get(id).state === 'running');
    node.native.last.exit(1);
    await until(() => node.store.get(id).state === 'exited');
  });
});

describe('exec', () => {
  it('runs a command, says its code, and forgets it later', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig());
    await assert.rejects(node.store.execCreate(id, anExec()), {
      code: 'conflict',
      message: `container ${id} is not running`,
    });
    await node.store.start(id);
    const execId = await node.store.execCreate(id, anExec());
    assert.deepEqual(node.store.get(id).execIds, [execId]);
    node.native.last.onExec = (spec, made) => {
      made.output.push(spec.args.join(' '));
      made.exit(5);
    };
    const stdio = await node.store.execStart(execId, { detach: false });
    const texts: string[] = [];
    for await (const frame of stdio?.output ?? []) texts.push(frame.bytes.toString());
    assert.deepEqual(texts, ['ls -l']);
    await until(() => node.store.execGet(execId).exitCode === 5);
    assert.deepEqual(node.actions().slice(-3), ['exec_create: ls -l', 'exec_start: ls -l', 'exec_die']);
    await assert.rejects(node.store.execStart(execId, { detach: false }), { code: 'conflict' });
    node.clock.advance(301_000);
    assert.throws(() => node.store.execGet(execId), { code: 'not-found', message: `No such exec instance: ${execId}` });
  });

  it('writes the reason on the stream when the command is not there', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig());
    await node.store.start(id);
    node.native.last.onExec = () => {
      throw new CodedError('invalid', 'exec: "nope": executable file not found in $PATH');
    };
    const execId = await node.store.execCreate(id, anExec());
    const stdio = await node.store.execStart(execId, { detach: false });
    let text = '';
    for await (const frame of stdio?.output ?? []) text += frame.bytes.toString();
    assert.match(text, /^OCI runtime exec failed: .*executable file not found in \$PATH: unknown\r\n$/);
    assert.equal(node.store.execGet(execId).exitCode, 127);
  });
});

function anExec() {
  return {
    args: ['ls', '-l'],
    env: [],
    workingDirectory: '',
    user: '',
    terminal: false,
    privileged: false,
    stdin: false,
    stdout: true,
    stderr: true,
    detachKeys: '',
  };
}
