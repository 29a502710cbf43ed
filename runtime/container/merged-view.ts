// An image's file system as overlayfs would show it, read from its layers without mounting: upper entries win, a
// whiteout (character device 0:0) hides what is below, and so does an opaque folder. Links are followed inside the image only.
// The layers are immutable, so nothing can change between a look and a use.
import { createReadStream } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, fail } from '../../base/errors.ts';
import type { HeldLayers } from '../image/contract.ts';
import { TAR_END, type TarEntry, tarHeader, tarPadding } from '../image/tar-writer.ts';

interface LayerFolder {
  readonly path: string;
  readonly relative: string; // to the layer's root
  readonly opaque: ReadonlySet<string>; // the layer's
}

/** The folders that make up one merged folder, top first. */
export type MergedFolder = readonly LayerFolder[];

interface Found {
  readonly path: string;
  readonly status: Stats;
  readonly folders: MergedFolder; // empty unless it is a folder
}

const LINKS_MAX = 40;
const DEPTH_MAX = 256;

export function mergedView(layers: Pick<HeldLayers, 'lowers' | 'opaqueFolders'>): {
  folder(path: string): Promise<MergedFolder | undefined>;
} {
  const root = layers.lowers.map((path, index) => ({
    path,
    relative: '',
    opaque: new Set(layers.opaqueFolders[index]),
  }));
  return { folder: (path) => resolveFolder(root, path) };
}

/** Undefined if the image has no folder there. */
async function resolveFolder(root: MergedFolder, path: string): Promise<MergedFolder | undefined> {
  const pending = path.split('/').filter((part) => part !== '' && part !== '.');
  const trail: MergedFolder[] = [root];
  let links = 0;
  for (let part = pending.shift(); part !== undefined; part = pending.shift()) {
    if (part === '..') {
      if (trail.length > 1) trail.pop();
      continue;
    }
    const found = await entryIn(trail.at(-1) ?? root, part);
    if (!found) return undefined;
    if (found.status.isSymbolicLink()) {
      if (++links > LINKS_MAX) fail('invalid', `too many levels of symbolic links in the image at ${path}`);
      const target = await readlink(found.path);
      if (target.startsWith('/')) trail.length = 1;
      pending.unshift(...target.split('/').filter((each) => each !== '' && each !== '.'));
    } else if (found.status.isDirectory()) trail.push(found.folders);
    else return undefined;
  }
  return trail.at(-1);
}

async function entryIn(folder: MergedFolder, name: string): Promise<Found | undefined> {
  let top: { path: string; status: Stats } | undefined;
  const folders: LayerFolder[] = [];
  for (const layer of folder) {
    const path = join(layer.path, name);
    const status = await lstatOrNone(path);
    if (!status) continue;
    if (isWhiteout(status)) break;
    if (top && !status.isDirectory()) break;
    top ??= { path, status };
    if (!status.isDirectory()) break;
    const relative = layer.relative === '' ? name : `${layer.relative}/${name}`;
    folders.push({ path, relative, opaque: layer.opaque });
    if (layer.opaque.has(relative)) break;
  }
  return top && { ...top, folders };
}

const isWhiteout = (status: Stats): boolean => status.isCharacterDevice() && status.rdev === 0;

async function lstatOrNone(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** What is in the folder, as a tar stream; the folder itself comes as '.', with its owner and mode. */
export async function* tarOfFolder(folder: MergedFolder): AsyncGenerator<Buffer, void, void> {
  const [own] = folder;
  if (own !== undefined) yield tarHeader({ ...metadata(await lstat(own.path)), name: './', type: 'directory' });
  yield* contents(folder, '', new Map(), 0);
  yield TAR_END;
}

async function* contents(
  folder: MergedFolder,
  prefix: string,
  links: Map<string, string>,
  depth: number,
): AsyncGenerator<Buffer, void, void> {
  if (depth > DEPTH_MAX) fail('invalid', `the image's folders are nested deeper than ${DEPTH_MAX}`);
  const names = new Set((await Promise.all(folder.map((layer) => readdir(layer.path)))).flat());
  for (const name of [...names].sort()) {
    const found = await entryIn(folder, name);
    if (!found) continue;
    yield* entry(found, `${prefix}${name}`, links);
    if (found.status.isDirectory()) yield* contents(found.folders, `${prefix}${name}/`, links, depth + 1);
  }
}

const metadata = (status: Stats): Pick<TarEntry, 'mode' | 'uid' | 'gid' | 'mtimeMs'> => ({
  mode: status.mode & 0o7777,
  uid: status.uid,
  gid: status.gid,
  mtimeMs: status.mtimeMs,
});

async function* entry(
  { path, status }: Found,
  name: string,
  links: Map<string, string>,
): AsyncGenerator<Buffer, void, void> {
  const base = { ...metadata(status), name };
  const inode = `${status.dev}:${status.ino}`;
  const linked = status.nlink > 1 && !status.isDirectory() ? links.get(inode) : undefined;
  if (linked !== undefined) return yield tarHeader({ ...base, type: 'link', linkName: linked });
  if (status.nlink > 1) links.set(inode, name);
  if (status.isDirectory()) yield tarHeader({ ...base, name: `${name}/`, type: 'directory' });
  else if (status.isSymbolicLink()) yield tarHeader({ ...base, type: 'symlink', linkName: await readlink(path) });
  else if (status.isFIFO()) yield tarHeader({ ...base, type: 'fifo' });
  else if (status.isCharacterDevice() || status.isBlockDevice()) yield tarHeader({ ...base, ...deviceOf(status) });
  else if (status.isFile()) yield* file(path, { ...base, type: 'file', sizeBytes: status.size });
}

function deviceOf(status: Stats): Pick<TarEntry, 'type' | 'device'> {
  const type = status.isBlockDevice() ? 'block-device' : 'character-device';
  return {
    type,
    device: { major: (status.rdev >> 8) & 0xfff, minor: (status.rdev & 0xff) | ((status.rdev >> 12) & 0xfff00) },
  };
}

async function* file(path: string, header: TarEntry & { sizeBytes: number }): AsyncGenerator<Buffer, void, void> {
  yield tarHeader(header);
  if (header.sizeBytes > 0) for await (const chunk of createReadStream(path)) yield chunk as Buffer;
  yield tarPadding(header.sizeBytes);
}
