// Which cgroup hierarchies this machine has: version 2 alone, version 1, or the hybrid of both. Pure.
import { unescaped } from '../../base/mount-info.ts';

export interface CgroupLayout {
  /** Mount point of cgroup2, if there is one. */
  readonly unified: string | undefined;
  /** True if the controllers are on cgroup2; in the hybrid it has none, but still freezes, kills and filters devices. */
  readonly unifiedControls: boolean;
  /** Mount points of version 1's controllers. */
  readonly v1: Readonly<Partial<Record<V1Controller, string>>>;
  /** Mount points of version 1 hierarchies that we have no use for. */
  readonly others: readonly string[];
}

export const V1_CONTROLLERS = ['memory', 'cpu', 'cpuacct', 'pids', 'blkio', 'cpuset', 'devices', 'freezer'] as const;
export type V1Controller = (typeof V1_CONTROLLERS)[number];

export function detectCgroups(mountInfo: string): CgroupLayout {
  let unified: string | undefined;
  const others: string[] = [];
  const v1: Partial<Record<V1Controller, string>> = {};
  for (const line of mountInfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const mountPoint = unescaped(before.split(' ')[4] ?? '');
    const [type, , options = ''] = after.split(' ');
    if (type === 'cgroup2') unified ??= mountPoint;
    if (type !== 'cgroup') continue;
    const controllers = V1_CONTROLLERS.filter((candidate) => options.split(',').includes(candidate));
    for (const controller of controllers) v1[controller] ??= mountPoint;
    if (controllers.length === 0) others.push(mountPoint);
  }
  return { unified, unifiedControls: unified !== undefined && v1.memory === undefined, v1, others };
}
