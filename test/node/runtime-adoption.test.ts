// The daemon is killed at any moment; containers are not, and nothing about them is forgotten.
import { strict as assert } from 'node:assert';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createReadStream, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { mountPointsOf } from '../../base/mount-info.ts';
import type { ContainerConfig, ContainerInfo, ContainerMount, ExecInfo } from '../../runtime/container/contract.ts';
import { aConfig } from '../container/support.ts';
import { NetworkLab } from '../support/network-lab.ts';
import { requireRoot } from '../support/requirements.ts';
import { busyboxTar, eventually, openLabNative, openLabRuntime } from '../support/runtime-lab.ts';

/** Other OCI runtimes of this machine. */
const INSTALLED = new Set(
  ['/usr/sbin/runc', '/usr/bin/crun'].filter((path) => existsSync(path)).map((path) => basename(path)),
);

/** A runtime in a process of its own. */
class Child {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  readonly ready: Promise<unknown>;
  #number = 0;

  constructor(args: readonly string[]) {
    const script = join(import.meta.dirname, '../support/runtime-child.js');
    this.#process = spawn(process.execPath, [script, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.ready = this.#answer(0);
    createInterface({ input: this.#process.stdout ?? process.stdin }).on('line', (line) => {
      const { number, result, error } = JSON.parse(line) as { number: number; result: unknown; error?: string };
      const waiting = this.#waiting.get(number);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new Error(error));
    });
    this.#process.once('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the child is gone'));
    });
  }

  call<T = unknown>(method: string, ...args: unknown[]): Promise<T> {
    const number = ++this.#number;
    this.#process.stdin?.write(`${JSON.stringify({ number, method, args })}\n`);
    return this.#answer(number) as Promise<T>;
  }

  async kill(): Promise<void> {
    const gone = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGKILL');
    await gone;
  }

  close(): Promise<void> {
    const gone = new Promise<void>((resolve) => this.#process.once('exit', () => resolve()));
    this.call('close').catch(() => undefined); // it ends instead of answering
    return gone;
  }

  #answer(number: number): Promise<unknown> {
    const answer = new Promise((resolve, reject) => this.#waiting.set(number, { resolve, reject }));
    answer.catch(() => undefined); // a killed child's calls fail; who asked has the promise itself
    return answer;
  }
}

/** Running, not merely waiting to be reaped by whoever inherited it. */
function isAlive(pid: number): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false;
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false; // it went between the two looks
  }
}

describe('containers of a killed daemon', () => {
  let network: NetworkLab;
  let root = '';
  let args: string[] = [];
  let child: Child;
  let cgroupParent = '';
  let opened = false;

  before(async function () {
    requireRoot(this);
    root = mkdtempSync('/tmp/shoal-rt-');
    cgroupParent = `/shoal-rt-${randomBytes(4).toString('hex')}`;
    network = await NetworkLab.open();
    const machine = await network.machine();
    args = [root, machine.namespace, cgroupParent];
    opened = true;
    await importImage();
    child = await start();
  });

  after(async () => {
    if (!opened) return;
    for (const { id } of await child.call<ContainerInfo[]>('list'))
      await child.call('remove', id, { force: true, volumes: true });
    await child.close();
    const left = execFileSync('find', ['/sys/fs/cgroup', '-type', 'd', '-path', `*${cgroupParent}*`], {
      encoding: 'utf8',
    });
    const runs = readdirSync(join(root, 'c'));
    await network[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
    assert.deepEqual([left, runs], ['', []]);
  });

  async function start(): Promise<Child> {
    const started = new Child(args);
    await started.ready;
    return started;
  }

  async function restart(): Promise<void> {
    await child.kill();
    child = await start();
  }

  async function importImage(): Promise<void> {
    const native = await openLabNative(root);
    const networks = { adopt: () => Promise.resolve() } as never;
    const runtime = await openLabRuntime({ root, cgroupParent, native, networks });
    await runtime.images.import(createReadStream(busyboxTar(root)), { target: 'bb', changes: [], message: '' });
    await runtime[Symbol.asyncDispose]();
    await native[Symbol.asyncDispose]();
  }

  const create = async (change: Partial<ContainerConfig>): Promise<string> =>
    (await child.call<{ id: string }>('create', aConfig({ image: 'bb', ...change }))).id;
  const running = async (change: Partial<ContainerConfig>): Promise<string> => {
    const id = await create(change);
    await child.call('start', id);
    return id;
  };
  const get = (id: string): Promise<ContainerInfo> => child.call<ContainerInfo>('get', id);

  it('keep their process and address, and are stopped by the next one', async () => {
    const id = await running({ command: ['sleep', '1000'], init: true, name: 'kept' });
    const before = await get(id);
    await restart();
    const after = await get('kept');
    assert.deepEqual([after.state, after.pid, after.endpoint], ['running', before.pid, before.endpoint]);
    const other = await running({ command: ['sleep', '1000'], init: true });
    assert.notEqual((await get(other)).endpoint?.address, before.endpoint?.address);
    await child.call('stop', id, {});
    assert.equal((await get(id)).exitCode, 143);
  });

  it('that end meanwhile are known with their exit code', async () => {
    const id = await running({ command: ['sh', '-c', 'sleep 0.3; exit 9'] });
    const { pid } = await get(id);
    await child.kill();
    await eventually(() => !isAlive(pid));
    child = await start();
    await eventually(async () => (await get(id)).state === 'exited');
    const { exitCode, finishedAtMs } = await get(id);
    assert.equal(exitCode, 9);
    assert.ok(finishedAtMs > 0);
  });

  for (const runtime of ['runc', 'crun'].filter((name) => INSTALLED.has(name))) {
    it(`keep their process, log and execs where it is ${runtime} that made them`, async () => {
      const id = await running({ runtime, command: ['sh', '-c', 'trap "exit 5" TERM; while :; do sleep 0.05; done'] });
      const before = await get(id);
      await restart();
      const after = await get(id);
      assert.deepEqual([after.state, after.pid, after.config.runtime], ['running', before.pid, runtime]);
      const exec = { env: [], workingDirectory: '', user: '', terminal: false, privileged: false, detachKeys: '' };
      const streams = { stdin: false, stdout: true, stderr: true };
      const execId = await child.call<string>('execCreate', id, { ...exec, ...streams, args: ['sh', '-c', 'exit 6'] });
      await child.call('execStart', execId, { detach: true });
      await eventually(async () => (await child.call<ExecInfo>('execGet', execId)).exitCode === 6);
      await child.call('stop', id, {});
      assert.equal((await get(id)).exitCode, 5);
    });

    it(`that end meanwhile are known with their exit code where it is ${runtime} that made them`, async () => {
      const id = await running({ runtime, command: ['sh', '-c', 'sleep 0.3; exit 9'] });
      const { pid } = await get(id);
      await child.kill();
      await eventually(() => !isAlive(pid));
      child = await start();
      await eventually(async () => (await get(id)).state === 'exited');
      assert.equal((await get(id)).exitCode, 9);
    });

    it(`leave nothing when their shim is killed where it is ${runtime} that made them`, async () => {
      const id = await running({ runtime, command: ['sleep', '1000'] });
      const { pid } = await get(id);
      const [, , shim] = readFileSync(join(root, 'c', id.slice(0, 12), 'pid'), 'utf8')
        .trim()
        .split(' ');
      process.kill(Number(shim), 'SIGKILL');
      await eventually(async () => (await get(id)).state === 'exited');
      await eventually(() => !isAlive(pid)); // it is said to have ended when the kernel was told to end it
      await child.call('remove', id, { force: true, volumes: true });
      const folders = ['/sys/fs/cgroup', '-ignore_readdir_race', '-type', 'd', '-name', id];
      await eventually(() => execFileSync('find', folders, { encoding: 'utf8' }) === '');
    });
  }

  it('that were to remove themselves are gone', async () => {
    const id = await running({ command: ['sh', '-c', 'sleep 0.2'], autoRemove: true });
    const { pid } = await get(id);
    await child.kill();
    await eventually(() => !isAlive(pid));
    child = await start();
    // Its shim may have been about to say that it ended; then this daemon hears it, a moment later.
    const isGone = async (): Promise<boolean> =>
      await get(id).then(
        () => false,
        (error: Error) => /No such container/.test(error.message),
      );
    await eventually(isGone);
  });

  it('whose shim died too are called exited, with 255', async () => {
    const id = await running({ command: ['sleep', '1000'] });
    const { pid } = await get(id);
    const shim = Number(/PPid:\s+(\d+)/.exec(execFileSync('cat', [`/proc/${pid}/status`], { encoding: 'utf8' }))?.[1]);
    await child.kill();
    process.kill(shim, 'SIGKILL');
    child = await start();
    const { state, exitCode } = await get(id);
    assert.deepEqual([state, exitCode], ['exited', 255]);
    await eventually(() => !isAlive(pid));
  });

  it('keep what their volumes have mounted, and nobody else does', async () => {
    const memory = (source: string): ContainerMount => ({
      type: 'volume',
      source,
      target: '/m',
      readOnly: false,
      propagation: '',
      tmpfsOptions: '',
      noCopy: false,
      createSource: false,
      volume: { labels: {}, options: { type: 'tmpfs', device: 'tmpfs' } },
    });
    const mounted = (): string[] =>
      mountPointsOf(readFileSync('/proc/self/mountinfo', 'utf8')).filter((point) => point.startsWith(`${root}/data/`));
    const data = (name: string): string => `${root}/data/volumes/${name}/_data`;
    const script = 'echo kept > /m/f; exec sleep 1000';
    const id = await running({ command: ['sh', '-c', script], init: true, mounts: [memory('used')] });
    const short = await running({ command: ['sh', '-c', 'sleep 0.3'], mounts: [memory('left')] });
    const { pid } = await get(short);
    assert.deepEqual(mounted().sort(), [data('left'), data('used')]);
    await eventually(() => existsSync(`${data('used')}/f`));
    await child.kill();
    await eventually(() => !isAlive(pid));
    child = await start();
    await eventually(async () => (await get(short)).state === 'exited');
    await eventually(() => mounted().length === 1);
    const other = await running({ command: ['sleep', '1000'], init: true, mounts: [memory('used')] });
    assert.equal(readFileSync(`${data('used')}/f`, 'utf8'), 'kept\n');
    await child.call('stop', other, {});
    assert.deepEqual(mounted(), [data('used')]);
    await child.call('stop', id, {});
    assert.deepEqual(mounted(), []);
  });

  it('stay paused', async () => {
    const id = await running({ command: ['sleep', '1000'], init: true });
    await child.call('pause', id);
    await restart();
    assert.equal((await get(id)).state, 'paused');
    await child.call('unpause', id);
    await child.call('stop', id, {});
    assert.equal((await get(id)).exitCode, 143);
  });

  it('come through a kill at any moment of their making: whole, or not at all', async () => {
    for (let round = 0; round < 12; round += 1) {
      const made = create({ command: ['sleep', '1000'], init: true }).then((id) =>
        child.call('start', id).then(() => id),
      );
      made.catch(() => undefined); // the kill may come first
      await new Promise((resolve) => setTimeout(resolve, 2 + round * 2));
      await restart();
      const all = await child.call<ContainerInfo[]>('list');
      for (const { id, state } of all) {
        assert.ok(['created', 'running', 'exited'].includes(state), state);
        if (state === 'running') await child.call('stop', id, {});
        await child.call('remove', id, { force: false, volumes: false });
      }
    }
    assert.deepEqual(await child.call('list'), []);
    await eventually(() => readdirSync(join(root, 'c')).length === 0);
  });
});
