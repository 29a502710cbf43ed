// How an image comes in, from wherever: say which one, bring the layers that are not here, then name it in one record.
// Until that record is written nothing is visible; a lease holds the layers that are here, the staging folder the rest.
import { writeFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { CodedError, errnoOf, fail, isDiskFull } from '../../base/errors.ts';
import { syncFile } from '../../base/files.ts';
import type { Blobs } from './blobs.ts';
import type { HeldLayers } from './contract.ts';
import { sha256 } from './digest.ts';
import { type ImageFacts, parseImageConfig } from './image-config.ts';
import { type ImageTable, withImage } from './image-table.ts';
import { type LayerDigest, passLayer } from './layer-pass.ts';
import { chainIds, type LayerFolders } from './layers.ts';
import type { LayerRecord } from './records.ts';
import type { Staging } from './staging.ts';

export interface IntakeParts {
  readonly table: ImageTable;
  readonly blobs: Blobs;
  readonly folders: LayerFolders;
  /** Layers that somebody is bringing at this moment, by chain id. */
  readonly coming: Map<string, Promise<void>>;
}

export interface ExpectedLayer {
  readonly chainId: string;
  readonly diffId: string;
}

/** A layer that is complete but not yet one of an image. */
export interface TakenLayer {
  readonly file: string;
  readonly folder: string;
  readonly digested: LayerDigest;
}

export class Intake implements AsyncDisposable {
  readonly id: string;
  readonly facts: ImageFacts;
  readonly layers: readonly ExpectedLayer[];
  readonly #parts: IntakeParts;
  readonly #staging: Staging;
  readonly #config: Uint8Array;
  readonly #lease: HeldLayers;

  private constructor(parts: IntakeParts, staging: Staging, config: Uint8Array, facts: ImageFacts, lease: HeldLayers) {
    this.id = sha256(config);
    this.facts = facts;
    this.layers = lease.layers.map((chainId, index) => ({ chainId, diffId: facts.layers[index] ?? '' }));
    this.#parts = parts;
    this.#staging = staging;
    this.#config = config;
    this.#lease = lease;
  }

  /** `staging` stays the caller's. */
  static async open(parts: IntakeParts, staging: Staging, config: Uint8Array): Promise<Intake> {
    const facts = parseImageConfig(config);
    const lease = await parts.table.lease(sha256(config), chainIds(facts.layers));
    return new Intake(parts, staging, config, facts, lease);
  }

  has(layer: ExpectedLayer): boolean {
    return this.#parts.table.layer(layer.chainId) !== undefined;
  }

  /**
   * Brings a layer unless it is here or comes another way: then waits for that, and brings it only if that fails.
   * Resolves with whether it was this one that brought it.
   */
  async bring(layer: ExpectedLayer, take: () => Promise<TakenLayer>, digest?: string): Promise<boolean> {
    const { coming } = this.#parts;
    for (let other = coming.get(layer.chainId); other; other = coming.get(layer.chainId)) await other;
    if (this.has(layer)) return false;
    const work = take().then((taken) => this.#adopt(layer, taken, digest));
    const settled = work.then(
      () => undefined,
      () => undefined, // whoever waits looks for itself
    );
    coming.set(layer.chainId, settled);
    try {
      await work;
      return true;
    } finally {
      coming.delete(layer.chainId);
    }
  }

  async #adopt(
    { chainId, diffId }: ExpectedLayer,
    { file, folder, digested }: TakenLayer,
    digest?: string,
  ): Promise<void> {
    const { table, blobs, folders } = this.#parts;
    check(digested, diffId, digest);
    await syncFile(file);
    const { contentBytes, opaqueFolders } = digested;
    await table.addLayer(chainId, { diffId, blob: digested.digest, contentBytes, opaqueFolders }, async () => {
      await folders.commit(folder, chainId);
      await blobs.take(file, digested.digest);
    });
  }

  /** Names the image, whose layers are all here now. */
  async finish(names: {
    tags: readonly string[];
    digests?: readonly string[];
    parentId?: string;
    manifest?: Uint8Array | undefined;
    atMs: number;
  }): Promise<void> {
    const { table, blobs } = this.#parts;
    const layers: Record<string, LayerRecord> = {};
    for (const { chainId } of this.layers)
      layers[chainId] = table.layer(chainId) ?? fail('internal', `layer ${chainId} did not come`);
    const manifest = names.manifest && sha256(names.manifest);
    const texts = [this.#config, ...(names.manifest ? [names.manifest] : [])];
    const files = await Promise.all(texts.map((bytes) => this.#write(bytes)));
    table.learn(this.id, this.facts);
    const { id } = this;
    const { tags, digests = [], parentId = '', atMs } = names;
    await table.change((now) => withImage(now, { id, layers, tags, digests, parentId, manifest, atMs }), {
      blobs: files.map(({ digest }) => digest),
      run: async () => {
        for (const { path, digest } of files) await blobs.take(path, digest);
        await blobs.sync();
      },
    });
  }

  async #write(bytes: Uint8Array): Promise<{ path: string; digest: string }> {
    const path = this.#staging.next();
    await writeFile(path, bytes, { mode: 0o600, flush: true });
    return { path, digest: sha256(bytes) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lease.release();
  }
}

/** Takes a layer's bytes: stored in `file`, or read from it when it is there already, and unpacked beside it. */
export async function takeLayer(
  parts: Pick<IntakeParts, 'folders'>,
  staging: Staging,
  source: { stream: Readable; file?: string },
  abort?: AbortSignal,
): Promise<TakenLayer> {
  const folder = staging.next();
  const file = source.file ?? staging.next();
  const pass = { unpack: () => parts.folders.unpack(folder), abort };
  try {
    const digested = await passLayer(source.stream, source.file === undefined ? { ...pass, keepIn: file } : pass);
    return { file, folder, digested };
  } catch (error) {
    source.stream.destroy();
    abort?.throwIfAborted();
    throw layerFault(error);
  }
}

/** Other faults of bytes than a full disk are their sender's. */
function layerFault(error: unknown): CodedError {
  if (isDiskFull(error))
    return new CodedError('exhausted', 'no space left on device: the layer was not stored', { cause: error });
  if (error instanceof CodedError) return error;
  const ours = /^E[A-Z]+$/.test(errnoOf(error) ?? '');
  return new CodedError(ours ? 'internal' : 'invalid', 'failed to register layer', { cause: error });
}

function check(found: LayerDigest, diffId: string, digest?: string): void {
  if (digest !== undefined && digest !== found.digest) {
    fail('invalid', `filesystem layer verification failed for digest ${digest}: the content has ${found.digest}`);
  }
  if (found.diffId !== diffId) {
    fail('invalid', `layers from manifest don't match image configuration: expected ${diffId}, got ${found.diffId}`);
  }
}
