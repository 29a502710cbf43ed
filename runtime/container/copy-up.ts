// A volume that is still empty starts with what the image has at its target. The files are read from the image's
// layers, which nobody can change, and written by the helper's safe unpacking.
import { readdir } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { HeldLayers } from '../image/contract.ts';
import { mergedView, tarOfFolder } from './merged-view.ts';
import type { ContainerParts } from './parts.ts';
import type { MountPoint } from './record.ts';

export async function copyUp(
  volume: MountPoint,
  layers: Pick<HeldLayers, 'lowers' | 'opaqueFolders'>,
  parts: Pick<ContainerParts, 'native' | 'volumes'>,
): Promise<void> {
  // One that another container may be writing to is left alone.
  if (parts.volumes.usersOf(volume.name).length > 1 || (await readdir(volume.source)).length > 0) return;
  const folder = await mergedView(layers).folder(volume.target);
  if (!folder) return;
  const { input, done } = await parts.native.unpack(volume.source, { layer: false });
  const [fed, unpacked] = await Promise.allSettled([
    pipeline(Readable.from(tarOfFolder(folder), { objectMode: false }), input),
    done,
  ]);
  if (unpacked.status === 'rejected') throw unpacked.reason;
  if (fed.status === 'rejected') throw fed.reason;
}
