// From a process's exit to what follows: record, events, network, waiting clients, then removal or restart.
import type { ExitRecord, Shim } from '../native/contract.ts';
import type { Container } from './container.ts';
import { watchHealth } from './health.ts';
import { launch, notInNetworks, publishMounts } from './launch.ts';
import { leaveNetworks } from './network-places.ts';
import { clearRun } from './prepare.ts';
import { type ContainerParts, publishContainer } from './parts.ts';
import { raceAbort } from './race.ts';
import { removeNow } from './remove.ts';
import { restartDelayMs } from './restart.ts';
import { isAlive } from './state.ts';
import { unmountVolumes } from './volume-mounts.ts';

/** Starts a container and stays with it. The caller holds the lock. */
export async function startSupervised(container: Container, parts: ContainerParts): Promise<void> {
  supervise(container, parts, await launch(container, parts));
}

/** Stays with a process that runs: its health and its exit. */
export function supervise(container: Container, parts: ContainerParts, shim: Shim): void {
  container.shim = shim;
  container.stopProbing = watchHealth(container, parts, shim);
  parts.background.run(`supervise ${container.id.slice(0, 12)}`, async (abort) => {
    const exit = await raceAbort(shim.exited, abort); // on shutdown the container runs on without us
    const followsUp = exit && (await container.lock.run(() => onExit(container, parts, shim, exit)));
    await followsUp?.();
  });
}

/** Resolves with what is left to be done once the lock is free. */
async function onExit(
  container: Container,
  parts: ContainerParts,
  shim: Shim,
  exit: ExitRecord,
): Promise<(() => Promise<void>) | undefined> {
  if (container.shim !== shim || !isAlive(container.state)) return undefined;
  const { status } = container;
  const ranMs = Math.max(0, exit.atMs - status.startedAtMs);
  container.shim = undefined;
  container.stopProbing();
  container.attachPoint.disconnect();
  if (exit.oomKilled) publishContainer(parts, container, 'oom');
  publishContainer(parts, container, 'die', {
    exitCode: String(exit.exitCode),
    execDuration: String(Math.floor(ranMs / 1000)),
  });
  // Before anybody hears of the exit: who starts a successor then finds address and ports free.
  await tolerate(container, parts, 'leaving the network', async () => {
    await leaveNetworks(container, parts);
  });
  await tolerate(container, parts, 'unmounting volumes', () => unmountVolumes(container, parts, container.id));
  publishMounts(container, parts, 'unmount');
  const delayMs = nextDelay(container, parts, exit, ranMs);
  container.change({
    state: delayMs === 'never' ? 'exited' : 'restarting',
    pid: 0,
    exitCode: exit.exitCode,
    oomKilled: exit.oomKilled,
    finishedAtMs: exit.atMs,
    ...notInNetworks,
    health: status.health,
  });
  container.waiters.tell('exit', { exitCode: exit.exitCode, error: '' });
  container.exitedShim = shim;
  const removesItself = delayMs === 'never' && container.record.config.autoRemove;
  // Removal clears what the run left as well; whoever asked for it by force is waiting for us.
  if (!removesItself && !container.isBeingRemoved) {
    container.clearing = tolerate(container, parts, 'clearing after the run', () => clearAfterExit(container, parts));
  } else if (!container.isBeingRemoved) {
    await tolerate(container, parts, 'removing after the exit', () => removeNow(container, parts, { volumes: true }));
  }
  if (delayMs !== 'never') restartLater(container, parts, delayMs);
  else container.restartDelayMs = 0;
  return async () => {
    await container.clearing;
    if (delayMs === 'never') tellDown(container);
  };
}

/** The exit is on disk before the shim goes; until then the shim tells it to any daemon that comes. */
async function clearAfterExit(container: Container, parts: ContainerParts): Promise<void> {
  const shim = container.exitedShim;
  if (shim) await noteExit(container, parts, shim);
  container.exitedShim = undefined;
  await clearRun(container, parts);
}

async function noteExit(container: Container, parts: ContainerParts, shim: Shim): Promise<void> {
  try {
    await container.saveThrough(shim, container.status, (note) => shim.acknowledgeExit(note));
  } catch (error) {
    if (!container.isBeingRemoved) {
      parts.log.debug('the shim could not note the exit', { containerId: container.id, error });
      await container.save();
    }
    await shim.acknowledgeExit();
  }
}

function nextDelay(container: Container, parts: ContainerParts, exit: ExitRecord, ranMs: number): number | 'never' {
  const { record, status, restartDelayMs: previousDelayMs } = container;
  if (parts.background.abort.aborted || container.isBeingRemoved) return 'never';
  const { restartCount, stoppedByHand } = status;
  const { exitCode } = exit;
  return restartDelayMs({ rule: record.config.restart, exitCode, ranMs, restartCount, stoppedByHand, previousDelayMs });
}

function whatFollows(container: Container, parts: ContainerParts, delayMs: number | 'never'): void {
  if (delayMs !== 'never') return restartLater(container, parts, delayMs);
  container.restartDelayMs = 0;
  tellDown(container);
}

function tellDown(container: Container): void {
  container.waiters.tell('down', { exitCode: container.status.exitCode, error: '' });
}

export function restartLater(container: Container, parts: ContainerParts, delayMs: number): void {
  container.restartDelayMs = delayMs;
  container.restartTimer = parts.clock.after(delayMs, () => {
    parts.background.run(`restart ${container.id.slice(0, 12)}`, () =>
      container.lock.run(() => restartNow(container, parts)),
    );
  });
}

async function restartNow(container: Container, parts: ContainerParts): Promise<void> {
  container.restartTimer = undefined;
  if (container.state !== 'restarting' || parts.background.abort.aborted) return;
  container.change({ restartCount: container.status.restartCount + 1 });
  try {
    await startSupervised(container, parts);
  } catch (error) {
    parts.log.warn('restart failed', { containerId: container.id, error });
    const { config } = container.record;
    const { exitCode, restartCount, stoppedByHand } = container.status;
    const previousDelayMs = container.restartDelayMs;
    const delayMs = restartDelayMs({
      rule: config.restart,
      exitCode,
      ranMs: 0,
      restartCount,
      stoppedByHand,
      previousDelayMs,
    });
    if (delayMs === 'never') container.change({ state: 'exited', finishedAtMs: parts.clock.nowMs() });
    await container.save();
    whatFollows(container, parts, delayMs);
  }
}

/** Cleaning up goes on with the next step; what failed is said, and tried again when the daemon starts. */
export async function tolerate(
  container: Container,
  parts: Pick<ContainerParts, 'log'>,
  step: string,
  work: () => Promise<unknown>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    parts.log.error(`${step} failed`, { containerId: container.id, error });
  }
}
