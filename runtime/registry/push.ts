// Pushing one image: layers that the registry lacks, side by side, then the config, then the manifest that names them.
// An image that came with a manifest is pushed with it, so that its digest stays; another one gets Docker's schema 2.
import { createReadStream, createWriteStream } from 'node:fs';
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Clock } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import type { Limiter } from '../../base/limiter.ts';
import { inParallel } from '../../base/parallel.ts';
import { compressionOf } from '../image/compression.ts';
import type { ProgressLine } from '../image/contract.ts';
import { sha256 } from '../image/digest.ts';
import type { ImageDoor, OutgoingImage } from '../image/door.ts';
import { type Reference, repository, tagKey } from '../image/reference.ts';
import type { Staging } from '../image/staging.ts';
import type { Descriptor } from './contract.ts';
import { isPassing } from './faults.ts';
import { LayerProgress } from './layer-progress.ts';
import { MEDIA, parseManifest } from './manifest.ts';
import { Repository } from './repository.ts';

export interface PushDeps {
  readonly door: ImageDoor;
  readonly clock: Clock;
  readonly uploads: Limiter; // of the whole daemon
  readonly attemptsMax: number;
}

export interface Push {
  readonly reference: Reference; // with a tag
  readonly id: string;
  readonly report: (line: ProgressLine) => void;
  readonly abort: AbortSignal;
}

type Layer = OutgoingImage['layers'][number];

export async function pushImage(to: Repository, push: Push, deps: PushDeps): Promise<void> {
  const { reference, report } = push;
  using outgoing = await deps.door.outgoing(push.id);
  const told = outgoing.layers.map(({ diffId }) => new LayerProgress(diffId, { clock: deps.clock, report }));
  for (const layer of [...told].reverse()) layer.say('Preparing');
  const layers = new Array<Descriptor>(outgoing.layers.length);
  await using staging = await deps.door.stage();
  await inParallel(outgoing.layers, outgoing.layers.length, push.abort, async (layer, index, abort) => {
    const progress = told[index] ?? fail('internal', 'a layer without progress');
    const upload = new Upload(to, { outgoing, staging, deps, abort, domain: reference.domain });
    layers[index] = await deps.uploads.run(() => upload.layer(layer, progress), { abort });
  });
  const { bytes, mediaType } = await manifestFor(outgoing, layers, deps.door);
  await pushConfig(to, outgoing, deps.door, push.abort);
  const digest = sha256(bytes);
  const tag = reference.tag ?? 'latest';
  await putManifest(to, tag, { bytes, mediaType, digest });
  await deps.door.addNames(push.id, { tags: [], digests: [`${repository(reference)}@${digest}`] });
  deps.door.announce('push', push.id, tagKey(reference));
  report({ status: `${tag}: digest: ${digest} size: ${bytes.length}` });
  report({ aux: { Tag: tag, Digest: digest, Size: bytes.length } });
}

interface UploadWork {
  readonly outgoing: OutgoingImage;
  readonly staging: Staging;
  readonly deps: PushDeps;
  readonly abort: AbortSignal;
  readonly domain: string;
}

class Upload {
  readonly #to: Repository;
  readonly #work: UploadWork;

  constructor(to: Repository, work: UploadWork) {
    this.#to = to;
    this.#work = work;
  }

  async layer(layer: Layer, told: LayerProgress): Promise<Descriptor> {
    const { abort, deps } = this.#work;
    const isPlain = compressionOf(await deps.door.blobStart(layer.blob)) === 'none';
    const known = isPlain ? layer.pushedAs : layer.blob;
    if (known !== undefined) {
      const there = await this.#thereAlready(layer, known, told);
      if (there) return there;
    }
    const file = isPlain ? await compressed(layer.blob, this.#work) : undefined;
    const digest = file?.digest ?? layer.blob;
    const sizeBytes = file?.sizeBytes ?? (await deps.door.blobBytes(layer.blob));
    if (!(file && (await this.#to.hasBlob(digest, abort)))) {
      const stream = (): Readable => (file ? createReadStream(file.path) : deps.door.blob(digest));
      await this.#send({ digest, sizeBytes, stream }, told);
    }
    if (isPlain) await deps.door.rememberPushed(layer.chainId, digest);
    told.say('Pushed');
    return { mediaType: MEDIA.dockerLayer, digest, sizeBytes };
  }

  async #thereAlready(layer: Layer, digest: string, told: LayerProgress): Promise<Descriptor | undefined> {
    const { outgoing, domain, abort } = this.#work;
    const sizeBytes = await this.#sizeThere(digest);
    if (sizeBytes !== undefined) {
      told.say('Layer already exists');
      return { mediaType: MEDIA.dockerLayer, digest, sizeBytes };
    }
    const from = outgoing.repositoriesOf(layer.chainId).find((name) => name.startsWith(`${domain}/`));
    const path = from?.slice(domain.length + 1);
    if (path === undefined || path === this.#to.path) return undefined;
    const query = new URLSearchParams({ mount: digest, from: path });
    const ask = {
      method: 'POST',
      path: `${this.#to.path}/blobs/uploads/?${query.toString()}`,
      expect: [201, 202],
      abort,
    };
    const response = await this.#to.session.send({ ...ask, headers: { 'Content-Length': '0' } });
    response.resume();
    if (response.statusCode !== 201) {
      await this.#cancel(response.headers.location);
      return undefined;
    }
    told.say(`Mounted from ${path}`);
    return {
      mediaType: MEDIA.dockerLayer,
      digest,
      sizeBytes: (await this.#sizeThere(digest)) ?? fail('unavailable', `blob ${digest} was mounted and is not there`),
    };
  }

  async #sizeThere(digest: string): Promise<number | undefined> {
    const ask = { method: 'HEAD', path: this.#to.blobPath(digest), expect: [200, 404], again: true };
    const response = await this.#to.session.send({ ...ask, abort: this.#work.abort });
    response.resume();
    const length = response.headers['content-length'];
    return response.statusCode === 200 && length !== undefined ? Number(length) : undefined;
  }

  /** The registry began an upload in place of mounting; it need not keep it. */
  async #cancel(location: string | undefined): Promise<void> {
    if (location === undefined) return;
    const path = new URL(location, this.#to.session.base);
    const ask = { method: 'DELETE', path, expect: [200, 202, 204, 404, 405], abort: this.#work.abort };
    (await this.#to.session.send(ask)).resume();
  }

  async #send(blob: { digest: string; sizeBytes: number; stream: () => Readable }, told: LayerProgress): Promise<void> {
    const { deps, abort } = this.#work;
    for (let attempt = 1; ; attempt += 1) {
      try {
        await sendBlob(this.#to, blob, { abort, onBytes: (done) => told.move('Pushing', done, blob.sizeBytes) });
        return;
      } catch (error) {
        abort.throwIfAborted();
        if (!isPassing(error) || attempt >= deps.attemptsMax) throw error;
        await this.#to.session.pause(attempt, error, abort);
      }
    }
  }
}

/** A new upload each time: begun, then sent whole. */
async function sendBlob(
  to: Repository,
  blob: { digest: string; sizeBytes: number; stream: () => Readable },
  { abort, onBytes }: { abort: AbortSignal; onBytes: (done: number) => void },
): Promise<void> {
  const begin = {
    method: 'POST',
    path: `${to.path}/blobs/uploads/`,
    headers: { 'Content-Length': '0' },
    expect: [202],
    abort,
  };
  const begun = await to.session.send(begin);
  begun.resume();
  const location = begun.headers.location ?? fail('unavailable', 'the registry does not say where to upload');
  const path = new URL(location, to.session.base);
  path.searchParams.set('digest', blob.digest);
  const body = (): Readable => {
    let done = 0;
    const stream = blob.stream();
    const counted = new Transform({
      transform(chunk: Buffer, _encoding, next) {
        onBytes((done += chunk.length));
        next(null, chunk);
      },
    });
    stream.on('error', (error) => counted.destroy(error));
    counted.on('close', () => stream.destroy());
    return stream.pipe(counted);
  };
  const headers = { 'Content-Type': 'application/octet-stream', 'Content-Length': String(blob.sizeBytes) };
  (await to.session.send({ method: 'PUT', path, headers, body, expect: [201, 204], abort })).resume();
}

/** Registries expect compressed layers; the same bytes come out each time. */
async function compressed(blob: string, { staging, deps, abort }: UploadWork) {
  const path = staging.next();
  const hash = createHash('sha256');
  const seen = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  const gzip = createGzip({ level: 6, chunkSize: 256 * 1024 });
  const file = createWriteStream(path, { flags: 'wx', mode: 0o600 });
  await pipeline(deps.door.blob(blob), gzip, seen, file, { signal: abort });
  return { path, digest: `sha256:${hash.digest('hex')}`, sizeBytes: (await stat(path)).size };
}

async function manifestFor(
  { image, manifest }: OutgoingImage,
  layers: readonly Descriptor[],
  door: ImageDoor,
): Promise<{ bytes: Uint8Array; mediaType: string }> {
  if (manifest) {
    const parsed = parseManifest(Buffer.from(manifest), '');
    const isSame =
      parsed.kind === 'image' &&
      parsed.layers.length === layers.length &&
      parsed.layers.every(({ digest }, index) => digest === layers[index]?.digest);
    if (isSame) return { bytes: manifest, mediaType: parsed.mediaType };
  }
  const config = { mediaType: MEDIA.dockerConfig, size: await door.blobBytes(image.id), digest: image.id };
  const written = layers.map(({ mediaType, sizeBytes, digest }) => ({ mediaType, size: sizeBytes, digest }));
  const json = { schemaVersion: 2, mediaType: MEDIA.docker, config, layers: written };
  return { bytes: Buffer.from(JSON.stringify(json, undefined, 3)), mediaType: MEDIA.docker };
}

async function pushConfig(
  to: Repository,
  { image }: OutgoingImage,
  door: ImageDoor,
  abort: AbortSignal,
): Promise<void> {
  if (await to.hasBlob(image.id, abort)) return;
  const blob = { digest: image.id, sizeBytes: await door.blobBytes(image.id), stream: () => door.blob(image.id) };
  await sendBlob(to, blob, { abort, onBytes: () => undefined });
}

async function putManifest(
  to: Repository,
  tag: string,
  { bytes, mediaType, digest }: { bytes: Uint8Array; mediaType: string; digest: string },
): Promise<void> {
  const headers = { 'Content-Type': mediaType, 'Content-Length': String(bytes.length) };
  const path = `${to.path}/manifests/${tag}`;
  const response = await to.session.send({
    method: 'PUT',
    path,
    headers,
    body: bytes,
    expect: [200, 201, 202],
    again: true,
  });
  response.resume();
  const said = response.headers['docker-content-digest'];
  if (typeof said === 'string' && said !== digest)
    fail('unavailable', `the registry stored ${said} in place of ${digest}`);
}
