// One member of a Raft group as a pure state machine, in the shape of etcd's: `step` a message in, `tick` the time,
// take what is to be done from `ready`, say that it was done with `advance`. No clock, no disk, no network, no promise.
// Source: Ongaro, "Consensus: Bridging Theory and Practice" (2014), with PreVote (9.6), CheckQuorum (6.2) and ReadIndex (6.4).
import { invariant } from '../../../base/assert.ts';
import type { Random } from '../../../base/random.ts';
import { type Outgoing, Leader } from './leader.ts';
import { RaftLog } from './log.ts';
import {
  changed,
  decodeChange,
  memberOf,
  type Membership,
  type MembershipChange,
  NO_MEMBERS,
  votersOf,
} from './membership.ts';
import { voteResult } from './quorum.ts';
import type {
  Append,
  Entry,
  HardState,
  Heartbeat,
  InitialState,
  MemberId,
  Message,
  RaftLimits,
  Ready,
  Refusal,
  Role,
  SnapshotMessage,
  SnapshotMeta,
  VoteRequest,
  VoteResponse,
  Write,
} from './types.ts';

export interface RaftOptions {
  readonly id: MemberId;
  readonly limits: RaftLimits;
  readonly random: Pick<Random, 'below'>;
  readonly initial: InitialState;
}

/** Entries handed out for applying in one `ready`, at most this many bytes (or one entry). */
const COMMITTED_BYTES_MAX = 1024 * 1024;

export class Raft {
  readonly id: MemberId;
  readonly #limits: RaftLimits;
  readonly #random: Pick<Random, 'below'>;
  readonly #log: RaftLog;
  #term: number;
  #vote: MemberId | undefined;
  #role: Role = 'follower';
  #leaderId: MemberId | undefined;
  #leader: Leader | undefined;
  #votes = new Map<MemberId, boolean>();
  #transferAsked = false;
  #electionElapsed = 0;
  #electionTimeout = 0;
  #membership: Membership;
  /** The membership since each index, oldest first, back to the last snapshot. */
  #membershipSince: { index: number; membership: Membership }[];
  #durable: HardState;
  #commitMustBeWritten = false;
  #writing: Write | undefined;
  #restored: SnapshotMeta | undefined;
  #messages: Message[] = [];
  #messagesAfterWrite: Message[] = [];
  #reads: { token: number; index: number }[] = [];

  constructor(options: RaftOptions) {
    const { initial } = options;
    this.id = options.id;
    this.#limits = options.limits;
    this.#random = options.random;
    this.#log = new RaftLog(initial);
    this.#term = initial.hardState.term;
    this.#vote = initial.hardState.vote;
    this.#durable = initial.hardState;
    this.#membership = initial.snapshot?.membership ?? NO_MEMBERS;
    this.#membershipSince = [{ index: initial.snapshot?.index ?? 0, membership: this.#membership }];
    this.#resetElection();
  }

  // ---- What it knows ----

  get term(): number {
    return this.#term;
  }
  get role(): Role {
    return this.#role;
  }
  get leaderId(): MemberId | undefined {
    return this.#leaderId;
  }
  get membership(): Membership {
    return this.#membership;
  }
  get committed(): number {
    return this.#log.committed;
  }
  get applied(): number {
    return this.#log.applied;
  }
  get log(): Omit<RaftLog, 'append' | 'merge' | 'commitTo' | 'restore' | 'compact' | 'markStable'> {
    return this.#log;
  }
  /** The leader's side, while this is the leader. */
  get leading():
    | Pick<Leader, 'reachable' | 'successor' | 'isCaughtUp' | 'isChanging' | 'progressOf' | 'transferee'>
    | undefined {
    return this.#leader;
  }
  /** A leader has been heard from within the shortest election timeout. */
  get inLease(): boolean {
    if (this.#leader) return true;
    return this.#leaderId !== undefined && this.#electionElapsed < this.#limits.electionTicksMin;
  }
  get isVoter(): boolean {
    return memberOf(this.#membership, this.id)?.learner === false;
  }
  /** The only voter has nobody to wait for. */
  get #isAlone(): boolean {
    return this.#role !== 'candidate' && this.isVoter && votersOf(this.#membership).length === 1;
  }
  get #isInstalling(): boolean {
    return this.#restored !== undefined || this.#writing?.snapshot !== undefined;
  }
  /** Whether this snapshot was accepted and is not yet durable. */
  isRestoring(snapshot: SnapshotMeta): boolean {
    return [this.#restored, this.#writing?.snapshot].some(
      (one) => one?.index === snapshot.index && one.term === snapshot.term,
    );
  }

  /** The index of the entry (or snapshot) that the present membership comes from. */
  get membershipIndex(): number {
    return this.#membershipSince.at(-1)?.index ?? 0;
  }

  /** The membership as of an applied index that is not older than the last snapshot. */
  membershipAt(index: number): Membership {
    const at = this.#membershipSince.findLast((since) => since.index <= index);
    invariant(at, 'the membership at that index is known');
    return at.membership;
  }

  // ---- What happens to it ----

  tick(): void {
    if (this.#leader) {
      if (!this.#leader.tick()) this.#becomeFollower(this.#term, undefined);
      return;
    }
    this.#electionElapsed += 1;
    if (this.#electionElapsed < this.#electionTimeout && !this.#isAlone) return;
    this.#resetElection();
    if (this.#mayCampaign()) this.#campaign('pre-candidate');
  }

  /** The leader's machine refuses connections: no need to wait out the whole timeout. PreVote guards against error. */
  suspectLeader(id: MemberId): void {
    if (this.#leaderId !== id || this.#leader) return;
    this.#leaderId = undefined;
    this.#electionElapsed = Math.max(this.#electionElapsed, this.#electionTimeout - 1 - this.#random.below(3));
  }

  step(message: Message): void {
    if (message.to !== this.id) return;
    if (message.term > this.#term && !this.#stepNewerTerm(message)) return;
    if (message.term < this.#term) return this.#stepOlderTerm(message);
    switch (message.type) {
      case 'pre-vote-request':
      case 'vote-request':
        return this.#onVoteRequest(message);
      case 'pre-vote-response':
      case 'vote-response':
        return this.#onVoteResponse(message);
      case 'append':
        return this.#onAppend(message);
      case 'heartbeat':
        return this.#onHeartbeat(message);
      case 'snapshot':
        return this.#onSnapshot(message);
      case 'append-response':
        return this.#leader?.onAppendResponse(message);
      case 'heartbeat-response':
        return this.#leader?.onHeartbeatResponse(message);
      case 'timeout-now':
        return this.#onTimeoutNow();
    }
  }

  // ---- What is asked of it: undefined is yes ----

  /** Appends entries of the state machine; they take the indexes after `log.lastIndex`. */
  propose(payloads: readonly Uint8Array[]): Refusal | undefined {
    return this.#leader ? this.#leader.propose(payloads) : 'not-leader';
  }

  proposeChange(change: MembershipChange): Refusal | undefined {
    return this.#leader ? this.#leader.proposeChange(change) : 'not-leader';
  }

  /** `token` comes back in `ready().reads`; if leadership is lost before, it never does. */
  read(token: number): Refusal | undefined {
    return this.#leader ? this.#leader.read(token) : 'not-leader';
  }

  transferLeadership(to: MemberId): Refusal | undefined {
    return this.#leader ? this.#leader.transfer(to) : 'not-leader';
  }

  unreachable(id: MemberId): void {
    this.#leader?.unreachable(id);
  }

  snapshotReported(id: MemberId, delivered: boolean): void {
    this.#leader?.snapshotReported(id, delivered);
  }

  /** The state at an applied index is durable as a snapshot; the log gives up what lies at or before `keepAfter`. */
  compact(snapshot: SnapshotMeta, keepAfter: number): void {
    this.#log.compact(snapshot, keepAfter);
    const current = this.#membershipSince.findLastIndex((since) => since.index <= snapshot.index);
    this.#membershipSince.splice(0, Math.max(0, current));
  }

  // ---- What it wants done ----

  ready(options: { withCommitted: boolean } = { withCommitted: true }): Ready | undefined {
    const committed = options.withCommitted ? this.#takeCommitted() : [];
    const write = this.#takeWrite();
    const messagesAfterWrite = this.#takeMessagesAfterWrite(write);
    const messages = this.#messages;
    const reads = this.#reads;
    this.#messages = [];
    this.#reads = [];
    if (!write && messages.length + messagesAfterWrite.length + committed.length + reads.length === 0) return undefined;
    return write
      ? { messages, write, messagesAfterWrite, committed, reads }
      : { messages: [...messages, ...messagesAfterWrite], write, messagesAfterWrite: [], committed, reads };
  }

  /** The write of this `ready` is durable. */
  advance(ready: Pick<Ready, 'write'>): void {
    const { write } = ready;
    if (!write) return;
    invariant(write === this.#writing, 'writes are finished in the order in which they were handed out');
    this.#writing = undefined;
    this.#durable = write.hardState;
    this.#log.markStable(write.entries);
    if (this.#leader) this.#leader.writtenHere();
    else this.#countOwnVote();
  }

  /**
   * A membership is applied only when its commit is durable here: a member that is gone may be needed no more after a
   * restart, so the restart must not begin with a membership that still counts it.
   */
  #takeCommitted(): Entry[] {
    if (this.#isInstalling) return [];
    const found = this.#log.peekCommitted(COMMITTED_BYTES_MAX);
    const tooEarly = found.findIndex(({ kind, index }) => kind === 'membership' && index > this.#durable.commit);
    if (tooEarly >= 0) this.#commitMustBeWritten = true;
    const entries = tooEarly >= 0 ? found.slice(0, tooEarly) : found;
    this.#log.appliedTo(entries.at(-1)?.index ?? this.#log.applied);
    for (const entry of entries) if (entry.kind === 'membership') this.#applyChange(entry);
    return entries;
  }

  #takeWrite(): Write | undefined {
    if (this.#writing) return undefined;
    const dirty = this.#durable.term !== this.#term || this.#durable.vote !== this.#vote;
    if (!dirty && !this.#commitMustBeWritten && !this.#restored && !this.#log.hasUnwritten) return undefined;
    const hardState: HardState = { term: this.#term, vote: this.#vote, commit: this.#log.committed };
    this.#writing = { snapshot: this.#restored, entries: this.#log.takeUnwritten(), hardState };
    this.#restored = undefined;
    this.#commitMustBeWritten = false;
    return this.#writing;
  }

  #takeMessagesAfterWrite(write: Write | undefined): Message[] {
    if (this.#writing && !write) return [];
    const messages = this.#messagesAfterWrite;
    this.#messagesAfterWrite = [];
    return messages;
  }

  #applyChange(entry: Entry): void {
    const membership = changed(this.#membership, decodeChange(entry.bytes));
    if (membership === this.#membership) return;
    this.#membership = membership;
    this.#membershipSince.push({ index: entry.index, membership });
    if (!this.#leader) return;
    this.#leader.membershipApplied(membership);
    if (this.isVoter) return;
    // Another leader began its removal, and it has committed that; it names a successor and goes.
    const successor = this.#leader.successor();
    if (successor) this.#send({ type: 'timeout-now', to: successor });
    this.#becomeFollower(this.#term, undefined);
  }

  // ---- Elections ----

  #resetElection(): void {
    const { electionTicksMin: min, electionTicksMax: max } = this.#limits;
    this.#electionElapsed = 0;
    this.#electionTimeout = min + this.#random.below(max - min + 1);
  }

  /** A pre-vote changes nothing anywhere, so an unanswered one is soon repeated. */
  #retryElectionSoon(): void {
    this.#electionElapsed = 0;
    this.#electionTimeout = this.#limits.heartbeatTicks + this.#random.below(this.#limits.heartbeatTicks + 1);
  }

  /** A split vote need not cost a whole election timeout: nobody is leading that could be disturbed. */
  #candidateTimeout(): number {
    const { heartbeatTicks, electionTicksMin: min, electionTicksMax: max } = this.#limits;
    return heartbeatTicks + 1 + this.#random.below(max - min + 1);
  }

  /** Committed but unapplied entries may change who votes; an election waits for them. */
  #mayCampaign(): boolean {
    return this.isVoter && !this.#isInstalling && this.#log.applied >= Math.min(this.#log.committed, this.#log.stable);
  }

  #campaign(as: 'pre-candidate' | 'candidate', options: { transfer?: boolean } = {}): void {
    this.#dropLeadership();
    this.#role = as;
    this.#leaderId = undefined;
    this.#votes = new Map();
    this.#transferAsked = options.transfer ?? false;
    if (as === 'candidate') {
      this.#setTerm(this.#term + 1);
      this.#vote = this.id;
      this.#electionElapsed = 0;
      this.#electionTimeout = this.#candidateTimeout();
    } else {
      this.#retryElectionSoon();
      this.#votes.set(this.id, true);
    }
    this.#askForVotes(as);
    this.#countVotes();
  }

  #askForVotes(as: 'pre-candidate' | 'candidate'): void {
    const { lastIndex, lastTerm } = this.#log;
    for (const to of votersOf(this.#membership)) {
      if (to === this.id) continue;
      const common = { from: this.id, to, lastIndex, lastTerm, transfer: this.#transferAsked };
      if (as === 'pre-candidate') this.#messages.push({ type: 'pre-vote-request', term: this.#term + 1, ...common });
      else this.#messagesAfterWrite.push({ type: 'vote-request', term: this.#term, ...common });
    }
  }

  /** A candidate's vote for itself counts once it is durable, like any other. */
  #countOwnVote(): void {
    if (this.#role !== 'candidate' || this.#durable.term !== this.#term || this.#durable.vote !== this.id) return;
    this.#votes.set(this.id, true);
    this.#countVotes();
  }

  #countVotes(): void {
    const result = voteResult(votersOf(this.#membership), this.#votes);
    if (result === 'lost') this.#becomeFollower(this.#term, undefined);
    if (result !== 'won') return;
    if (this.#role === 'pre-candidate') this.#campaign('candidate', { transfer: this.#transferAsked });
    else this.#becomeLeader();
  }

  #onVoteRequest(message: VoteRequest): void {
    const free = this.#vote === undefined && this.#leaderId === undefined;
    const mayVote = this.#vote === message.from || free || this.#isPreVoteForLater(message);
    const upToDate = this.#isUpToDate(message);
    const granted = mayVote && upToDate && !this.#outranks(message);
    if (message.type === 'pre-vote-request') {
      if (granted && this.#role === 'pre-candidate') this.#yieldTo();
      this.#messages.push(this.#voteResponse(message, granted));
      return;
    }
    if (granted) {
      this.#electionElapsed = 0;
      this.#vote = message.from;
    }
    this.#messagesAfterWrite.push(this.#voteResponse(message, granted));
  }

  /**
   * A removed member's entries after its removal never counted for anybody. They must not stand in the way of those who
   * do not know yet that they need its vote no more.
   */
  #isUpToDate({ lastIndex, lastTerm }: VoteRequest): boolean {
    // A member that has come back with nothing may once have held what the candidate lacks. When a leader has sent it
    // something, a majority of the others knows of its return, and the candidate needs one of them.
    if (this.#log.lastIndex === 0) return false;
    const removed = this.#membership.removed.includes(this.id) ? this.#membershipSince.at(-1) : undefined;
    const index = removed?.index ?? this.#log.lastIndex;
    const term = removed ? this.#log.termAt(index) : this.#log.lastTerm;
    if (term === undefined) return false;
    return lastTerm > term || (lastTerm === term && lastIndex >= index);
  }

  /** Of two that ask for pre-votes at once one gives way, so that they do not split the vote. */
  #outranks(message: VoteRequest): boolean {
    if (message.type !== 'pre-vote-request' || this.#role !== 'pre-candidate') return false;
    const { lastIndex, lastTerm } = this.#log;
    return message.lastIndex === lastIndex && message.lastTerm === lastTerm && message.from < this.id;
  }

  #yieldTo(): void {
    this.#role = 'follower';
    this.#retryElectionSoon();
  }

  #isPreVoteForLater(message: VoteRequest): boolean {
    return message.type === 'pre-vote-request' && message.term > this.#term;
  }

  #voteResponse(request: VoteRequest, granted: boolean): VoteResponse {
    const type = request.type === 'vote-request' ? 'vote-response' : 'pre-vote-response';
    // A granted pre-vote echoes the term that would be started; a refusal tells ours, in case it is the newer.
    return { type, from: this.id, to: request.from, term: granted ? request.term : this.#term, granted };
  }

  #onVoteResponse(message: VoteResponse): void {
    if (this.#role !== (message.type === 'vote-response' ? 'candidate' : 'pre-candidate')) return;
    if (!this.#votes.has(message.from)) this.#votes.set(message.from, message.granted);
    this.#countVotes();
  }

  /** The leader wants us to follow it: no pre-vote, and no lease stands in the way. */
  #onTimeoutNow(): void {
    if (this.#mayCampaign()) this.#campaign('candidate', { transfer: true });
  }

  #becomeLeader(): void {
    this.#role = 'leader';
    this.#leaderId = this.id;
    this.#leader = new Leader(
      {
        id: this.id,
        term: this.#term,
        limits: this.#limits,
        log: this.#log,
        send: (message) => this.#send(message),
        readConfirmed: (read) => void this.#reads.push(read),
      },
      this.#membership,
    );
  }

  #becomeFollower(term: number, leaderId: MemberId | undefined): void {
    this.#dropLeadership();
    if (term > this.#term) {
      this.#setTerm(term);
      this.#vote = undefined;
    }
    this.#role = 'follower';
    this.#leaderId = leaderId;
    this.#resetElection();
  }

  #dropLeadership(): void {
    this.#leader = undefined;
    this.#reads = [];
  }

  /** What was about to be vouched for in an earlier term is void: it must not reach that term's leader after we moved on. */
  #setTerm(term: number): void {
    this.#term = term;
    this.#messagesAfterWrite = [];
  }

  // ---- Terms ----

  /** A message of a newer term; false if it is to be ignored. */
  #stepNewerTerm(message: Message): boolean {
    switch (message.type) {
      case 'pre-vote-request':
        return message.transfer || !this.inLease;
      case 'vote-request':
        if (!message.transfer && this.inLease) return false;
        this.#becomeFollowerForVote(message.term);
        return true;
      case 'pre-vote-response':
        if (!message.granted) this.#becomeFollower(message.term, undefined);
        else this.#onPreVoteGranted(message);
        return false;
      case 'append':
      case 'heartbeat':
      case 'snapshot':
        this.#becomeFollower(message.term, message.from);
        return true;
      case 'vote-response':
      case 'append-response':
      case 'heartbeat-response':
      case 'timeout-now':
        this.#becomeFollower(message.term, undefined);
        return true;
    }
  }

  /** A vote request moves us to its term, but does not by itself put off our own election. */
  #becomeFollowerForVote(term: number): void {
    const elapsed = this.#electionElapsed;
    const wasLeader = this.#leader !== undefined;
    this.#becomeFollower(term, undefined);
    if (!wasLeader) this.#electionElapsed = Math.min(elapsed, this.#electionTimeout - 1);
  }

  #onPreVoteGranted(message: VoteResponse): void {
    if (this.#role === 'pre-candidate' && message.term === this.#term + 1) this.#onVoteResponse(message);
  }

  #stepOlderTerm(message: Message): void {
    switch (message.type) {
      case 'append':
      case 'heartbeat':
      case 'snapshot':
        // Tells a leader of an earlier term that there is a newer one, which PreVote would otherwise hide from it.
        this.#vouch({ type: 'append-response', to: message.from, index: 0, rejected: true, hintIndex: 0, hintTerm: 0 });
        return;
      case 'pre-vote-request':
        this.#messages.push(this.#voteResponse(message, false));
        return;
      case 'vote-request':
      case 'pre-vote-response':
      case 'vote-response':
      case 'append-response':
      case 'heartbeat-response':
      case 'timeout-now':
        return;
    }
  }

  // ---- Following ----

  #follow(leaderId: MemberId): void {
    invariant(!this.#leader, 'one leader in a term');
    this.#role = 'follower';
    this.#leaderId = leaderId;
    this.#electionElapsed = 0;
  }

  #onAppend(message: Append): void {
    this.#follow(message.from);
    const { prevIndex, prevTerm, entries, from: to } = message;
    const log = this.#log;
    if (prevIndex < log.committed) return this.#accept(to, log.committed);
    if (!log.matches(prevIndex, prevTerm)) return this.#reject(message);
    const last = Math.max(prevIndex, log.merge(entries));
    log.commitTo(Math.min(message.commit, last));
    this.#accept(to, last);
  }

  #accept(to: MemberId, index: number): void {
    this.#vouch({ type: 'append-response', to, index, rejected: false, hintIndex: 0, hintTerm: 0 });
  }

  #reject({ prevIndex, prevTerm, from: to }: Append): void {
    const hintIndex = this.#log.lastIndexWithin(prevIndex, prevTerm);
    const hintTerm = this.#log.termAt(hintIndex) ?? 0;
    this.#vouch({ type: 'append-response', to, index: prevIndex, rejected: true, hintIndex, hintTerm });
  }

  #onHeartbeat(message: Heartbeat): void {
    this.#follow(message.from);
    this.#log.commitTo(Math.min(message.commit, this.#log.lastIndex));
    const answer: Outgoing = { type: 'heartbeat-response', to: message.from, round: message.round };
    // The answer vouches for the term only; once that is durable it need not wait behind a slow disk.
    if (this.#durable.term === this.#term) this.#send(answer);
    else this.#vouch(answer);
  }

  #onSnapshot(message: SnapshotMessage): void {
    this.#follow(message.from);
    const { snapshot } = message;
    const log = this.#log;
    if (snapshot.index <= log.committed) return this.#accept(message.from, log.committed);
    if (log.matches(snapshot.index, snapshot.term)) {
      log.commitTo(snapshot.index);
      return this.#accept(message.from, log.committed);
    }
    log.restore(snapshot);
    this.#restored = snapshot;
    this.#membership = snapshot.membership;
    this.#membershipSince = [{ index: snapshot.index, membership: snapshot.membership }];
    this.#accept(message.from, snapshot.index);
  }

  // ---- Sending ----

  #send(message: Outgoing): void {
    this.#messages.push({ ...message, from: this.id, term: this.#term });
  }

  /** For what must not be said before it is durable. */
  #vouch(message: Outgoing): void {
    this.#messagesAfterWrite.push({ ...message, from: this.id, term: this.#term });
  }
}
