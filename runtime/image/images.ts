// The image store of one machine. Layout of its root: blobs/ (content), layer/ (unpacked), incoming/ (loads at work),
// images.json (what is named). See image-table.ts for what is visible when.
import { createReadStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { Clock } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import { openFormat } from '../../base/format-file.ts';
import type { Log } from '../../base/log.ts';
import { inParallel } from '../../base/parallel.ts';
import type { Random } from '../../base/random.ts';
import { type Archive, archiveFault, readArchive } from './archive.ts';
import { type ArchivedImage, planArchive } from './archive-plan.ts';
import { Blobs } from './blobs.ts';
import { applyChanges } from './changes.ts';
import type { HeldLayers, Image, ImageExtension, ImageHolder, Images, ProgressLine } from './contract.ts';
import { extendedConfig, importedConfig } from './image-config.ts';
import { ImageTable } from './image-table.ts';
import { ImageDoor } from './door.ts';
import type { Intake, IntakeParts, TakenLayer } from './intake.ts';
import { LayerFolders, type Unpack } from './layers.ts';
import { type ImageRecords, without } from './records.ts';
import { familiar, familiarTag, parseReference, type Reference, repository, tagKey } from './reference.ts';
import { planRemoval } from './removal.ts';
import { saveImages, type SavedImage } from './save.ts';
import { Staging } from './staging.ts';

const FORMAT = 1;
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64', arm: 'arm', ia32: '386' };
export const ARCHITECTURE = ARCHITECTURES[process.arch] ?? process.arch;

export interface ImageStoreOptions {
  readonly root: string; // <data-root>/image
  readonly unpack: Unpack;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly onEvent: (action: string, imageId: string, name: string) => void;
}

interface Parts extends IntakeParts {
  readonly options: ImageStoreOptions;
}

/** Uncompressing takes a processor each; more layers at once only wait for one. */
const LAYERS_AT_ONCE = 3;
const READ_BYTES = 256 * 1024;
const WITHOUT_BASE = { architecture: ARCHITECTURE, variant: '', os: 'linux', osVersion: '', history: [] };

export class ImageStore implements Images {
  readonly door: ImageDoor;
  readonly #parts: Parts;

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.door = new ImageDoor(parts, parts.options);
  }

  /** Leftovers of interrupted loads are removed here; layers nobody needs, by `collectGarbage`. */
  static async open(options: ImageStoreOptions): Promise<ImageStore> {
    const { root, log } = options;
    await openFormat(root, FORMAT);
    await rm(Staging.root(root), { recursive: true, force: true });
    await mkdir(Staging.root(root), { mode: 0o700 });
    const blobs = await Blobs.open(root);
    const folders = await LayerFolders.open(root, options.unpack);
    const table = await ImageTable.open({ root, blobs, folders, log });
    return new ImageStore({ options, table, blobs, folders, coming: new Map() });
  }

  /** To be called once all containers of the last run hold their layers again. */
  collectGarbage(): Promise<void> {
    return this.#parts.table.collectGarbage();
  }

  list(): readonly Image[] {
    return this.#parts.table.list();
  }

  get(reference: string): Image {
    const { table } = this.#parts;
    const id = table.find(reference) ?? fail('not-found', `No such image: ${familiarOrGiven(reference)}`);
    return table.get(id);
  }

  async tag(reference: string, target: string): Promise<void> {
    const { id } = this.get(reference);
    const key = tagKeyOf(target);
    await this.#parts.table.change((records) => named(records, id, key, this.#parts.options.clock.nowMs()));
    this.#parts.options.onEvent('tag', id, familiarTag(key));
  }

  async remove(
    reference: string,
    { force }: { force: boolean },
  ): Promise<readonly ({ untagged: string } | { deleted: string })[]> {
    const { table, options } = this.#parts;
    const { id } = this.get(reference);
    const byId = table.isIdOf(reference, id) || reference.endsWith(`@${id}`);
    const plan = planRemoval({
      id,
      asked: reference,
      byId,
      askedTag: byId ? undefined : keyOf(parseReference(reference)),
      tags: this.#tagsOf(id),
      digests: table.records.images[id]?.digests ?? [],
      containers: this.#containersOf(id),
      hasChildren: Object.values(table.records.images).some((image) => image.parentId === id),
      force,
    });
    if (plan.kind === 'refuse') fail('conflict', plan.reason);
    const { deletedLayers } = await table.change((records) => ({
      ...records,
      tags: without(records.tags, ...plan.untag),
      images: plan.deleteImage ? without(records.images, id) : withoutDigests(records.images, id, plan.untag),
    }));
    for (const tag of plan.untag) options.onEvent('untag', id, familiarTag(tag));
    if (plan.deleteImage) options.onEvent('delete', id, id);
    const deleted = plan.deleteImage ? [id, ...[...deletedLayers].reverse()] : [];
    return [
      ...plan.untag.map((tag) => ({ untagged: familiarTag(tag) })),
      ...deleted.map((each) => ({ deleted: each })),
    ];
  }

  #tagsOf(id: string): string[] {
    const { tags } = this.#parts.table.records;
    return Object.keys(tags).filter((tag) => tags[tag] === id);
  }

  #containersOf(id: string): { id: string; running: boolean }[] {
    const holds = [...this.#parts.table.holds].filter((hold) => hold.imageId === id);
    return holds.flatMap(({ holder }) => (holder ? [{ id: holder.containerId, running: holder.isRunning() }] : []));
  }

  async load(
    archive: Readable,
    onProgress: (line: ProgressLine) => void,
    abort?: AbortSignal,
  ): Promise<readonly string[]> {
    await using staging = await this.door.stage();
    const content = await readArchive(archive, staging, abort);
    const images = await planArchive(content, { architecture: ARCHITECTURE });
    const ids: string[] = [];
    for (const image of images) {
      await using intake = await this.door.begin(staging, await content.bytes(image.configName));
      await this.#bringFiles(intake, staging, { content, image, onProgress, abort });
      this.#tellOfTags(intake.id, image.tags, onProgress);
      const manifest = image.manifestName === undefined ? undefined : await content.bytes(image.manifestName);
      await this.door.finish(intake, { tags: image.tags, manifest });
      this.door.announce('load', intake.id, image.tags[0]);
      ids.push(intake.id);
    }
    return ids;
  }

  async #bringFiles(
    intake: Intake,
    staging: Staging,
    load: {
      content: Archive;
      image: ArchivedImage;
      onProgress: (line: ProgressLine) => void;
      abort?: AbortSignal | undefined;
    },
  ): Promise<void> {
    const { content, image, onProgress, abort } = load;
    const names = image.layerNames;
    if (names.length !== intake.layers.length) {
      const counts = `expected ${intake.layers.length}, got ${names.length}`;
      fail('invalid', `invalid manifest, layers length mismatch: ${counts}`);
    }
    await inParallel(intake.layers, LAYERS_AT_ONCE, abort, async (layer, index, over) => {
      const take = (): Promise<TakenLayer> => {
        const { path } = content.get(names[index] ?? '');
        return this.door.take(
          staging,
          { stream: createReadStream(path, { highWaterMark: READ_BYTES }), file: path },
          over,
        );
      };
      if (!(await intake.bring(layer, take, image.layerDigests[index]))) return;
      const { sizeBytes } = content.get(names[index] ?? '');
      const id = layer.diffId.slice('sha256:'.length, 'sha256:'.length + 12);
      onProgress({ status: 'Loading layer', id, progress: { current: sizeBytes, total: sizeBytes } });
    });
  }

  #tellOfTags(id: string, tags: readonly string[], onProgress: (line: ProgressLine) => void): void {
    for (const tag of tags) {
      const old = this.#parts.table.records.tags[tag];
      if (old === undefined || old === id) continue;
      const stream = `The image ${familiarTag(tag)} already exists, renaming the old one with ID ${old} to empty string\n`;
      onProgress({ stream });
    }
    for (const tag of tags) onProgress({ stream: `Loaded image: ${familiarTag(tag)}\n` });
    if (tags.length === 0) onProgress({ stream: `Loaded image ID: ${id}\n` });
  }

  async import(
    archive: Readable,
    options: { target: string; changes: readonly string[]; message: string },
    abort?: AbortSignal,
  ): Promise<string> {
    const tags = options.target === '' ? [] : [tagKeyOf(options.target)];
    const config = applyChanges(options.changes);
    await using staging = await this.door.stage();
    const taken = await this.#takeArchive(staging, archive, abort);
    const { diffId } = taken.digested;
    const written = importedConfig({
      architecture: ARCHITECTURE,
      config,
      diffId,
      message: options.message,
      createdAtMs: this.#parts.options.clock.nowMs(),
    });
    await using intake = await this.door.begin(staging, written);
    for (const layer of intake.layers) await intake.bring(layer, () => Promise.resolve(taken));
    await this.door.finish(intake, { tags });
    this.door.announce('import', intake.id, tags[0]);
    return intake.id;
  }

  async extend(extension: ImageExtension, abort?: AbortSignal): Promise<string> {
    const { table } = this.#parts;
    const tags = extension.target === '' ? [] : [tagKeyOf(extension.target)];
    const below = await table.lease(extension.baseImageId, extension.base);
    try {
      await using staging = await this.door.stage();
      const taken = extension.layer && (await this.#takeArchive(staging, extension.layer, abort));
      const diffIds = extension.base.map(
        (chainId) => table.layer(chainId)?.diffId ?? fail('internal', `layer ${chainId} is not here`),
      );
      const base = table.list().find(({ id }) => id === extension.baseImageId) ?? WITHOUT_BASE;
      const all = taken ? [...diffIds, taken.digested.diffId] : diffIds;
      const written = extendedConfig({ base, extension, diffIds: all, addsLayer: taken !== undefined });
      await using intake = await this.door.begin(staging, written);
      for (const layer of intake.layers) {
        await intake.bring(layer, () =>
          Promise.resolve(taken ?? fail('internal', `layer ${layer.chainId} is not here`)),
        );
      }
      const parentId = base === WITHOUT_BASE ? '' : extension.baseImageId;
      await this.door.finish(intake, { tags, parentId });
      return intake.id;
    } finally {
      await below.release();
    }
  }

  async #takeArchive(staging: Staging, archive: Readable, abort?: AbortSignal): Promise<TakenLayer> {
    try {
      return await this.door.take(staging, { stream: archive }, abort);
    } catch (error) {
      abort?.throwIfAborted();
      throw archiveFault(error);
    }
  }

  async save(references: readonly string[]): Promise<Readable> {
    const { table, blobs } = this.#parts;
    const images = mergedById(references.map((reference) => this.#saved(reference)));
    const leases = images.map(({ image }) => table.hold(image.id, table.records.images[image.id]?.layers ?? []));
    for (const { image } of images) this.#parts.options.onEvent('save', image.id, image.id);
    return saveImages(images, blobs, () => {
      for (const lease of leases) void lease.release();
    });
  }

  #saved(reference: string): SavedImage {
    const { table } = this.#parts;
    const image = this.get(reference);
    const { layers } = table.records.images[image.id] ?? fail('not-found', `No such image: ${reference}`);
    const layerBlobs = layers.map(
      (layer) => table.records.layers[layer]?.blob ?? fail('internal', `layer ${layer} has no blob`),
    );
    const tags = table.isIdOf(reference, image.id) ? [] : tagsAsked(reference);
    return { image, tags, layerBlobs };
  }

  hold(imageId: string, holder: ImageHolder): HeldLayers {
    const record = this.#parts.table.records.images[imageId] ?? fail('not-found', `No such image: ${imageId}`);
    return this.#parts.table.hold(imageId, record.layers, holder);
  }

  holdLayers(imageId: string, layers: readonly string[], holder: ImageHolder): HeldLayers {
    return this.#parts.table.hold(imageId, layers, holder);
  }
}

/** What a name is kept as: repository:tag, or repository@digest. */
const keyOf = (reference: Reference): string =>
  reference.digest === undefined ? tagKey(reference) : `${repository(reference)}@${reference.digest}`;

function withoutDigests(images: ImageRecords['images'], id: string, gone: readonly string[]): ImageRecords['images'] {
  const image = images[id];
  if (!image) return images;
  return { ...images, [id]: { ...image, digests: image.digests.filter((digest) => !gone.includes(digest)) } };
}

/** From the newest records: the image may have gone while the change waited. */
function named(records: ImageRecords, id: string, key: string, atMs: number): ImageRecords {
  const image = records.images[id] ?? fail('not-found', `No such image: ${id}`);
  const images = { ...records.images, [id]: { ...image, taggedAtMs: atMs } };
  return { ...records, images, tags: { ...records.tags, [key]: id } };
}

function tagKeyOf(target: string): string {
  const parsed = parseReference(target);
  if (parsed.digest !== undefined) fail('invalid', 'refusing to create a tag with a digest reference');
  return tagKey(parsed);
}

/** A name without a tag means the tag `latest`; a digest means no tag. */
function tagsAsked(reference: string): string[] {
  const parsed = parseReference(reference);
  return parsed.digest === undefined ? [familiar(parsed)] : [];
}

/** What is no id has to be a name. */
function familiarOrGiven(reference: string): string {
  return /^(sha256:.*|[0-9a-f]{64})$/.test(reference) ? reference : familiar(parseReference(reference));
}

/** The same image asked for by two names is written once, with both. */
function mergedById(images: readonly SavedImage[]): SavedImage[] {
  const byId = new Map<string, SavedImage>();
  for (const saved of images) {
    const known = byId.get(saved.image.id);
    byId.set(saved.image.id, known ? { ...known, tags: [...new Set([...known.tags, ...saved.tags])] } : saved);
  }
  return [...byId.values()];
}
