// The image's config blob (OCI image spec; Docker's additions Healthcheck and OnBuild): parse, and write for import.
import { fail } from '../../base/errors.ts';
import {
  asArray,
  asBoolean,
  asMap,
  asNumber,
  asObject,
  asString,
  type Json,
  optional,
  parseJson,
} from '../../base/parse.ts';
import type { Image, ImageConfig, ImageExtension } from './contract.ts';
import { isDigest } from './reference.ts';

const LAYERS_MAX = 500; // the kernel's bound on overlay lowers
const NS_PER_MS = 1e6;

export type ImageFacts = Pick<
  Image,
  | 'createdAtMs'
  | 'author'
  | 'comment'
  | 'architecture'
  | 'variant'
  | 'os'
  | 'osVersion'
  | 'dockerVersion'
  | 'config'
  | 'layers'
  | 'history'
>;

export const EMPTY_CONFIG: ImageConfig = {
  user: '',
  env: [],
  entrypoint: undefined,
  command: undefined,
  workingDirectory: '',
  exposedPorts: [],
  volumes: [],
  labels: {},
  stopSignal: '',
};

export function parseImageConfig(bytes: Uint8Array): ImageFacts {
  const json = asObject(parseJson(Buffer.from(bytes).toString('utf8'), 'image config'), 'image config');
  const rootfs = asObject(json['rootfs'], 'image config.rootfs');
  const layers = optional(rootfs['diff_ids'], 'rootfs.diff_ids', (value, path) => asArray(value, path, asDigest)) ?? [];
  if (layers.length > LAYERS_MAX) fail('invalid', `the image has ${layers.length} layers, more than ${LAYERS_MAX}`);
  return {
    createdAtMs: timeMs(json['created']),
    author: text(json, 'author'),
    comment: text(json, 'comment'),
    architecture: text(json, 'architecture'),
    variant: text(json, 'variant'),
    os: text(json, 'os'),
    osVersion: text(json, 'os.version'),
    dockerVersion: text(json, 'docker_version'),
    config: parseRunConfig(optional(json['config'], 'image config.config', asObject) ?? {}),
    layers,
    history: optional(json['history'], 'history', (value, path) => asArray(value, path, parseHistory)) ?? [],
  };
}

export function asDigest(value: unknown, path: string): string {
  const digest = asString(value, path);
  return isDigest(digest) ? digest : fail('invalid', `${path} is not a digest such as sha256:…: '${digest}'`);
}

function parseRunConfig(json: Json): ImageConfig {
  const healthCheck = optional(json['Healthcheck'], 'Healthcheck', parseHealthCheck);
  const [onBuild, shell] = [texts(json, 'OnBuild'), texts(json, 'Shell')];
  return {
    user: text(json, 'User'),
    env: texts(json, 'Env') ?? [],
    entrypoint: texts(json, 'Entrypoint'),
    command: texts(json, 'Cmd'),
    workingDirectory: text(json, 'WorkingDir'),
    exposedPorts: keys(json, 'ExposedPorts'),
    volumes: keys(json, 'Volumes'),
    labels: optional(json['Labels'], 'Labels', (value, path) => asMap(value, path, asString)) ?? {},
    stopSignal: text(json, 'StopSignal'),
    ...(onBuild && { onBuild }),
    ...(shell && { shell }),
    ...(healthCheck && { healthCheck }),
  };
}

function parseHealthCheck(value: unknown, path: string): NonNullable<ImageConfig['healthCheck']> {
  const json = asObject(value, path);
  const ms = (name: string): number => (optional(json[name], `${path}.${name}`, asNumber) ?? 0) / NS_PER_MS;
  return {
    test: texts(json, 'Test') ?? [],
    intervalMs: ms('Interval'),
    timeoutMs: ms('Timeout'),
    startPeriodMs: ms('StartPeriod'),
    startIntervalMs: ms('StartInterval'),
    retries: optional(json['Retries'], `${path}.Retries`, asNumber) ?? 0,
  };
}

function parseHistory(value: unknown, path: string): Image['history'][number] {
  const json = asObject(value, path);
  return {
    createdAtMs: timeMs(json['created']),
    createdBy: text(json, 'created_by'),
    comment: text(json, 'comment'),
    emptyLayer: optional(json['empty_layer'], `${path}.empty_layer`, asBoolean) ?? false,
  };
}

const text = (json: Json, name: string): string => optional(json[name], name, asString) ?? '';

const texts = (json: Json, name: string): string[] | undefined =>
  optional(json[name], name, (value, path) => asArray(value, path, asString));

const keys = (json: Json, name: string): string[] => Object.keys(optional(json[name], name, asObject) ?? {}).sort();

function timeMs(value: unknown): number {
  const ms = Date.parse(optional(value, 'created', asString) ?? '');
  return Number.isNaN(ms) ? 0 : ms;
}

/** What `import` writes. Key order is fixed: the bytes decide the image's id. */
export function importedConfig(options: {
  architecture: string;
  config: ImageConfig;
  diffId: string;
  message: string;
  createdAtMs: number;
}): Uint8Array {
  const created = new Date(options.createdAtMs).toISOString();
  const json = {
    architecture: options.architecture,
    comment: options.message,
    config: writtenRunConfig(options.config),
    created,
    history: [{ created, comment: options.message }],
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: [options.diffId] },
  };
  return Buffer.from(JSON.stringify(json));
}

/** What `commit` writes: the base's history and one step more. */
export function extendedConfig(options: {
  base: Pick<ImageFacts, 'architecture' | 'variant' | 'os' | 'osVersion' | 'history'>;
  extension: Pick<ImageExtension, 'config' | 'author' | 'comment' | 'createdBy' | 'createdAtMs' | 'containerId'>;
  diffIds: readonly string[];
  addsLayer: boolean;
}): Uint8Array {
  const { base, extension, diffIds, addsLayer } = options;
  const created = new Date(extension.createdAtMs).toISOString();
  const step = {
    created,
    ...withoutEmpty({ author: extension.author, created_by: extension.createdBy, comment: extension.comment }),
    ...(addsLayer ? {} : { empty_layer: true }),
  };
  const json = {
    architecture: base.architecture,
    ...withoutEmpty({ variant: base.variant, 'os.version': base.osVersion }),
    author: extension.author,
    comment: extension.comment,
    config: writtenRunConfig(extension.config),
    container: extension.containerId,
    created,
    history: [...base.history.map(writtenHistory), step],
    os: base.os,
    rootfs: { type: 'layers', diff_ids: diffIds },
  };
  return Buffer.from(JSON.stringify(json));
}

function writtenHistory(step: Image['history'][number]): Json {
  const { createdAtMs, createdBy, comment, emptyLayer } = step;
  return {
    created: new Date(createdAtMs).toISOString(),
    ...withoutEmpty({ created_by: createdBy, comment }),
    ...(emptyLayer ? { empty_layer: true } : {}),
  };
}

function writtenRunConfig(config: ImageConfig): Json {
  const set = (names: readonly string[]): Json => Object.fromEntries([...names].sort().map((name) => [name, {}]));
  const health = config.healthCheck;
  return withoutEmpty({
    Cmd: config.command,
    Entrypoint: config.entrypoint,
    Env: config.env,
    ExposedPorts: set(config.exposedPorts),
    Healthcheck: health && {
      Test: health.test,
      Interval: Math.round(health.intervalMs * NS_PER_MS),
      Timeout: Math.round(health.timeoutMs * NS_PER_MS),
      StartPeriod: Math.round(health.startPeriodMs * NS_PER_MS),
      StartInterval: Math.round(health.startIntervalMs * NS_PER_MS),
      Retries: health.retries,
    },
    Labels: Object.fromEntries(Object.entries(config.labels).sort(([a], [b]) => (a < b ? -1 : 1))),
    OnBuild: config.onBuild,
    Shell: config.shell,
    StopSignal: config.stopSignal,
    User: config.user,
    Volumes: set(config.volumes),
    WorkingDir: config.workingDirectory,
  });
}

function withoutEmpty(json: Json): Json {
  const isEmpty = (value: unknown): boolean =>
    value === undefined || value === '' || (typeof value === 'object' && Object.keys(value as object).length === 0);
  return Object.fromEntries(Object.entries(json).filter(([, value]) => !isEmpty(value)));
}
