// What the last daemon left: containers that run are taken over, those that ended meanwhile get their exit recorded,
// half-made and half-removed ones are cleared, and processes without a record are ended.
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Shim } from '../native/contract.ts';
import { readExitRecord } from '../native/exit-record.ts';
import { Container } from './container.ts';
import { clearRun } from './prepare.ts';
import { notInNetworks } from './launch.ts';
import { leaveNetworks } from './network-places.ts';
import type { ContainerParts } from './parts.ts';
import { readRecord, type ContainerStatus, type ContainerRecord } from './record.ts';
import { DOOMED, removeNow } from './remove.ts';
import { comesBackAtBoot, restartDelayMs } from './restart.ts';
import { isAlive, isUp } from './state.ts';
import { restartLater, supervise, tolerate } from './supervise.ts';
import { noteVolumeMounts } from './volume-mounts.ts';

const AT_ONCE = 16;
const GRACE_MS = 1_000;

export interface Adopted {
  readonly container: Container;
  /** Undefined: it does not run. */
  readonly shim: Shim | undefined;
  readonly wasUp: boolean;
}

export const runDirectoryOf = (parts: Pick<ContainerParts, 'runRoot'>, id: string): string =>
  join(parts.runRoot, id.slice(0, 12));

export async function findLeftContainers(parts: ContainerParts): Promise<Adopted[]> {
  await mkdir(parts.runRoot, { recursive: true, mode: 0o700 });
  const names = (await readdir(parts.containersRoot, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  const adopted: Adopted[] = [];
  await inParallel(
    names.map(({ name }) => name),
    async (name) => {
      const found = await restore(parts, name);
      if (found) adopted.push(found);
    },
  );
  await parts.volumes.unmountUnused();
  adopted.sort((a, b) => a.container.record.createdAtMs - b.container.record.createdAtMs);
  await endOrphans(parts, new Set(adopted.map(({ container }) => container.id)));
  return adopted;
}

async function restore(parts: ContainerParts, name: string): Promise<Adopted | undefined> {
  const directory = join(parts.containersRoot, name);
  if (name.startsWith(DOOMED)) {
    await rm(directory, { recursive: true, force: true });
    return undefined;
  }
  try {
    const found = readRecord(directory);
    if (found) return await adopt(parts, directory, found);
    await rm(directory, { recursive: true, force: true }); // its creation was never answered
  } catch (error) {
    parts.log.error('container left out: its record can not be read', { containerId: name, error });
  }
  return undefined;
}

async function adopt(
  parts: ContainerParts,
  directory: string,
  found: { record: ContainerRecord; status: ContainerStatus },
): Promise<Adopted> {
  const { record, status } = found;
  const folders = { directory, runDirectory: runDirectoryOf(parts, record.id) };
  const holder = { containerId: record.id, isRunning: () => isAlive(container.state) };
  const held = parts.images.holdLayers(record.imageId, record.layers, holder);
  const container: Container = new Container({ record, status, folders, held });
  for (const mount of record.mounts) if (mount.type === 'volume') parts.volumes.use(mount.name, record.id);
  const wasUp = isUp(status.state);
  const shim = await parts.native.adopt(record.id, folders.runDirectory);
  if (shim && isAlive(status.state)) {
    // Its command was about to start when the last daemon went; nobody was told, so it starts now.
    if (shim.state === 'prepared') await shim.start();
    const isFrozen = parts.cgroups.isFrozen(record.id, record.config.cgroupParent);
    noteVolumeMounts(container, parts);
    container.change({ pid: shim.pid });
    if (isFrozen !== (status.state === 'paused')) container.change({ state: isFrozen ? 'paused' : 'running' });
    return { container, shim, wasUp };
  }
  if (shim) await shim.kill(); // launched, but its command was never started for anyone
  await noteEnd(container, parts);
  return { container, shim: undefined, wasUp };
}

/** The exit that nobody saw: from the shim's record, or 255 when the machine went down with it. */
async function noteEnd(container: Container, parts: ContainerParts): Promise<void> {
  const { status } = container;
  if (isAlive(status.state)) {
    const exit = await readExitRecord(container.folders.directory, container.id);
    container.change({
      state: 'exited',
      pid: 0,
      exitCode: exit?.exitCode ?? 255,
      oomKilled: exit?.oomKilled ?? false,
      finishedAtMs: exit?.atMs ?? parts.clock.nowMs(),
    });
  } else if (status.state === 'restarting') container.change({ state: 'exited' });
  await clearRun(container, parts);
}

/** Once all are known and the networks have their endpoints back: supervise, clean up, restart what has to. */
export async function continueContainers(parts: ContainerParts, adopted: readonly Adopted[]): Promise<void> {
  const running = adopted.filter(({ shim }) => shim !== undefined);
  const endpoints = running.flatMap(({ container }) => container.status.endpoints);
  const sandboxPaths = running.flatMap(({ container: { status } }) =>
    status.sandboxPath === '' ? [] : [status.sandboxPath],
  );
  await parts.networks.adopt(endpoints, sandboxPaths);
  for (const { container, shim } of running) if (shim) await resume(container, parts, shim);
  await inParallel(
    adopted.filter(({ shim }) => shim === undefined),
    ({ container, wasUp }) => container.lock.run(() => settle(container, parts, wasUp)),
  );
}

async function resume(container: Container, parts: ContainerParts, shim: Shim): Promise<void> {
  await container.attachPoint.connect(shim);
  supervise(container, parts, shim);
}

async function settle(container: Container, parts: ContainerParts, wasUp: boolean): Promise<void> {
  const { endpoints, exitCode, stoppedByHand, restartCount } = container.status;
  await tolerate(container, parts, 'leaving the network', () => leaveNetworks(container, parts));
  container.change(notInNetworks);
  const { config } = container.record;
  if (container.state === 'removing' || (wasUp && config.autoRemove)) {
    return tolerate(container, parts, 'removing after the restart', () =>
      removeNow(container, parts, { volumes: true }),
    );
  }
  if (container.state !== 'created' && comesBackAtBoot(config.restart, { exitCode, stoppedByHand, wasUp })) {
    const run = {
      rule: config.restart,
      exitCode,
      ranMs: GRACE_MS,
      restartCount,
      stoppedByHand: false,
      previousDelayMs: 0,
    };
    const delayMs = restartDelayMs(run);
    if (delayMs !== 'never') {
      container.change({ state: 'restarting', stoppedByHand: false });
      restartLater(container, parts, delayMs);
    }
  }
  if (wasUp || endpoints.length > 0) await container.save();
}

/** Shims whose container was removed or never written, and cgroups nobody claims. */
async function endOrphans(parts: ContainerParts, known: ReadonlySet<string>): Promise<void> {
  const shortIds = new Set([...known].map((id) => id.slice(0, 12)));
  const orphans = (await readdir(parts.runRoot)).filter((name) => !shortIds.has(name));
  await inParallel(orphans, async (name) => {
    const runDirectory = join(parts.runRoot, name);
    const shim = await parts.native.adopt(name, runDirectory);
    if (shim) parts.log.warn('ending a container that has no record', { containerId: name });
    await shim?.kill();
    await rm(runDirectory, { recursive: true, force: true });
  });
  const present = await parts.cgroups.present();
  await inParallel(
    present.filter((id) => !known.has(id)),
    (id) => parts.cgroups.remove(id),
  );
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async (): Promise<void> => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, worker));
}
