// From what a container is to what the helper is told to build. Pure: everything that depends on the machine is handed in.
import { join } from 'node:path';
import type { CgroupPlan, LaunchRequest, NamespaceChoice, NativeMount, ProcessSpec } from '../native/contract.ts';
import { parseBytes } from '../../base/units.ts';
import type { ContainerConfig } from './contract.ts';
import type { DevicePlan } from './devices.ts';
import { mergeEnv } from './merge.ts';
import { byDepth, nativeMount, tmpfsMount } from './mounts.ts';
import type { ContainerRecord } from './record.ts';
import type { Security } from './security.ts';

export interface LaunchFacts {
  readonly record: ContainerRecord;
  readonly runDirectory: string;
  readonly stateDirectory: string;
  readonly lowers: readonly string[];
  readonly hostname: string;
  /** Host paths of the container's own hosts, hostname and resolv.conf. */
  readonly etc: { readonly hosts: string; readonly hostname: string; readonly resolvConf: string };
  readonly namespaces: LaunchRequest['namespaces'];
  readonly cgroups: CgroupPlan;
  readonly devices: DevicePlan;
  readonly security: Security;
  readonly consoleSize: { readonly rows: number; readonly columns: number } | undefined;
}

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const SHM_BYTES = 64 * 1024 * 1024;
const LOG_UNBOUNDED = { bytesMax: 0, filesMax: 1 };

export function launchRequest(facts: LaunchFacts): LaunchRequest {
  const { record, security } = facts;
  const { config } = record;
  return {
    containerId: record.id,
    runDirectory: facts.runDirectory,
    stateDirectory: facts.stateDirectory,
    log: logOf(config, facts.stateDirectory),
    stdin: config.openStdin ? 'open' : 'null',
    hostname: facts.hostname,
    domainName: config.domainName,
    rootfs: {
      lowers: facts.lowers,
      upper: join(facts.stateDirectory, 'upper'),
      work: join(facts.stateDirectory, 'work'),
      readOnly: config.readOnlyRoot,
    },
    mounts: [...systemMounts(config, facts.namespaces), ...byDepth(ownMounts(facts))],
    namespaces: facts.namespaces,
    cgroups: facts.cgroups,
    maskedPaths: security.maskedPaths,
    readOnlyPaths: security.readOnlyPaths,
    devices: facts.devices.nodes,
    sysctls: config.sysctls,
    useInit: config.init,
    process: processOf(facts),
  };
}

function logOf(config: ContainerConfig, directory: string): LaunchRequest['log'] {
  if (config.logDriver.name === 'none') return undefined;
  const { options } = config.logDriver;
  const size = options['max-size'];
  const bounds =
    size === undefined || size === '-1'
      ? LOG_UNBOUNDED
      : { bytesMax: parseBytes(size), filesMax: Number(options['max-file'] ?? 1) };
  return { path: join(directory, 'container-json.log'), ...bounds };
}

function processOf({ record, hostname, security, consoleSize }: LaunchFacts): ProcessSpec {
  const { config } = record;
  return {
    args: record.args,
    env: processEnv(config, hostname),
    workingDirectory: config.workingDirectory || '/',
    user: config.user,
    groups: config.groups,
    terminal: config.terminal,
    ...(consoleSize && { consoleSize }),
    capabilities: security.capabilities,
    noNewPrivileges: security.noNewPrivileges,
    ...(security.seccomp && { seccomp: security.seccomp }),
    rlimits: config.ulimits,
    oomScoreAdjustment: config.oomScoreAdjustment,
  };
}

/** The helper adds HOME, because it reads the container's passwd file. */
export function processEnv(config: Pick<ContainerConfig, 'terminal' | 'env'>, hostname: string): string[] {
  const base = [PATH, `HOSTNAME=${hostname}`, ...(config.terminal ? ['TERM=xterm'] : [])];
  return mergeEnv(base, config.env);
}

const mount = (type: NativeMount['type'], target: string, rest: Partial<NativeMount> = {}): NativeMount => ({
  type,
  source: '',
  target,
  readOnly: false,
  flags: ['nosuid', 'noexec', 'nodev'],
  propagation: 'rprivate',
  recursive: false,
  data: '',
  ...rest,
});

function systemMounts(config: ContainerConfig, namespaces: LaunchRequest['namespaces']): NativeMount[] {
  const taken = new Set([...config.mounts.map(({ target }) => target), ...Object.keys(config.tmpfs)]);
  const readOnly = !config.privileged;
  const mounts = [
    mount('proc', '/proc'),
    mount('tmpfs', '/dev', { flags: ['nosuid', 'strictatime'], data: 'mode=755,size=65536k' }),
    mount('devpts', '/dev/pts', { flags: ['nosuid', 'noexec'], data: 'newinstance,ptmxmode=0666,mode=0620,gid=5' }),
    mount('sysfs', '/sys', { readOnly }),
    mount('cgroup', '/sys/fs/cgroup', { readOnly }),
    ...ipcMounts(config, namespaces.ipc),
  ];
  return mounts.filter(({ target }) => !taken.has(target));
}

function ipcMounts(config: ContainerConfig, ipc: NamespaceChoice): NativeMount[] {
  const shared = mount('bind', '/dev/shm', { source: '/dev/shm', recursive: true });
  if (ipc.kind === 'host') return [mount('mqueue', '/dev/mqueue'), shared];
  const size = config.shmBytes || SHM_BYTES;
  const memory = mount('tmpfs', '/dev/shm', { data: `mode=1777,size=${size}` });
  return config.ipcMode === 'none' ? [mount('mqueue', '/dev/mqueue')] : [mount('mqueue', '/dev/mqueue'), memory];
}

function ownMounts({ record, etc }: LaunchFacts): NativeMount[] {
  const asked = [
    ...record.mounts.map(nativeMount),
    ...Object.entries(record.config.tmpfs).map(([target, options]) => tmpfsMount(target, options)),
  ];
  const taken = new Set(asked.map(({ target }) => target));
  const files = [
    ['/etc/resolv.conf', etc.resolvConf],
    ['/etc/hostname', etc.hostname],
    ['/etc/hosts', etc.hosts],
  ] as const;
  const bound = files
    .filter(([target]) => !taken.has(target))
    .map(([target, source]) => mount('bind', target, { source, flags: [], readOnly: record.config.readOnlyRoot }));
  return [...bound, ...asked];
}
