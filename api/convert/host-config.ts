// HostConfig for inspect: Docker's defaults, then what our configuration says, then the request as it came;
// limits and restart rule last, because `docker update` may have changed them since.
import type { ContainerConfig, ContainerMount } from '../../runtime/container/contract.ts';
import type { SystemFacts } from '../deps.ts';
import { limitsJson, restartJson } from './host-limits.ts';
import { isBefore } from '../versions.ts';
import { bindingsOf } from './ports.ts';

const SHM_BYTES = 64 * 1024 * 1024;

const DEFAULTS = {
  Binds: null,
  ContainerIDFile: '',
  LogConfig: { Type: 'json-file', Config: {} },
  NetworkMode: 'bridge',
  PortBindings: {},
  RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
  AutoRemove: false,
  VolumeDriver: '',
  VolumesFrom: null,
  ConsoleSize: [0, 0],
  CapAdd: null,
  CapDrop: null,
  Dns: [],
  DnsOptions: [],
  DnsSearch: [],
  ExtraHosts: null,
  GroupAdd: null,
  IpcMode: 'private',
  Cgroup: '',
  Links: null,
  OomScoreAdj: 0,
  PidMode: '',
  Privileged: false,
  PublishAllPorts: false,
  ReadonlyRootfs: false,
  SecurityOpt: null,
  UTSMode: '',
  UsernsMode: '',
  ShmSize: SHM_BYTES,
  Runtime: 'shoal',
  Isolation: '',
  CpuShares: 0,
  Memory: 0,
  NanoCpus: 0,
  CgroupParent: '',
  BlkioWeight: 0,
  BlkioWeightDevice: null,
  BlkioDeviceReadBps: null,
  BlkioDeviceWriteBps: null,
  BlkioDeviceReadIOps: null,
  BlkioDeviceWriteIOps: null,
  CpuPeriod: 0,
  CpuQuota: 0,
  CpuRealtimePeriod: 0,
  CpuRealtimeRuntime: 0,
  CpusetCpus: '',
  CpusetMems: '',
  Devices: null,
  DeviceCgroupRules: null,
  DeviceRequests: null,
  MemoryReservation: 0,
  MemorySwap: 0,
  MemorySwappiness: null,
  OomKillDisable: false,
  PidsLimit: null,
  Ulimits: null,
  CpuCount: 0,
  CpuPercent: 0,
  IOMaximumIOps: 0,
  IOMaximumBandwidth: 0,
};

/** What this machine gives to a container that does not say. */
export interface HostDefaults extends Pick<SystemFacts, 'cgroupVersion' | 'hiddenPaths'> {
  readonly version: string;
}

export function hostConfigOf(config: ContainerConfig, machine: HostDefaults): Record<string, unknown> {
  return {
    ...DEFAULTS,
    ...hidden(config, machine),
    ...said(config),
    ...set(config.asRequested['HostConfig']),
    ...(isBefore(machine.version, '1.42') ? { KernelMemory: 0, KernelMemoryTCP: 0 } : {}),
    ...normal(config, machine),
    ...limitsJson(config.limits),
    RestartPolicy: restartJson(config.restart),
  };
}

function hidden({ privileged }: ContainerConfig, { hiddenPaths }: HostDefaults): Record<string, unknown> {
  if (privileged) return { MaskedPaths: null, ReadonlyPaths: null };
  return { MaskedPaths: hiddenPaths.masked, ReadonlyPaths: hiddenPaths.readOnly };
}

/** For containers that no create request made: the tasks of services. */
function said(config: ContainerConfig): Record<string, unknown> {
  const listed = <T>(items: readonly T[]): readonly T[] | null => (items.length > 0 ? items : null);
  const mounts = config.mounts.filter((mount) => !isAnonymous(mount)).map(mountJson);
  return {
    CapAdd: listed(config.capabilityAdd),
    CapDrop: listed(config.capabilityDrop),
    Dns: config.dns.servers,
    DnsOptions: config.dns.options,
    DnsSearch: config.dns.search,
    ExtraHosts: listed(config.extraHosts),
    GroupAdd: listed(config.groups),
    OomScoreAdj: config.oomScoreAdjustment,
    Privileged: config.privileged,
    PublishAllPorts: config.publishAll,
    ReadonlyRootfs: config.readOnlyRoot,
    SecurityOpt: listed(config.securityOptions),
    CgroupParent: config.cgroupParent,
    Ulimits: listed(config.ulimits.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard }))),
    ...(mounts.length > 0 && config.asRequested['HostConfig'] === undefined ? { Mounts: mounts } : {}),
    ...(Object.keys(config.tmpfs).length > 0 ? { Tmpfs: config.tmpfs } : {}),
    ...(Object.keys(config.sysctls).length > 0 ? { Sysctls: config.sysctls } : {}),
    ...(config.init ? { Init: true } : {}),
  };
}

const isAnonymous = (mount: ContainerMount): boolean => mount.type === 'volume' && mount.source === '';

const mountJson = (mount: ContainerMount): Record<string, unknown> => ({
  Type: mount.type,
  ...(mount.source === '' ? {} : { Source: mount.source }),
  Target: mount.target,
  ...(mount.readOnly ? { ReadOnly: true } : {}),
});

/** Where an empty request means a default, inspect shows the default. */
function normal(config: ContainerConfig, { cgroupVersion }: HostDefaults): Record<string, unknown> {
  return {
    NetworkMode: config.network,
    PortBindings: bindingsOf(config.publish),
    AutoRemove: config.autoRemove,
    LogConfig: { Type: config.logDriver.name, Config: config.logDriver.options },
    IpcMode: config.ipcMode || 'private',
    CgroupnsMode: config.cgroupNamespaceMode || (cgroupVersion === '2' ? 'private' : 'host'),
    PidMode: config.pidMode,
    UTSMode: config.utsMode,
    ShmSize: config.shmBytes || SHM_BYTES,
    Runtime: config.runtime || 'shoal',
  };
}

/** The request's fields that were set: null stands for Go's nil, which a default may replace. */
function set(host: unknown): Record<string, unknown> {
  if (typeof host !== 'object' || host === null) return {};
  return Object.fromEntries(Object.entries(host).filter(([, value]) => value !== null && value !== undefined));
}
