// Images as the Engine API shows them.
import type { Image, ImageConfig } from '../../runtime/image/contract.ts';
import type { ImageDeleteItem, ImageHistoryItem, ImageSummary } from '../types/image.ts';
import { healthConfigOf } from './health.ts';
import { goTime, unixSeconds } from './time.ts';
import { isBefore } from '../versions.ts';

export function imageSummary(image: Image, containers: number, version: string): ImageSummary {
  return {
    Id: image.id,
    ParentId: image.parentId,
    RepoTags: namesOrNone(image.tags, '<none>:<none>', image, version),
    RepoDigests: namesOrNone(image.digests, '<none>@<none>', image, version),
    Created: unixSeconds(image.createdAtMs),
    Size: image.sizeBytes,
    SharedSize: -1,
    ...(isBefore(version, '1.44') ? { VirtualSize: image.sizeBytes } : {}),
    Labels: { ...image.config.labels },
    Containers: isBefore(version, '1.51') ? -1 : containers,
  };
}

/** Until 1.43 an image that nothing names had these names. */
function namesOrNone(names: readonly string[], none: string, image: Image, version: string): string[] {
  const isNameless = image.tags.length === 0 && image.digests.length === 0;
  return isNameless && isBefore(version, '1.43') ? [none] : [...names];
}

export function imageInspect(image: Image, storageDriver: string, version: string): object {
  return {
    Id: image.id,
    RepoTags: image.tags,
    RepoDigests: image.digests,
    Parent: image.parentId,
    Comment: image.comment,
    ...(image.createdAtMs === 0 ? {} : { Created: goTime(image.createdAtMs) }),
    DockerVersion: image.dockerVersion,
    Author: image.author,
    Config: imageConfigJson(image.config, version),
    ...(isBefore(version, '1.45')
      ? { Container: '', ContainerConfig: { ...imageConfigJson(NO_CONFIG, version), Labels: null } }
      : {}),
    Architecture: image.architecture,
    ...(image.variant === '' ? {} : { Variant: image.variant }),
    Os: image.os,
    ...(image.osVersion === '' ? {} : { OsVersion: image.osVersion }),
    Size: image.sizeBytes,
    ...(isBefore(version, '1.44') ? { VirtualSize: image.sizeBytes } : {}),
    GraphDriver: { Name: storageDriver, Data: graphData(image.layerFolders) },
    RootFS: { Type: 'layers', Layers: image.layers },
    Metadata: { LastTagTime: goTime(image.taggedAtMs) },
  };
}

/** The newest layer and what is below it; an image is never mounted, so nothing is merged anywhere. */
function graphData(folders: readonly string[]): Record<string, string> {
  const [upper, ...lower] = [...folders].reverse();
  if (upper === undefined) return {};
  return { ...(lower.length > 0 ? { LowerDir: lower.join(':') } : {}), UpperDir: upper };
}

/** Compose 1 looks into it, and finds nothing, as in images of newer builders. */
const NO_CONFIG: ImageConfig = {
  entrypoint: undefined,
  command: undefined,
  env: [],
  volumes: [],
  exposedPorts: [],
  labels: {},
  user: '',
  workingDirectory: '',
  stopSignal: '',
};

/** Since 1.50 fields that only containers have are left out, and empty ones with them. */
function imageConfigJson(config: ImageConfig, version: string): object {
  const keySet = (keys: readonly string[]) => Object.fromEntries(keys.map((key) => [key, {}]));
  const ofContainers = { Hostname: '', Domainname: '', AttachStdin: false, AttachStdout: false, AttachStderr: false };
  const old = isBefore(version, '1.50');
  return {
    ...(old ? { ...ofContainers, Tty: false, OpenStdin: false, StdinOnce: false, Image: '' } : {}),
    User: config.user,
    ...(config.exposedPorts.length > 0 ? { ExposedPorts: keySet(config.exposedPorts) } : {}),
    Env: config.env.length > 0 ? config.env : null,
    Cmd: config.command ?? null,
    ...(config.healthCheck ? { Healthcheck: healthConfigOf(config.healthCheck) } : {}),
    Volumes: config.volumes.length > 0 ? keySet(config.volumes) : null,
    WorkingDir: config.workingDirectory,
    Entrypoint: config.entrypoint ?? null,
    OnBuild: config.onBuild ?? null,
    Labels: { ...config.labels },
    ...(config.stopSignal === '' ? {} : { StopSignal: config.stopSignal }),
    ...(config.shell ? { Shell: config.shell } : {}),
  };
}

/** Newest step first; the newest carries the image's id, the others were never images. */
export function imageHistory(image: Image): ImageHistoryItem[] {
  const sizes = [...image.layerBytes];
  const steps = image.history.map((step) => ({ ...step, size: step.emptyLayer ? 0 : (sizes.shift() ?? 0) }));
  // Layers that the history does not tell of: somebody flattened or wrote the image by hand.
  const untold = sizes.map((size) => ({ createdAtMs: image.createdAtMs, createdBy: '', comment: '', size }));
  return [...steps, ...untold].reverse().map((step, index) => ({
    Id: index === 0 ? image.id : '<missing>',
    Created: unixSeconds(step.createdAtMs),
    CreatedBy: step.createdBy,
    Tags: index === 0 && image.tags.length > 0 ? [...image.tags] : null,
    Size: step.size,
    Comment: step.comment,
  }));
}

export const deletedItem = (item: { untagged: string } | { deleted: string }): ImageDeleteItem =>
  'untagged' in item ? { Untagged: item.untagged } : { Deleted: item.deleted };
