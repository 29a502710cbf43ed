// The frames' contents: requests encoded from the contract's types, answers decoded into them.
// The order of fields is that of runtime/native/request.c.
import { CodedError, type ErrorCode } from '../../base/errors.ts';
import type {
  CgroupPlan,
  DeviceRule,
  ExitRecord,
  FileStat,
  FileView,
  LaunchRequest,
  NamespaceChoice,
  NativeMount,
  Note,
  ProcessSpec,
  SeccompAction,
  SeccompPolicy,
} from './contract.ts';
import { FRAME, type Frame, FrameReader, FrameWriter, PROTOCOL } from './wire.ts';

const MOUNT_TYPE = { bind: 0, tmpfs: 1, proc: 2, sysfs: 3, devpts: 4, mqueue: 5, cgroup: 6, foreign: 7 } as const;
const MOUNT_FLAG = { nosuid: 1, nodev: 2, noexec: 4, strictatime: 8, 'top-only': 16 } as const;
const PROPAGATION = { private: 0, rprivate: 0, shared: 1, rshared: 1, slave: 2, rslave: 2 } as const;
const NAMESPACE = { host: 0, new: 1, path: 2 } as const;
const ACTION = { allow: 0, kill: 1, trap: 2, log: 3, errno: 4, 'kill-process': 5 } as const;
const OPERATOR: Readonly<Record<string, number>> = {
  SCMP_CMP_NE: 0,
  SCMP_CMP_LT: 1,
  SCMP_CMP_LE: 2,
  SCMP_CMP_EQ: 3,
  SCMP_CMP_GE: 4,
  SCMP_CMP_GT: 5,
  SCMP_CMP_MASKED_EQ: 6,
};
/** A container's or an exec's, most of it the filter of its system calls. */
const CONTAINER_BYTES = 16 << 10;
const FAULT_CODE: readonly ErrorCode[] = ['internal', 'internal', 'invalid', 'conflict', 'not-found', 'forbidden'];

export interface ShimStatus {
  readonly containerId: string;
  readonly state: 'prepared' | 'running' | 'exited';
  readonly pid: number;
  readonly startTimeTicks: number;
  readonly exit: ExitRecord;
  readonly warnings: readonly string[];
}

export function encodeHello(sourceHash: string): Buffer {
  return new FrameWriter(FRAME.hello).u32(PROTOCOL.min).u32(PROTOCOL.max).strings([]).string(sourceHash).finish();
}

/** A request without fields. */
export function encodePlain(type: number, request: number): Buffer {
  return new FrameWriter(type).u32(request).finish();
}

export function encodeNoted(type: number, request: number, note: Note | undefined): Buffer {
  const writer = new FrameWriter(type).u32(request);
  if (note) writer.string(note.name).string(note.text);
  return writer.finish();
}

export function encodeLaunch(request: number, launch: LaunchRequest): Buffer {
  const writer = new FrameWriter(FRAME.launch, CONTAINER_BYTES).u32(request);
  writer.string(launch.containerId).string(launch.runDirectory).string(launch.stateDirectory);
  writer.list(launch.runFiles, ({ name, content }) => writer.string(name).string(content));
  writer.flag(launch.log !== undefined).string(launch.log?.path ?? '');
  writer.u64(BigInt(launch.log?.bytesMax ?? 0)).u32(launch.log?.filesMax ?? 0);
  writer
    .flag(launch.stdin === 'open')
    .string(launch.hostname)
    .string(launch.domainName);
  writer.strings(launch.rootfs.lowers).string(launch.rootfs.upper).string(launch.rootfs.work);
  writer.flag(launch.rootfs.readOnly).list(launch.mounts, (mount) => writeMount(writer, mount));
  const { network, pid, ipc, uts, cgroup } = launch.namespaces;
  for (const choice of [network, pid, ipc, uts, cgroup]) writeNamespace(writer, choice);
  writeCgroups(writer, launch.cgroups);
  writer.strings(launch.maskedPaths).strings(launch.readOnlyPaths);
  writer.list(launch.devices, (device) => {
    writer.string(device.path).u8(device.type.charCodeAt(0)).u32(device.major).u32(device.minor);
    writer.u32(device.mode).u32(device.uid).u32(device.gid);
  });
  writer.list(Object.entries(launch.sysctls), ([key, value]) => writer.string(key).string(value));
  writer.flag(launch.useInit).flag(launch.runtime !== undefined);
  if (launch.runtime) writeRuntime(writer, launch.runtime);
  writeProcess(writer, launch.process);
  return writer.finish();
}

export function encodeRemove(request: number, paths: readonly string[]): Buffer {
  return new FrameWriter(FRAME.remove).u32(request).strings(paths).finish();
}

export interface StreamChoice {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

const streamBits = (choice: StreamChoice): number =>
  (choice.stdin ? 1 : 0) | (choice.stdout ? 2 : 0) | (choice.stderr ? 4 : 0);

export function encodeExec(request: number, execId: string, streams: StreamChoice, process: ProcessSpec): Buffer {
  const writer = new FrameWriter(FRAME.exec, CONTAINER_BYTES).u32(request).string(execId).u8(streamBits(streams));
  writeProcess(writer, process);
  return writer.finish();
}

export function encodeAttach(request: number, execId: string, streams: StreamChoice): Buffer {
  return new FrameWriter(FRAME.attach).u32(request).string(execId).u8(streamBits(streams)).finish();
}

export function encodeSignal(request: number, execId: string, signal: number): Buffer {
  return new FrameWriter(FRAME.signal).u32(request).string(execId).u32(signal).finish();
}

export function encodeResize(request: number, execId: string, size: { rows: number; columns: number }): Buffer {
  return new FrameWriter(FRAME.resize).u32(request).string(execId).u16(size.rows).u16(size.columns).finish();
}

export function encodeUnpack(request: number, directory: string, layer: boolean): Buffer {
  return new FrameWriter(FRAME.unpack).u32(request).string(directory).flag(layer).finish();
}

const FILE_OPERATION = { stat: 0, read: 1, write: 2, export: 3, layer: 4, changes: 5, size: 6 } as const;

export interface FilesRequest {
  readonly operation: keyof typeof FILE_OPERATION;
  readonly view: FileView | { readonly kind: 'folder'; readonly path: string };
  readonly path?: string;
  readonly name?: string; // of the entry in the archive
  readonly keepsKind?: boolean;
  readonly owner?: string;
}

export function encodeFiles(request: number, files: FilesRequest): Buffer {
  const { operation, view } = files;
  const writer = new FrameWriter(FRAME.files).u32(request).u8(FILE_OPERATION[operation]);
  if (view.kind === 'process') writer.u8(0).u32(view.pid).u64(BigInt(view.startTimeTicks));
  else if (view.kind === 'folder') writer.u8(2).string(view.path);
  else {
    writer.u8(1).string(view.scratch).strings(view.lowers).string(view.upper).string(view.work);
    writer.flag(view.readOnly).list(view.mounts, (mount) => writeMount(writer, mount));
  }
  writer
    .string(files.path ?? '/')
    .string(files.name ?? '')
    .flag(files.keepsKind ?? false);
  return writer.string(files.owner ?? '').finish();
}

export function decodeFile(frame: Frame): FileStat {
  const reader = new FrameReader(frame.payload);
  reader.u32();
  const linkTarget = reader.string();
  const sizeBytes = reader.u64();
  const mode = reader.u32();
  const seconds = reader.i64();
  const stat = { linkTarget, sizeBytes, mode, mtimeSeconds: seconds, mtimeNanoseconds: reader.u32() };
  reader.finish();
  return stat;
}

/** The header of a standard-input frame of `length` bytes. */
export function stdinHeader(length: number): Buffer {
  const header = Buffer.allocUnsafe(5);
  header.writeUInt32LE(length + 1, 0);
  header.writeUInt8(FRAME.stdin, 4);
  return header;
}

export function decodeHello(frame: Frame): { min: number; max: number; features: string[]; sourceHash: string } {
  const reader = new FrameReader(frame.payload);
  const hello = { min: reader.u32(), max: reader.u32(), features: reader.strings(), sourceHash: reader.string() };
  reader.finish();
  return hello;
}

export function decodeFault(frame: Frame): { request: number; error: CodedError } {
  const reader = new FrameReader(frame.payload);
  const request = reader.u32();
  const code = FAULT_CODE[reader.u32()] ?? 'internal';
  reader.i32();
  const text = reader.string();
  reader.finish();
  return { request, error: new CodedError(code, text) };
}

export function decodeStatus(frame: Frame): { request: number; status: ShimStatus } {
  const reader = new FrameReader(frame.payload);
  const request = reader.u32();
  const containerId = reader.string();
  const state = reader.u8();
  const pid = reader.u32();
  const startTimeTicks = reader.u64();
  const exit = readExit(reader);
  const warnings = reader.string().split('\n').filter(Boolean);
  reader.finish();
  const name = state === 4 ? 'exited' : state === 1 ? 'prepared' : 'running';
  return { request, status: { containerId, state: name, pid, startTimeTicks, exit, warnings } };
}

export function decodeExited(frame: Frame): { execId: string; exit: ExitRecord } {
  const reader = new FrameReader(frame.payload);
  const execId = reader.string();
  const exit = readExit(reader);
  reader.finish();
  return { execId, exit };
}

export function decodeStarted(frame: Frame): { request: number; pid: number } {
  const reader = new FrameReader(frame.payload);
  const started = { request: reader.u32(), pid: reader.u32() };
  reader.finish();
  return started;
}

function readExit(reader: FrameReader): ExitRecord {
  return { exitCode: reader.i32(), signal: reader.u32(), oomKilled: reader.u8() === 1, atMs: reader.u64() };
}

function writeMount(writer: FrameWriter, mount: NativeMount): void {
  const flags = mount.flags.reduce((bits, flag) => bits | MOUNT_FLAG[flag], 0);
  writer.u8(MOUNT_TYPE[mount.type]).string(mount.source).string(mount.target).flag(mount.readOnly).u32(flags);
  writer.u8(PROPAGATION[mount.propagation]).flag(mount.propagation.startsWith('r')).flag(mount.recursive);
  writer.string(mount.data);
}

function writeNamespace(writer: FrameWriter, choice: NamespaceChoice): void {
  writer.u8(NAMESPACE[choice.kind]).string(choice.kind === 'path' ? choice.path : '');
}

function writeCgroups(writer: FrameWriter, plan: CgroupPlan): void {
  writer.list(plan.groups, (group) => {
    writer.u8(group.version).string(group.path);
    writer.list(group.writes, ([file, value]) => writer.string(file).string(value));
  });
  writeDeviceRules(writer, plan.devices);
}

function writeDeviceRules(writer: FrameWriter, rules: readonly DeviceRule[] | undefined): void {
  writer.flag(rules !== undefined).list(rules ?? [], (rule) => {
    writer.flag(rule.allow).u8(rule.type.charCodeAt(0)).i32(rule.major).i32(rule.minor).string(rule.access);
  });
}

function writeRuntime(writer: FrameWriter, runtime: NonNullable<LaunchRequest['runtime']>): void {
  writer.string(runtime.path).strings(runtime.args).string(runtime.cgroupsPath);
  writeDeviceRules(writer, runtime.devices);
}

function writeProcess(writer: FrameWriter, process: ProcessSpec): void {
  writer.strings(process.args).strings(process.env).string(process.workingDirectory).string(process.user);
  writer.strings(process.groups).flag(process.terminal);
  writer.u16(process.consoleSize?.rows ?? 0).u16(process.consoleSize?.columns ?? 0);
  writer
    .strings(process.capabilities)
    .flag(process.noNewPrivileges)
    .flag(process.seccomp !== undefined);
  if (process.seccomp !== undefined) writeSeccomp(writer, process.seccomp);
  writer.list(process.rlimits, (limit) => {
    writer.string(limit.name).u64(BigInt(limit.soft)).u64(BigInt(limit.hard)); // -1, unlimited, is all bits set
  });
  writer.i32(process.oomScoreAdjustment);
  if (process.appArmorProfile !== undefined) writer.string(process.appArmorProfile);
}

/** Some hundred strings that are the same for nearly all containers and their execs. */
const seccompFields = new WeakMap<SeccompPolicy, Buffer>();

function writeSeccomp(writer: FrameWriter, policy: SeccompPolicy): void {
  let fields = seccompFields.get(policy);
  if (fields === undefined) {
    const own = new FrameWriter(FRAME.launch);
    writePolicy(own, policy);
    fields = own.fields();
    seccompFields.set(policy, fields);
  }
  writer.raw(fields);
}

function writePolicy(writer: FrameWriter, policy: SeccompPolicy): void {
  writeAction(writer, policy.defaultAction);
  writer.strings(policy.architectures).list(policy.rules, (rule) => {
    writer.strings(rule.names);
    writeAction(writer, rule.action);
    writer.list(rule.arguments, (argument) => {
      const operator = OPERATOR[argument.operator];
      if (operator === undefined) throw new CodedError('invalid', `unknown seccomp operator '${argument.operator}'`);
      writer.u32(argument.index).u8(operator).u64(argument.value).u64(argument.valueTwo);
    });
  });
}

function writeAction(writer: FrameWriter, action: SeccompAction): void {
  writer.u8(ACTION[action.kind]).u32(action.kind === 'errno' ? action.errno : 0);
}
