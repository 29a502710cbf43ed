// The nodes' cgroups: made before the daemon so that everything of a node is below one folder, ended and removed as one.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, watch, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const MOUNT = '/sys/fs/cgroup';

/** The hierarchy that holds whole nodes: cgroup2 where there is one (also beside version 1), otherwise v1's pids. */
function nodeHierarchy(): string {
  if (existsSync(join(MOUNT, 'cgroup.controllers'))) return MOUNT;
  const unified = join(MOUNT, 'unified');
  return existsSync(join(unified, 'cgroup.controllers')) ? unified : join(MOUNT, 'pids');
}

export const nodeCgroupPath = (cgroup: string): string => join(nodeHierarchy(), cgroup);

/** Makes the node's folder and one below it for its daemon; returns the file that a process's id is written to. */
export function makeNodeCgroup(cgroup: string): string {
  const path = nodeCgroupPath(cgroup);
  const daemon = join(path, 'daemon');
  mkdirSync(daemon, { recursive: true });
  for (const folder of [nodeHierarchy(), dirname(path), path]) passControllersOn(folder);
  return join(daemon, 'cgroup.procs');
}

/** cgroup2 gives a controller to a folder only when its parent passes it on; processes live in leaves only. */
function passControllersOn(folder: string): void {
  const available = join(folder, 'cgroup.controllers');
  if (!existsSync(available)) return;
  const names = readFileSync(available, 'utf8').trim();
  const already = readFileSync(join(folder, 'cgroup.subtree_control'), 'utf8').split(/\s+/);
  const wanted = names.split(/\s+/).filter((name) => name !== '' && !already.includes(name));
  if (wanted.length === 0) return;
  writeFileSync(join(folder, 'cgroup.subtree_control'), wanted.map((name) => `+${name}`).join(' '));
}

/** Kills everything below the node's folder and resolves when nothing is left. */
export async function killNodeCgroup(cgroup: string): Promise<void> {
  const path = nodeCgroupPath(cgroup);
  if (!existsSync(path)) return;
  const populated = (): boolean => processesBelow(path).length > 0;
  if (!populated()) return;
  const events = join(path, 'cgroup.events');
  const watcher = existsSync(events) ? watch(events) : undefined;
  try {
    const changed = (): Promise<void> => new Promise((resolve) => watcher?.once('change', () => resolve()));
    const deadline = performance.now() + 10_000;
    while (populated()) {
      if (performance.now() > deadline)
        throw new Error(`processes in ${path} do not end: ${processesBelow(path).join(' ')}`);
      const change = changed();
      killAll(path);
      // The event of an already emptied folder does not come again, so look anew at least every 50 ms.
      await Promise.race([change, new Promise((resolve) => setTimeout(resolve, 50))]);
    }
  } finally {
    watcher?.close();
  }
}

function killAll(path: string): void {
  const kill = join(path, 'cgroup.kill');
  if (existsSync(kill)) {
    writeFileSync(kill, '1');
    return;
  }
  for (const pid of processesBelow(path)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
  }
}

/** Ids of the processes in the node's folder and below. */
export const nodeProcesses = (cgroup: string): number[] => processesBelow(nodeCgroupPath(cgroup));

function processesBelow(path: string): number[] {
  return foldersBelow(path).flatMap((folder) => {
    const file = join(folder, 'cgroup.procs');
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean).map(Number) : [];
  });
}

/** Removes a folder and all below it in every hierarchy. */
export async function removeCgroups(cgroup: string): Promise<void> {
  const roots = [MOUNT, ...readdirSync(MOUNT).map((name) => join(MOUNT, name))];
  for (const root of roots) {
    const path = join(root, cgroup);
    if (!existsSync(path) || !statSync(path).isDirectory()) continue;
    for (const folder of foldersBelow(path).reverse()) await removeFolder(folder);
  }
}

/** A process that is on its way out keeps its folder busy for a moment, and nothing tells when it is over. */
async function removeFolder(folder: string): Promise<void> {
  const deadline = performance.now() + 5_000;
  for (;;) {
    try {
      rmdirSync(folder);
      return;
    } catch (error) {
      const errno = error instanceof Error && 'code' in error ? error.code : undefined;
      if (errno === 'ENOENT') return;
      if (errno !== 'EBUSY' || performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The folder and all below it, outer ones first. */
function foldersBelow(path: string): string[] {
  if (!existsSync(path)) return [];
  const inner = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [path, ...inner.flatMap((entry) => foldersBelow(join(path, entry.name)))];
}
