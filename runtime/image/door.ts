// Through here images come in and go out, whatever brings or fetches them: load, import and commit beside it, and the
// registry client.
import type { Readable } from 'node:stream';
import type { Clock } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import type { HeldLayers, Image } from './contract.ts';
import { Intake, type IntakeParts, takeLayer, type TakenLayer } from './intake.ts';
import { type ImageRecords, type LayerRecord, without } from './records.ts';
import { familiarTag } from './reference.ts';
import { Staging } from './staging.ts';

export interface DoorOptions {
  readonly root: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly onEvent: (action: string, imageId: string, name: string) => void;
}

export interface Names {
  readonly tags: readonly string[]; // keys
  readonly digests?: readonly string[]; // full form: docker.io/library/busybox@sha256:…
  readonly parentId?: string;
  readonly manifest?: Uint8Array | undefined;
}

/** An image on its way out; its content stays until it is released. */
export interface OutgoingImage extends Disposable {
  readonly image: Image;
  readonly layers: readonly (LayerRecord & { readonly chainId: string })[]; // bottom first
  readonly manifest: Uint8Array | undefined; // as it came, if it came with one
  /** Repositories that have this layer, as far as names here tell: full form. */
  repositoriesOf(chainId: string): readonly string[];
}

export class ImageDoor {
  readonly #parts: IntakeParts;
  readonly #options: DoorOptions;

  constructor(parts: IntakeParts, options: DoorOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  // ---- In ----

  /** A folder for what comes, removed with everything in it when it is disposed. */
  stage(): Promise<Staging> {
    return Staging.open(this.#options.root, this.#options.random);
  }

  begin(staging: Staging, config: Uint8Array): Promise<Intake> {
    return Intake.open(this.#parts, staging, config);
  }

  take(staging: Staging, source: { stream: Readable; file?: string }, abort?: AbortSignal): Promise<TakenLayer> {
    return takeLayer(this.#parts, staging, source, abort);
  }

  finish(intake: Intake, names: Names): Promise<void> {
    return intake.finish({ ...names, atMs: this.#options.clock.nowMs() });
  }

  announce(action: 'load' | 'import' | 'pull' | 'push', id: string, tag: string | undefined): void {
    this.#options.onEvent(action, id, tag === undefined ? id : familiarTag(tag));
  }

  find(id: string): Image | undefined {
    return this.#parts.table.list().find((image) => image.id === id);
  }

  /** The id behind a tag key. */
  tagged(key: string): string | undefined {
    return this.#parts.table.records.tags[key];
  }

  /** Gives an image that is here more names; false if it is not here. */
  async addNames(id: string, names: { tags: readonly string[]; digests: readonly string[] }): Promise<boolean> {
    const { table } = this.#parts;
    const atMs = this.#options.clock.nowMs();
    await table.change((records) => withNames(records, id, names, atMs));
    return Object.hasOwn(table.records.images, id);
  }

  // ---- Out ----

  /** Tag keys of a repository, in order. */
  tagsOf(repository: string): string[] {
    const { tags } = this.#parts.table.records;
    return Object.keys(tags)
      .filter((key) => key.slice(0, key.lastIndexOf(':')) === repository)
      .sort();
  }

  async outgoing(id: string): Promise<OutgoingImage> {
    const { table, blobs } = this.#parts;
    const chain = table.records.images[id]?.layers ?? fail('not-found', `No such image: ${id}`);
    const lease: HeldLayers = await table.lease(id, chain);
    const record = table.records.images[id];
    if (!record) {
      await lease.release();
      return fail('not-found', `No such image: ${id}`);
    }
    const layers = chain.map((chainId) => {
      const layer = table.layer(chainId) ?? fail('internal', `layer ${chainId} is not here`);
      return { ...layer, chainId };
    });
    const manifest = record.manifest === undefined ? undefined : await blobs.read(record.manifest);
    return {
      image: table.get(id),
      layers,
      manifest,
      repositoriesOf: (chainId) => repositoriesWith(table.records, chainId),
      [Symbol.dispose]: () => void lease.release(),
    };
  }

  blob(digest: string): Readable {
    return this.#parts.blobs.stream(digest);
  }

  readBlob(digest: string): Promise<Buffer> {
    return this.#parts.blobs.read(digest);
  }

  blobBytes(digest: string): Promise<number> {
    return this.#parts.blobs.sizeBytes(digest);
  }

  blobStart(digest: string): Promise<Buffer> {
    return this.#parts.blobs.start(digest);
  }

  /** Remembers what a plain layer is called in registries. */
  async rememberPushed(chainId: string, pushedAs: string): Promise<void> {
    await this.#parts.table.change((records) => {
      const layer = records.layers[chainId];
      if (!layer || layer.pushedAs === pushedAs) return records;
      return { ...records, layers: { ...records.layers, [chainId]: { ...layer, pushedAs } } };
    });
  }
}

function withNames(
  records: ImageRecords,
  id: string,
  { tags, digests }: { tags: readonly string[]; digests: readonly string[] },
  atMs: number,
): ImageRecords {
  const image = records.images[id];
  if (!image) return records;
  const all = [...new Set([...image.digests, ...digests])];
  const isNews = all.length > image.digests.length || tags.some((tag) => records.tags[tag] !== id);
  if (!isNews) return records;
  const named = { ...image, digests: all, ...(tags.length > 0 ? { taggedAtMs: atMs } : {}) };
  return {
    ...records,
    images: { ...records.images, [id]: named },
    tags: { ...without(records.tags, ...tags), ...Object.fromEntries(tags.map((tag) => [tag, id])) },
  };
}

function repositoriesWith({ images }: ImageRecords, chainId: string): string[] {
  const having = Object.values(images).filter(({ layers }) => layers.includes(chainId));
  return [...new Set(having.flatMap(({ digests }) => digests.map((digest) => digest.slice(0, digest.indexOf('@')))))];
}
