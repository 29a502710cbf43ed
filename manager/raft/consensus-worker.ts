// Inside the worker thread: joins the member loop to its log, its peers, the time and the main thread.
import type { Clock } from '../../base/clock.ts';
import type { Disk } from '../../base/disk.ts';
import { CodedError, codeOf, fail, sentenceOf } from '../../base/errors.ts';
import type { Log, LogFields } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import type { NodeId } from '../../proto/objects.ts';
import type { SnapshotChunk } from './contract.ts';
import { Conditions } from './conditions.ts';
import { Raft } from './core/raft.ts';
import { DEFAULT_LIMITS, type MemberId, type Message, type SnapshotMeta } from './core/types.ts';
import { DiskSpace } from './disk-full.ts';
import { claimOf, judge } from './judgement.ts';
import { type CommittedBatch, type Failure, type Machine, Member } from './member.ts';
import { MembershipChanges } from './membership-changes.ts';

import { leadershipLost, refusalError, type Situation } from './reasons.ts';
import { SnapshotIntake } from './snapshot-intake.ts';
import { FORMAT_FILE, Storage } from './storage.ts';
import { Ticker } from './ticker.ts';
import { Transport } from './transport.ts';
import {
  type FromWorker,
  type MemberRequest,
  pack,
  type ToWorker,
  unpack,
  type WorkerOptions,
  type WorkerStatus,
} from './worker-protocol.ts';

export interface WorkerDeps {
  readonly post: (message: FromWorker, transfer?: readonly ArrayBuffer[]) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
}

const MAIN_SILENT_MS = 5_000;
const DISK_SILENT_MS = 2_000;
const TRANSFER_TIMEOUT_MS = 1_500;
const WAY_BACK =
  'remove this node from the swarm (node rm --force), let it leave (swarm leave --force) and join it anew';

export class ConsensusWorker implements Machine {
  readonly #options: WorkerOptions;
  readonly #deps: WorkerDeps;
  readonly #log: Log;
  readonly #storage: Storage;
  readonly #space: DiskSpace;
  readonly #member: Member;
  readonly #transport: Transport;
  readonly #conditions: Conditions;
  readonly #changes: MembershipChanges;
  readonly #ticker: Ticker;
  readonly #snapshots: SnapshotIntake;
  #isRemoved = false;
  #epoch: number;
  /** Joining: what the log held before is of an earlier membership, and so is what others say by it. */
  #isJoining: boolean;
  readonly #joinAfter: number;
  /** What listeners to the status can see of it, as last told. */
  #visible = '';
  #ticks = 0;
  #ticksSinceMain = 0;
  readonly #heardAt = new Map<MemberId, number>();
  #wasLeader = false;

  static async start(options: WorkerOptions, deps: WorkerDeps): Promise<ConsensusWorker> {
    const opened: { worker?: ConsensusWorker } = {};
    const log = postedLog(deps.post, {});
    const onFull = (): void => {
      const { worker } = opened;
      if (worker) worker.#onDiskFull();
    };
    const space = new DiskSpace({ clock: deps.clock, log, onFull });
    const storageDeps = { ...deps, clusterId: options.clusterId, nodeId: options.nodeId, nodeKeys: options.nodeKeys };
    await deps.disk.makeDirectory('.');
    const isThere = (await deps.disk.list('.')).includes(FORMAT_FILE);
    if (options.start === 'restart' && !isThere)
      fail('not-found', `the log of this manager is gone, and its votes with it: ${WAY_BACK}`);
    if (options.start === 'bootstrap' || (options.start === 'join' && !isThere)) {
      await Storage.create(
        storageDeps,
        options.start === 'bootstrap' ? { raftAddress: options.raftAddress } : undefined,
      );
    }
    const { storage, initial, recovered } = await Storage.open({ ...storageDeps, space });
    const limits = { ...DEFAULT_LIMITS, ...options.timing };
    const raft = new Raft({ id: options.nodeId, limits, random: deps.random, initial });
    const worker = new ConsensusWorker(options, deps, { storage, raft, space });
    opened.worker = worker;
    deps.post({ type: 'opened', logId: storage.logId, epoch: storage.epoch });
    await worker.#begin(recovered.tornBytes);
    return worker;
  }

  private constructor(
    options: WorkerOptions,
    deps: WorkerDeps,
    { storage, raft, space }: { storage: Storage; raft: Raft; space: DiskSpace },
  ) {
    this.#options = options;
    this.#space = space;
    this.#deps = deps;
    this.#isJoining = options.start === 'join';
    this.#epoch = storage.epoch;
    this.#joinAfter = raft.log.lastIndex;
    this.#log = postedLog(deps.post, {});
    this.#storage = storage;
    this.#conditions = new Conditions(deps.clock);
    this.#transport = this.#makeTransport();
    this.#member = new Member({
      ...options,
      raft,
      storage,
      peers: this.#transport,
      machine: this,
      log: this.#log,
      onProgress: () => this.#onProgress(),
      onFatal: (error) => deps.post({ type: 'fatal', message: sentenceOf(error) }),
    });
    this.#changes = new MembershipChanges({
      member: this.#member,
      conditions: this.#conditions,
      situation: () => this.#situation(),
      handOver: () => this.#transfer(undefined),
      log: this.#log,
    });
    this.#snapshots = new SnapshotIntake(() => deps.post({ type: 'snapshot-chunk-written' }));
    this.#ticker = new Ticker(deps.clock, options.timing.tickMs, () => this.#tick());
  }

  async #begin(tornBytes: number): Promise<void> {
    const { raft } = this.#member;
    if (tornBytes > 0) this.#log.warn('cut off an unfinished last batch of the log', { bytes: tornBytes });
    await this.#transport.listen(this.#options.listenAddress);
    this.#transport.membershipChanged(raft.membership);
    const snapshot = this.#storage.snapshot;
    if (snapshot) this.restore(snapshot, await this.#storage.readChunks(snapshot));
    this.#log.info('consensus started', { term: raft.term, lastIndex: raft.log.lastIndex, snapshot: snapshot?.index });
    this.#ticker.start();
    this.#member.pump();
  }

  #makeTransport(): Transport {
    const { clock, random } = this.#deps;
    return new Transport({
      ...this.#options,
      clock,
      random,
      log: this.#log,
      judge: (id, claimedIndex) => judge(this.#member.raft, id, claimedIndex),
      membershipIndex: () => this.#member.raft.membershipIndex,
      claimedIndex: () => claimOf(this.#member.raft),
      epoch: () => this.#epoch,
      onLaterEpoch: (epoch) => this.#followEpoch(epoch),
      currentSnapshot: () => this.#storage.readCurrent(),
      onMessages: (messages) => this.#receive(messages),
      onSnapshot: (message, chunks) => this.#member.receiveSnapshot(message, chunks),
      onSnapshotSent: (to, delivered) => this.#member.snapshotReported(to, delivered),
      onUnreachable: (id) => this.#member.unreachable(id),
      onGone: (id) => this.#member.raft.suspectLeader(id),
      onConnectivity: () => this.#onProgress(),
      onRemoved: (by, membershipIndex) => this.#onRemoved(by, membershipIndex),
    });
  }

  /** Whoever holds a log of an earlier epoch may hold what the new one has given up: it begins again with nothing. */
  #followEpoch(epoch: number): void {
    const { raft } = this.#member;
    if (raft.log.lastIndex > 0)
      fail(
        'conflict',
        `the cluster began anew (epoch ${epoch}) without this manager, whose log is of epoch ${this.#epoch}`,
      );
    this.#epoch = epoch;
    // The storage works in order: it is durable before anything that this member writes in the new epoch.
    this.#storage.setEpoch(epoch).catch((error: unknown) => {
      this.#deps.post({ type: 'fatal', message: sentenceOf(error) });
    });
  }

  // ---- From the main thread ----

  onMessage(message: ToWorker): void {
    this.#ticksSinceMain = 0;
    switch (message.type) {
      case 'propose': {
        if (this.#refusesForSpace(message.ids)) return;
        const payloads = unpack(message.payloads);
        return this.#member.propose(payloads.map((bytes, at) => ({ id: message.ids[at] ?? 0, bytes })));
      }
      case 'read':
        return this.#member.read(message.ids);
      case 'request':
        return void this.#answer(message.id, message.request);
      case 'applied':
        return this.#member.appliedUpTo(message.index);
      case 'snapshot-begin':
        return void this.#makeSnapshot(message.index);
      case 'snapshot-chunk':
        return this.#snapshots.chunk(message);
      case 'snapshot-end':
        return this.#snapshots.end(message.failed);
      case 'certificate':
        return this.#transport.setCertificate(message.certificate);
      case 'alive':
        return;
    }
  }

  async #answer(id: number, request: MemberRequest): Promise<void> {
    try {
      await this.#carryOut(request);
      this.#deps.post({ type: 'done', id });
    } catch (error) {
      this.#deps.post({ type: 'failed', ids: [id], code: codeOf(error), message: sentenceOf(error) });
    }
  }

  #carryOut(request: MemberRequest): Promise<unknown> {
    switch (request.kind) {
      case 'add-member':
        return this.#changes.add(request.nodeId, request.raftAddress);
      case 'remove-member':
        return this.#changes.remove(request.nodeId, request);
      case 'replace-member':
        return this.#changes.replace(request.leaving, request.nodeId, request.raftAddress);
      case 'transfer':
        return this.#transfer(request.to);
      case 'rekey':
        return this.#storage.rekey(request);
      case 'stop':
        return this.#stop();
    }
  }

  /** A leader that can not store anything asks its followers in vain for what it could not keep itself. */
  #refusesForSpace(ids: readonly number[]): boolean {
    const refuses = this.#space.isFull && this.#member.raft.leading !== undefined;
    if (refuses) this.#deps.post({ type: 'failed', ids, code: 'exhausted', message: this.#fullSentence() });
    return refuses;
  }

  #fullSentence(): string {
    return `the disk of manager ${this.#options.nodeId} is full: writes are refused until there is space again`;
  }

  #onDiskFull(): void {
    const ids = this.#member.abandonProposals();
    const message = `${this.#fullSentence()}; this one may yet be committed`;
    if (ids.length > 0) this.#deps.post({ type: 'failed', ids, code: 'unknown-outcome', message });
    if (this.#member.raft.leading?.successor()) this.#giveUpLeading('the disk is full; handing leadership over', {});
  }

  async #makeSnapshot(index: number): Promise<void> {
    try {
      await this.#member.snapshotMade(index, this.#snapshots.begin());
    } catch (error) {
      // The log keeps growing and the next attempt comes with it; a disk that is truly broken fails the log's own writes.
      this.#log.error('making a snapshot failed', { index, reason: sentenceOf(error) });
    } finally {
      this.#deps.post({ type: 'snapshot-over' });
    }
  }

  async #transfer(to: MemberId | undefined): Promise<MemberId> {
    const { raft } = this.#member;
    if (!raft.leading) throw refusalError('not-leader', this.#situation());
    const successor =
      to ?? raft.leading.successor() ?? fail('unavailable', 'no other manager is reachable to take over');
    if (successor === raft.id) return successor;
    const refusal = raft.transferLeadership(successor);
    this.#member.pump();
    if (refusal) throw refusalError(refusal, this.#situation(), successor);
    const handedOver = (): boolean => {
      if (raft.leading && !this.#transport.connected().includes(successor))
        fail('unavailable', `${successor} went away`);
      return raft.leaderId === successor;
    };
    await this.#conditions.until(handedOver, TRANSFER_TIMEOUT_MS, `handing leadership over to ${successor}`);
    return successor;
  }

  async #stop(): Promise<void> {
    if (this.#member.raft.leading?.successor()) {
      try {
        await this.#transfer(undefined);
      } catch (error) {
        this.#log.warn('leadership could not be handed over', { reason: sentenceOf(error) });
      }
    }
    this.#ticker.stop();
    this.#member.end();
    this.#space.stop();
    this.#conditions.failAll(new CodedError('unavailable', 'this manager is stopping'));
    await this.#transport.stop();
    await this.#storage.close();
  }

  // ---- From the member loop ----

  apply(batch: CommittedBatch): void {
    const data = batch.entries.filter(({ kind }) => kind === 'data');
    const entries = pack(data.map(({ bytes }) => bytes));
    const upTo = batch.entries.at(-1)?.index ?? 0;
    const indexes = data.map(({ index }) => index);
    this.#deps.post({ type: 'committed', upTo, indexes, entries, proposals: [...batch.proposals] }, [
      entries.bytes.buffer,
    ]);
  }

  restore(meta: SnapshotMeta, chunks: readonly SnapshotChunk[]): void {
    const packed = pack(chunks.map(({ bytes }) => bytes));
    const kinds = chunks.map(({ kind }) => kind);
    this.#deps.post({ type: 'restore', index: meta.index, kinds, chunks: packed }, [packed.bytes.buffer]);
  }

  readsConfirmed(ids: readonly number[], index: number): void {
    this.#deps.post({ type: 'reads-confirmed', ids, index });
  }

  requestSnapshot(): void {
    this.#deps.post({ type: 'snapshot-wanted' });
  }

  failed(ids: readonly number[], reason: Failure): void {
    const situation = this.#situation();
    const error =
      reason.kind === 'refused' ? refusalError(reason.refusal, situation) : leadershipLost(situation, reason.appended);
    this.#deps.post({ type: 'failed', ids, code: error.code, message: error.message });
  }

  // ---- What goes on here ----

  #tick(): void {
    this.#ticks += 1;
    this.#ticksSinceMain += 1;
    this.#member.tick();
    const { tickMs } = this.#options.timing;
    if (!this.#member.raft.leading) return;
    if (this.#ticksSinceMain === Math.ceil(MAIN_SILENT_MS / tickMs)) {
      this.#giveUpLeading('the main thread is silent; handing leadership over', { silentMs: MAIN_SILENT_MS });
    } else if (this.#member.ticksOfWrite % Math.ceil(DISK_SILENT_MS / tickMs) === 0 && this.#member.ticksOfWrite > 0) {
      this.#giveUpLeading('the disk is stuck; handing leadership over', { silentMs: DISK_SILENT_MS });
    }
  }

  #giveUpLeading(why: string, fields: LogFields): void {
    this.#log.warn(why, fields);
    this.#transfer(undefined).catch((error: unknown) =>
      this.#log.warn('leadership could not be handed over', { reason: sentenceOf(error) }),
    );
  }

  /** Only who knows of a later membership than we do can know that we are out. */
  #onRemoved(by: MemberId, membershipIndex: number): void {
    const { membership, membershipIndex: ours } = this.#member.raft;
    const isMember = membership.members.some(({ id }) => id === by);
    if (this.#isRemoved || this.#isJoining || !isMember || membershipIndex <= ours) return;
    this.#log.warn('this manager was removed from the cluster', { toldBy: by });
    this.#isRemoved = true;
    this.#onProgress();
  }

  #noticeAdmission(): void {
    const { raft } = this.#member;
    if (this.#isJoining && raft.applied > this.#joinAfter && claimOf(raft) > 0) this.#isJoining = false;
  }

  #isOut(): boolean {
    const { raft } = this.#member;
    return this.#isRemoved || (!this.#isJoining && raft.membership.removed.includes(raft.id));
  }

  #onProgress(): void {
    this.#noticeAdmission();
    this.#conditions.check();
    const { raft } = this.#member;
    const reachable = raft.leading?.reachable() ?? [];
    const visible = [this.#roleNow(), raft.term, raft.leaderId, raft.membershipIndex, ...reachable].join(' ');
    if (visible === this.#visible) return;
    this.#visible = visible;
    const status = this.#currentStatus();
    if (status.role === 'leader' && !this.#wasLeader) this.#log.info('became leader', { term: status.term });
    this.#wasLeader = status.role === 'leader';
    this.#deps.post({ type: 'status', status });
  }

  #currentStatus(): WorkerStatus {
    const { raft } = this.#member;
    return {
      role: this.#roleNow(),
      term: raft.term,
      leaderId: raft.leaderId as NodeId | undefined,
      members: raft.membership.members.map(({ id, address, learner }) => ({
        nodeId: id as NodeId,
        raftAddress: address,
        learner,
      })),
      reachable: (raft.leading?.reachable() ?? []) as NodeId[],
      commitIndex: raft.committed,
    };
  }

  /** A leader counts as one when it has committed in its own term: everything older is then committed and handed over. */
  #roleNow(): WorkerStatus['role'] {
    const { raft } = this.#member;
    if (this.#isOut()) return 'removed';
    if (raft.role === 'leader') return raft.log.termAt(raft.applied) === raft.term ? 'leader' : 'candidate';
    if (raft.role !== 'follower') return 'candidate';
    return raft.isVoter ? 'follower' : 'learner';
  }

  #receive(messages: readonly Message[]): void {
    for (const { from } of messages) this.#heardAt.set(from, this.#ticks);
    this.#member.receive(messages);
  }

  /** A connection may stand long after the other side has gone; what counts is to have heard something. */
  #heardLately(): MemberId[] {
    const since = this.#ticks - this.#options.timing.electionTicksMax;
    return this.#transport
      .connected()
      .filter((id) => id === this.#options.nodeId || (this.#heardAt.get(id) ?? since) > since);
  }

  #situation(): Situation {
    const { raft } = this.#member;
    return {
      self: raft.id,
      leaderId: raft.leaderId,
      transferee: raft.leading?.transferee,
      membership: raft.membership,
      reachable: raft.leading?.reachable() ?? this.#heardLately(),
      isRemoved: this.#isOut(),
    };
  }
}

function postedLog(post: WorkerDeps['post'], common: LogFields): Log {
  const at = (level: 'debug' | 'info' | 'warn' | 'error') => (event: string, fields?: LogFields) =>
    post({ type: 'log', level, event, fields: plain({ ...common, ...fields }) });
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => postedLog(post, { ...common, ...fields }),
  };
}

/** Errors travel between threads as their sentence. */
function plain(fields: LogFields): LogFields {
  const entries = Object.entries(fields).map(([key, value]) => [
    key,
    value instanceof Error ? sentenceOf(value) : value,
  ]);
  return Object.fromEntries(entries) as LogFields;
}
