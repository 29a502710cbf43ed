// What the container code asks of the C helper family. The wire protocols behind it: runtime/native/PROTOCOL.md.
// zygote: one per daemon, forks shims. shim: one per container, parent of its PID 1, holds stdio, log and exit status.
// Both survive the daemon; `adopt` finds a shim again.
import type { Duplex } from 'node:stream';

/** Limits to write and groups to join. Paths are absolute; the helper makes the folders, daemon code removes them. */
export interface CgroupPlan {
  /** One folder for each v1 controller in use and/or the one cgroup2 folder, which the process is born into. */
  readonly groups: readonly {
    readonly version: 1 | 2;
    readonly path: string;
    readonly writes: readonly (readonly [file: string, value: string])[];
  }[];
  /** Rules for BPF_CGROUP_DEVICE on the cgroup2 folder; absent: all devices allowed. */
  readonly devices?: readonly DeviceRule[];
}

export interface DeviceRule {
  readonly allow: boolean;
  readonly type: 'a' | 'b' | 'c';
  readonly major: number; // -1: any
  readonly minor: number; // -1: any
  readonly access: string; // subset of rwm
}

export interface NativeMount {
  /** `foreign`: what another mount namespace (`source`, its file) has at the path `data`. */
  readonly type: 'bind' | 'tmpfs' | 'proc' | 'sysfs' | 'devpts' | 'mqueue' | 'cgroup' | 'foreign';
  readonly source: string; // absolute host path for bind; otherwise the name that is shown, '' for the type's
  readonly target: string; // inside the container; resolved by openat2 under its root
  readonly readOnly: boolean;
  /** `top-only`: of a recursive bind, read-only and the other flags do not concern what is mounted below. */
  readonly flags: readonly ('nosuid' | 'nodev' | 'noexec' | 'strictatime' | 'top-only')[];
  readonly propagation: 'private' | 'rprivate' | 'shared' | 'rshared' | 'slave' | 'rslave';
  readonly recursive: boolean;
  readonly data: string; // file system options: size=…,mode=…; of a bind: a path below the source, which it can not leave
}

/** `host`: the daemon's own · `new` · a path to a namespace file to join. */
export type NamespaceChoice = { readonly kind: 'host' | 'new' } | { readonly kind: 'path'; readonly path: string };

export interface ProcessSpec {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly workingDirectory: string;
  /** As Docker takes it: '' (root), name, uid, name:group, uid:gid; names are looked up in the container's own files. */
  readonly user: string;
  readonly groups: readonly string[];
  readonly terminal: boolean;
  readonly consoleSize?: { readonly rows: number; readonly columns: number };
  readonly capabilities: readonly string[]; // bounding = permitted = effective; inheritable and ambient stay empty
  readonly noNewPrivileges: boolean;
  /** AppArmor's, which has to be loaded; absent: as the daemon is confined. */
  readonly appArmorProfile?: string;
  /** Parsed rules for the helper's seccomp compiler; absent: no filter. */
  readonly seccomp?: SeccompPolicy;
  readonly rlimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly oomScoreAdjustment: number;
}

/** moby's profile after its includes and excludes were resolved for this container. */
export interface SeccompPolicy {
  readonly defaultAction: SeccompAction;
  readonly architectures: readonly string[]; // x86_64, x86, aarch64, …
  readonly rules: readonly {
    readonly names: readonly string[];
    readonly action: SeccompAction;
    readonly arguments: readonly {
      readonly index: number;
      readonly operator: string; // SCMP_CMP_EQ, …
      readonly value: bigint;
      readonly valueTwo: bigint;
    }[];
  }[];
}
export type SeccompAction =
  | { readonly kind: 'allow' | 'kill' | 'kill-process' | 'trap' | 'log' }
  | { readonly kind: 'errno'; readonly errno: number };

export interface LaunchRequest {
  readonly containerId: string;
  /**
   * Run directory of this container, short, 0700: control socket `s`, pid file, `runFiles`. The shim makes it if need be,
   * and removes it with all that is in it when it ends in order.
   */
  readonly runDirectory: string;
  readonly runFiles: readonly { readonly name: string; readonly content: string }[];
  /** Durable state directory: exit.json ends up here. */
  readonly stateDirectory: string;
  readonly log: { readonly path: string; readonly bytesMax: number; readonly filesMax: number } | undefined;
  readonly stdin: 'null' | 'open';
  readonly hostname: string;
  readonly domainName: string;
  readonly rootfs: {
    readonly lowers: readonly string[]; // top first
    readonly upper: string;
    readonly work: string;
    readonly readOnly: boolean;
  };
  readonly mounts: readonly NativeMount[];
  readonly namespaces: {
    readonly network: NamespaceChoice;
    readonly pid: NamespaceChoice;
    readonly ipc: NamespaceChoice;
    readonly uts: NamespaceChoice;
    readonly cgroup: NamespaceChoice;
  };
  readonly cgroups: CgroupPlan;
  readonly maskedPaths: readonly string[];
  readonly readOnlyPaths: readonly string[];
  readonly devices: readonly {
    readonly path: string;
    readonly type: 'b' | 'c';
    readonly major: number;
    readonly minor: number;
    readonly mode: number;
    readonly uid: number;
    readonly gid: number;
  }[];
  readonly sysctls: Readonly<Record<string, string>>;
  readonly useInit: boolean; // the shim's own minimal init as PID 1
  /** The program of another OCI runtime that is to bring the container into being; absent: our own. */
  readonly runtime?: {
    readonly path: string;
    readonly args: readonly string[];
    readonly cgroupsPath: string; // below every hierarchy's mount point
    readonly devices: readonly DeviceRule[] | undefined; // undefined: all are allowed
  };
  readonly process: ProcessSpec;
}

export interface ExitRecord {
  readonly exitCode: number; // 128 + signal for a signalled process
  readonly signal: number; // 0: none
  readonly oomKilled: boolean;
  readonly atMs: number;
}

/** Output of a process: raw bytes with their stream; a terminal's all is stdout. */
export interface OutputFrame {
  readonly stream: 'stdout' | 'stderr';
  readonly bytes: Buffer;
}

/** One attached client. `output` ends after the last byte when the process is gone. */
export interface AttachedStdio {
  readonly output: AsyncIterable<OutputFrame>;
  /** Resolves when the shim has taken the bytes (back-pressure). */
  write(bytes: Uint8Array): Promise<void>;
  /** Half-close: the process reads end of file. */
  closeStdin(): Promise<void>;
  detach(): void;
}

export interface ShimProcess {
  readonly pid: number; // in the daemon's pid namespace
  resize(size: { rows: number; columns: number }): Promise<void>;
  signal(signal: number): Promise<void>;
  attach(options: { stdin: boolean; stdout: boolean; stderr: boolean }): Promise<AttachedStdio>;
  /** Resolves once; after a daemon restart, from the record. Never rejects. */
  readonly exited: Promise<ExitRecord>;
}

/** A file of the state directory, written along with what the shim is asked; code `internal` when it can not be. */
export interface Note {
  readonly name: string;
  readonly text: string;
}

export interface Shim extends ShimProcess {
  readonly containerId: string;
  readonly startTimeTicks: number; // field 22 of /proc/PID/stat: with the pid, an identity
  /** As it was when the shim was launched or adopted; `exited` then resolves at once. */
  readonly state: 'prepared' | 'running' | 'exited';
  /** What this machine did not allow and was lowered or left out, a sentence each. */
  readonly warnings: readonly string[];
  /** False for one of an earlier version: it has to be given none. */
  readonly takesNotes: boolean;
  /**
   * Lets the prepared PID 1 run its command, once the note is written. Rejects with code `invalid` and the kernel's words when it can not:
   * the message holds "executable file not found in $PATH", "permission denied" or "no such file or directory".
   */
  start(note?: Note): Promise<void>;
  /**
   * A running process; errors as `start`. Unless `detached`, its output waits for the one `attach` of the result, which
   * carries all of it; a detached one's goes nowhere.
   */
  exec(process: ProcessSpec, options: { stdin: boolean; execId: string; detached?: boolean }): Promise<ShimProcess>;
  /** Ends shim and container at once. */
  kill(): Promise<void>;
  /** The daemon has stored the exit record, or this note does it; the shim may go. */
  acknowledgeExit(note?: Note): Promise<void>;
}

/** Where a container's files are: in the mounts of its PID 1, or, of one that does not run, in its layers. */
export type FileView =
  | { readonly kind: 'process'; readonly pid: number; readonly startTimeTicks: number }
  | {
      readonly kind: 'layers';
      readonly scratch: string; // any folder of the host; what is mounted on it is seen by nobody
      readonly lowers: readonly string[]; // top first
      readonly upper: string;
      readonly work: string;
      readonly readOnly: boolean;
      readonly mounts: readonly NativeMount[];
    };

export interface FileStat {
  readonly linkTarget: string; // where a link leads in the end, inside the container; '' for what is none
  readonly sizeBytes: number;
  readonly mode: number; // type and permissions as stat(2) has them
  readonly mtimeSeconds: number;
  readonly mtimeNanoseconds: number;
}

export interface FileChange {
  readonly path: string;
  readonly kind: 'changed' | 'added' | 'deleted';
}

/** Files of containers, by a process that resolves every path below the container's root. `not-found`: "Could not find the file PATH". */
export interface NativeFiles {
  /** A link at the end is not followed, unless the path ends in a slash. */
  stat(view: FileView, path: string): Promise<FileStat>;
  /** A tar stream of the entry, whose names begin with `name`. */
  read(view: FileView, path: string, name: string): Promise<{ stat: FileStat; archive: AsyncIterable<Buffer> }>;
  /** Applies a tar stream below a folder. `forbidden`: it is read-only. */
  write(
    view: FileView,
    path: string,
    options: { readonly keepsKind: boolean; readonly owner: string },
  ): Promise<{ input: Duplex; done: Promise<void> }>;
  /** The root file system alone, without what is mounted in it. */
  exportRoot(view: FileView): Promise<AsyncIterable<Buffer>>;
  /** The container's own layer, with whiteouts in Docker's spelling. */
  layer(view: FileView & { readonly kind: 'layers' }): Promise<AsyncIterable<Buffer>>;
  changes(view: FileView & { readonly kind: 'layers' }): Promise<FileChange[]>;
  /** Bytes of the regular files below a folder of the host. */
  sizeBytes(folder: string): Promise<number>;
}

/** One call of mount(2), in the daemon's own mounts. */
export interface VolumeMount {
  readonly device: string;
  readonly target: string;
  readonly type: string;
  readonly flags: number; // MS_…
  readonly data: string;
}

export interface NativeVolumes {
  /** Rejects with Docker's words: "mount DEVICE:TARGET, flags: 0x1000: no such file or directory". */
  mount(mount: VolumeMount): Promise<void>;
  /** Nobody finds it any more; who has a file open there keeps it. */
  unmount(target: string): Promise<void>;
}

export interface NativeRuntime extends AsyncDisposable {
  readonly files: NativeFiles;
  readonly volumes: NativeVolumes;
  /**
   * Builds namespaces, mounts and cgroups and holds PID 1 just before its exec. On failure nothing is left behind.
   * Errors name the step: code `invalid` for the caller's fault (bad user, missing working directory), else `internal`.
   */
  launch(request: LaunchRequest): Promise<Shim>;
  /** The shim that was left by an earlier daemon; undefined if it is gone (then exit.json may hold the status). */
  adopt(containerId: string, runDirectory: string): Promise<Shim | undefined>;
  /** Unpacks a tar stream below `directory` in a chroot, safely; the stream is uncompressed. Layers: whiteouts become overlay's. */
  unpack(directory: string, options: { layer: boolean }): Promise<{ input: Duplex; done: Promise<void> }>;
  /** Takes a folder away with all that is in it, soon and together with others: for what nobody waits for. */
  removeFolder(path: string): Promise<void>;
  /** Asks the file system to put the folders that will be made in each of these far apart: see spread.c. */
  spread(folders: readonly string[]): Promise<void>;
}
