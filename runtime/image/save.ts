// Writes images as one archive that is a docker-archive and an OCI layout at once. Blobs are copied as they are stored;
// times are fixed, so equal images give equal archives.
import { Readable } from 'node:stream';
import type { Blobs } from './blobs.ts';
import { type Compression, compressionOf } from './compression.ts';
import type { Image } from './contract.ts';
import { sha256 } from './digest.ts';
import { parseReference, repository, tagKey } from './reference.ts';
import { TAR_END, tarFile, tarHeader, tarPadding } from './tar-writer.ts';

export interface SavedImage {
  readonly image: Image;
  readonly tags: readonly string[]; // familiar; the ones asked for
  readonly layerBlobs: readonly string[]; // digests, bottom first
}

const INDEX = 'application/vnd.oci.image.index.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';

/** `release` is called once, when the archive is written or its reader is gone. */
export function saveImages(images: readonly SavedImage[], blobs: Blobs, release: () => void): Readable {
  const stream = Readable.from(archive(images, blobs), { objectMode: false });
  stream.once('close', release);
  return stream;
}

async function* archive(images: readonly SavedImage[], blobs: Blobs): AsyncGenerator<Buffer> {
  for (const name of ['blobs/', 'blobs/sha256/']) yield tarHeader({ name, type: 'directory', mode: 0o755 });
  const written = new Set<string>();
  const descriptors: object[] = [];
  for (const saved of images) {
    for (const digest of [saved.image.id, ...saved.layerBlobs]) {
      if (!written.has(digest)) yield* blobEntry(blobs, digest);
      written.add(digest);
    }
    const manifest = Buffer.from(JSON.stringify(await ociManifest(saved, blobs)));
    const digest = sha256(manifest);
    if (!written.has(digest)) yield tarFile(pathOf(digest), manifest);
    written.add(digest);
    descriptors.push(...ociDescriptors(saved, digest, manifest.length));
  }
  yield tarFile('index.json', json({ schemaVersion: 2, mediaType: INDEX, manifests: descriptors }));
  yield tarFile('manifest.json', json(images.map(dockerManifest)));
  yield tarFile('oci-layout', json({ imageLayoutVersion: '1.0.0' }));
  yield TAR_END;
}

async function* blobEntry(blobs: Blobs, digest: string): AsyncGenerator<Buffer> {
  const sizeBytes = await blobs.sizeBytes(digest);
  yield tarHeader({ name: pathOf(digest), type: 'file', mode: 0o644, sizeBytes });
  for await (const chunk of blobs.stream(digest)) yield chunk as Buffer;
  yield tarPadding(sizeBytes);
}

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

function dockerManifest({ image, tags, layerBlobs }: SavedImage): object {
  return { Config: pathOf(image.id), RepoTags: tags.length > 0 ? tags : null, Layers: layerBlobs.map(pathOf) };
}

async function ociManifest({ image, layerBlobs }: SavedImage, blobs: Blobs): Promise<object> {
  const layers: object[] = [];
  for (const digest of layerBlobs) {
    layers.push({ mediaType: await layerMediaType(blobs, digest), digest, size: await blobs.sizeBytes(digest) });
  }
  const config = { mediaType: CONFIG, digest: image.id, size: await blobs.sizeBytes(image.id) };
  return { schemaVersion: 2, mediaType: MANIFEST, config, layers };
}

const SUFFIX: Readonly<Partial<Record<Compression, string>>> = { gzip: '+gzip', zstd: '+zstd' };

async function layerMediaType(blobs: Blobs, digest: string): Promise<string> {
  return `application/vnd.oci.image.layer.v1.tar${SUFFIX[compressionOf(await blobs.start(digest))] ?? ''}`;
}

function ociDescriptors({ image, tags }: SavedImage, digest: string, size: number): object[] {
  const base = { mediaType: MANIFEST, digest, size, platform: { architecture: image.architecture, os: image.os } };
  if (tags.length === 0) return [base];
  return tags.map((tag) => {
    const reference = parseReference(tag);
    const annotations = {
      'io.containerd.image.name': tagKey(reference),
      'org.opencontainers.image.ref.name': tagKey(reference).slice(repository(reference).length + 1),
    };
    return { ...base, annotations };
  });
}

const pathOf = (digest: string): string => `blobs/sha256/${digest.slice('sha256:'.length)}`;
