// What the API and the agent ask of the machine's containers.
import type { HealthCheckSpec } from './health-spec.ts';
import type { Readable } from 'node:stream';
import type { ImageConfig } from '../image/contract.ts';
import type { AttachedStdio, FileChange, FileStat, OutputFrame } from '../native/contract.ts';
import type { Endpoint, PortPublish } from '../network/contract.ts';

export type { HealthCheckSpec };

export interface ContainerMount {
  readonly type: 'bind' | 'volume' | 'tmpfs';
  readonly source: string; // host path, volume name ('' anonymous)
  readonly target: string;
  readonly readOnly: boolean;
  readonly propagation: string; // '' default
  readonly tmpfsOptions: string;
  readonly noCopy: boolean;
  /** -v semantics: a missing host path is made; --mount semantics: it is an error. */
  readonly createSource: boolean;
  /** Of a volume: mount this folder or file inside it, which must be there. */
  readonly subpath?: string;
  /** Of a bind: leave out what is mounted below the source, or leave that writable though the source is read-only. */
  readonly below?: 'left-out' | 'writable';
  /** For a volume that this mount makes. */
  readonly volume?: {
    readonly labels: Readonly<Record<string, string>>;
    readonly options: Readonly<Record<string, string>>;
  };
}

/** A network that a container is to be in. Empty texts: not asked for. */
export interface NetworkAttachment {
  readonly network: string; // name or id
  readonly aliases: readonly string[];
  readonly links: readonly { readonly to: string; readonly alias: string }[];
  readonly macAddress: string;
  readonly address: string;
  readonly address6: string;
  readonly gatewayPriority: number;
  /** On a network of the cluster, by whoever speaks to it: the address is the container's already. */
  readonly assigned?: boolean;
  /** Of the default bridge: the container's ports are asked for by IPv6, too, so it has an address of it there. */
  readonly reachedBySix?: boolean;
}

export interface RestartRule {
  readonly name: 'no' | 'always' | 'unless-stopped' | 'on-failure';
  readonly attemptsMax: number;
}

/** What was asked for at create, after parsing. Image defaults are merged by `create`. */
export interface ContainerConfig {
  readonly name: string; // '' generated
  readonly image: string;
  readonly entrypoint: readonly string[] | undefined; // undefined: the image's; []: none
  readonly command: readonly string[] | undefined;
  readonly env: readonly string[];
  readonly workingDirectory: string;
  readonly user: string;
  readonly groups: readonly string[];
  readonly hostname: string;
  readonly domainName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly terminal: boolean;
  readonly openStdin: boolean;
  readonly stdinOnce: boolean;
  readonly stopSignal: string;
  readonly stopGraceMs: number; // -1: default 10 s
  readonly healthCheck: HealthCheckSpec | undefined;
  readonly exposedPorts: readonly string[];
  readonly publish: readonly PortPublish[];
  readonly publishAll: boolean;
  readonly network: string; // 'bridge' | 'none' | 'host' | 'container:ID' | name
  readonly networkAliases: readonly string[];
  readonly macAddress: string;
  /** All its networks, `network` first. Absent: that one, with `networkAliases` and `macAddress`. */
  readonly attachments?: readonly NetworkAttachment[];
  readonly dns: {
    readonly servers: readonly string[];
    readonly search: readonly string[];
    readonly options: readonly string[];
  };
  readonly extraHosts: readonly string[];
  readonly mounts: readonly ContainerMount[];
  readonly tmpfs: Readonly<Record<string, string>>;
  readonly readOnlyRoot: boolean;
  readonly init: boolean;
  readonly privileged: boolean;
  readonly capabilityAdd: readonly string[];
  readonly capabilityDrop: readonly string[];
  readonly securityOptions: readonly string[];
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly sysctls: Readonly<Record<string, string>>;
  readonly devices: readonly { readonly hostPath: string; readonly containerPath: string; readonly access: string }[];
  readonly deviceRules?: readonly string[]; // as people write them: c 1:3 rwm
  /** Instead of the default ones; absent: those. */
  readonly maskedPaths?: readonly string[];
  readonly readOnlyPaths?: readonly string[];
  readonly consoleSize?: { readonly rows: number; readonly columns: number };
  readonly pidMode: string;
  readonly ipcMode: string;
  readonly utsMode: string;
  readonly cgroupNamespaceMode: string;
  readonly cgroupParent: string;
  readonly shmBytes: number; // 0: 64 MiB
  readonly oomScoreAdjustment: number;
  readonly runtime?: string; // the name of another OCI runtime; absent or '': our own
  readonly limits: ContainerLimits;
  readonly restart: RestartRule;
  readonly autoRemove: boolean;
  readonly logDriver: { readonly name: string; readonly options: Readonly<Record<string, string>> };
  /** The create request as it came, for `inspect` to show HostConfig and Config with every field. */
  readonly asRequested: Readonly<Record<string, unknown>>;
}

export interface ContainerLimits {
  readonly nanoCpus: number;
  readonly cpuShares: number;
  readonly cpuQuota: number;
  readonly cpuPeriod: number;
  readonly cpusetCpus: string;
  readonly memoryBytes: number;
  readonly memorySwapBytes: number; // -1 unlimited, 0 unset
  readonly memoryReservationBytes: number;
  readonly pids: number; // 0 or -1: none
  readonly cpusetMems?: string;
  readonly oomKillDisable?: boolean;
  readonly memorySwappiness?: number; // 0 to 100
  readonly blockIoWeight?: number; // 10 to 1000; 0: none
  readonly blockIo?: readonly BlockIoLimit[];
}

export interface BlockIoLimit {
  readonly kind: 'weight' | 'read-bps' | 'write-bps' | 'read-iops' | 'write-iops';
  readonly path: string; // of the device, on the host
  readonly value: number;
}

export type ContainerState = 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead';

export interface ContainerInfo {
  readonly id: string;
  readonly name: string; // without slash
  readonly createdAtMs: number;
  readonly imageId: string;
  readonly imageReference: string; // as asked for
  readonly config: ContainerConfig;
  /** Effective command: entrypoint and command of config and image joined. */
  readonly args: readonly string[];
  readonly state: ContainerState;
  readonly pid: number; // 0 when not running
  readonly exitCode: number;
  readonly error: string;
  readonly oomKilled: boolean;
  readonly startedAtMs: number; // 0 never
  readonly finishedAtMs: number; // 0 never
  readonly restartCount: number;
  readonly health: HealthState | undefined;
  readonly attachments: readonly NetworkAttachment[]; // none for one that shares another's
  /** While it runs; `endpoint` is the first. */
  readonly endpoints: readonly Endpoint[];
  readonly endpoint: Endpoint | undefined;
  readonly mounts: readonly {
    readonly type: 'bind' | 'volume' | 'tmpfs';
    readonly name: string;
    readonly source: string;
    readonly target: string;
    readonly driver: string;
    readonly readOnly: boolean;
    readonly propagation: string;
  }[];
  readonly appArmorProfile: string; // '' where the machine confines nothing
  readonly logPath: string;
  readonly paths: {
    readonly hostname: string;
    readonly hosts: string;
    readonly resolvConf: string;
    readonly upper: string;
    readonly lowers: readonly string[];
  };
  readonly execIds: readonly string[];
}

export interface HealthState {
  readonly status: 'starting' | 'healthy' | 'unhealthy';
  readonly failingStreak: number;
  readonly log: readonly {
    readonly startMs: number;
    readonly endMs: number;
    readonly exitCode: number;
    readonly output: string;
  }[];
}

export interface LogRequest {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly follow: boolean;
  readonly tailLines: number | 'all';
  readonly sinceMs: number; // 0: from the start
  readonly untilMs: number; // 0: no end
}

export interface LogEntry {
  readonly stream: 'stdout' | 'stderr';
  readonly time: string; // RFC 3339 with nanoseconds
  readonly bytes: Buffer; // partial lines joined
}

export interface ExecConfig {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly workingDirectory: string;
  readonly user: string;
  readonly terminal: boolean;
  readonly privileged: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly detachKeys: string;
}

export interface ExecInfo {
  readonly id: string;
  readonly containerId: string;
  readonly config: ExecConfig;
  readonly running: boolean;
  readonly exitCode: number | undefined;
  readonly pid: number;
}

/** What one device did of one kind. */
export interface BlockIo {
  readonly major: number;
  readonly minor: number;
  readonly op: string;
  readonly count: number;
}

export interface Stats {
  readonly atMs: number;
  readonly cpuTotalNs: number;
  readonly cpuUserNs: number;
  readonly cpuKernelNs: number;
  /** Cgroup version 1 alone counts by core. */
  readonly cpuPerCoreNs?: readonly number[];
  readonly systemCpuNs: number;
  readonly onlineCpus: number;
  readonly throttling: { readonly periods: number; readonly throttledPeriods: number; readonly throttledNs: number };
  readonly memoryUsageBytes: number;
  /** The most that was ever used; cgroup version 1 alone. */
  readonly memoryUsageMaxBytes?: number;
  readonly memoryLimitBytes: number;
  readonly memoryStats: Readonly<Record<string, number>>;
  readonly pids: number;
  readonly pidsLimit: number;
  readonly blockIo: readonly BlockIo[];
  /** How often, not how many bytes; cgroup version 1 alone. */
  readonly blockIoOperations?: readonly BlockIo[];
  readonly network:
    | {
        readonly rxBytes: number;
        readonly rxPackets: number;
        readonly rxErrors: number;
        readonly rxDropped: number;
        readonly txBytes: number;
        readonly txPackets: number;
        readonly txErrors: number;
        readonly txDropped: number;
      }
    | undefined;
}

export interface CommitRequest {
  readonly target: string; // repository[:tag], '' for none
  readonly author: string;
  readonly comment: string;
  readonly config: ImageConfig;
  readonly changes: readonly string[]; // Dockerfile lines
  readonly pauses: boolean; // a running container stands still meanwhile
}

/** Paths are the container's own; nothing outside is reached through them. */
export interface ContainerFiles {
  /** Throws not-found: "Could not find the file PATH in container REFERENCE". */
  stat(reference: string, path: string): Promise<FileStat>;
  /** A tar stream. It has to be read to its end, or left by `return`. */
  read(reference: string, path: string): Promise<{ stat: FileStat; archive: AsyncIterable<Buffer> }>;
  /** Applies a tar stream, plain or compressed, below a folder. */
  write(
    reference: string,
    path: string,
    archive: Readable,
    options: { readonly keepsKind: boolean; readonly asUser: boolean; readonly abort: AbortSignal },
  ): Promise<void>;
  /** The root file system without volumes, as a tar stream. */
  export(reference: string): Promise<AsyncIterable<Buffer>>;
  changes(reference: string): Promise<readonly FileChange[]>;
  sizes(reference: string): Promise<{ ownBytes: number; rootBytes: number }>;
  /** An image of the container as it is. Resolves with its id. */
  commit(reference: string, request: CommitRequest, abort: AbortSignal): Promise<string>;
}

export interface Containers {
  readonly files: ContainerFiles;
  create(config: ContainerConfig): Promise<{ id: string; warnings: readonly string[] }>;
  /** Full id, exact name, or unique id prefix. Throws not-found: "No such container: x". */
  get(reference: string): ContainerInfo;
  list(): readonly ContainerInfo[];
  /** Rejects `not-modified` when it runs already. */
  start(reference: string): Promise<void>;
  /** The signal, then SIGKILL after the grace. Rejects `not-modified` when it does not run. */
  stop(reference: string, options: { signal?: string; graceMs?: number }): Promise<void>;
  kill(reference: string, signal: string): Promise<void>;
  restart(reference: string, options: { signal?: string; graceMs?: number }): Promise<void>;
  pause(reference: string): Promise<void>;
  unpause(reference: string): Promise<void>;
  rename(reference: string, name: string): Promise<void>;
  /** Puts it into a further network, at once where it runs. */
  connect(reference: string, attachment: NetworkAttachment): Promise<void>;
  disconnect(reference: string, network: string): Promise<void>;
  /** Takes a link of the default bridge away. */
  unlink(reference: string, alias: string): Promise<void>;
  remove(reference: string, options: { force: boolean; volumes: boolean }): Promise<void>;
  /** Subscribes at once (before the returned promise is awaited). `removed` answers with the code although it is gone by then. */
  wait(
    reference: string,
    condition: 'not-running' | 'next-exit' | 'removed',
    abort: AbortSignal,
  ): Promise<{ exitCode: number; error: string }>;
  /** Works before start: output of the coming run. */
  attach(reference: string, options: { stdin: boolean; stdout: boolean; stderr: boolean }): Promise<AttachedStdio>;
  resize(reference: string, size: { rows: number; columns: number }): Promise<void>;
  logs(reference: string, request: LogRequest, abort: AbortSignal): AsyncIterable<LogEntry>;
  top(
    reference: string,
    psArgs: string,
  ): Promise<{ titles: readonly string[]; processes: readonly (readonly string[])[] }>;
  stats(reference: string): Promise<Stats>;
  update(reference: string, change: { limits: Partial<ContainerLimits>; restart?: RestartRule }): Promise<void>;
  execCreate(reference: string, config: ExecConfig): Promise<string>;
  execGet(execId: string): ExecInfo;
  /** The attached process, already running; its `output` carries "OCI runtime exec failed: …" when it could not start. */
  execStart(
    execId: string,
    options: { consoleSize?: { rows: number; columns: number }; detach: boolean },
  ): Promise<AttachedStdio | undefined>;
  execResize(execId: string, size: { rows: number; columns: number }): Promise<void>;
}

export type { AttachedStdio, FileChange, FileStat, OutputFrame };
