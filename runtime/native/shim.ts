// A shim as its daemon sees it: one control connection for requests and news, a further one for each attached client.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { CodedError, codeOf, errnoOf, fail } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { ShimStdio } from './attached-stdio.ts';
import { Connection, within } from './connection.ts';
import type { AttachedStdio, ExitRecord, Note, ProcessSpec, Shim, ShimProcess } from './contract.ts';
import {
  decodeExited,
  decodeFault,
  decodeStarted,
  decodeStatus,
  encodeAttach,
  encodeExec,
  encodeNoted,
  encodePlain,
  encodeResize,
  encodeSignal,
  type ShimStatus,
  type StreamChoice,
} from './messages.ts';
import { FRAME, type Frame, FrameReader } from './wire.ts';

const REQUEST_MS_MAX = 30_000;

interface Waiting {
  resolve(frame: Frame): void;
  reject(error: Error): void;
}

interface Exit {
  readonly exited: Promise<ExitRecord>;
  resolve(record: ExitRecord): void;
}

export interface ShimOptions {
  readonly runDirectory: string;
  readonly sourceHash: string;
  readonly clock: Clock;
  readonly log: Log;
}

export class NativeShim implements Shim {
  readonly containerId: string;
  readonly pid: number;
  readonly startTimeTicks: number;
  readonly state: ShimStatus['state'];
  readonly warnings: readonly string[];
  readonly takesNotes: boolean;
  readonly #options: ShimOptions;
  #control: Connection;
  #left = false;
  readonly #waiting = new Map<number, Waiting>();
  readonly #exits = new Map<string, Exit>();
  readonly #closed: Promise<void>;
  #requests = 1;

  /** `control` has answered with this status and is past its hello, which named these sources. */
  constructor(control: Connection, status: ShimStatus, options: ShimOptions, sourceHash = options.sourceHash) {
    this.takesNotes = sourceHash === options.sourceHash;
    this.containerId = status.containerId;
    this.pid = status.pid;
    this.startTimeTicks = status.startTimeTicks;
    this.state = status.state;
    this.warnings = status.warnings;
    this.#control = control;
    this.#options = options;
    const own = this.#exitOf('');
    if (status.state === 'exited') own.resolve(status.exit);
    this.#closed = this.#listen();
  }

  /** The shim that listens in this run directory; undefined if there is none. */
  static async find(options: ShimOptions): Promise<NativeShim | undefined> {
    try {
      const { connection, sourceHash } = await openShim(options);
      const { status } = decodeStatus(
        await within(options.clock, REQUEST_MS_MAX, 'status', connection.expect(FRAME.status)),
      );
      return new NativeShim(connection, status, options, sourceHash);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ECONNREFUSED') return undefined;
      if (codeOf(error) === 'unavailable') return undefined; // it was just leaving
      throw error;
    }
  }

  get exited(): Promise<ExitRecord> {
    return this.#exitOf('').exited;
  }

  async start(note?: Note): Promise<void> {
    await this.#request((request) => encodeNoted(FRAME.start, request, note));
  }

  signal(signal: number): Promise<void> {
    return this.#signal('', signal);
  }

  resize(size: { rows: number; columns: number }): Promise<void> {
    return this.#resize('', size);
  }

  attach(streams: StreamChoice): Promise<AttachedStdio> {
    return this.#attach('', streams);
  }

  async exec(
    process: ProcessSpec,
    options: { stdin: boolean; execId: string; detached?: boolean },
  ): Promise<ShimProcess> {
    const { execId } = options;
    const exit = this.#exitOf(execId);
    try {
      const started =
        options.detached === true
          ? await this.#execDetached(process, execId)
          : await this.#execAttached(process, execId, options.stdin);
      return {
        pid: started.pid,
        exited: exit.exited,
        signal: (signal) => this.#signal(execId, signal),
        resize: (size) => this.#resize(execId, size),
        attach: started.attach,
      };
    } catch (error) {
      this.#exits.delete(execId);
      throw error;
    }
  }

  async kill(): Promise<void> {
    if (!this.#control.isOpen) return;
    await this.#request((request) => encodePlain(FRAME.kill, request));
    await within(this.#options.clock, REQUEST_MS_MAX, `the end of container ${this.containerId}`, this.#closed);
  }

  async acknowledgeExit(note?: Note): Promise<void> {
    if (!this.#control.isOpen) {
      if (note) fail('unavailable', `the shim of container ${this.containerId} is gone: it writes no note`);
      return;
    }
    await this.#request((request) => encodeNoted(FRAME.acknowledge, request, note));
    await within(this.#options.clock, REQUEST_MS_MAX, `the end of the shim of ${this.containerId}`, this.#closed);
  }

  /** Leaves the shim to itself, as the daemon's own end would. */
  disconnect(): void {
    this.#left = true;
    this.#control.close();
  }

  async #execAttached(process: ProcessSpec, execId: string, stdin: boolean) {
    const streams = { stdin, stdout: true, stderr: true };
    const connection = await this.#openStream(encodeExec(1, execId, streams, process));
    try {
      const { pid } = decodeStarted(await this.#within(`exec ${execId}`, connection.expect(FRAME.started)));
      let stdio: AttachedStdio | undefined = new ShimStdio(connection);
      const attach = async (): Promise<AttachedStdio> => {
        const first = stdio ?? fail('conflict', `exec ${execId} is already attached`);
        stdio = undefined;
        return first;
      };
      return { pid, attach };
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  async #execDetached(process: ProcessSpec, execId: string) {
    const none = { stdin: false, stdout: false, stderr: false };
    const { pid } = decodeStarted(await this.#request((request) => encodeExec(request, execId, none, process)));
    return { pid, attach: (streams: StreamChoice) => this.#attach(execId, streams) };
  }

  async #signal(execId: string, signal: number): Promise<void> {
    await this.#request((request) => encodeSignal(request, execId, signal));
  }

  async #resize(execId: string, size: { rows: number; columns: number }): Promise<void> {
    await this.#request((request) => encodeResize(request, execId, size));
  }

  async #attach(execId: string, streams: StreamChoice): Promise<AttachedStdio> {
    const connection = await this.#openStream(encodeAttach(1, execId, streams));
    try {
      await this.#within('attach', connection.expect(FRAME.ok));
      return new ShimStdio(connection);
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  async #openStream(request: Uint8Array): Promise<Connection> {
    const { connection } = await openShim(this.#options, request);
    await this.#within('status', connection.expect(FRAME.status));
    return connection;
  }

  #within<T>(what: string, work: Promise<T>): Promise<T> {
    return within(this.#options.clock, REQUEST_MS_MAX, what, work);
  }

  /** Sends and waits for the answer with the same number. */
  async #request(encode: (request: number) => Buffer): Promise<Frame> {
    const request = this.#requests++;
    const bytes = encode(request);
    if (!this.#control.isOpen) fail('not-found', `the shim of container ${this.containerId} is gone`);
    const answer = new Promise<Frame>((resolve, reject) => this.#waiting.set(request, { resolve, reject }));
    try {
      await this.#control.send(bytes);
      return await this.#within(`container ${this.containerId}`, answer);
    } finally {
      this.#waiting.delete(request);
      answer.catch(() => {}); // whoever sent may have failed first
    }
  }

  async #listen(): Promise<void> {
    do await this.#pump();
    while (!this.#left && (await this.#reconnect()));
    if (!this.#left) await this.#onGone();
  }

  async #pump(): Promise<void> {
    try {
      for (let frame = await this.#control.next(); frame !== undefined; frame = await this.#control.next()) {
        this.#take(frame);
      }
    } catch (error) {
      this.#options.log.error('a shim sent nonsense', { containerId: this.containerId, error });
    }
    this.#control.close();
    const lost = new CodedError('not-found', `the connection to the shim of container ${this.containerId} ended`);
    for (const waiting of this.#waiting.values()) waiting.reject(lost);
  }

  /** A shim that is alive may still have dropped us, if we did not read for long. */
  async #reconnect(): Promise<boolean> {
    if (!existsSync(socketOf(this.#options))) return false; // it took its folder away before it left
    try {
      const { connection } = await openShim(this.#options);
      const { status } = decodeStatus(await this.#within('status', connection.expect(FRAME.status)));
      if (status.state === 'exited') this.#exitOf('').resolve(status.exit);
      this.#control = connection;
      return true;
    } catch {
      return false;
    }
  }

  #take(frame: Frame): void {
    if (frame.type === FRAME.exited) {
      const { execId, exit } = decodeExited(frame);
      this.#exits.get(execId)?.resolve(exit);
      if (execId !== '') this.#exits.delete(execId);
      return;
    }
    if (frame.type === FRAME.fault) {
      const { request, error } = decodeFault(frame);
      this.#waiting.get(request)?.reject(error);
      return;
    }
    this.#waiting.get(new FrameReader(frame.payload).u32())?.resolve(frame);
  }

  /** The shim left, or was killed: then its container can not be managed any more and is ended. */
  async #onGone(): Promise<void> {
    const unknown = { exitCode: 255, signal: 0, oomKilled: false, atMs: this.#options.clock.nowMs() };
    const own = this.#exitOf('');
    for (const exit of this.#exits.values()) if (exit !== own) exit.resolve(unknown);
    if (await isSettled(own.exited)) return;
    const ended = await killOrphan(this.#options.runDirectory).catch(() => false);
    if (ended) this.#options.log.warn('a shim died; its container was ended', { containerId: this.containerId });
    own.resolve(ended ? { ...unknown, exitCode: 137, signal: 9 } : unknown);
  }

  #exitOf(execId: string): Exit {
    const known = this.#exits.get(execId);
    if (known !== undefined) return known;
    let resolve: (record: ExitRecord) => void = () => {};
    const exited = new Promise<ExitRecord>((settle) => {
      resolve = settle;
    });
    const exit = { exited, resolve };
    this.#exits.set(execId, exit);
    return exit;
  }
}

const socketOf = ({ runDirectory }: ShimOptions): string => join(runDirectory, 's');

function openShim(options: ShimOptions, request?: Uint8Array): Promise<{ connection: Connection; sourceHash: string }> {
  const { sourceHash, clock } = options;
  return Connection.open({ path: socketOf(options), sourceHash, clock, ...(request === undefined ? {} : { request }) });
}

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending');
  return (await Promise.race([promise, Promise.resolve(pending)])) !== pending;
}

/** Kills the PID 1 that a dead shim left behind, if it is still the same process. True if it was there. */
export async function killOrphan(runDirectory: string): Promise<boolean> {
  try {
    const [pid, ticks] = (await readFile(join(runDirectory, 'pid'), 'utf8')).trim().split(' ');
    const stat = await readFile(`/proc/${Number(pid)}/stat`, 'utf8');
    const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    if (started !== ticks) return false;
    process.kill(Number(pid), 'SIGKILL');
    return true;
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes(errnoOf(error) ?? '')) return false;
    throw error;
  }
}
