// From what a container is to what the helper is told to build. Pure: everything that depends on the machine is handed in.
import { join } from 'node:path';
import { parseBytes } from '../../base/units.ts';
import type { CgroupPlan, LaunchRequest, NativeMount, ProcessSpec } from '../native/contract.ts';
import { defaultMounts } from '../native/defaults.ts';
import type { ContainerConfig } from './contract.ts';
import type { DevicePlan } from './devices.ts';
import { mergeEnv } from './merge.ts';
import { byDepth, nativeMount, tmpfsMount } from './mounts.ts';
import type { ContainerRecord } from './record.ts';
import { confinement, type Security } from './security.ts';

export interface LaunchFacts {
  readonly record: ContainerRecord;
  readonly runDirectory: string;
  readonly runFiles: LaunchRequest['runFiles'];
  readonly stateDirectory: string;
  readonly lowers: readonly string[];
  readonly hostname: string;
  readonly linkVariables: readonly string[];
  /** Host paths of the container's own hosts, hostname and resolv.conf. */
  readonly etc: { readonly hosts: string; readonly hostname: string; readonly resolvConf: string };
  readonly namespaces: LaunchRequest['namespaces'];
  readonly cgroups: CgroupPlan;
  readonly devices: DevicePlan;
  readonly runtime?: LaunchRequest['runtime'];
  readonly security: Security;
  readonly consoleSize: { readonly rows: number; readonly columns: number } | undefined;
}

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Bounds of the drivers unless an option says otherwise: Docker's. */
const LOG_BOUNDS = { 'json-file': { size: '-1', files: 1 }, local: { size: '20m', files: 5 } } as const;

export function launchRequest(facts: LaunchFacts): LaunchRequest {
  const { record, security } = facts;
  const { config } = record;
  return {
    containerId: record.id,
    runDirectory: facts.runDirectory,
    runFiles: facts.runFiles,
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
    ...(facts.runtime && { runtime: facts.runtime }),
    process: processOf(facts),
  };
}

function logOf(config: ContainerConfig, directory: string): LaunchRequest['log'] {
  if (config.logDriver.name === 'none') return undefined;
  const { name, options } = config.logDriver;
  const usual = LOG_BOUNDS[name === 'local' ? 'local' : 'json-file'];
  const size = options['max-size'] ?? usual.size;
  const filesMax = size === '-1' ? 1 : Number(options['max-file'] ?? usual.files);
  return { path: join(directory, 'container-json.log'), bytesMax: size === '-1' ? 0 : parseBytes(size), filesMax };
}

function processOf({ record, hostname, linkVariables, security, consoleSize }: LaunchFacts): ProcessSpec {
  const { config } = record;
  return {
    args: record.args,
    env: processEnv(config, hostname, linkVariables),
    workingDirectory: config.workingDirectory || '/',
    user: config.user,
    groups: config.groups,
    terminal: config.terminal,
    ...(consoleSize && { consoleSize }),
    capabilities: security.capabilities,
    noNewPrivileges: security.noNewPrivileges,
    ...confinement(security),
    ...(security.seccomp && { seccomp: security.seccomp }),
    rlimits: config.ulimits,
    oomScoreAdjustment: config.oomScoreAdjustment,
  };
}

/** The helper adds HOME, because it reads the container's passwd file. */
export function processEnv(
  config: Pick<ContainerConfig, 'terminal' | 'env'>,
  hostname: string,
  linkVariables: readonly string[],
): string[] {
  const base = [PATH, `HOSTNAME=${hostname}`, ...(config.terminal ? ['TERM=xterm'] : []), ...linkVariables];
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
  const { ipc } = namespaces;
  const ownIpc = ipc.kind === 'new';
  const { shmBytes, privileged } = config;
  const mounts = defaultMounts({ shmBytes, privileged, ownIpc });
  // A namespace's message queues can be mounted anywhere; its shared memory is a folder of the host.
  if (!ownIpc) mounts.push(mount('mqueue', '/dev/mqueue'));
  if (ipc.kind === 'host') mounts.push(mount('bind', '/dev/shm', { source: '/dev/shm', recursive: true }));
  if (ipc.kind === 'path')
    mounts.push(mount('foreign', '/dev/shm', { source: ipc.path.replace(/ipc$/, 'mnt'), data: 'dev/shm' }));
  if (config.ipcMode === 'none') taken.add('/dev/shm');
  return mounts.filter(({ target }) => !taken.has(target));
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
