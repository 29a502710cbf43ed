// The machine's cgroups: prepares the parent folders, plans a container's, changes, freezes, reads and removes them.
// The helper makes a container's folders; removing them is ours.
import { existsSync, readFileSync, statSync, watch } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { errnoOf, fail } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { CgroupPlan, DeviceRule } from '../native/contract.ts';
import { type CgroupLayout, detectCgroups } from './cgroup-layout.ts';
import { type CgroupAbilities, cgroupPlan, unifiedWrites } from './cgroup-plan.ts';
import type { ContainerLimits } from './contract.ts';
import { majorOf, minorOf } from './devices.ts';
import { cleanTarget } from './merge.ts';

const CONTROLLERS = ['cpu', 'cpuset', 'io', 'memory', 'pids'];
const REMOVE_DEADLINE_MS = 5_000;
const FREEZE_DEADLINE_MS = 5_000;

export interface CgroupHostOptions {
  readonly parent: string; // /shoal/node1, below every hierarchy's mount point
  readonly clock: Clock;
  readonly log: Log;
}

export class CgroupHost {
  readonly layout: CgroupLayout;
  readonly abilities: CgroupAbilities;
  readonly #memoryNodes: string;
  readonly #options: CgroupHostOptions;

  private constructor(
    options: CgroupHostOptions,
    facts: { layout: CgroupLayout; abilities: CgroupAbilities; memoryNodes: string },
  ) {
    this.#options = options;
    this.layout = facts.layout;
    this.abilities = facts.abilities;
    this.#memoryNodes = facts.memoryNodes;
  }

  static async open(given: CgroupHostOptions): Promise<CgroupHost> {
    const options = { ...given, parent: cleanTarget(given.parent) };
    const layout = detectCgroups(await readFile('/proc/self/mountinfo', 'utf8'));
    if (layout.unified === undefined && layout.v1.memory === undefined) {
      fail('internal', 'this machine has no cgroups mounted: mount cgroup2 on /sys/fs/cgroup');
    }
    await prepareParent(layout, options.parent);
    const memoryNodes = layout.v1.cpuset === undefined ? '' : await firstLine(join(layout.v1.cpuset, 'cpuset.mems'));
    return new CgroupHost(options, { layout, abilities: await abilitiesOf(layout, options.parent), memoryNodes });
  }

  plan(
    containerId: string,
    limits: ContainerLimits,
    devices: readonly DeviceRule[] | undefined,
    parent = '',
  ): CgroupPlan {
    return cgroupPlan(this.layout, {
      path: this.path(containerId, parent),
      limits,
      devices,
      abilities: this.abilities,
      memoryNodes: this.#memoryNodes,
    });
  }

  /** A parent of the container's own has to be there before the helper makes the folder below it. */
  async prepare(parent: string): Promise<void> {
    if (parent !== '') await prepareParent(this.layout, cleanTarget(parent));
  }

  async update(containerId: string, limits: ContainerLimits, parent = ''): Promise<void> {
    const { groups } = this.plan(containerId, limits, undefined, parent);
    for (const group of groups) {
      for (const [file, value] of group.version === 2 ? this.#unified(limits) : group.writes) {
        await writeLimit(join(group.path, file), value);
      }
    }
  }

  #unified(limits: ContainerLimits): readonly (readonly [string, string])[] {
    return this.layout.unifiedControls ? unifiedWrites(limits, this.abilities) : [];
  }

  /** Folder of one controller for a container: its own on version 1, the common one on version 2. */
  folder(
    controller: 'memory' | 'cpu' | 'cpuacct' | 'pids' | 'blkio' | 'freezer',
    containerId: string,
    parent = '',
  ): string {
    const mountPoint = this.layout.unifiedControls ? this.layout.unified : this.layout.v1[controller];
    return join(mountPoint ?? this.layout.unified ?? '', this.path(containerId, parent));
  }

  async processes(containerId: string, parent = ''): Promise<number[]> {
    const root = this.layout.unified ?? this.layout.v1.pids ?? this.layout.v1.memory ?? '';
    const text = await readFile(join(root, this.path(containerId, parent), 'cgroup.procs'), 'utf8');
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map(Number);
  }

  async freeze(containerId: string, frozen: boolean, parent = ''): Promise<void> {
    const path = this.path(containerId, parent);
    if (this.layout.unified !== undefined) {
      const folder = join(this.layout.unified, path);
      await writeFile(join(folder, 'cgroup.freeze'), frozen ? '1' : '0');
      await this.#until(join(folder, 'cgroup.events'), (text) => text.includes(`frozen ${frozen ? 1 : 0}`));
    } else {
      const file = join(this.layout.v1.freezer ?? '', path, 'freezer.state');
      await writeFile(file, frozen ? 'FROZEN' : 'THAWED');
      await this.#until(file, (text) => text.trim() === (frozen ? 'FROZEN' : 'THAWED'));
    }
  }

  /** At once, for a daemon that begins: it asks this of every container before it does anything else. */
  isFrozen(containerId: string, parent = ''): boolean {
    const path = this.path(containerId, parent);
    if (this.layout.unified !== undefined) {
      return readFileSync(join(this.layout.unified, path, 'cgroup.freeze'), 'utf8').trim() === '1';
    }
    return readFileSync(join(this.layout.v1.freezer ?? '', path, 'freezer.state'), 'utf8').trim() === 'FROZEN';
  }

  /** Kills what is left in the container's groups and removes the folders: the known ones, or all there may be. Idempotent. */
  async remove(containerId: string, parent = '', known?: readonly string[]): Promise<void> {
    const path = this.path(containerId, parent);
    const all = known ?? allMountPoints(this.layout).map((mountPoint) => join(mountPoint, path));
    const folders = all.filter((folder) => existsSync(folder)); // mostly the shim has taken them away
    await Promise.all(folders.map((folder) => this.#removeFolder(folder)));
    if (parent !== '') await Promise.all(all.map((folder) => removeEmpty(dirname(folder))));
  }

  /** Ids of containers that have folders here. */
  async present(): Promise<string[]> {
    const ids = new Set<string>();
    for (const mountPoint of allMountPoints(this.layout)) {
      for (const name of await foldersIn(join(mountPoint, this.#options.parent))) {
        if (/^[0-9a-f]{64}$/.test(name)) ids.add(name);
      }
    }
    return [...ids];
  }

  /** Takes the parent away if nothing is in it; other daemons may share what is above. */
  async removeParent(): Promise<void> {
    for (const mountPoint of allMountPoints(this.layout)) await removeEmpty(join(mountPoint, this.#options.parent));
  }

  /** Of its group below every hierarchy's mount point. */
  path(containerId: string, parent = ''): string {
    return join(parent === '' ? this.#options.parent : cleanTarget(parent), containerId);
  }

  async #removeFolder(folder: string): Promise<void> {
    const { clock, log } = this.#options;
    const endMs = clock.monotonicMs() + REMOVE_DEADLINE_MS;
    for (let waitMs = 1; ; waitMs = Math.min(waitMs * 2, 100)) {
      try {
        return await (waitMs === 1 ? rmdir(folder) : removeTree(folder)); // mostly there is nothing inside
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') return;
        if (clock.monotonicMs() > endMs) return log.warn('cgroup stays behind', { folder, error });
      }
      await killAll(folder);
      await clock.sleep(waitMs); // version 1 has no event for "the last process is gone"
    }
  }

  /** Waits until a file of the kernel says so; cgroup2 reports changes of cgroup.events by inotify. */
  async #until(file: string, holds: (text: string) => boolean): Promise<void> {
    const { clock } = this.#options;
    using deadline = clock.deadline(undefined, FREEZE_DEADLINE_MS);
    const watcher = watch(file);
    try {
      while (!holds(await readFile(file, 'utf8'))) {
        if (deadline.signal.aborted)
          fail('deadline', `the cgroup did not change its state within ${FREEZE_DEADLINE_MS} ms`);
        using soon = clock.deadline(deadline.signal, 10);
        await new Promise<void>((resolve) => {
          watcher.once('change', () => resolve());
          soon.signal.addEventListener('abort', () => resolve(), { once: true });
        });
      }
    } finally {
      watcher.close();
    }
  }
}

async function abilitiesOf(layout: CgroupLayout, parent: string): Promise<CgroupAbilities> {
  const { unifiedControls, unified = '', v1 } = layout;
  const folder = (controller: 'memory' | 'blkio'): string =>
    unifiedControls ? join(unified, parent) : join(v1[controller] ?? '/nowhere', parent);
  const weights = unifiedControls ? ['io.bfq.weight', 'io.weight'] : ['blkio.bfq.weight', 'blkio.weight'];
  const present = await Promise.all(weights.map((name) => exists(join(folder('blkio'), name))));
  return {
    swapIsAccounted: await exists(
      join(folder('memory'), unifiedControls ? 'memory.swap.max' : 'memory.memsw.limit_in_bytes'),
    ),
    blockIoWeightFile: weights.find((_, index) => present[index]),
    oomCanBeDisabled: !unifiedControls && v1.memory !== undefined,
    blockDevice,
  };
}

function blockDevice(path: string): string {
  try {
    const status = statSync(path);
    if (status.isBlockDevice()) return `${majorOf(status.rdev)}:${minorOf(status.rdev)}`;
  } catch (cause) {
    fail('invalid', `no such file or directory: ${path}`, { cause });
  }
  return fail('invalid', `${path} is not a block device`);
}

const mountPoints = ({ unified, v1 }: CgroupLayout): string[] => [
  ...new Set([...(unified === undefined ? [] : [unified]), ...Object.values(v1)]),
];

/** With those that only other runtimes use. */
const allMountPoints = (layout: CgroupLayout): string[] => [...mountPoints(layout), ...layout.others];

async function prepareParent(layout: CgroupLayout, parent: string): Promise<void> {
  for (const mountPoint of mountPoints(layout)) await mkdir(join(mountPoint, parent), { recursive: true });
  if (layout.unifiedControls) await enableControllers(layout.unified ?? '', parent);
  if (layout.v1.cpuset !== undefined) await inheritCpuset(layout.v1.cpuset, parent);
}

/** Each folder down to the parent hands its controllers on. Which of them exist is the machine's business. */
async function enableControllers(mountPoint: string, parent: string): Promise<void> {
  for (const folder of chain(mountPoint, parent)) {
    const available = (await firstLine(join(folder, 'cgroup.controllers'))).split(' ');
    for (const controller of CONTROLLERS.filter((name) => available.includes(name))) {
      await writeFile(join(folder, 'cgroup.subtree_control'), `+${controller}`);
    }
  }
}

/** Version 1: an empty cpuset takes no process. */
async function inheritCpuset(mountPoint: string, parent: string): Promise<void> {
  for (const folder of chain(mountPoint, parent).slice(1)) {
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      if ((await firstLine(join(folder, file))) !== '') continue;
      await writeFile(join(folder, file), await firstLine(join(dirname(folder), file)));
    }
  }
}

function chain(mountPoint: string, parent: string): string[] {
  const parts = parent.split('/').filter((part) => part !== '');
  return [mountPoint, ...parts.map((_, index) => join(mountPoint, ...parts.slice(0, index + 1)))];
}

async function writeLimit(file: string, value: string): Promise<void> {
  try {
    await writeFile(file, value);
  } catch (cause) {
    fail('invalid', `the kernel refuses ${value} for ${file.split('/').at(-1)}`, { cause });
  }
}

/** Sub-groups that the container made go first. */
async function removeTree(folder: string): Promise<void> {
  for (const name of await foldersIn(folder)) await removeTree(join(folder, name));
  await rmdir(folder);
}

async function killAll(folder: string): Promise<void> {
  try {
    await writeFile(join(folder, 'cgroup.kill'), '1');
    return;
  } catch (error) {
    if (!['ENOENT', 'EACCES', 'EPERM'].includes(errnoOf(error) ?? '')) throw error;
  }
  for (const line of (await readOrEmpty(join(folder, 'cgroup.procs'))).split('\n')) {
    if (line !== '' && line !== '0') killIfThere(Number(line));
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH') throw error;
  }
}

async function foldersIn(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

async function removeEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    if (!['ENOENT', 'EBUSY', 'ENOTEMPTY'].includes(errnoOf(error) ?? '')) throw error;
  }
}

async function readOrEmpty(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return '';
    throw error;
  }
}

const firstLine = async (path: string): Promise<string> => (await readFile(path, 'utf8')).split('\n', 1)[0] ?? '';

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}
