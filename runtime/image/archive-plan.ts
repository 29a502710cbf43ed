// What an archive says it holds: for each image its config, its layer files in order, and its tags.
// docker-archive (manifest.json) is preferred where both are there, as Docker does.
import { asArray, asObject, asString, type Json, optional, parseJson } from '../../base/parse.ts';
import { fail } from '../../base/errors.ts';
import type { Archive } from './archive.ts';
import { sha256 } from './digest.ts';
import { documentKind } from './document-kind.ts';
import { asDigest } from './image-config.ts';
import { parseReference, tagKey } from './reference.ts';

export interface ArchivedImage {
  readonly configName: string;
  readonly layerNames: readonly string[];
  /** Where the format names a digest for a layer file, it is checked. */
  readonly layerDigests: readonly (string | undefined)[];
  readonly tags: readonly string[]; // keys
  readonly manifestName: string | undefined; // an OCI layout has one
}

const IMAGES_MAX = 1_000;
const INDEX_DEPTH_MAX = 4;

export async function planArchive(archive: Archive, platform: { architecture: string }): Promise<ArchivedImage[]> {
  if (archive.find('manifest.json')) return dockerImages(archive);
  if (archive.find('index.json')) return ociImages(archive, 'index.json', platform, 0, []);
  return fail(
    'invalid',
    'the archive is neither a docker archive nor an OCI layout: it has no manifest.json and no index.json',
  );
}

async function dockerImages(archive: Archive): Promise<ArchivedImage[]> {
  const images = asArray(await archive.json('manifest.json'), 'manifest.json', dockerImage);
  if (images.length > IMAGES_MAX) fail('invalid', `the archive holds more than ${IMAGES_MAX} images`);
  return images;
}

function dockerImage(value: unknown, path: string): ArchivedImage {
  const json = asObject(value, path);
  const layerNames = optional(json['Layers'], `${path}.Layers`, (list, at) => asArray(list, at, asString)) ?? [];
  const tags = optional(json['RepoTags'], `${path}.RepoTags`, (list, at) => asArray(list, at, asString)) ?? [];
  return {
    configName: asString(json['Config'], `${path}.Config`),
    layerNames,
    layerDigests: layerNames.map(() => undefined),
    tags: tags.map((tag) => tagKey(parseReference(tag))),
    manifestName: undefined,
  };
}

async function ociImages(
  archive: Archive,
  indexName: string,
  platform: { architecture: string },
  depth: number,
  inherited: readonly string[],
): Promise<ArchivedImage[]> {
  if (depth > INDEX_DEPTH_MAX) fail('invalid', 'the image indexes are nested too deeply');
  const index = asObject(await archive.json(indexName), indexName);
  const descriptors = asArray(index['manifests'], `${indexName}.manifests`, asObject);
  if (descriptors.length > IMAGES_MAX) fail('invalid', `${indexName} lists more than ${IMAGES_MAX} images`);
  const wanted = depth === 0 ? descriptors : descriptors.filter((each) => fits(each, platform));
  const images: ArchivedImage[] = [];
  for (const descriptor of wanted) {
    const tags = tagsOf(descriptor) ?? inherited;
    const name = blobName(asDigest(descriptor['digest'], `${indexName}.manifests.digest`));
    const kind = optional(descriptor['mediaType'], 'mediaType', asString) ?? '';
    const document = await verified(archive, name);
    const inside = optional(document['mediaType'], 'mediaType', asString) ?? '';
    if (documentKind(document, [inside, kind]) === 'image') images.push(ociImage(document, name, tags));
    else images.push(...(await ociImages(archive, name, platform, depth + 1, tags)));
  }
  return images;
}

function fits(descriptor: Json, platform: { architecture: string }): boolean {
  const of = optional(descriptor['platform'], 'platform', asObject);
  return !of || (of['os'] === 'linux' && of['architecture'] === platform.architecture);
}

function tagsOf(descriptor: Json): string[] | undefined {
  const annotations = optional(descriptor['annotations'], 'annotations', asObject) ?? {};
  const full = optional(annotations['io.containerd.image.name'], 'io.containerd.image.name', asString);
  const name = full ?? optional(annotations['org.opencontainers.image.ref.name'], 'ref.name', asString);
  // A bare tag without a name says nothing about the repository.
  return name !== undefined && /[:/]/.test(name) ? [tagKey(parseReference(name))] : undefined;
}

async function verified(archive: Archive, name: string): Promise<Json> {
  const bytes = await archive.bytes(name);
  if (blobName(sha256(bytes)) !== name) fail('invalid', `the digest of '${name}' does not match its content`);
  return asObject(parseJson(bytes.toString('utf8'), `'${name}'`), name);
}

function ociImage(manifest: Json, name: string, tags: readonly string[]): ArchivedImage {
  const config = asDigest(asObject(manifest['config'], `${name}.config`)['digest'], `${name}.config.digest`);
  const layers = asArray(manifest['layers'], `${name}.layers`, (value, path) =>
    asDigest(asObject(value, path)['digest'], `${path}.digest`),
  );
  return {
    configName: blobName(config),
    layerNames: layers.map(blobName),
    layerDigests: layers,
    tags,
    manifestName: name,
  };
}

const blobName = (digest: string): string => `blobs/sha256/${digest.slice('sha256:'.length)}`;
