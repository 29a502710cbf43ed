// Taking a container away: at once for everyone who looks, its files in the background.
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { fail } from '../../base/errors.ts';
import type { Container } from './container.ts';
import { type ContainerParts, publishContainer } from './parts.ts';
import { clearRun } from './prepare.ts';
import { discardAhead } from './prepare-ahead.ts';
import { isUp } from './state.ts';

/** Folders being deleted start with this; the daemon's start finishes what was interrupted. */
export const DOOMED = '.removing-';

/** The container is down; the caller holds the lock. What fails leaves it `dead`: it can be removed again. */
export async function removeNow(
  container: Container,
  parts: ContainerParts,
  options: { volumes: boolean },
): Promise<void> {
  if (isUp(container.state)) fail('internal', `container ${container.id} is still up`);
  container.isBeingRemoved = true;
  try {
    await discardAhead(container);
    container.change({ state: 'removing' });
    await takeAway(container, parts, options);
  } catch (error) {
    if (container.state === 'removing') container.change({ state: 'dead' });
    container.isBeingRemoved = false;
    throw error;
  }
}

async function takeAway(container: Container, parts: ContainerParts, options: { volumes: boolean }): Promise<void> {
  const doomed = join(parts.containersRoot, `${DOOMED}${container.id}`);
  await rename(container.folders.directory, doomed);
  const outcome = { exitCode: container.status.exitCode, error: '' };
  container.waiters.tell('exit', outcome);
  container.attachPoint.disconnect();
  void container.held.release();
  await releaseVolumes(container, parts, options);
  publishContainer(parts, container, 'destroy');
  container.waiters.tell('removed', outcome);
  parts.background.run(`delete ${container.id.slice(0, 12)}`, () => clearAway(container, parts, doomed));
}

/** Nobody can see it any more; what a crash interrupts here, the next daemon finishes. */
async function clearAway(container: Container, parts: ContainerParts, doomed: string): Promise<void> {
  await container.clearing;
  await container.exitedShim?.acknowledgeExit();
  if (container.hasRunFolders) await clearRun(container, parts);
  await parts.native.removeFolder(doomed);
}

async function releaseVolumes(
  container: Container,
  parts: ContainerParts,
  options: { volumes: boolean },
): Promise<void> {
  for (const mount of container.record.mounts) {
    if (mount.type !== 'volume') continue;
    parts.volumes.release(mount.name, container.id);
    const isOurs = options.volumes && parts.volumes.find(mount.name)?.anonymous === true;
    if (!isOurs || parts.volumes.usersOf(mount.name).length > 0) continue;
    const { name } = mount;
    await parts.volumes.remove(name, { force: true }).catch((error: unknown) => {
      parts.log.error('an anonymous volume stays behind', { volume: name, containerId: container.id, error });
    });
  }
}
