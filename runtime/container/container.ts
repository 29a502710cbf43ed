// One container in memory: what it is, how it fares, its process if there is one. Operations on it live in files of
// their own (launch, supervise, stop, remove …); those that change its state run one at a time under `lock`.
import { attachmentsOf } from './attachments.ts';
import { join } from 'node:path';
import type { Timer } from '../../base/clock.ts';
import { CodedError, isDiskFull } from '../../base/errors.ts';
import { Mutex } from '../../base/mutex.ts';
import type { HeldLayers } from '../image/contract.ts';
import type { Note, Shim } from '../native/contract.ts';
import { AttachPoint } from './attach.ts';
import type { ContainerInfo, ContainerState } from './contract.ts';
import type { Ahead } from './prepare-ahead.ts';
import { type ContainerRecord, type ContainerStatus, noteOfStatus, writeStatus } from './record.ts';
import type { Security } from './security.ts';
import { isUp, move } from './state.ts';
import { Waiters } from './waiters.ts';

/** Made once: the error that a signal makes by itself costs a stack trace each time. */
const DOWN = new CodedError('aborted', 'the container is down');

export interface ContainerFolders {
  readonly directory: string; // durable state
  readonly runDirectory: string; // of a running one: sockets, hosts, hostname, resolv.conf
}

export class Container {
  record: ContainerRecord;
  readonly lock = new Mutex();
  readonly waiters = new Waiters();
  readonly attachPoint: AttachPoint;
  readonly folders: ContainerFolders;
  readonly held: HeldLayers;
  readonly execIds = new Set<string>();
  shim: Shim | undefined;
  /** Its process is gone, and it waits for our word that the exit is recorded. */
  exitedShim: Shim | undefined;
  /** Takes away what the last run left, outside of the lock: a removal need not wait for it, the next run has to. */
  clearing: Promise<void> = Promise.resolve();
  ahead: Ahead | undefined;
  restartTimer: Timer | undefined;
  restartDelayMs = 0;
  isBeingRemoved = false;
  /** Sockets and cgroups of a run may be there. */
  hasRunFolders = false;
  /** Of the present run; undefined when an earlier daemon made them. */
  cgroupFolders: readonly string[] | undefined;
  security: Security | undefined;
  consoleSize: { rows: number; columns: number } | undefined;
  /** Fires when the container goes down for good; a new one for each time it is up. */
  finished = new AbortController();
  /** Ends the health probing of the present run. */
  stopProbing: () => void = () => undefined;
  #status: ContainerStatus;
  #writing: Promise<void> = Promise.resolve();

  constructor(parts: {
    record: ContainerRecord;
    status: ContainerStatus;
    folders: ContainerFolders;
    held: HeldLayers;
  }) {
    this.record = parts.record;
    this.#status = parts.status;
    this.folders = parts.folders;
    this.held = parts.held;
    this.consoleSize = parts.record.config.consoleSize;
    this.attachPoint = new AttachPoint({ stdinOnce: parts.record.config.stdinOnce });
    if (!isUp(parts.status.state)) this.finished.abort(DOWN);
  }

  get id(): string {
    return this.record.id;
  }

  get status(): ContainerStatus {
    return this.#status;
  }

  get state(): ContainerState {
    return this.#status.state;
  }

  /** Changes how it fares, in memory at once. */
  change(change: Partial<ContainerStatus>): void {
    const state = change.state === undefined ? this.state : move(this.state, change.state);
    this.#status = { ...this.#status, ...change, state };
    if (isUp(state) && this.finished.signal.aborted) this.finished = new AbortController();
    if (!isUp(state)) this.finished.abort(DOWN);
  }

  /** Writes how it fares; writes follow one another. */
  save(): Promise<void> {
    return this.#write(() => writeStatus(this.folders.directory, this.#status));
  }

  /**
   * Has a shim write how it fares, or is about to, along with what it is asked: that saves the thread pool four calls.
   * On a full disk, or by an older shim, it is written here first.
   */
  saveThrough(shim: Shim, status: ContainerStatus, ask: (note?: Note) => Promise<void>): Promise<void> {
    return this.#write(async () => {
      try {
        if (shim.takesNotes) return await ask(noteOfStatus(status));
      } catch (error) {
        if (!isDiskFull(error)) throw error;
      }
      await writeStatus(this.folders.directory, status);
      await ask();
    });
  }

  #write(write: () => Promise<void>): Promise<void> {
    this.#writing = this.#writing.then(write, write);
    return this.#writing;
  }

  info(): ContainerInfo {
    const { record, status, folders } = this;
    const { directory, runDirectory } = folders;
    return {
      id: record.id,
      name: record.name,
      createdAtMs: record.createdAtMs,
      imageId: record.imageId,
      imageReference: record.imageReference,
      config: record.config,
      args: record.args,
      state: status.state,
      pid: status.pid,
      exitCode: status.exitCode,
      error: status.error,
      oomKilled: status.oomKilled,
      startedAtMs: status.startedAtMs,
      finishedAtMs: status.finishedAtMs,
      restartCount: status.restartCount,
      health: status.health,
      attachments: attachmentsOf(record.config),
      endpoints: status.endpoints,
      endpoint: status.endpoints[0],
      mounts: record.mounts,
      appArmorProfile: record.appArmorProfile ?? '',
      logPath: record.config.logDriver.name === 'none' ? '' : join(directory, 'container-json.log'),
      paths: {
        hostname: join(runDirectory, 'hostname'),
        hosts: join(runDirectory, 'hosts'),
        resolvConf: join(runDirectory, 'resolv.conf'),
        upper: join(directory, 'upper'),
        lowers: this.held.lowers,
      },
      execIds: [...this.execIds],
    };
  }
}
