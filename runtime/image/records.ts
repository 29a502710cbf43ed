// The store's memory on disk: one file that names every image, tag and layer. Replaced whole, so it is never half true.
// Blobs and layer folders are written before the record that names them; what no record names is left over.
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../base/errors.ts';
import { writeFileAtomic } from '../../base/files.ts';
import { asArray, asInteger, asMap, asNumber, asObject, asString, optional, parseJson } from '../../base/parse.ts';
import { asDigest } from './image-config.ts';

export interface LayerRecord {
  readonly diffId: string;
  readonly blob: string; // digest of the layer file as it came
  readonly contentBytes: number;
  readonly opaqueFolders: readonly string[]; // relative paths; what lower layers have there is hidden
  /** Digest of the gzip form that was pushed, where the blob itself is plain. */
  readonly pushedAs?: string;
}

export interface ImageRecord {
  readonly layers: readonly string[]; // chain ids
  readonly digests: readonly string[]; // full form: docker.io/library/busybox@sha256:…
  readonly parentId: string;
  /** Digest of the manifest blob that it came with: pushing it again keeps its digest. */
  readonly manifest?: string;
  readonly taggedAtMs?: number;
}

export interface ImageRecords {
  readonly layers: Readonly<Record<string, LayerRecord>>; // by chain id
  readonly images: Readonly<Record<string, ImageRecord>>; // by id
  readonly tags: Readonly<Record<string, string>>; // tag key → image id
}

export const NO_RECORDS: ImageRecords = { layers: {}, images: {}, tags: {} };

export async function readRecords(root: string): Promise<ImageRecords> {
  try {
    return parseRecords(await readFile(fileIn(root), 'utf8'));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return NO_RECORDS;
    throw error;
  }
}

export async function writeRecords(root: string, records: ImageRecords): Promise<void> {
  await mkdir(root, { recursive: true, mode: 0o710 });
  await writeFileAtomic(fileIn(root), JSON.stringify(records));
}

const fileIn = (root: string): string => join(root, 'images.json');

function parseRecords(text: string): ImageRecords {
  const json = asObject(parseJson(text, 'images.json'), 'images.json');
  return {
    layers: asMap(json['layers'], 'layers', (value, path) => {
      const layer = asObject(value, path);
      return {
        diffId: asDigest(layer['diffId'], `${path}.diffId`),
        blob: asDigest(layer['blob'], `${path}.blob`),
        contentBytes: asInteger(layer['contentBytes'], `${path}.contentBytes`, { min: 0 }),
        opaqueFolders: asArray(layer['opaqueFolders'], `${path}.opaqueFolders`, asString),
        ...given('pushedAs', optional(layer['pushedAs'], `${path}.pushedAs`, asDigest)),
      };
    }),
    images: asMap(json['images'], 'images', (value, path) => {
      const image = asObject(value, path);
      return {
        layers: asArray(image['layers'], `${path}.layers`, asDigest),
        digests: asArray(image['digests'], `${path}.digests`, asString),
        parentId: asString(image['parentId'], `${path}.parentId`),
        ...given('manifest', optional(image['manifest'], `${path}.manifest`, asDigest)),
        ...given('taggedAtMs', optional(image['taggedAtMs'], `${path}.taggedAtMs`, asNumber)),
      };
    }),
    tags: asMap(json['tags'], 'tags', asDigest),
  };
}

const given = <K extends string, T>(key: K, value: T | undefined): { [key in K]?: T } =>
  value === undefined ? {} : ({ [key]: value } as { [key in K]?: T });

export function without<T>(record: Readonly<Record<string, T>>, ...keys: readonly string[]): Record<string, T> {
  return Object.fromEntries(Object.entries(record).filter(([key]) => !keys.includes(key)));
}
