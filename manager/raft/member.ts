// The loop around the core: whatever happens (a message, a tick, a proposal, a finished write) is stepped in, and what the
// core then wants is done in its order: messages that may leave at once, one write at a time, what waited for that write.
// It knows neither threads nor sockets nor files; the worker and the simulator hand those in.
import { sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { SnapshotChunk } from './contract.ts';
import type { Membership, MembershipChange } from './core/membership.ts';
import { costOf } from './core/log.ts';
import { Raft } from './core/raft.ts';
import type { Entry, MemberId, Message, Ready, Refusal, SnapshotMeta, Write } from './core/types.ts';
import type { SnapshotWriter } from './snapshot-file.ts';
import type { Storage } from './storage.ts';

/** Messages to other members; may be lost, late or doubled. */
export interface Peers {
  send(messages: readonly Message[]): void;
  membershipChanged(membership: Membership): void;
}

/** The state machine's side, in order; it reports back with `appliedUpTo`. */
export interface Machine {
  apply(batch: CommittedBatch): void;
  restore(meta: SnapshotMeta, chunks: readonly SnapshotChunk[]): void;
  /** The reads may be answered once `index` is applied. */
  readsConfirmed(ids: readonly number[], index: number): void;
  /** Wants the state at the last applied index, to be given to `snapshotMade`. */
  requestSnapshot(): void;
  failed(ids: readonly number[], reason: Failure): void;
}

export interface CommittedBatch {
  readonly entries: readonly Entry[];
  /** Proposals of ours among them: the request's id by index. */
  readonly proposals: ReadonlyMap<number, number>;
}

export interface Proposal {
  readonly id: number;
  readonly bytes: Uint8Array;
}

export type Failure =
  /** Not begun: nothing was written. */
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** Leadership was lost while it was under way. */
  | { readonly kind: 'leadership-lost'; readonly appended: boolean };

export interface MemberOptions {
  readonly raft: Raft;
  readonly storage: Storage;
  readonly peers: Peers;
  readonly machine: Machine;
  readonly log: Log;
  readonly snapshotIntervalEntries: number;
  readonly logEntriesForSlowFollowers: number;
  /** Called after anything that may have changed what `raft` says. */
  readonly onProgress: () => void;
  /** A write failed: nothing may be acknowledged from here on, and the process must end. */
  readonly onFatal: (error: unknown) => void;
}

/** Bounds that do not depend on the cluster's settings. */
const LOG_BYTES_BEFORE_SNAPSHOT = 64 * 1024 * 1024;
const LOG_BYTES_FOR_SLOW_FOLLOWERS = 16 * 1024 * 1024;
const BATCHES_UNDER_WAY_MAX = 2;
const UNAPPLIED_ENTRIES_MAX = 20_000;
const UNAPPLIED_BYTES_MAX = 32 * 1024 * 1024;

export class Member {
  readonly raft: Raft;
  readonly #options: MemberOptions;
  readonly #pending = new Map<number, { term: number; id: number }>();
  readonly #reads = new Map<number, readonly number[]>();
  #proposals: Proposal[] = [];
  /** What they cost, which counts as uncommitted already: a slow disk must not make them pile up. */
  #proposalBytes = 0;
  /** The last indexes of those batches of proposals that are not committed yet. */
  #batches: number[] = [];
  #waitingReads: number[] = [];
  #readToken = 0;
  #wasLeaderInTerm = 0;
  #machineApplied: number;
  #handedOut: { index: number; bytes: number }[] = [];
  #unappliedBytes = 0;
  #bytesSinceSnapshot = 0;
  #isSnapshotting = false;
  #membership: Membership;
  #pumping = false;
  #isWriting = false;
  #ticksOfWrite = 0;
  #ended = false;

  constructor(options: MemberOptions) {
    this.#options = options;
    this.raft = options.raft;
    this.#machineApplied = this.raft.applied;
    this.#membership = this.raft.membership;
  }

  get machineApplied(): number {
    return this.#machineApplied;
  }

  receive(messages: readonly Message[]): void {
    for (const message of messages) this.raft.step(message);
    this.pump();
  }

  /** For how many ticks the write under way has been going on; 0 without one. */
  get ticksOfWrite(): number {
    return this.#ticksOfWrite;
  }

  tick(): void {
    if (this.#isWriting) this.#ticksOfWrite += 1;
    this.raft.tick();
    this.pump();
  }

  /** What comes while enough is under way goes on together: into one write here, one message and one write elsewhere. */
  propose(requests: readonly Proposal[]): void {
    const crowded: number[] = [];
    for (const request of requests) if (!this.#takeIn(request)) crowded.push(request.id);
    if (crowded.length > 0) this.#refuse(crowded, 'too-much-uncommitted');
    this.pump();
  }

  #takeIn(request: Proposal): boolean {
    const cost = costOf(request);
    const { leading } = this.raft;
    if (leading && !leading.hasRoomFor(cost, this.#proposalBytes)) return false;
    this.#proposals.push(request);
    this.#proposalBytes += cost;
    return true;
  }

  #propose(): void {
    const { raft } = this;
    this.#batches = this.#batches.filter((lastIndex) => lastIndex > raft.committed);
    const mustWait = this.#isWriting || this.#batches.length >= BATCHES_UNDER_WAY_MAX;
    if (this.#proposals.length === 0 || (mustWait && raft.leading)) return;
    const requests = this.#proposals;
    this.#proposals = [];
    this.#proposalBytes = 0;
    const first = this.raft.log.lastIndex + 1;
    const refusal = this.raft.propose(requests.map(({ bytes }) => bytes));
    if (refusal)
      return this.#refuse(
        requests.map(({ id }) => id),
        refusal,
      );
    for (const [offset, { id }] of requests.entries()) this.#pending.set(first + offset, { term: this.raft.term, id });
  }

  /** Reads asked for before the next pump share one round. */
  read(ids: readonly number[]): void {
    this.#waitingReads.push(...ids);
    this.pump();
  }

  /** The requests of proposals that are under way here: nobody waits for them any more, and they may yet be committed. */
  abandonProposals(): number[] {
    const ids = [...this.#pending.values()].map(({ id }) => id);
    this.#pending.clear();
    return ids;
  }

  /** Returns the index of the change's entry, or why it was not begun. */
  proposeChange(change: MembershipChange): { index: number } | { refusal: Refusal } {
    const refusal = this.raft.proposeChange(change);
    const result = refusal ? { refusal } : { index: this.raft.log.lastIndex };
    this.pump();
    return result;
  }

  /** The state machine has applied everything up to `index`. */
  appliedUpTo(index: number): void {
    this.#machineApplied = Math.max(this.#machineApplied, index);
    const done = this.#handedOut.filter((part) => part.index <= index);
    this.#handedOut = this.#handedOut.slice(done.length);
    for (const { bytes } of done) this.#unappliedBytes -= bytes;
    this.#considerSnapshot();
    this.pump();
  }

  /** A snapshot that another member sends. Resolves when the core has judged it and, if it wants it, it is staged. */
  async receiveSnapshot(
    message: Extract<Message, { type: 'snapshot' }>,
    chunks: AsyncIterable<SnapshotChunk>,
  ): Promise<void> {
    const { storage } = this.#options;
    const writer = await storage.beginSnapshot(message.snapshot);
    try {
      for await (const chunk of chunks) await writer.write(chunk);
      await writer.finish();
    } catch (error) {
      await writer.discard();
      throw error;
    }
    if (this.#ended) return writer.discard();
    await storage.stage(writer);
    this.raft.step(message);
    if (!this.raft.isRestoring(message.snapshot)) await storage.unstage(message.snapshot);
    this.pump();
  }

  /** The state machine's state at `index`, which it has applied. Rejects if it could not be written; the log stays. */
  async snapshotMade(index: number, chunks: AsyncIterable<SnapshotChunk>): Promise<void> {
    try {
      const writer = await this.#writeSnapshot(index, chunks);
      if (writer) await this.#publishSnapshot(writer);
    } finally {
      this.#isSnapshotting = false;
    }
  }

  async #writeSnapshot(index: number, chunks: AsyncIterable<SnapshotChunk>): Promise<SnapshotWriter | undefined> {
    const term = this.raft.log.termAt(index);
    if (term === undefined) return undefined; // a received snapshot has overtaken it
    const meta = { index, term, membership: this.raft.membershipAt(index) };
    const writer = await this.#options.storage.beginSnapshot(meta);
    try {
      for await (const chunk of chunks) await writer.write(chunk);
      await writer.finish();
      return writer;
    } catch (error) {
      await writer.discard();
      throw error;
    }
  }

  /** From here on it concerns the log itself, so a failure is as final as that of any write. */
  async #publishSnapshot(writer: SnapshotWriter): Promise<void> {
    if (this.#ended) return writer.discard();
    try {
      if (await this.#options.storage.publishOwn(writer)) await this.#compact(writer.meta);
    } catch (error) {
      this.#fatal(error);
    }
  }

  snapshotReported(id: MemberId, delivered: boolean): void {
    this.raft.snapshotReported(id, delivered);
    this.pump();
  }

  unreachable(id: MemberId): void {
    this.raft.unreachable(id);
    this.pump();
  }

  /** Does what the core wants until it wants nothing more for now. */
  pump(): void {
    if (this.#pumping || this.#ended) return;
    this.#pumping = true;
    this.#beginReads();
    this.#propose();
    for (let ready = this.#ready(); ready; ready = this.#ready()) {
      this.#do(ready);
      this.#propose();
    }
    this.#pumping = false;
    this.#noticeLostLeadership();
    this.#options.onProgress();
  }

  /** No more is done from now on; a write under way is let finish by the storage's `close`. */
  end(): void {
    this.#ended = true;
  }

  #ready(): Ready | undefined {
    const lag = this.raft.applied - this.#machineApplied;
    return this.raft.ready({
      withCommitted: lag < UNAPPLIED_ENTRIES_MAX && this.#unappliedBytes < UNAPPLIED_BYTES_MAX,
    });
  }

  #do(ready: Ready): void {
    const { peers, machine } = this.#options;
    // Whoever waits for the answer comes before the members that are told of it.
    if (ready.committed.length > 0) this.#handOut(ready.committed);
    if (ready.messages.length > 0) peers.send(ready.messages);
    for (const { token, index } of ready.reads) {
      machine.readsConfirmed(this.#reads.get(token) ?? [], index);
      this.#reads.delete(token);
    }
    if (this.raft.membership !== this.#membership) this.#membershipChanged();
    if (ready.write) void this.#write(ready, ready.write);
  }

  async #write(ready: Ready, write: Write): Promise<void> {
    const { storage, machine, peers } = this.#options;
    this.#isWriting = true;
    try {
      await storage.save(write);
      if (this.#ended) return;
      if (write.snapshot) {
        machine.restore(write.snapshot, await storage.readChunks(write.snapshot));
        this.#machineApplied = write.snapshot.index;
        this.#handedOut = [];
        this.#unappliedBytes = 0;
        this.#bytesSinceSnapshot = 0;
      }
    } catch (error) {
      this.#fatal(error);
      return;
    }
    if (this.#ended) return;
    this.#isWriting = false;
    this.#ticksOfWrite = 0;
    peers.send(ready.messagesAfterWrite);
    this.raft.advance(ready);
    this.pump();
  }

  #fatal(error: unknown): void {
    if (this.#ended) return;
    this.end();
    this.#options.log.error('writing the consensus log failed', { error, reason: sentenceOf(error) });
    this.#options.onFatal(error);
  }

  #handOut(entries: readonly Entry[]): void {
    const proposals = new Map<number, number>();
    const overwritten: number[] = [];
    let bytes = 0;
    for (const entry of entries) {
      bytes += costOf(entry);
      const pending = this.#pending.get(entry.index);
      if (!pending) continue;
      this.#pending.delete(entry.index);
      if (pending.term === entry.term) proposals.set(entry.index, pending.id);
      else overwritten.push(pending.id);
    }
    this.#handedOut.push({ index: entries.at(-1)?.index ?? 0, bytes });
    this.#unappliedBytes += bytes;
    this.#bytesSinceSnapshot += bytes;
    if (overwritten.length > 0) this.#options.machine.failed(overwritten, { kind: 'leadership-lost', appended: true });
    this.#options.machine.apply({ entries, proposals });
  }

  #beginReads(): void {
    if (this.#waitingReads.length === 0) return;
    const ids = this.#waitingReads;
    this.#waitingReads = [];
    this.#readToken += 1;
    const refusal = this.raft.read(this.#readToken);
    if (refusal) this.#refuse(ids, refusal);
    else this.#reads.set(this.#readToken, ids);
  }

  #refuse(ids: readonly number[], refusal: Refusal): void {
    this.#options.machine.failed(ids, { kind: 'refused', refusal });
  }

  /** What is committed will still be reported as such; of the rest nobody here can say what becomes of it. */
  #noticeLostLeadership(): void {
    const { raft } = this;
    const term = raft.role === 'leader' ? raft.term : 0;
    if (term === this.#wasLeaderInTerm) return;
    this.#wasLeaderInTerm = term;
    this.#batches = [];
    const lost: number[] = [];
    for (const [index, pending] of this.#pending) {
      if (pending.term === term || (index <= raft.committed && raft.log.termAt(index) === pending.term)) continue;
      this.#pending.delete(index);
      lost.push(pending.id);
    }
    if (lost.length > 0) this.#options.machine.failed(lost, { kind: 'leadership-lost', appended: true });
    const reads = [...this.#reads.values()].flat();
    this.#reads.clear();
    if (reads.length > 0) this.#options.machine.failed(reads, { kind: 'leadership-lost', appended: false });
  }

  #membershipChanged(): void {
    this.#membership = this.raft.membership;
    this.#options.peers.membershipChanged(this.#membership);
  }

  #considerSnapshot(): void {
    if (this.#isSnapshotting) return;
    const since = this.#machineApplied - (this.raft.log.snapshot?.index ?? 0);
    if (since <= 0) return;
    if (since < this.#options.snapshotIntervalEntries && this.#bytesSinceSnapshot < LOG_BYTES_BEFORE_SNAPSHOT) return;
    this.#isSnapshotting = true;
    this.#bytesSinceSnapshot = 0;
    this.#options.machine.requestSnapshot();
  }

  async #compact(meta: SnapshotMeta): Promise<void> {
    const { storage, log, logEntriesForSlowFollowers } = this.#options;
    if ((this.raft.log.snapshot?.index ?? 0) >= meta.index || this.raft.applied < meta.index) return;
    const keepAfter = this.raft.log.baseKeeping(meta.index, logEntriesForSlowFollowers, LOG_BYTES_FOR_SLOW_FOLLOWERS);
    this.raft.compact(meta, keepAfter);
    await storage.forgetUpTo(Math.min(keepAfter, meta.index));
    log.info('snapshot made', { index: meta.index, logFrom: keepAfter + 1 });
  }
}
