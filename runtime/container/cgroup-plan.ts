// Limits as writes to cgroup files, for version 2, version 1 and the hybrid. Pure.
import { join } from 'node:path';
import type { CgroupPlan, DeviceRule } from '../native/contract.ts';
import type { CgroupLayout, V1Controller } from './cgroup-layout.ts';
import type { BlockIoLimit, ContainerLimits } from './contract.ts';

type Write = readonly [file: string, value: string];
type Group = CgroupPlan['groups'][number];

/** What this machine's controllers offer, and which device a path names. */
export interface CgroupAbilities {
  readonly swapIsAccounted: boolean;
  readonly blockIoWeightFile: string | undefined; // blkio.weight, blkio.bfq.weight, io.weight, io.bfq.weight
  readonly oomCanBeDisabled: boolean; // so is swappiness
  blockDevice(path: string): string; // 8:0
}

export interface CgroupRequest {
  readonly path: string; // /shoal/<container id>, below every hierarchy's mount point
  readonly limits: ContainerLimits;
  /** undefined: all devices are allowed. */
  readonly devices: readonly DeviceRule[] | undefined;
  readonly abilities: CgroupAbilities;
  /** Version 1 only: a cpuset group must name its memory nodes before a process can join. */
  readonly memoryNodes: string;
}

const PERIOD_US = 100_000;
const NANO = 1e9;

export function cgroupPlan(layout: CgroupLayout, request: CgroupRequest): CgroupPlan {
  const groups = layout.unifiedControls ? [unifiedGroup(layout, request)] : v1Groups(layout, request);
  // Without cgroup2 there is no device filter program; version 1 has files for it.
  const filter = layout.unified !== undefined ? request.devices : undefined;
  return filter ? { groups, devices: filter } : { groups };
}

function unifiedGroup(layout: CgroupLayout, { path, limits, abilities }: CgroupRequest): Group {
  return { version: 2, path: join(layout.unified ?? '', path), writes: unifiedWrites(limits, abilities) };
}

export function unifiedWrites(limits: ContainerLimits, abilities: CgroupAbilities): Write[] {
  const writes: Write[] = [];
  const swap = swapBytes(limits);
  if (limits.memoryBytes > 0) writes.push(['memory.max', String(limits.memoryBytes)]);
  if (limits.memoryReservationBytes > 0) writes.push(['memory.low', String(limits.memoryReservationBytes)]);
  if (swap !== undefined && abilities.swapIsAccounted) {
    writes.push(['memory.swap.max', swap < 0 ? 'max' : String(swap - limits.memoryBytes)]);
  }
  const cpu = cpuQuota(limits);
  if (cpu) writes.push(['cpu.max', `${cpu.quotaUs > 0 ? cpu.quotaUs : 'max'} ${cpu.periodUs}`]);
  if (limits.cpuShares > 0) writes.push(['cpu.weight', String(weightOf(limits.cpuShares))]);
  if (limits.cpusetCpus !== '') writes.push(['cpuset.cpus', limits.cpusetCpus]);
  if (limits.cpusetMems) writes.push(['cpuset.mems', limits.cpusetMems]);
  if (limits.pids > 0) writes.push(['pids.max', String(limits.pids)]);
  return [...writes, ...unifiedBlockIo(limits, abilities)];
}

const IO_MAX = { 'read-bps': 'rbps', 'write-bps': 'wbps', 'read-iops': 'riops', 'write-iops': 'wiops' } as const;

function unifiedBlockIo({ blockIoWeight = 0, blockIo = [] }: ContainerLimits, abilities: CgroupAbilities): Write[] {
  const file = abilities.blockIoWeightFile;
  const scaled = (weight: number): number =>
    file === 'io.weight' ? 1 + Math.floor(((weight - 10) * 9999) / 990) : weight;
  const weights = blockIo.filter(({ kind }) => kind === 'weight');
  return [
    ...(file && blockIoWeight > 0 ? [[file, `default ${scaled(blockIoWeight)}`] as const] : []),
    ...(file
      ? weights.map(({ path, value }) => [file, `${abilities.blockDevice(path)} ${scaled(value)}`] as const)
      : []),
    ...blockIo.flatMap(({ kind, path, value }) =>
      kind === 'weight' ? [] : [['io.max', `${abilities.blockDevice(path)} ${IO_MAX[kind]}=${value}`] as const],
    ),
  ];
}

/** Memory and swap together, as Docker counts: unset means twice the memory. Undefined: no limit of memory at all. */
function swapBytes({ memoryBytes, memorySwapBytes }: ContainerLimits): number | undefined {
  if (memoryBytes <= 0) return undefined;
  return memorySwapBytes === 0 ? 2 * memoryBytes : memorySwapBytes;
}

export function cpuQuota(limits: ContainerLimits): { quotaUs: number; periodUs: number } | undefined {
  if (limits.nanoCpus > 0) return { quotaUs: Math.round((limits.nanoCpus / NANO) * PERIOD_US), periodUs: PERIOD_US };
  if (limits.cpuQuota === 0 && limits.cpuPeriod === 0) return undefined;
  return { quotaUs: limits.cpuQuota, periodUs: limits.cpuPeriod || PERIOD_US };
}

/** Shares 2…262144 onto weights 1…10000 (source: the OCI runtimes' conversion). */
const weightOf = (shares: number): number => {
  const bounded = Math.min(Math.max(shares, 2), 262_144);
  return 1 + Math.floor(((bounded - 2) * 9999) / 262_142);
};

function v1Groups(layout: CgroupLayout, request: CgroupRequest): Group[] {
  const writes = v1Writes(request);
  const byPath = new Map<string, Write[]>();
  for (const controller of joinedControllers(layout, request)) {
    const mountPoint = layout.v1[controller];
    if (mountPoint === undefined) continue;
    const path = join(mountPoint, request.path); // cpu and cpuacct may share one hierarchy
    byPath.set(path, [...(byPath.get(path) ?? []), ...(writes[controller] ?? [])]);
  }
  const groups: Group[] = [...byPath].map(([path, list]) => ({ version: 1, path, writes: list }));
  return layout.unified === undefined
    ? groups
    : [{ version: 2, path: join(layout.unified, request.path), writes: [] }, ...groups];
}

/** Each hierarchy costs a join, so only those that limit or count something. */
function joinedControllers(layout: CgroupLayout, { limits, devices }: CgroupRequest): V1Controller[] {
  const controllers: V1Controller[] = ['memory', 'cpu', 'cpuacct', 'pids', 'blkio'];
  if (limits.cpusetCpus !== '' || limits.cpusetMems) controllers.push('cpuset');
  if (layout.unified === undefined) controllers.push('freezer');
  if (layout.unified === undefined && devices) controllers.push('devices');
  return controllers;
}

function v1Writes(request: CgroupRequest): Partial<Record<V1Controller, Write[]>> {
  const { limits, devices, abilities } = request;
  const memory: Write[] = [];
  const swap = swapBytes(limits);
  if (limits.memoryBytes > 0) memory.push(['memory.limit_in_bytes', String(limits.memoryBytes)]);
  if (swap !== undefined && abilities.swapIsAccounted) memory.push(['memory.memsw.limit_in_bytes', String(swap)]);
  if (limits.memoryReservationBytes > 0)
    memory.push(['memory.soft_limit_in_bytes', String(limits.memoryReservationBytes)]);
  if (abilities.oomCanBeDisabled && limits.oomKillDisable) memory.push(['memory.oom_control', '1']);
  if (abilities.oomCanBeDisabled && limits.memorySwappiness !== undefined)
    memory.push(['memory.swappiness', String(limits.memorySwappiness)]);
  const quota = cpuQuota(limits);
  const cpu: Write[] = [];
  if (limits.cpuShares > 0) cpu.push(['cpu.shares', String(limits.cpuShares)]);
  if (quota) cpu.push(['cpu.cfs_period_us', String(quota.periodUs)], ['cpu.cfs_quota_us', String(quota.quotaUs || -1)]);
  const cpuset: Write[] = [
    ['cpuset.mems', limits.cpusetMems || request.memoryNodes],
    ...(limits.cpusetCpus === '' ? [] : [['cpuset.cpus', limits.cpusetCpus] as const]), // otherwise its parent's
  ];
  const rules = (devices ?? []).map(deviceWrite);
  const pids: Write[] = limits.pids > 0 ? [['pids.max', String(limits.pids)]] : [];
  return { memory, cpu, pids, blkio: v1BlockIo(limits, abilities), cpuset, devices: rules };
}

const V1_THROTTLE: Readonly<Record<Exclude<BlockIoLimit['kind'], 'weight'>, string>> = {
  'read-bps': 'blkio.throttle.read_bps_device',
  'write-bps': 'blkio.throttle.write_bps_device',
  'read-iops': 'blkio.throttle.read_iops_device',
  'write-iops': 'blkio.throttle.write_iops_device',
};

function v1BlockIo({ blockIoWeight = 0, blockIo = [] }: ContainerLimits, abilities: CgroupAbilities): Write[] {
  const file = abilities.blockIoWeightFile;
  const device = ({ kind, path, value }: BlockIoLimit): Write[] => {
    const line = `${abilities.blockDevice(path)} ${value}`;
    if (kind !== 'weight') return [[V1_THROTTLE[kind], line]];
    return file ? [[`${file}_device`, line]] : [];
  };
  return [...(file && blockIoWeight > 0 ? [[file, String(blockIoWeight)] as const] : []), ...blockIo.flatMap(device)];
}

function deviceWrite({ allow, type, major, minor, access }: DeviceRule): Write {
  if (type === 'a') return [allow ? 'devices.allow' : 'devices.deny', 'a'];
  const number = (value: number): string => (value < 0 ? '*' : String(value));
  return [allow ? 'devices.allow' : 'devices.deny', `${type} ${number(major)}:${number(minor)} ${access}`];
}
