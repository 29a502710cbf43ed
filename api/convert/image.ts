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
    RepoTags: [...image.tags],
    RepoDigests: [...image.digests],
    Created: unixSeconds(image.createdAtMs),
    Size: image.sizeBytes,
    SharedSize: -1,
    ...(isBefore(version, '1.44') ? { VirtualSize: image.sizeBytes } : {}),
    Labels: { ...image.config.labels },
    Containers: containers,
  };
}

export function imageInspect(image: Image, storageDriver: string, version: string): object {
  return {
    Id: image.id,
    RepoTags: image.tags,
    RepoDigests: image.digests,
    Parent: image.parentId,
    Comment: image.comment,
    Created: goTime(image.createdAtMs),
    DockerVersion: '',
    Author: image.author,
    Config: imageConfigJson(image.config),
    ...(isBefore(version, '1.45') ? { Container: '', ContainerConfig: null } : {}),
    Architecture: image.architecture,
    Os: image.os,
    Size: image.sizeBytes,
    ...(isBefore(version, '1.44') ? { VirtualSize: image.sizeBytes } : {}),
    GraphDriver: { Name: storageDriver, Data: {} },
    RootFS: { Type: 'layers', Layers: image.layers },
    Metadata: { LastTagTime: goTime(0) },
  };
}

function imageConfigJson(config: ImageConfig): object {
  const keySet = (keys: readonly string[]) => Object.fromEntries(keys.map((key) => [key, {}]));
  return {
    Hostname: '',
    Domainname: '',
    User: config.user,
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    ...(config.exposedPorts.length > 0 ? { ExposedPorts: keySet(config.exposedPorts) } : {}),
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    Env: config.env.length > 0 ? config.env : null,
    Cmd: config.command ?? null,
    ...(config.healthCheck ? { Healthcheck: healthConfigOf(config.healthCheck) } : {}),
    Image: '',
    Volumes: config.volumes.length > 0 ? keySet(config.volumes) : null,
    WorkingDir: config.workingDirectory,
    Entrypoint: config.entrypoint ?? null,
    OnBuild: null,
    Labels: Object.keys(config.labels).length > 0 ? config.labels : null,
    ...(config.stopSignal === '' ? {} : { StopSignal: config.stopSignal }),
  };
}

/** Newest step first; the newest carries the image's id, the others were never images. */
export function imageHistory(image: Image): ImageHistoryItem[] {
  const steps = [...image.history].reverse();
  const layered = steps.findIndex((step) => !step.emptyLayer);
  return steps.map((step, i) => ({
    Id: i === 0 ? image.id : '<missing>',
    Created: unixSeconds(step.createdAtMs),
    CreatedBy: step.createdBy,
    Tags: i === 0 && image.tags.length > 0 ? [...image.tags] : null,
    // Sizes of single layers are not kept; with one layer it is the image's.
    Size: i === layered && image.layers.length === 1 ? image.sizeBytes : 0,
    Comment: step.comment,
  }));
}

export const deletedItem = (item: { untagged: string } | { deleted: string }): ImageDeleteItem =>
  'untagged' in item ? { Untagged: item.untagged } : { Deleted: item.deleted };
