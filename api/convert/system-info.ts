// /info. Objects are never null: older clients crash on a missing Plugins or RegistryConfig.
import { statfsSync } from 'node:fs';
import { errnoOf } from '../../base/errors.ts';
import type { RegistrySettings } from '../../runtime/registry/contract.ts';
import type { ApiDeps } from '../deps.ts';
import type { LocalSwarm } from '../types/system.ts';
import { isBefore } from '../versions.ts';
import { goTime } from './time.ts';

/** Names of statfs(2)'s magic numbers, for the file systems that people put data on. */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  0xef53: 'extfs',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x01021994: 'tmpfs',
  0x794c7630: 'overlayfs',
  0x2fc12fc1: 'zfs',
  0xf2f52010: 'f2fs',
};

function fileSystemOf(path: string): string {
  try {
    return FILE_SYSTEMS[statfsSync(path).type] ?? 'unknown';
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return 'unknown';
  }
}

function registryConfig({ mirrors, insecure }: RegistrySettings): object {
  const isCidr = (entry: string): boolean => entry.includes('/');
  const hosts = insecure.filter((entry) => !isCidr(entry));
  const indexes = hosts.map((host) => [host, { Name: host, Mirrors: [], Secure: false, Official: false }] as const);
  const urls = mirrors.map((mirror) => `${mirror}/`);
  const official = { Name: 'docker.io', Mirrors: urls, Secure: true, Official: true };
  return {
    InsecureRegistryCIDRs: ['::1/128', '127.0.0.0/8', ...insecure.filter(isCidr)],
    IndexConfigs: { ...Object.fromEntries(indexes), 'docker.io': official },
    Mirrors: urls,
  };
}

/** What this engine does not do; newer clients are not told of it. */
const OF_OLD = { KernelMemory: false, KernelMemoryTCP: false };
const NONDISTRIBUTABLE = { AllowNondistributableArtifactsCIDRs: [], AllowNondistributableArtifactsHostnames: [] };

export async function systemInfo(
  { runtime, system, clock }: ApiDeps,
  swarm: LocalSwarm,
  version: string,
): Promise<object> {
  const others = await runtime.ociRuntimes.list();
  const containers = runtime.containers.list();
  const count = (...states: string[]): number => containers.filter(({ state }) => states.includes(state)).length;
  const { hidden } = runtime.networks.ingress();
  const warnings = [
    ...system.warnings,
    ...(hidden === undefined
      ? []
      : [`WARNING: services do not see their clients' addresses through this node: ${hidden}`]),
  ];
  return {
    ID: system.daemonId,
    Containers: containers.length,
    ContainersRunning: count('running', 'restarting'),
    ContainersPaused: count('paused'),
    ContainersStopped: count('created', 'exited', 'dead', 'removing'),
    Images: runtime.images.list().length,
    Driver: system.storageDriver,
    DriverStatus: [['Backing Filesystem', fileSystemOf(system.dataRoot)]],
    Plugins: {
      Volume: ['local'],
      Network: ['bridge', 'host', 'null'],
      Authorization: null,
      Log: ['json-file', 'local', 'none'],
    },
    MemoryLimit: true,
    SwapLimit: true,
    ...(isBefore(version, '1.42') ? OF_OLD : {}),
    CpuCfsPeriod: true,
    CpuCfsQuota: true,
    CPUShares: true,
    CPUSet: true,
    PidsLimit: true,
    OomKillDisable: false,
    IPv4Forwarding: true,
    Debug: system.debug,
    NFd: 0,
    NGoroutines: 0,
    NEventsListener: 0,
    SystemTime: goTime(clock.nowMs()),
    LoggingDriver: 'json-file',
    CgroupDriver: 'cgroupfs',
    CgroupVersion: system.cgroupVersion,
    KernelVersion: system.kernelVersion,
    OperatingSystem: system.operatingSystem,
    OSVersion: system.osVersion,
    OSType: 'linux',
    Architecture: system.architecture,
    IndexServerAddress: 'https://index.docker.io/v1/',
    RegistryConfig: {
      ...(isBefore(version, '1.49') ? NONDISTRIBUTABLE : {}),
      ...registryConfig(runtime.registries.settings),
    },
    NCPU: system.cpus,
    MemTotal: system.memoryBytes,
    GenericResources: null,
    DockerRootDir: system.dataRoot,
    HttpProxy: '',
    HttpsProxy: '',
    NoProxy: '',
    Name: system.hostname,
    Labels: system.labels,
    ExperimentalBuild: false,
    ServerVersion: system.version,
    Runtimes: { shoal: { path: 'shoal' }, ...runtimesJson(others) },
    DefaultRuntime: 'shoal',
    Swarm: swarm,
    LiveRestoreEnabled: true,
    Isolation: '',
    InitBinary: 'shoal-init',
    ContainerdCommit: { ID: '', Expected: '' },
    RuncCommit: { ID: '', Expected: '' },
    InitCommit: { ID: '', Expected: '' },
    SecurityOptions: [...(system.appArmor ? ['name=apparmor'] : []), 'name=seccomp,profile=builtin'],
    ProductLicense: '',
    CDISpecDirs: [],
    Warnings: warnings.length > 0 ? warnings : null,
  };
}

const runtimesJson = (runtimes: ReadonlyMap<string, { path: string; args: readonly string[] }>): object =>
  Object.fromEntries(
    [...runtimes].map(([name, { path, args }]) => [name, { path, ...(args.length > 0 ? { runtimeArgs: args } : {}) }]),
  );
