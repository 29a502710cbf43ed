// From the mounts that were asked for to the ones a container has: volumes made, sources checked, in order of depth.
import { mkdir, readFile, realpath, stat } from 'node:fs/promises';
import { errnoOf, fail } from '../../base/errors.ts';
import { unescaped } from '../../base/mount-info.ts';
import type { NativeMount } from '../native/contract.ts';
import type { Volume, VolumeRequest } from '../volume/volumes.ts';
import type { ContainerConfig, ContainerMount } from './contract.ts';
import { cleanTarget } from './merge.ts';
import type { MountPoint } from './record.ts';

export interface VolumeMaker {
  create(request: VolumeRequest): Promise<Volume>;
}

export interface ResolvedMounts {
  readonly mounts: readonly MountPoint[];
  /** Volumes that take over what the image has at their target, if they are empty. */
  readonly copyUp: readonly MountPoint[];
}

export async function resolveMounts(config: ContainerConfig, volumes: VolumeMaker): Promise<ResolvedMounts> {
  const mounts: MountPoint[] = [];
  const copyUp: MountPoint[] = [];
  for (const asked of config.mounts) {
    const mount = await resolve(asked, volumes);
    mounts.push(mount);
    if (mount.type === 'volume' && !asked.noCopy && asked.subpath === undefined) copyUp.push(mount);
  }
  return { mounts, copyUp };
}

async function resolve(asked: ContainerMount, volumes: VolumeMaker): Promise<MountPoint> {
  const base = {
    type: asked.type,
    name: '',
    source: '',
    target: cleanTarget(asked.target),
    driver: '',
    readOnly: asked.readOnly,
    propagation: asked.propagation,
    tmpfsOptions: '',
    ...(asked.subpath !== undefined && { subpath: asked.subpath }),
    ...(asked.below !== undefined && { below: asked.below }),
  };
  switch (asked.type) {
    case 'tmpfs':
      return { ...base, tmpfsOptions: asked.tmpfsOptions };
    case 'bind':
      await checkSource(asked);
      await checkPropagation(asked);
      return { ...base, source: cleanTarget(asked.source), propagation: asked.propagation || 'rprivate' };
    case 'volume': {
      const volume = await volumes.create({
        name: asked.source,
        driver: '',
        labels: asked.volume?.labels ?? {},
        options: asked.volume?.options ?? {},
      });
      return { ...base, name: volume.name, source: volume.mountpoint, driver: volume.driver };
    }
  }
}

async function checkSource({ source, createSource }: ContainerMount): Promise<void> {
  try {
    await stat(source);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    if (!createSource)
      fail('invalid', `invalid mount config for type "bind": bind source path does not exist: ${source}`);
    await mkdir(source, { recursive: true, mode: 0o755 });
  }
}

/** Propagation to or from the machine needs a mount there that takes part in it. */
async function checkPropagation({ source, propagation }: ContainerMount): Promise<void> {
  const wanted = propagation.replace(/^r/, '');
  if (wanted !== 'shared' && wanted !== 'slave') return;
  const mounts = parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8'));
  const path = await realpath(source);
  const isAbove = ({ point }: HostMount): boolean => point === '/' || path === point || path.startsWith(`${point}/`);
  const [host] = mounts
    .filter(isAbove)
    .reverse()
    .sort((a, b) => b.point.length - a.point.length);
  if (host?.isShared || (wanted === 'slave' && host?.isSlave)) return;
  const needed = wanted === 'shared' ? 'a shared mount' : 'a shared or slave mount';
  fail('invalid', `path ${source} is mounted on ${host?.point ?? '/'} but it is not ${needed}`);
}

interface HostMount {
  readonly point: string;
  readonly isShared: boolean;
  readonly isSlave: boolean;
}

export function parseMountInfo(text: string): HostMount[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const fields = (line.split(' - ', 1)[0] ?? '').split(' ');
      const optional = fields.slice(6);
      return {
        point: unescaped(fields[4] ?? ''),
        isShared: optional.some((field) => field.startsWith('shared:')),
        isSlave: optional.some((field) => field.startsWith('master:')),
      };
    });
}

export function nativeMount(mount: MountPoint): NativeMount {
  if (mount.type === 'tmpfs') return tmpfsMount(mount.target, mount.tmpfsOptions, mount.readOnly);
  const propagation = (mount.propagation || 'rprivate') as NativeMount['propagation'];
  return {
    type: 'bind',
    source: mount.source,
    target: mount.target,
    readOnly: mount.readOnly,
    flags: mount.below === 'writable' ? ['top-only'] : [],
    propagation,
    recursive: mount.type === 'bind' && mount.below !== 'left-out',
    data: mount.subpath ?? '',
  };
}

type Flag = NativeMount['flags'][number];

const DATA_OPTION = /^(size|mode|uid|gid|nr_inodes|nr_blocks|mpol|huge)=[^,\s]+$/;

/** As Docker: noexec, nosuid and nodev unless an option says otherwise. */
export function tmpfsMount(target: string, options: string, readOnlyAsked = false): NativeMount {
  const flags = new Set<Flag>(['nosuid', 'nodev', 'noexec']);
  const data: string[] = [];
  let readOnly = readOnlyAsked;
  for (const option of options.split(',').filter((each) => each !== '')) {
    const opposite = ({ suid: 'nosuid', dev: 'nodev', exec: 'noexec' } as const)[option as 'suid'];
    if (option === 'ro' || option === 'rw') readOnly = option === 'ro';
    else if (opposite) flags.delete(opposite);
    else if (['nosuid', 'nodev', 'noexec', 'strictatime'].includes(option)) flags.add(option as Flag);
    else if (DATA_OPTION.test(option)) data.push(option);
    else fail('invalid', `invalid tmpfs option ["${option}"]`);
  }
  return {
    type: 'tmpfs',
    source: '',
    target: cleanTarget(target),
    readOnly,
    flags: [...flags],
    propagation: 'rprivate',
    recursive: false,
    data: data.join(','),
  };
}

/** A mount inside another comes after it. */
export function byDepth(mounts: readonly NativeMount[]): NativeMount[] {
  const depth = (path: string): number => path.split('/').length;
  return [...mounts].sort((a, b) => depth(a.target) - depth(b.target));
}
