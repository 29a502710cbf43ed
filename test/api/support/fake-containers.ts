// Containers without a kernel: enough behaviour to see the API's side of attach, wait, logs and states.
// The "programs": echo WORDS, cat, sleep, exit N; anything else exits 0 at once.
import { BoundedQueue } from '../../../base/bounded-queue.ts';
import { fail } from '../../../base/errors.ts';
import type {
  AttachedStdio,
  ContainerConfig,
  ContainerInfo,
  Containers,
  ContainerState,
  ExecConfig,
  ExecInfo,
  LogEntry,
  NetworkAttachment,
  OutputFrame,
} from '../../../runtime/container/contract.ts';
import { FakeFiles } from './fake-files.ts';

export const NOW_MS = 1_700_000_000_000;
const STREAM_LENGTH_MAX = 10_000;

interface Running {
  write(bytes: Uint8Array): void;
  closeStdin(): void;
}

class FakeProcess {
  readonly frames: OutputFrame[] = [];
  readonly #queues = new Set<BoundedQueue<OutputFrame>>();
  #behaviour: Running = { write: () => {}, closeStdin: () => {} };
  #ended = false;
  #begin: () => void = () => {};
  readonly #started = new Promise<void>((resolve) => {
    this.#begin = resolve;
  });

  /** Runs `args`; `exited` is called once, after the last output. */
  run(args: readonly string[], exited: (code: number) => void): void {
    const end = (code: number): void => {
      if (this.#ended) return;
      this.#ended = true;
      exited(code);
      for (const queue of this.#queues) queue.end();
    };
    this.kill = (signal) => end(128 + signal);
    this.#begin();
    const [program, ...words] = args;
    if (program === 'sleep') return;
    if (program === 'cat') {
      this.#behaviour = { write: (bytes) => this.put('stdout', bytes), closeStdin: () => end(0) };
      return;
    }
    setImmediate(() => {
      if (program === 'echo') this.put('stdout', Buffer.from(`${words.join(' ')}\n`));
      if (program === 'warn') this.put('stderr', Buffer.from(`${words.join(' ')}\n`));
      end(program === 'exit' ? Number(words[0]) : 0);
    });
  }

  kill: (signal: number) => void = () => {};

  put(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    const frame = { stream, bytes: Buffer.from(bytes) };
    this.frames.push(frame);
    for (const queue of this.#queues) queue.push(frame);
  }

  attach(want: { stdin: boolean; stdout: boolean; stderr: boolean }): AttachedStdio {
    const queue = new BoundedQueue<OutputFrame>({ lengthMax: STREAM_LENGTH_MAX, whenFull: 'fail' });
    this.#queues.add(queue);
    if (this.#ended) queue.end();
    const running = async (): Promise<Running> => {
      await this.#started;
      return this.#ended ? fail('conflict', 'it does not run') : this.#behaviour;
    };
    return {
      output: framesOf(queue, want),
      write: async (bytes) => (await running()).write(bytes),
      closeStdin: async () => (await running()).closeStdin(),
      detach: () => queue.end(),
    };
  }
}

async function* framesOf(
  queue: BoundedQueue<OutputFrame>,
  want: { stdout: boolean; stderr: boolean },
): AsyncGenerator<OutputFrame> {
  for await (const item of queue.drain()) if (item !== 'resync' && want[item.stream]) yield item;
}

interface Record {
  info: ContainerInfo;
  process: FakeProcess;
  exits: (() => void)[];
}

export class FakeContainers implements Containers {
  readonly files = new FakeFiles((reference) => this.get(reference));
  /** What was asked, for "refused and untouched". */
  readonly calls: string[] = [];
  /** Clients that are attached now, to containers, not execs. */
  attached = 0;
  readonly #records = new Map<string, Record>();
  readonly #execs = new Map<string, { info: ExecInfo; process: FakeProcess }>();
  #count = 0;

  async create(config: ContainerConfig) {
    this.calls.push('create');
    if (config.image === 'missing') fail('not-found', 'No such image: missing:latest');
    const id = (++this.#count).toString(16).padStart(64, 'a');
    const name = config.name || `quiet_fish${this.#count}`;
    const taken = [...this.#records.values()].find(({ info }) => info.name === name);
    if (taken) {
      fail(
        'conflict',
        `Conflict. The container name "/${name}" is already in use by container "${taken.info.id}". You have to remove (or rename) that container to be able to reuse that name.`,
      );
    }
    const attachments = config.attachments ?? [];
    const info = { ...blank(id, name), config, attachments, imageReference: config.image, args: argsOf(config) };
    this.#records.set(id, { info, process: new FakeProcess(), exits: [] });
    return { id, warnings: [] };
  }

  get(reference: string): ContainerInfo {
    return this.#record(reference).info;
  }

  list(): readonly ContainerInfo[] {
    return [...this.#records.values()].map(({ info }) => info);
  }

  async start(reference: string) {
    this.calls.push('start');
    const record = this.#record(reference);
    if (record.info.state === 'running') fail('not-modified', 'already running');
    if (record.info.args[0] === 'nosuchprogram') {
      // As Docker: a client that asked for --rm waits for the removal, also of what could not start.
      if (record.info.config.autoRemove) await this.remove(record.info.id, { force: true, volumes: true });
      fail(
        'invalid',
        'failed to create task for container: OCI runtime create failed: exec: "nosuchprogram": executable file not found in $PATH: unknown',
      );
    }
    this.#set(record, { state: 'running', pid: 4711, startedAtMs: NOW_MS - 5_000 });
    record.process.run(record.info.args, (exitCode) => {
      this.#set(record, { state: 'exited', pid: 0, exitCode, finishedAtMs: NOW_MS - 2_000 });
      if (record.info.config.autoRemove) this.#records.delete(record.info.id);
      for (const exit of record.exits.splice(0)) exit();
    });
  }

  async stop(reference: string, options: { signal?: string; graceMs?: number }) {
    this.calls.push(`stop ${JSON.stringify(options)}`);
    const record = this.#record(reference);
    if (record.info.state !== 'running') fail('not-modified', 'not running');
    record.process.kill(15);
  }

  async kill(reference: string, signal: string) {
    this.calls.push(`kill ${signal}`);
    const record = this.#record(reference);
    if (record.info.state !== 'running') fail('conflict', `container ${record.info.id} is not running`);
    record.process.kill(9);
  }

  async restart(reference: string) {
    this.calls.push('restart');
    this.#record(reference);
  }

  async pause(reference: string) {
    this.#set(this.#record(reference), { state: 'paused' });
  }

  async unpause(reference: string) {
    this.#set(this.#record(reference), { state: 'running' });
  }

  async rename(reference: string, name: string) {
    this.calls.push('rename');
    this.#set(this.#record(reference), { name });
  }

  async remove(reference: string, options: { force: boolean; volumes: boolean }) {
    this.calls.push(`remove ${JSON.stringify(options)}`);
    const record = this.#record(reference);
    if (record.info.state === 'running' && !options.force) {
      fail(
        'conflict',
        `cannot remove container "/${record.info.name}": container is running: stop the container before removing or force remove`,
      );
    }
    record.process.kill(9);
    this.#records.delete(record.info.id);
    for (const exit of record.exits.splice(0)) exit();
  }

  async wait(reference: string, condition: 'not-running' | 'next-exit' | 'removed', abort: AbortSignal) {
    const record = this.#record(reference);
    const isOver = (): boolean => {
      if (condition === 'removed') return !this.#records.has(record.info.id);
      return condition === 'not-running' && record.info.state === 'exited';
    };
    let exits = 0;
    while (!isOver() && !(condition === 'next-exit' && exits > 0)) {
      await new Promise<void>((resolve, reject) => {
        record.exits.push(resolve);
        abort.addEventListener('abort', () => reject(new DOMException('gone', 'AbortError')));
      });
      exits += 1;
    }
    return { exitCode: record.info.exitCode, error: '' };
  }

  async attach(reference: string, want: { stdin: boolean; stdout: boolean; stderr: boolean }) {
    this.calls.push('attach');
    const stdio = this.#record(reference).process.attach(want);
    this.attached += 1;
    let isAttached = true;
    const detach = (): void => {
      if (isAttached) this.attached -= 1;
      isAttached = false;
      stdio.detach();
    };
    return { ...stdio, detach };
  }

  async resize(reference: string, size: { rows: number; columns: number }) {
    this.calls.push(`resize ${size.rows}x${size.columns}`);
    this.#record(reference);
  }

  async *logs(reference: string): AsyncGenerator<LogEntry> {
    for (const { stream, bytes } of this.#record(reference).process.frames) {
      yield { stream, time: '2023-11-14T22:13:20.000000001Z', bytes };
    }
  }

  async top(reference: string) {
    this.#record(reference);
    return { titles: ['PID', 'CMD'], processes: [['4711', 'sleep']] };
  }

  async stats(reference: string) {
    this.#record(reference);
    return {
      atMs: NOW_MS,
      cpuTotalNs: 1_000,
      cpuUserNs: 600,
      cpuKernelNs: 400,
      systemCpuNs: 100_000,
      onlineCpus: 2,
      throttling: { periods: 0, throttledPeriods: 0, throttledNs: 0 },
      memoryUsageBytes: 1_048_576,
      memoryLimitBytes: 2_097_152,
      memoryStats: { inactive_file: 1 },
      pids: 1,
      pidsLimit: 0,
      blockIo: [],
      network: undefined,
    };
  }

  async update(reference: string, change: object) {
    this.calls.push(`update ${JSON.stringify(change)}`);
    this.#record(reference);
  }

  async execCreate(reference: string, config: ExecConfig) {
    this.calls.push('execCreate');
    const { info } = this.#record(reference);
    if (info.state !== 'running') fail('conflict', `container ${info.id} is not running`);
    const id = (++this.#count).toString(16).padStart(64, 'e');
    const exec = { id, containerId: info.id, config, running: false, exitCode: undefined, pid: 0 };
    this.#execs.set(id, { info: exec, process: new FakeProcess() });
    return id;
  }

  execGet(execId: string): ExecInfo {
    return this.#exec(execId).info;
  }

  async execStart(execId: string, options: { detach: boolean }) {
    this.calls.push(`execStart ${JSON.stringify(options)}`);
    const exec = this.#exec(execId);
    exec.info = { ...exec.info, running: true, pid: 4712 };
    const { stdin, stdout, stderr } = exec.info.config;
    const stdio = options.detach ? undefined : exec.process.attach({ stdin, stdout, stderr });
    exec.process.run(exec.info.config.args, (exitCode) => {
      exec.info = { ...exec.info, running: false, exitCode, pid: 0 };
    });
    return stdio;
  }

  async connect(reference: string, attachment: NetworkAttachment) {
    const record = this.#record(reference);
    this.calls.push(`connect ${attachment.network}`);
    this.#set(record, { attachments: [...record.info.attachments, attachment] });
  }

  async unlink(reference: string, alias: string) {
    this.get(reference);
    this.calls.push(`unlink ${alias}`);
  }

  async disconnect(reference: string, network: string) {
    const record = this.#record(reference);
    this.calls.push(`disconnect ${network}`);
    this.#set(record, { attachments: record.info.attachments.filter((each) => each.network !== network) });
  }

  async execResize(execId: string, size: { rows: number; columns: number }) {
    this.calls.push(`execResize ${size.rows}x${size.columns}`);
    this.#exec(execId);
  }

  #set(record: Record, change: Partial<ContainerInfo> & { state?: ContainerState }): void {
    record.info = { ...record.info, ...change };
  }

  #record(reference: string): Record {
    const bare = reference.replace(/^\//, '');
    for (const record of this.#records.values()) {
      if (record.info.id === bare || record.info.name === bare || record.info.id.startsWith(bare)) return record;
    }
    return fail('not-found', `No such container: ${reference}`);
  }

  #exec(id: string) {
    return this.#execs.get(id) ?? fail('not-found', `No such exec instance: ${id}`);
  }
}

const argsOf = (config: ContainerConfig): string[] => [...(config.entrypoint ?? []), ...(config.command ?? ['sh'])];

function blank(id: string, name: string): Omit<ContainerInfo, 'config' | 'imageReference' | 'args'> {
  return {
    id,
    name,
    createdAtMs: NOW_MS - 60_000,
    imageId: `sha256:${'b'.repeat(64)}`,
    state: 'created',
    pid: 0,
    exitCode: 0,
    error: '',
    oomKilled: false,
    appArmorProfile: '',
    startedAtMs: 0,
    finishedAtMs: 0,
    restartCount: 0,
    health: undefined,
    attachments: [],
    endpoints: [],
    endpoint: undefined,
    mounts: [],
    logPath: '',
    paths: { hostname: '', hosts: '', resolvConf: '', upper: '', lowers: [] },
    execIds: [],
  };
}
