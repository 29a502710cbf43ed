// A volume that is still empty starts with what the image has at its target. The files are read from the image's
// layers, which nobody can change, and written by the helper's safe unpacking.
import { readdir } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { HeldLayers } from '../image/contract.ts';
import { type MergedFolder, mergedView, tarOfFolder } from './merged-view.ts';
import type { ContainerParts } from './parts.ts';
import type { MountPoint } from './record.ts';

export async function copyUp(
  volume: MountPoint,
  layers: Pick<HeldLayers, 'lowers' | 'opaqueFolders'>,
  parts: Pick<ContainerParts, 'native' | 'volumes'>,
): Promise<void> {
  // One that another container may be writing to is left alone.
  const [user = '', ...others] = parts.volumes.usersOf(volume.name);
  if (others.length > 0) return;
  const folder = await mergedView(layers).folder(volume.target);
  if (!folder) return;
  const holder = `copy for ${user}`; // its container does not run yet
  await parts.volumes.mountFor(volume.name, holder);
  try {
    if ((await readdir(volume.source)).length === 0) await fill(volume, folder, parts);
  } finally {
    await parts.volumes.unmountFor(volume.name, holder);
  }
}

async function fill(volume: MountPoint, folder: MergedFolder, parts: Pick<ContainerParts, 'native'>): Promise<void> {
  const { input, done } = await parts.native.unpack(volume.source, { layer: false });
  const [fed, unpacked] = await Promise.allSettled([
    pipeline(Readable.from(tarOfFolder(folder), { objectMode: false }), input),
    done,
  ]);
  if (unpacked.status === 'rejected') throw unpacked.reason;
  if (fed.status === 'rejected') throw fed.reason;
}
