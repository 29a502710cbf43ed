// A whole runtime on this machine for tests that need root: the real helper, networks in a namespace of the lab's own,
// and an image of busybox. Nothing may be left when it is closed; what is, fails the closing.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  copyFileSync,
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../base/clock.ts';
import { errnoOf } from '../../base/errors.ts';
import { createLog, type Log, silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import type { ContainerConfig } from '../../runtime/container/contract.ts';
import type { RuntimeEvent } from '../../runtime/contract.ts';
import type { NativeRuntime } from '../../runtime/native/contract.ts';
import { openNativeRuntime } from '../../runtime/native/native-runtime.ts';
import type { MachineNetworks } from '../../runtime/network/networks.ts';
import { createRuntime, type MachineRuntime } from '../../runtime/runtime.ts';
import { aConfig } from '../container/support.ts';
import { type LabMachine, NetworkLab } from './network-lab.ts';

export const NATIVE_CACHE = join(import.meta.dirname, '../../native');
const BUSYBOX = '/usr/bin/busybox';
export const LAB_LOG: Log = process.env['LAB_LOG'] ? createLog({ level: 'debug' }) : silentLog;

export interface Finished {
  readonly id: string;
  readonly output: string;
  readonly exitCode: number;
}

export class RuntimeLab implements AsyncDisposable {
  readonly root: string;
  readonly cgroupParent: string;
  readonly events: RuntimeEvent[] = [];
  readonly machine: LabMachine;
  runtime: MachineRuntime;
  readonly #network: NetworkLab;
  readonly #networks: MachineNetworks;
  readonly #native: NativeRuntime;

  private constructor(parts: {
    root: string;
    cgroupParent: string;
    machine: LabMachine;
    network: NetworkLab;
    networks: MachineNetworks;
    native: NativeRuntime;
    runtime: MachineRuntime;
  }) {
    this.root = parts.root;
    this.cgroupParent = parts.cgroupParent;
    this.machine = parts.machine;
    this.runtime = parts.runtime;
    this.#network = parts.network;
    this.#networks = parts.networks;
    this.#native = parts.native;
    this.runtime.events.listen((event) => this.events.push(event));
  }

  static async open(where = '/tmp'): Promise<RuntimeLab> {
    const root = mkdtempSync(join(where, 'shoal-rt-'));
    const network = await NetworkLab.open();
    const machine = await network.machine();
    const networks = await machine.networks();
    const native = await openLabNative(root);
    const cgroupParent = `/shoal-rt-${randomBytes(4).toString('hex')}`;
    const runtime = await openLabRuntime({ root, cgroupParent, native, networks });
    const lab = new RuntimeLab({ root, cgroupParent, machine, network, networks, native, runtime });
    await lab.runtime.images.import(createReadStream(busyboxTar(root)), {
      target: 'bb',
      changes: ['CMD ["sh"]'],
      message: '',
    });
    return lab;
  }

  create(change: Partial<ContainerConfig> = {}): Promise<string> {
    return this.runtime.containers.create(aConfig({ image: 'bb', ...change })).then(({ id }) => id);
  }

  /** Runs a command to its end, with its output. */
  async run(command: readonly string[], change: Partial<ContainerConfig> = {}): Promise<Finished> {
    const { containers } = this.runtime;
    const id = await this.create({ command, ...change });
    const stdio = await containers.attach(id, { stdin: false, stdout: true, stderr: true });
    const exit = containers.wait(id, change.autoRemove ? 'removed' : 'next-exit', new AbortController().signal);
    await containers.start(id);
    let output = '';
    for await (const frame of stdio.output) output += frame.bytes.toString();
    return { id, output, exitCode: (await exit).exitCode };
  }

  sh(script: string, change: Partial<ContainerConfig> = {}): Promise<Finished> {
    return this.run(['sh', '-c', script], change);
  }

  /** A container that runs until it is stopped. */
  async sleeper(change: Partial<ContainerConfig> = {}): Promise<string> {
    const id = await this.create({ command: ['sleep', '1000'], init: true, ...change });
    await this.runtime.containers.start(id);
    return id;
  }

  async exec(
    id: string,
    args: readonly string[],
    change: { user?: string; env?: string[] } = {},
  ): Promise<Omit<Finished, 'id'>> {
    const { containers } = this.runtime;
    const execId = await containers.execCreate(id, {
      args,
      env: [],
      workingDirectory: '',
      user: '',
      terminal: false,
      privileged: false,
      stdin: false,
      stdout: true,
      stderr: true,
      detachKeys: '',
      ...change,
    });
    const stdio = await containers.execStart(execId, { detach: false });
    let output = '';
    for await (const frame of stdio?.output ?? []) output += frame.bytes.toString();
    await eventually(() => containers.execGet(execId).exitCode !== undefined);
    return { output, exitCode: containers.execGet(execId).exitCode ?? -1 };
  }

  actions(id: string): string[] {
    const of = this.events.filter((event) => event.id === id || event.attributes['container'] === id);
    return of.map(({ type, action }) => (type === 'container' ? action : `${type} ${action}`));
  }

  async removeAll(): Promise<void> {
    const { containers } = this.runtime;
    await Promise.all(containers.list().map(({ id }) => containers.remove(id, { force: true, volumes: true })));
  }

  /** Folders of the lab's containers in any cgroup hierarchy. */
  cgroups(): string[] {
    // In each hierarchy below our own parent only: groups of others come and go while we look.
    const root = '/sys/fs/cgroup';
    return ['', ...readdirSync(root)].flatMap((name) => foldersBelow(join(root, name, this.cgroupParent)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.removeAll();
    await this.runtime[Symbol.asyncDispose]();
    await this.#native[Symbol.asyncDispose]();
    await this.#networks.destroy();
    await this.#network[Symbol.asyncDispose]();
    const left = [...this.cgroups(), ...leftIn(join(this.root, 'c')), ...leftIn(join(this.root, 'data/containers'))];
    rmSync(this.root, { recursive: true, force: true });
    if (left.length > 0) throw new Error(`left behind: ${left.join(' ')}`);
  }
}

/** Not those that go while we look. */
function foldersBelow(path: string): string[] {
  try {
    const names = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return names.flatMap(({ name }) => [join(path, name), ...foldersBelow(join(path, name))]);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENODEV') return [];
    throw error;
  }
}

export function openLabNative(root: string): Promise<NativeRuntime> {
  return openNativeRuntime({ runDirectory: join(root, 'z'), cacheDirectory: NATIVE_CACHE, log: LAB_LOG });
}

export async function openLabRuntime(options: {
  root: string;
  cgroupParent: string;
  native: NativeRuntime;
  networks: MachineNetworks;
}): Promise<MachineRuntime> {
  const runtime = await createRuntime({
    dataRoot: join(options.root, 'data'),
    execRoot: options.root,
    native: options.native,
    networks: options.networks,
    clock: systemClock,
    random: systemRandom,
    log: LAB_LOG,
    cgroupParent: options.cgroupParent,
  });
  await runtime.adopted;
  return runtime;
}

function leftIn(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => name !== 'format')
    .map((name) => join(directory, name));
}

export function busyboxTar(root: string): string {
  const tree = join(root, 'tree');
  for (const folder of ['bin', 'proc', 'sys', 'dev', 'etc', 'tmp', 'root', 'data', 'home/user']) {
    mkdirSync(join(tree, folder), { recursive: true });
  }
  copyFileSync(BUSYBOX, join(tree, 'bin/busybox'));
  const names = execFileSync(BUSYBOX, ['--list'], { encoding: 'utf8' }).split('\n').filter(Boolean);
  for (const name of names) if (name !== 'busybox') symlinkSync('busybox', join(tree, 'bin', name));
  writeFileSync(join(tree, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n');
  writeFileSync(join(tree, 'etc/group'), 'root:x:0:\nuser:x:1000:\nextra:x:2000:user\n');
  writeFileSync(join(tree, 'data/from-image'), 'image');
  const path = join(root, 'busybox.tar');
  execFileSync('tar', ['-C', tree, '--owner=0', '--group=0', '--mtime=@0', '--sort=name', '-cf', path, '.']);
  rmSync(tree, { recursive: true });
  return path;
}

/** Until something holds; looks again after each turn of what the machine does meanwhile. */
export async function eventually(holds: () => boolean | Promise<boolean>, withinMs = 5_000): Promise<void> {
  const endMs = Date.now() + withinMs;
  while (!(await holds())) {
    if (Date.now() > endMs) throw new Error(`it did not come about within ${withinMs} ms: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
