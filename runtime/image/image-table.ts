// The images, tags and layers of this machine in memory, as the records on disk have them, and who holds what.
// Every change writes the new records first and shows itself only then; what nothing needs any more is deleted after.
import { invariant } from '../../base/assert.ts';
import { fail } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { Mutex } from '../../base/mutex.ts';
import type { Blobs } from './blobs.ts';
import type { HeldLayers, Image, ImageHolder } from './contract.ts';
import { type ImageFacts, parseImageConfig } from './image-config.ts';
import type { LayerFolders } from './layers.ts';
import { type ImageRecords, readRecords, without, writeRecords } from './records.ts';
import { familiar, familiarTag, parseReference, repository, tagKey } from './reference.ts';

export interface Hold {
  readonly imageId: string;
  readonly layers: readonly string[];
  readonly holder: ImageHolder | undefined; // undefined: a load, save or build at work
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
  readonly #facts = new Map<string, ImageFacts>();
  readonly #holds = new Set<Hold>();
  readonly #mutex = new Mutex();
  readonly #parts: TableParts;

  private constructor(parts: TableParts, records: ImageRecords) {
    this.#parts = parts;
    this.#records = records;
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
  async change(edit: (records: ImageRecords) => ImageRecords): Promise<{ deletedLayers: readonly string[] }> {
    return this.#mutex.run(async () => {
      const edited = edit(this.#records);
      const deletedLayers = this.#unneededLayers(edited);
      if (edited === this.#records && deletedLayers.length === 0) return { deletedLayers };
      const next = { ...edited, layers: without(edited.layers, ...deletedLayers) };
      await writeRecords(this.#parts.root, next);
      const before = this.#records;
      this.#records = next;
      this.#show(next);
      await this.#deleteUnnamed(before, next, deletedLayers);
      return { deletedLayers };
    });
  }

  hold(imageId: string, layers: readonly string[], holder?: ImageHolder): HeldLayers {
    const { folders } = this.#parts;
    const hold: Hold = { imageId, layers, holder };
    this.#holds.add(hold);
    return {
      layers,
      lowers: layers.map((layer) => folders.path(layer)).reverse(),
      opaqueFolders: layers.map((layer) => this.#records.layers[layer]?.opaqueFolders ?? []).reverse(),
      release: () => {
        if (!this.#holds.delete(hold)) return;
        if (layers.every((layer) => this.#isNeeded(layer, this.#records))) return;
        this.change((records) => records).catch((error: unknown) => {
          this.#parts.log.error('deleting unused layers failed', { imageId, error });
        });
      },
    };
  }

  /** Deletes files that no record names; once, at the start. */
  async collectGarbage(): Promise<void> {
    await this.change((records) => records);
    await this.#parts.folders.keepOnly(Object.keys(this.#records.layers));
    await this.#parts.blobs.keepOnly(blobsNamedBy(this.#records));
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
      const sizeBytes = record.layers.reduce((sum, layer) => sum + (records.layers[layer]?.contentBytes ?? 0), 0);
      const digests = record.digests.map((text) => familiar(parseReference(text)));
      images.set(id, {
        ...facts,
        id,
        tags: (tags.get(id) ?? []).sort(),
        digests,
        parentId: record.parentId,
        sizeBytes,
      });
    }
    this.#images = images;
  }

  #unneededLayers(records: ImageRecords): string[] {
    return Object.keys(records.layers).filter((layer) => !this.#isNeeded(layer, records));
  }

  #isNeeded(layer: string, records: ImageRecords): boolean {
    const held = [...this.#holds].some((hold) => hold.layers.includes(layer));
    return held || Object.values(records.images).some((image) => image.layers.includes(layer));
  }

  async #deleteUnnamed(before: ImageRecords, after: ImageRecords, layers: readonly string[]): Promise<void> {
    const { blobs, folders } = this.#parts;
    for (const layer of layers) await folders.remove(layer);
    const named = blobsNamedBy(after);
    for (const blob of blobsNamedBy(before)) if (!named.has(blob)) await blobs.remove(blob);
    for (const id of this.#facts.keys()) {
      if (Object.hasOwn(before.images, id) && !Object.hasOwn(after.images, id)) this.#facts.delete(id);
    }
  }
}

function blobsNamedBy(records: ImageRecords): Set<string> {
  const layers = Object.values(records.layers).map((layer) => layer.blob);
  return new Set([...layers, ...Object.keys(records.images)]);
}

function parsedOrNone(reference: string): ReturnType<typeof parseReference> | undefined {
  try {
    return parseReference(reference);
  } catch {
    return undefined; // not a name; it may still be a piece of an id
  }
}

export function withImage(
  records: ImageRecords,
  image: { id: string; layers: readonly string[]; tags: readonly string[] },
): ImageRecords {
  invariant(
    image.layers.every((layer) => Object.hasOwn(records.layers, layer)),
    'an image names known layers only',
  );
  const known = records.images[image.id] ?? { layers: image.layers, digests: [], parentId: '' };
  const tags = Object.fromEntries(image.tags.map((tag) => [tag, image.id]));
  return { ...records, images: { ...records.images, [image.id]: known }, tags: { ...records.tags, ...tags } };
}
