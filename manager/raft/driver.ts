// Consensus as the manager sees it: the main thread's side of the worker. It applies what is committed, in order, and
// answers proposals once they are applied here.
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../base/clock.ts';
import { CodedError, codeOf, fail, sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { NodeId } from '../../proto/objects.ts';
import { Applier } from './applier.ts';
import type { CertificateMaterial, Consensus, ConsensusOptions, ConsensusStatus, StateMachine } from './contract.ts';
import { Outbox } from './outbox.ts';
import { Requests } from './requests.ts';
import type { FromWorker, MemberRequest, ToWorker, WorkerOptions } from './worker-protocol.ts';

export interface ConsensusDeps {
  readonly stateMachine: StateMachine;
  readonly clock: Clock;
  readonly log: Log;
  /** Nothing may be acknowledged any more: a write failed, or an entry could not be applied. Default: the process ends. */
  readonly onFatal?: (error: CodedError) => void;
}

const ENTRY_BYTES_MAX = 8 * 1024 * 1024;
const ALIVE_PERIOD_MS = 1_000;
const APPLIED_WITHIN_MS = 5;
/** Messages and entries live for a moment: room for them to die before they are copied. */
const YOUNG_GENERATION_MB = 48;
const STOP_TIMEOUT_MS = 10_000;
/** The exit status of a process whose consensus can not go on: EX_IOERR of sysexits. */
const EXIT_STATUS = 74;

/** Starts the worker. Resolves when it has recovered its log and listens; for a new cluster, when it leads it. */
export async function startConsensus(options: ConsensusOptions, deps: ConsensusDeps): Promise<Consensus> {
  const driver = new ConsensusDriver(options, deps);
  await driver.started;
  return driver;
}

class ConsensusDriver implements Consensus {
  readonly started: Promise<void>;
  readonly #deps: ConsensusDeps;
  readonly #worker: Worker;
  readonly #requests: Requests;
  readonly #outbox: Outbox;
  readonly #applier: Applier;
  readonly #listeners = new Set<(status: ConsensusStatus) => void>();
  readonly #alive = new AbortController();
  #status: ConsensusStatus;
  #onStarted: { resolve: () => void; reject: (error: unknown) => void } | undefined;
  #bootstrapping: boolean;
  #untoldApplied: number | undefined;
  #logId = '';
  #epoch = 0;
  #state: 'starting' | 'running' | 'stopping' | 'stopped' = 'starting';

  constructor(options: ConsensusOptions, deps: ConsensusDeps) {
    this.#deps = deps;
    this.#bootstrapping = options.start === 'bootstrap';
    this.#status = {
      role: 'follower',
      term: 0,
      leaderId: undefined,
      members: [],
      reachable: [],
      commitIndex: 0,
      appliedIndex: 0,
    };
    this.#requests = new Requests(deps.clock);
    const { advertise, ...rest } = options;
    const workerData: WorkerOptions = { ...rest, raftAddress: advertise.raftAddress };
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    this.#outbox = new Outbox((message, transfer) => this.#post(message, transfer));
    this.#applier = new Applier({
      stateMachine: deps.stateMachine,
      requests: this.#requests,
      onApplied: (index) => this.#tellApplied(index),
      onStatus: (status) => this.#onStatus({ ...status, appliedIndex: this.#applier.index }),
      post: (message) => this.#post(message),
      onFatal: (error) => this.#fatal(error),
    });
    this.started = new Promise((resolve, reject) => {
      this.#onStarted = { resolve, reject };
    });
    this.#worker.on('message', (message: FromWorker) => this.#onMessage(message));
    this.#worker.on('error', (error) => this.#fatal(error));
    this.#worker.on('exit', () => this.#onExit());
    void this.#sayAlive();
  }

  get logId(): string {
    return this.#logId;
  }

  get epoch(): number {
    return this.#epoch;
  }

  status(): ConsensusStatus {
    return { ...this.#status, appliedIndex: this.#applier.index };
  }

  onStatus(listener: (status: ConsensusStatus) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async propose(entry: Uint8Array, { abort }: { abort?: AbortSignal | undefined }): Promise<number> {
    if (entry.length > ENTRY_BYTES_MAX)
      fail('exhausted', `a write of ${entry.length} bytes is over the limit of ${ENTRY_BYTES_MAX}`);
    this.#refuseUnlessRunning();
    return this.#requests.begin('write', abort, (id) => this.#outbox.propose(id, entry));
  }

  async readBarrier({ abort }: { abort?: AbortSignal | undefined }): Promise<number> {
    this.#refuseUnlessRunning();
    return this.#requests.begin('read', abort, (id) => this.#outbox.read(id));
  }

  async applied(index: number, { abort }: { abort?: AbortSignal | undefined }): Promise<void> {
    this.#refuseUnlessRunning();
    if (index <= this.#applier.index) return;
    await this.#requests.begin('read', abort, (id) =>
      this.#applier.push({ type: 'reads-confirmed', ids: [id], index }),
    );
  }

  addMember(
    { nodeId, raftAddress }: { nodeId: NodeId; raftAddress: string },
    { abort }: { abort?: AbortSignal | undefined },
  ): Promise<void> {
    return this.#request({ kind: 'add-member', nodeId, raftAddress }, abort);
  }

  removeMember(nodeId: NodeId, { force, abort }: { force?: boolean; abort?: AbortSignal | undefined }): Promise<void> {
    return this.#request({ kind: 'remove-member', nodeId, force: force ?? false }, abort);
  }

  replaceMember(
    leaving: NodeId,
    { nodeId, raftAddress }: { nodeId: NodeId; raftAddress: string },
    { abort }: { abort?: AbortSignal | undefined },
  ): Promise<void> {
    return this.#request({ kind: 'replace-member', leaving, nodeId, raftAddress }, abort);
  }

  transferLeadership(to?: NodeId): Promise<void> {
    return this.#request({ kind: 'transfer', to });
  }

  rekey({ nodeKeys, rotate }: { nodeKeys: readonly Uint8Array[]; rotate: boolean }): Promise<void> {
    return this.#request({ kind: 'rekey', nodeKeys, rotate });
  }

  setCertificate(certificate: CertificateMaterial): void {
    this.#post({ type: 'certificate', certificate });
  }

  async stop(): Promise<void> {
    if (this.#state === 'stopping' || this.#state === 'stopped') return this.#stopped;
    const wasRunning = this.#state === 'running';
    this.#state = 'stopping';
    this.#stopped = this.#end(wasRunning);
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #stopped: Promise<void> = Promise.resolve();

  async #end(wasRunning: boolean): Promise<void> {
    using deadline = this.#deps.clock.deadline(undefined, STOP_TIMEOUT_MS);
    try {
      if (wasRunning) await this.#requests.begin('change', deadline.signal, (id) => this.#ask(id, { kind: 'stop' }));
    } catch (error) {
      this.#deps.log.warn('consensus did not stop in order', { error });
    }
    this.#state = 'stopped';
    this.#alive.abort();
    this.#applier.stop();
    this.#requests.failAll('this manager is stopping');
    await this.#worker.terminate();
  }

  async #request(request: MemberRequest, abort?: AbortSignal): Promise<void> {
    this.#refuseUnlessRunning();
    await this.#requests.begin('change', abort, (id) => this.#ask(id, request));
  }

  #ask(id: number, request: MemberRequest): void {
    this.#post({ type: 'request', id, request });
  }

  /** The worker needs it for its bounds and for snapshots, so it may wait a little and stand for many. */
  #tellApplied(index: number): void {
    if (this.#untoldApplied === undefined) {
      this.#deps.clock.after(APPLIED_WITHIN_MS, () => {
        this.#post({ type: 'applied', index: this.#untoldApplied ?? 0 });
        this.#untoldApplied = undefined;
      });
    }
    this.#untoldApplied = index;
  }

  #refuseUnlessRunning(): void {
    if (this.#state !== 'running') fail('unavailable', 'this manager is stopping');
  }

  #post(message: ToWorker, transfer: readonly ArrayBuffer[] = []): void {
    if (this.#state !== 'stopped') this.#worker.postMessage(message, [...transfer]);
  }

  #onMessage(message: FromWorker): void {
    switch (message.type) {
      case 'opened':
        this.#logId = message.logId;
        this.#epoch = message.epoch;
        return;
      case 'started':
        this.#state = 'running';
        if (!this.#bootstrapping) this.#onStarted?.resolve();
        return;
      case 'start-failed':
        return this.#startFailed(new CodedError(message.code, message.message));
      case 'committed':
        this.#status = { ...this.#status, commitIndex: Math.max(this.#status.commitIndex, message.upTo) };
        return this.#applier.push(message);
      case 'status':
      case 'restore':
      case 'reads-confirmed':
        return this.#applier.push(message);
      case 'failed':
        return this.#requests.fail(message.ids, message.code, message.message);
      case 'done':
        return this.#requests.resolve(message.id, 0);
      case 'snapshot-wanted':
        return this.#applier.snapshotWanted();
      case 'snapshot-chunk-written':
        return this.#applier.snapshotChunkWritten();
      case 'snapshot-over':
        return this.#applier.snapshotOver();
      case 'log':
        return this.#deps.log[message.level](message.event, message.fields);
      case 'fatal':
        return this.#fatal(new CodedError('internal', message.message));
    }
  }

  #onStatus(status: ConsensusStatus): void {
    this.#status = status;
    if (this.#bootstrapping && status.role === 'leader') {
      this.#bootstrapping = false;
      this.#onStarted?.resolve();
    }
    for (const listener of [...this.#listeners]) listener(status);
  }

  #startFailed(error: CodedError): void {
    this.#state = 'stopped';
    this.#alive.abort();
    this.#onStarted?.reject(error);
    void this.#worker.terminate();
  }

  #onExit(): void {
    if (this.#state === 'running') this.#fatal(new CodedError('internal', 'the consensus worker ended by itself'));
  }

  #fatal(cause: unknown): void {
    if (this.#state === 'stopped') return;
    const error = new CodedError('internal', `consensus can not go on: ${sentenceOf(cause)}`, { cause });
    if (this.#state === 'starting') return this.#startFailed(error);
    this.#state = 'stopped';
    this.#alive.abort();
    this.#applier.stop();
    this.#requests.failAll(error.message);
    this.#deps.log.error('consensus can not go on; the process ends', { error });
    void this.#worker.terminate();
    if (this.#deps.onFatal) this.#deps.onFatal(error);
    else process.exit(EXIT_STATUS);
  }

  /** Lets the worker notice a main thread that is stuck, and callers a worker that is. */
  async #sayAlive(): Promise<void> {
    try {
      for (;;) {
        await this.#deps.clock.sleep(ALIVE_PERIOD_MS, { abort: this.#alive.signal });
        this.#post({ type: 'alive' });
        this.#requests.expire();
      }
    } catch (error) {
      if (codeOf(error) !== 'aborted') throw error;
    }
  }
}
