// The image store of one machine. Layout of its root: blobs/ (content), layer/ (unpacked), incoming/ (loads at work),
// images.json (what is named). See image-table.ts for what is visible when.
import { mkdir, rm } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { Clock } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import { openFormat } from '../../base/format-file.ts';
import type { Log } from '../../base/log.ts';
import { Mutex } from '../../base/mutex.ts';
import type { Random } from '../../base/random.ts';
import { archiveFault, readArchive } from './archive.ts';
import { planArchive } from './archive-plan.ts';
import { Blobs } from './blobs.ts';
import { applyChanges } from './changes.ts';
import { sniff } from './compression.ts';
import type { HeldLayers, Image, ImageHolder, Images, ProgressLine } from './contract.ts';
import { Digester } from './digester.ts';
import { importedConfig } from './image-config.ts';
import { ImageTable } from './image-table.ts';
import { installImage, type Installer } from './install.ts';
import { LayerFolders, type Unpack } from './layers.ts';
import { without } from './records.ts';
import { familiar, familiarTag, parseReference, tagKey } from './reference.ts';
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

interface Parts extends Installer {
  readonly options: ImageStoreOptions;
}

const IMPORT_BYTES_MAX = 256 * 1024 ** 3;

export class ImageStore implements Images, AsyncDisposable {
  readonly #parts: Parts;
  readonly #installing = new Mutex();

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Leftovers of interrupted loads are removed here; layers nobody needs, by `collectGarbage`. */
  static async open(options: ImageStoreOptions): Promise<ImageStore> {
    const { root, log, clock } = options;
    await openFormat(root, FORMAT);
    await rm(Staging.root(root), { recursive: true, force: true });
    await mkdir(Staging.root(root), { mode: 0o700 });
    const blobs = await Blobs.open(root);
    const folders = await LayerFolders.open(root, options.unpack);
    const table = await ImageTable.open({ root, blobs, folders, log });
    return new ImageStore({ options, table, blobs, folders, digester: new Digester({ clock }) });
  }

  /** To be called once all containers of the last run hold their layers again. */
  collectGarbage(): Promise<void> {
    return this.#parts.table.collectGarbage();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.digester[Symbol.asyncDispose]();
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
    await this.#parts.table.change((records) => ({ ...records, tags: { ...records.tags, [key]: id } }));
    this.#parts.options.onEvent('tag', id, familiarTag(key));
  }

  async remove(
    reference: string,
    { force }: { force: boolean },
  ): Promise<readonly ({ untagged: string } | { deleted: string })[]> {
    const { table, options } = this.#parts;
    const { id } = this.get(reference);
    const byId = table.isIdOf(reference, id);
    const plan = planRemoval({
      id,
      asked: reference,
      byId,
      askedTag: byId ? undefined : tagKey(parseReference(reference)),
      tags: this.#tagsOf(id),
      containers: this.#containersOf(id),
      hasChildren: Object.values(table.records.images).some((image) => image.parentId === id),
      force,
    });
    if (plan.kind === 'refuse') fail('conflict', plan.reason);
    const { deletedLayers } = await table.change((records) => ({
      ...records,
      tags: without(records.tags, ...plan.untag),
      images: plan.deleteImage ? without(records.images, id) : records.images,
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
    await using staging = await Staging.open(this.#parts.options.root, this.#parts.options.random);
    const content = await readArchive(archive, staging, abort);
    const images = await planArchive(content, { architecture: ARCHITECTURE });
    const ids: string[] = [];
    for (const image of images) {
      const layers = image.layerNames.map((name, index) => ({ name, digest: image.layerDigests[index] }));
      const config = await content.bytes(image.configName);
      const files = layers.map(({ name, digest }) => ({ path: content.get(name).path, digest }));
      const incoming = { staging, config, layers: files, tags: image.tags, onProgress, abort };
      ids.push(await this.#install(incoming, 'load'));
    }
    return ids;
  }

  async import(
    archive: Readable,
    options: { target: string; changes: readonly string[]; message: string },
    abort?: AbortSignal,
  ): Promise<string> {
    const tags = options.target === '' ? [] : [tagKeyOf(options.target)];
    const config = applyChanges(options.changes);
    await using staging = await Staging.open(this.#parts.options.root, this.#parts.options.random);
    try {
      await sniff(archive); // refuses a compression we do not read before anything is stored
      const { path } = await staging.add(archive, { bytesMax: IMPORT_BYTES_MAX }, abort);
      const digested = await this.#parts.digester.digest(path);
      const { diffId } = digested;
      const written = importedConfig({ architecture: ARCHITECTURE, config, diffId, message: options.message });
      const layers = [{ path, digest: undefined, digested }];
      return await this.#install(
        { staging, config: written, layers, tags, onProgress: () => undefined, abort },
        'import',
      );
    } catch (error) {
      abort?.throwIfAborted();
      throw archiveFault(error);
    }
  }

  /** One at a time: two archives may bring the same layer. */
  #install(incoming: Parameters<typeof installImage>[1], action: 'load' | 'import'): Promise<string> {
    return this.#installing.run(async () => {
      const { table, options } = this.#parts;
      const replaced = incoming.tags.map((tag) => [tag, table.records.tags[tag]] as const);
      const id = await installImage(this.#parts, incoming);
      for (const [tag, old] of replaced) {
        if (old === undefined || old === id) continue;
        const stream = `The image ${familiarTag(tag)} already exists, renaming the old one with ID ${old} to empty string\n`;
        incoming.onProgress({ stream });
      }
      for (const tag of incoming.tags) incoming.onProgress({ stream: `Loaded image: ${familiarTag(tag)}\n` });
      if (incoming.tags.length === 0) incoming.onProgress({ stream: `Loaded image ID: ${id}\n` });
      options.onEvent(action, id, incoming.tags[0] === undefined ? id : familiarTag(incoming.tags[0]));
      return id;
    });
  }

  async save(references: readonly string[]): Promise<Readable> {
    const { table, blobs } = this.#parts;
    const images = mergedById(references.map((reference) => this.#saved(reference)));
    const leases = images.map(({ image }) => table.hold(image.id, table.records.images[image.id]?.layers ?? []));
    for (const { image } of images) this.#parts.options.onEvent('save', image.id, image.id);
    return saveImages(images, blobs, () => {
      for (const lease of leases) lease.release();
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

function familiarOrGiven(reference: string): string {
  try {
    return familiar(parseReference(reference));
  } catch {
    return reference; // an id, or nothing that could be a name
  }
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
