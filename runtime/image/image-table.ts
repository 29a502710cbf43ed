// The images, tags and layers of this machine in memory, as the records on disk have them, and who holds what.
// Every change writes the new records first and shows itself only then; what nothing needs any more is deleted after.
// Content appears and disappears under one mutex, and what a hold names does not disappear: a pull that takes a layer
// for present keeps it, whatever is removed or pruned meanwhile.
import { fail } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { Mutex } from '../../base/mutex.ts';
import type { Blobs } from './blobs.ts';
import type { HeldLayers, Image, ImageHolder } from './contract.ts';
import { type ImageFacts, parseImageConfig } from './image-config.ts';
import type { LayerFolders } from './layers.ts';
import {
  type ImageRecord,
  type ImageRecords,
  type LayerRecord,
  readRecords,
  without,
  writeRecords,
} from './records.ts';
import { familiar, familiarTag, parseReference, repository, tagKey } from './reference.ts';

export interface Hold {
  readonly imageId: string;
  readonly layers: readonly string[];
  readonly holder: ImageHolder | undefined; // undefined: a load, pull, save, push or commit at work
}

export interface TableParts {
  readonly root: string;
  readonly blobs: Blobs;
  readonly folders: LayerFolders;
  readonly log: Log;
}

export class ImageTable {
  #records: ImageRecords;
  #images: ReadonlyMap<string, Image> = new Map();
  /** Complete on disk, named by no record yet; kept as long as somebody holds them. */
  readonly #fresh = new Map<string, LayerRecord>();
  readonly #facts = new Map<string, ImageFacts>();
  readonly #blobs: Set<string>;
  readonly #holds = new Set<Hold>();
  readonly #mutex = new Mutex();
  readonly #parts: TableParts;

  private constructor(parts: TableParts, records: ImageRecords) {
    this.#parts = parts;
    this.#records = records;
    this.#blobs = blobsNamedBy(records);
  }

  static async open(parts: TableParts): Promise<ImageTable> {
    const table = new ImageTable(parts, await readRecords(parts.root));
    for (const id of Object.keys(table.#records.images)) await table.#readFacts(id);
    table.#show(table.#records);
    return table;
  }

  get records(): ImageRecords {
    return this.#records;
  }

  get holds(): ReadonlySet<Hold> {
    return this.#holds;
  }

  list(): Image[] {
    return [...this.#images.values()];
  }

  get(id: string): Image {
    return this.#images.get(id) ?? fail('not-found', `No such image: ${id}`);
  }

  /** A layer that is complete on this machine. */
  layer(chainId: string): LayerRecord | undefined {
    return this.#records.layers[chainId] ?? this.#fresh.get(chainId);
  }

  /** By tag, id, unique id prefix or digest. */
  find(reference: string): string | undefined {
    const hex = reference.replace(/^sha256:/, '');
    if (this.#images.has(`sha256:${hex}`)) return `sha256:${hex}`;
    return reference.startsWith('sha256:') ? this.#byPrefix(hex) : (this.#byName(reference) ?? this.#byPrefix(hex));
  }

  /** True if the reference is an id or a piece of one, not a name. */
  isIdOf(reference: string, id: string): boolean {
    return id.startsWith(`sha256:${reference.replace(/^sha256:/, '')}`) && this.#byName(reference) === undefined;
  }

  #byName(reference: string): string | undefined {
    const parsed = parsedOrNone(reference);
    if (!parsed) return undefined;
    if (parsed.digest === undefined) return this.#records.tags[tagKey(parsed)];
    const full = `${repository(parsed)}@${parsed.digest}`;
    const known = Object.entries(this.#records.images).find(([, image]) => image.digests.includes(full));
    // Nodes without a registry between them know an image by its id.
    return known?.[0] ?? (this.#images.has(parsed.digest) ? parsed.digest : undefined);
  }

  #byPrefix(hex: string): string | undefined {
    if (!/^[0-9a-f]+$/.test(hex)) return undefined;
    const matches = [...this.#images.keys()].filter((id) => id.startsWith(`sha256:${hex}`));
    return matches.length === 1 ? matches[0] : undefined;
  }

  /** Remembers what a config blob says before a change that names it. */
  learn(id: string, facts: ImageFacts): void {
    this.#facts.set(id, facts);
  }

  /** One change at a time, from the newest records; durable when it resolves. Then deletes what it made superfluous. */
  async change(
    edit: (records: ImageRecords) => ImageRecords,
    bring?: { blobs: readonly string[]; run: () => Promise<void> },
  ): Promise<{ deletedLayers: readonly string[] }> {
    return this.#mutex.run(async () => {
      await bring?.run();
      for (const blob of bring?.blobs ?? []) this.#blobs.add(blob);
      const next = edit(this.#records);
      if (next !== this.#records) await writeRecords(this.#parts.root, next);
      this.#records = next;
      return { deletedLayers: await this.#deleteUnneeded() };
    });
  }

  /** Brings a layer in, unless it came another way meanwhile. Its holder decides how long it stays. */
  addLayer(chainId: string, record: LayerRecord, bring: () => Promise<void>): Promise<void> {
    return this.#mutex.run(async () => {
      if (this.layer(chainId)) return;
      await bring();
      this.#blobs.add(record.blob);
      this.#fresh.set(chainId, record);
    });
  }

  /** As `hold`, but waits for deletions under way: what is here afterwards stays here until it is released. */
  lease(imageId: string, layers: readonly string[]): Promise<HeldLayers> {
    return this.#mutex.run(async () => this.hold(imageId, layers));
  }

  hold(imageId: string, layers: readonly string[], holder?: ImageHolder): HeldLayers {
    const { folders, log } = this.#parts;
    const hold: Hold = { imageId, layers, holder };
    this.#holds.add(hold);
    return {
      layers,
      lowers: layers.map((layer) => folders.path(layer)).reverse(),
      opaqueFolders: layers.map((layer) => this.layer(layer)?.opaqueFolders ?? []).reverse(),
      release: async () => {
        if (!this.#holds.delete(hold) || this.#isNeeded(hold)) return;
        try {
          await this.change((records) => records);
        } catch (error) {
          log.error('deleting unused layers failed', { imageId, error });
        }
      },
    };
  }

  /** Deletes files that no record names; once, at the start. */
  async collectGarbage(): Promise<void> {
    await this.change((records) => records);
    await this.#mutex.run(async () => {
      await this.#parts.folders.keepOnly([...Object.keys(this.#records.layers), ...this.#fresh.keys()]);
      await this.#parts.blobs.keepOnly(this.#blobs);
    });
  }

  async #readFacts(id: string): Promise<void> {
    try {
      this.#facts.set(id, parseImageConfig(await this.#parts.blobs.read(id)));
    } catch (error) {
      this.#parts.log.error('image left out: its config can not be read', { imageId: id, error });
    }
  }

  #show(records: ImageRecords): void {
    const tags = new Map<string, string[]>();
    for (const [key, id] of Object.entries(records.tags)) tags.set(id, [...(tags.get(id) ?? []), familiarTag(key)]);
    const images = new Map<string, Image>();
    for (const [id, record] of Object.entries(records.images)) {
      const facts = this.#facts.get(id);
      if (!facts) continue;
      const layerBytes = record.layers.map((layer) => records.layers[layer]?.contentBytes ?? 0);
      images.set(id, {
        ...facts,
        id,
        tags: (tags.get(id) ?? []).sort(),
        digests: record.digests.map((text) => familiar(parseReference(text))),
        parentId: record.parentId,
        taggedAtMs: record.taggedAtMs ?? 0,
        sizeBytes: layerBytes.reduce((sum, bytes) => sum + bytes, 0),
        layerBytes,
        layerFolders: record.layers.map((layer) => this.#parts.folders.path(layer)),
      });
    }
    this.#images = images;
  }

  #isNeeded({ imageId, layers }: Hold): boolean {
    const needed = this.#neededLayers();
    return Object.hasOwn(this.#records.images, imageId) && layers.every((layer) => needed.has(layer));
  }

  #neededLayers(): Set<string> {
    const held = [...this.#holds].flatMap((hold) => hold.layers);
    return new Set([...held, ...Object.values(this.#records.images).flatMap((image) => image.layers)]);
  }

  /**
   * From here on nobody finds what is to be deleted: what is needed is asked for and the rest forgotten in one step, and
   * a hold that came while the records were written counts. Records on disk may still name such layers; a start drops them.
   */
  async #deleteUnneeded(): Promise<string[]> {
    const needed = this.#neededLayers();
    const layers = Object.keys(this.#records.layers).filter((layer) => !needed.has(layer));
    for (const chainId of this.#fresh.keys()) {
      const isNamed = Object.hasOwn(this.#records.layers, chainId);
      if (!isNamed && !needed.has(chainId)) layers.push(chainId);
      if (isNamed || !needed.has(chainId)) this.#fresh.delete(chainId);
    }
    if (layers.length > 0) this.#records = { ...this.#records, layers: without(this.#records.layers, ...layers) };
    const blobs = this.#takeUnneededBlobs();
    for (const id of this.#facts.keys()) if (!this.#isNamedOrHeld(id)) this.#facts.delete(id);
    this.#show(this.#records);
    for (const layer of layers) await this.#parts.folders.remove(layer);
    for (const blob of blobs) await this.#parts.blobs.remove(blob);
    return layers;
  }

  #takeUnneededBlobs(): string[] {
    const named = blobsNamedBy(this.#records);
    for (const record of this.#fresh.values()) named.add(record.blob);
    const unneeded = [...this.#blobs].filter((blob) => !named.has(blob) && !this.#isHeld(blob));
    for (const blob of unneeded) this.#blobs.delete(blob);
    return unneeded;
  }

  #isNamedOrHeld(id: string): boolean {
    return Object.hasOwn(this.#records.images, id) || this.#isHeld(id);
  }

  #isHeld(imageId: string): boolean {
    return [...this.#holds].some((hold) => hold.imageId === imageId);
  }
}

function blobsNamedBy(records: ImageRecords): Set<string> {
  const layers = Object.values(records.layers).map((layer) => layer.blob);
  const manifests = Object.values(records.images).flatMap(({ manifest }) => (manifest === undefined ? [] : [manifest]));
  return new Set([...layers, ...manifests, ...Object.keys(records.images)]);
}

function parsedOrNone(reference: string): ReturnType<typeof parseReference> | undefined {
  try {
    return parseReference(reference);
  } catch {
    return undefined; // not a name; it may still be a piece of an id
  }
}

export interface NewImage {
  readonly id: string;
  readonly layers: Readonly<Record<string, LayerRecord>>; // by chain id, bottom first
  readonly tags: readonly string[]; // keys
  readonly digests: readonly string[]; // full form
  readonly parentId: string;
  readonly manifest: string | undefined;
  readonly atMs: number;
}

/** Adds to what is known of an image: an id means the same content for ever, names and digests come together. */
export function withImage(records: ImageRecords, image: NewImage): ImageRecords {
  const { id, digests, manifest, atMs } = image;
  const chain = Object.keys(image.layers);
  const known: ImageRecord = records.images[id] ?? { layers: chain, digests: [], parentId: image.parentId };
  const record: ImageRecord = {
    ...known,
    digests: [...new Set([...known.digests, ...digests])],
    ...(manifest === undefined ? {} : { manifest }),
    ...(image.tags.length > 0 ? { taggedAtMs: atMs } : {}),
  };
  return {
    layers: { ...image.layers, ...records.layers },
    images: { ...records.images, [id]: record },
    tags: { ...records.tags, ...Object.fromEntries(image.tags.map((tag) => [tag, id])) },
  };
}
