// Manifests and indexes as registries send them (OCI image specification 1.1 and Docker's schema 2). Pure parsing with
// bounds; what is no container image is refused by name.
import { fail } from '../../base/errors.ts';
import { asArray, asInteger, asObject, asString, type Json, optional, parseJson } from '../../base/parse.ts';
import { documentKind } from '../image/document-kind.ts';
import { asDigest } from '../image/image-config.ts';
import type { Platform } from '../../base/platform.ts';
import type { Descriptor } from './contract.ts';

export interface ImageManifest {
  readonly kind: 'image';
  readonly mediaType: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

export interface ImageIndex {
  readonly kind: 'index';
  readonly mediaType: string;
  readonly manifests: readonly (Descriptor & { readonly platform: Platform | undefined })[];
}

export const MANIFEST_BYTES_MAX = 4 * 1024 * 1024;
export const CONFIG_BYTES_MAX = 8 * 1024 * 1024;
const LAYERS_MAX = 500;
const MANIFESTS_MAX = 1_000;
const LAYER_BYTES_MAX = 256 * 1024 ** 3;

export const MEDIA = {
  index: 'application/vnd.oci.image.index.v1+json',
  list: 'application/vnd.docker.distribution.manifest.list.v2+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  docker: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
} as const;

export const ACCEPT = [MEDIA.docker, MEDIA.list, MEDIA.manifest, MEDIA.index].join(', ');

const CONFIGS: readonly string[] = [
  MEDIA.dockerConfig,
  'application/vnd.oci.image.config.v1+json',
  'application/octet-stream',
];
const LAYER =
  /^application\/vnd\.(?:docker\.image\.rootfs|oci\.image\.layer)\.(?:foreign\.|nondistributable\.v1\.|v1\.)?(?:diff\.)?tar(?:[.+](?:gzip|zstd))?$/;
const FOREIGN = /foreign|nondistributable/;

export function parseManifest(bytes: Buffer, contentType: string): ImageManifest | ImageIndex {
  const json = asObject(parseJson(bytes.toString('utf8'), 'the manifest'), 'the manifest');
  const sent = contentType.split(';')[0]?.trim() ?? '';
  const named = optional(json['mediaType'], 'mediaType', asString) ?? '';
  const mediaType = named === '' ? sent : named;
  if (json['schemaVersion'] === 1) {
    fail(
      'not-implemented',
      'the image has a manifest of schema 1, which Docker gave up: push it again with a newer client',
    );
  }
  if (json['schemaVersion'] !== 2) fail('invalid', 'the manifest has no schemaVersion 2');
  return documentKind(json, [named, sent]) === 'index' ? indexOf(json, mediaType) : imageOf(json, mediaType);
}

function indexOf(json: Json, mediaType: string): ImageIndex {
  const manifests = asArray(json['manifests'], 'manifests', (value, path) => {
    const entry = asObject(value, path);
    return { ...descriptor(entry, path, MANIFEST_BYTES_MAX), platform: optional(entry['platform'], path, platformOf) };
  });
  if (manifests.length > MANIFESTS_MAX) fail('invalid', `the index lists more than ${MANIFESTS_MAX} manifests`);
  return { kind: 'index', mediaType: mediaType === '' ? MEDIA.index : mediaType, manifests };
}

function imageOf(json: Json, mediaType: string): ImageManifest {
  const config = descriptor(asObject(json['config'], 'config'), 'config', CONFIG_BYTES_MAX);
  if (!CONFIGS.includes(config.mediaType)) {
    fail('invalid', `unsupported media type ${config.mediaType}: this is not a container image`);
  }
  const layers = asArray(json['layers'], 'layers', (value, path) => layer(asObject(value, path), path));
  if (layers.length > LAYERS_MAX) fail('invalid', `the image has ${layers.length} layers, more than ${LAYERS_MAX}`);
  return { kind: 'image', mediaType: mediaType === '' ? MEDIA.manifest : mediaType, config, layers };
}

function layer(json: Json, path: string): Descriptor {
  const found = descriptor(json, path, LAYER_BYTES_MAX);
  if (!LAYER.test(found.mediaType))
    fail('invalid', `unsupported media type ${found.mediaType} of ${path}: not a layer`);
  if (FOREIGN.test(found.mediaType))
    fail('not-implemented', `${path} is kept outside the registry: such layers are not fetched`);
  return found;
}

function descriptor(json: Json, path: string, bytesMax: number): Descriptor {
  return {
    mediaType: optional(json['mediaType'], `${path}.mediaType`, asString) ?? '',
    digest: asDigest(json['digest'], `${path}.digest`),
    sizeBytes: asInteger(json['size'], `${path}.size`, { min: 0, max: bytesMax }),
  };
}

export function platformOf(value: unknown, path: string): Platform {
  const json = asObject(value, path);
  const text = (name: string): string => optional(json[name], `${path}.${name}`, asString) ?? '';
  const osVersion = text('os.version');
  return {
    os: text('os'),
    architecture: text('architecture'),
    variant: text('variant'),
    ...(osVersion === '' ? {} : { osVersion }),
  };
}
