// A leader's work for the length of one term: replicating its log, counting what is committed, confirming reads,
// noticing that it has lost its majority, changing the membership, and handing over.
import { invariant } from '../../../base/assert.ts';
import type { RaftLog } from './log.ts';
import { costOf } from './log.ts';
import {
  encodeChange,
  leavingOf,
  type Member,
  type Membership,
  type MembershipChange,
  memberOf,
  quorumsOf,
  refusalOf,
} from './membership.ts';
import { Progress } from './progress.ts';
import { hasMajority, majorityValue, type Quorums } from './quorum.ts';
import { Reads } from './reads.ts';
import type { AppendResponse, Entry, HeartbeatResponse, MemberId, Message, RaftLimits, Refusal } from './types.ts';

type WithoutSender<T> = T extends Message ? Omit<T, 'from' | 'term'> : never;
export type Outgoing = WithoutSender<Message>;

export interface LeaderDeps {
  readonly id: MemberId;
  readonly term: number;
  readonly limits: RaftLimits;
  readonly log: RaftLog;
  readonly send: (message: Outgoing) => void;
  readonly readConfirmed: (read: { token: number; index: number }) => void;
}

export class Leader {
  readonly #deps: LeaderDeps;
  readonly #progress = new Map<MemberId, Progress>();
  readonly #reads = new Reads();
  #membership: Membership;
  #quorums: Quorums;
  #tick = 0;
  #round = 0;
  #uncommittedBytes: number;
  /** No membership change is begun while one at or below this index is not applied. */
  #changeIndex: number;
  #transfer: { to: MemberId; untilTick: number } | undefined;

  /** Becoming leader writes an entry of the new term, which commits what earlier terms left. */
  constructor(deps: LeaderDeps, membership: Membership) {
    this.#deps = deps;
    this.#membership = membership;
    this.#quorums = quorumsOf(membership);
    const { log } = deps;
    this.#changeIndex = log.lastIndex;
    this.#uncommittedBytes = log.bytesBetween(log.committed, log.lastIndex);
    for (const member of this.#others()) this.#progress.set(member.id, new Progress(log.lastIndex + 1, 0));
    this.#append([{ kind: 'noop', bytes: new Uint8Array() }]);
  }

  get transferee(): MemberId | undefined {
    return this.#transfer?.to;
  }

  /** A membership change waits while another is not applied, and until something of this term is committed. */
  get isChanging(): boolean {
    return this.#changeIndex > this.#deps.log.applied || !this.#hasCommittedInTerm();
  }

  progressOf(id: MemberId): Readonly<Progress> | undefined {
    return this.#progress.get(id);
  }

  /** Members heard from within an election timeout, itself included. */
  reachable(): MemberId[] {
    return this.#membership.members.filter(({ id }) => this.#isReachable(id)).map(({ id }) => id);
  }

  /** False: no majority has been heard from within an election timeout, so it must not lead on. */
  tick(): boolean {
    this.#tick += 1;
    if (!hasMajority(this.#quorums, (id) => this.#isReachable(id))) return false;
    if (this.#transfer && this.#tick >= this.#transfer.untilTick) this.#transfer = undefined;
    this.#settle();
    if (this.#tick % this.#deps.limits.heartbeatTicks === 0) this.#heartbeat();
    return true;
  }

  propose(payloads: readonly Uint8Array[]): Refusal | undefined {
    if (this.#transfer) return 'transferring';
    const parts = payloads.map((bytes) => ({ kind: 'data' as const, bytes }));
    if (!this.hasRoomFor(parts.reduce((sum, part) => sum + costOf(part), 0))) return 'too-much-uncommitted';
    this.#append(parts);
    return undefined;
  }

  /** Whether entries that cost so much may be proposed, when others for `waiting` come before them. Alone, anything may. */
  hasRoomFor(cost: number, waiting = 0): boolean {
    const before = this.#uncommittedBytes + waiting;
    return before === 0 || before + cost <= this.#deps.limits.uncommittedBytesMax;
  }

  proposeChange(change: MembershipChange): Refusal | undefined {
    if (this.#transfer) return 'transferring';
    if (this.isChanging) return 'change-in-progress';
    const refusal = refusalOf(this.#membership, change);
    if (refusal) return refusal;
    // It would commit its own removal and go before the others know of that; they may then need its vote in vain.
    const leaving = change.op === 'replace' ? change.replaces : change.op === 'remove' ? change.id : undefined;
    if (leaving === this.#deps.id) return 'is-leader';
    if ((change.op === 'promote' || change.op === 'replace') && !this.isCaughtUp(change.id)) return 'not-caught-up';
    this.#beginChange(change);
    return undefined;
  }

  #beginChange(change: MembershipChange): void {
    this.#append([{ kind: 'membership', bytes: encodeChange(change) }]);
    this.#changeIndex = this.#deps.log.lastIndex;
  }

  /** Ends a replacement as soon as it is in force, whoever began it. */
  #settle(): void {
    const [leaving] = leavingOf(this.#membership);
    if (leaving !== undefined && !this.isChanging && !this.#transfer) this.#beginChange({ op: 'settle', id: leaving });
  }

  isCaughtUp(id: MemberId): boolean {
    const progress = this.#progress.get(id);
    const { log, limits } = this.#deps;
    if (!progress || progress.state !== 'replicate' || !this.#isReachable(id)) return false;
    return log.lastIndex - progress.match <= limits.promotionLagMax;
  }

  read(token: number): Refusal | undefined {
    if (this.#reads.size >= this.#deps.limits.waitingReadsMax) return 'too-many-reads';
    if (this.#hasCommittedInTerm()) this.#beginReads([token]);
    else this.#reads.addEarly(token);
    return undefined;
  }

  transfer(to: MemberId): Refusal | undefined {
    const member = memberOf(this.#membership, to);
    const progress = this.#progress.get(to);
    if (!member || member.learner || !progress) return 'not-a-member';
    this.#transfer = { to, untilTick: this.#tick + this.#deps.limits.electionTicksMax };
    if (progress.match === this.#deps.log.lastIndex) this.#deps.send({ type: 'timeout-now', to });
    else this.#sendAppend(to, progress);
    return undefined;
  }

  /** The voter that is nearest to our log, for handing over to; undefined when nobody else is reachable. */
  successor(): MemberId | undefined {
    const incoming = this.#quorums[0] ?? [];
    const candidates = incoming.filter((id) => id !== this.#deps.id && this.#isReachable(id));
    const matchOf = (id: MemberId): number => this.#progress.get(id)?.match ?? 0;
    return candidates.sort((a, b) => matchOf(b) - matchOf(a))[0];
  }

  /** Our own write is durable up to the log's stable index. */
  writtenHere(): void {
    this.#maybeCommit();
  }

  onAppendResponse(message: AppendResponse): void {
    const progress = this.#heard(message.from);
    if (!progress) return;
    if (message.rejected) this.#onRejected(message, progress);
    else this.#onMatched(message, progress);
  }

  onHeartbeatResponse(message: HeartbeatResponse): void {
    const progress = this.#heard(message.from);
    if (!progress) return;
    progress.ackedRound = Math.max(progress.ackedRound, message.round);
    progress.heartbeatAnswered(this.#deps.limits);
    if (progress.match < this.#deps.log.lastIndex) this.#sendAppend(message.from, progress);
    this.#confirmReads();
  }

  /** The transport could not deliver: what was sent optimistically may be lost. */
  unreachable(id: MemberId): void {
    const progress = this.#progress.get(id);
    if (progress?.state === 'replicate') progress.becomeProbe();
  }

  snapshotReported(id: MemberId, delivered: boolean): void {
    const progress = this.#progress.get(id);
    if (progress?.state !== 'snapshot') return;
    if (delivered) progress.becomeProbe();
    else progress.snapshotFailed();
    progress.paused = true;
  }

  /** A membership change was applied. One that leaves gets a last message, so that it can learn of it. */
  membershipApplied(membership: Membership): void {
    const { log } = this.#deps;
    for (const [id, progress] of this.#progress) {
      if (memberOf(membership, id)) continue;
      this.#sendAppend(id, progress, { evenEmpty: true });
      this.#progress.delete(id);
      if (this.#transfer?.to === id) this.#transfer = undefined;
    }
    this.#membership = membership;
    this.#quorums = quorumsOf(membership);
    for (const { id } of this.#others()) {
      if (!this.#progress.has(id)) this.#progress.set(id, new Progress(log.lastIndex + 1, this.#tick));
    }
    this.#settle();
    if (this.#maybeCommit()) return;
    for (const [id, progress] of this.#progress) this.#sendAppend(id, progress, { evenEmpty: true });
  }

  /** Starts replicating what was just appended. */
  replicate(): void {
    for (const [id, progress] of this.#progress) this.#sendAppend(id, progress);
  }

  #append(parts: readonly Pick<Entry, 'kind' | 'bytes'>[]): void {
    const { log, term } = this.#deps;
    const first = log.lastIndex + 1;
    const entries = parts.map((part, offset) => ({ index: first + offset, term, ...part }));
    log.append(entries);
    for (const entry of entries) this.#uncommittedBytes += costOf(entry);
    this.replicate();
  }

  #onRejected(message: AppendResponse, progress: Progress): void {
    // The follower's hint skips its later terms; ours skips those of our entries that it can not have.
    const retryFrom = this.#deps.log.lastIndexWithin(message.hintIndex, message.hintTerm);
    if (progress.rejected(message.index, retryFrom)) this.#sendAppend(message.from, progress);
  }

  #onMatched(message: AppendResponse, progress: Progress): void {
    if (message.index > this.#deps.log.lastIndex) return; // not of this log: a broken or foreign answer
    const wasPaused = progress.isPaused(this.#deps.limits);
    const news = progress.matched(message.index);
    if (!news && !(progress.state === 'probe' && progress.match === message.index)) return;
    this.#leaveProbeOrSnapshot(progress);
    if (this.#maybeCommit()) return this.#afterMatch(message.from, progress);
    if (wasPaused || progress.next <= this.#deps.log.lastIndex) this.#sendAppend(message.from, progress);
    this.#afterMatch(message.from, progress);
  }

  #leaveProbeOrSnapshot(progress: Progress): void {
    if (progress.state === 'probe') progress.becomeReplicate();
    else if (progress.state === 'snapshot' && progress.match >= this.#deps.log.base.index) {
      progress.becomeProbe();
      progress.becomeReplicate();
    }
  }

  #afterMatch(id: MemberId, progress: Progress): void {
    if (this.#transfer?.to === id && progress.match === this.#deps.log.lastIndex) {
      this.#deps.send({ type: 'timeout-now', to: id });
    }
  }

  /** Commits what a majority holds, if it is of this term: an earlier term's entry is only ever committed along with one. */
  #maybeCommit(): boolean {
    const { log, term } = this.#deps;
    const index = majorityValue(this.#quorums, (id) => this.#matchOf(id));
    if (index <= log.committed || log.termAt(index) !== term) return false;
    this.#uncommittedBytes -= log.bytesBetween(log.committed, index);
    log.commitTo(index);
    this.#beginReads(this.#reads.takeEarly());
    for (const [id, progress] of this.#progress) this.#sendAppend(id, progress, { evenEmpty: true });
    return true;
  }

  #matchOf(id: MemberId): number {
    return id === this.#deps.id ? this.#deps.log.stable : (this.#progress.get(id)?.match ?? 0);
  }

  #sendAppend(to: MemberId, progress: Progress, options: { evenEmpty?: boolean } = {}): void {
    const { log, limits, send } = this.#deps;
    if (progress.isPaused(limits)) return;
    const prevIndex = progress.next - 1;
    const prevTerm = log.termAt(prevIndex);
    if (prevTerm === undefined) return this.#sendSnapshot(to, progress);
    const entries = progress.next <= log.lastIndex ? log.slice(progress.next, limits.appendBytesMax) : [];
    if (entries.length === 0 && !options.evenEmpty && progress.state === 'replicate' && progress.match === prevIndex)
      return;
    send({ type: 'append', to, prevIndex, prevTerm, entries, commit: log.committed });
    const bytes = entries.reduce((sum, entry) => sum + costOf(entry), 0);
    progress.sent(entries.at(-1)?.index ?? prevIndex, bytes);
    if (progress.state === 'replicate' && progress.next <= log.lastIndex) this.#sendAppend(to, progress);
  }

  #sendSnapshot(to: MemberId, progress: Progress): void {
    const snapshot = this.#deps.log.snapshot;
    invariant(snapshot, 'a log that lost its beginning has a snapshot');
    if (!this.#isReachable(to)) return;
    progress.becomeSnapshot(snapshot.index);
    this.#deps.send({ type: 'snapshot', to, snapshot });
  }

  #heartbeat(): void {
    this.#round += 1;
    for (const [to, progress] of this.#progress) {
      // A member may only be told to commit what is known to match in its log.
      const commit = Math.min(progress.match, this.#deps.log.committed);
      this.#deps.send({ type: 'heartbeat', to, commit, round: this.#round });
    }
  }

  #beginReads(tokens: readonly number[]): void {
    if (tokens.length === 0) return;
    this.#heartbeat();
    for (const token of tokens) this.#reads.add(token, this.#deps.log.committed, this.#round);
    this.#confirmReads();
  }

  #confirmReads(): void {
    const round = majorityValue(this.#quorums, (id) =>
      id === this.#deps.id ? this.#round : (this.#progress.get(id)?.ackedRound ?? 0),
    );
    for (const read of this.#reads.confirm(round)) this.#deps.readConfirmed(read);
  }

  #hasCommittedInTerm(): boolean {
    return this.#deps.log.termAt(this.#deps.log.committed) === this.#deps.term;
  }

  #heard(id: MemberId): Progress | undefined {
    const progress = this.#progress.get(id);
    if (progress) progress.heardAtTick = this.#tick;
    return progress;
  }

  #isReachable(id: MemberId): boolean {
    if (id === this.#deps.id) return true;
    const progress = this.#progress.get(id);
    return progress !== undefined && this.#tick - progress.heardAtTick <= this.#deps.limits.electionTicksMax;
  }

  #others(): Member[] {
    return this.#membership.members.filter(({ id }) => id !== this.#deps.id);
  }
}
