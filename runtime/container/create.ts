// From a request to a container that can be started. Whatever fails leaves no trace.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError, codeOf, fail, sentenceOf } from '../../base/errors.ts';
import { newHexId } from '../../base/id.ts';
import { Scope } from '../../base/scope.ts';
import type { Image } from '../image/contract.ts';
import { runDirectoryOf } from './adopt.ts';
import { Container } from './container.ts';
import type { ContainerConfig } from './contract.ts';
import { copyUp } from './copy-up.ts';
import { mergeImage } from './merge.ts';
import { resolveMounts } from './mounts.ts';
import type { Names } from './names.ts';
import { type ContainerParts, publishContainer } from './parts.ts';
import { discardAhead, prepareAhead } from './prepare-ahead.ts';
import { type ContainerRecord, finishRecord, makeContainerFolders, NEW_STATUS } from './record.ts';
import { securityOf } from './security.ts';
import { isAlive } from './state.ts';
import { validateConfig } from './validate.ts';

export async function createContainer(asked: ContainerConfig, parts: ContainerParts, names: Names): Promise<Container> {
  const image = parts.images.get(asked.image);
  const { config, args } = mergeImage(asked, image.config);
  validateConfig(config, parts);
  const { appArmorProfile } = securityOf(config, parts.security); // refuses wrong options now, not at start
  checkReferences(config, parts);
  await parts.ociRuntimes.find(config.runtime ?? '');
  await using undo = new Scope();
  const id = newHexId(parts.random);
  const name = names.take(asked.name, id);
  undo.defer(() => names.release(name, id));
  const container = await build({ id, name, image, config, args, appArmorProfile }, parts, undo);
  undo.handOver();
  publishContainer(parts, container, 'create');
  return container;
}

interface Basics extends Pick<ContainerRecord, 'id' | 'name' | 'config' | 'args' | 'appArmorProfile'> {
  readonly image: Image;
}

async function build(basics: Basics, parts: ContainerParts, undo: Scope): Promise<Container> {
  const { id, name, image, config, args, appArmorProfile = '' } = basics;
  const made: { container?: Container } = {};
  const holder = { containerId: id, isRunning: () => made.container !== undefined && isAlive(made.container.state) };
  const held = parts.images.hold(image.id, holder);
  undo.defer(() => void held.release());
  const { mounts, copyUp: volumes } = await resolveMounts(config, parts.volumes);
  for (const mount of mounts) if (mount.type === 'volume') useVolume(mount.name, id, parts, undo);
  const directory = join(parts.containersRoot, id);
  undo.defer(() => rm(directory, { recursive: true, force: true }));
  const record: ContainerRecord = {
    id,
    name,
    createdAtMs: parts.clock.nowMs(),
    imageId: image.id,
    imageReference: config.image,
    layers: held.layers,
    config: { ...config, name },
    args,
    mounts,
    appArmorProfile,
  };
  const folders = { directory, runDirectory: runDirectoryOf(parts, id) };
  const container = new Container({ record, status: NEW_STATUS, folders, held });
  made.container = container;
  const onDisk = (async () => {
    await makeContainerFolders(directory, record);
    for (const volume of volumes) await copyUp(volume, held, parts);
    await finishRecord(directory);
  })();
  prepareAhead(container, parts, onDisk);
  undo.defer(() => discardAhead(container));
  await onDisk;
  return container;
}

function useVolume(name: string, id: string, parts: ContainerParts, undo: Scope): void {
  parts.volumes.use(name, id);
  undo.defer(async () => {
    parts.volumes.release(name, id);
    const isUnused = parts.volumes.find(name)?.anonymous === true && parts.volumes.usersOf(name).length === 0;
    if (isUnused) await parts.volumes.remove(name, { force: true });
  });
}

/**
 * What the config names must be there, but for networks and whose network it shares: those may come until the start.
 * Not code `not-found`: clients take that, here, for a missing image and pull it.
 */
function checkReferences(config: ContainerConfig, parts: ContainerParts): void {
  if (config.network === '') fail('invalid', 'a container needs a network mode');
  const others = [config.pidMode, config.ipcMode].filter((mode) => mode.startsWith('container:'));
  try {
    for (const mode of others) parts.find(mode.slice('container:'.length));
  } catch (error) {
    throw codeOf(error) === 'not-found' ? new CodedError('invalid', sentenceOf(error)) : error;
  }
}
