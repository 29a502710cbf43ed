// One member of a Raft group as a pure state machine, in the shape of etcd's: `step` a message in, `tick` the time,
// take what is to be done from `ready`, say that it was done with `advance`. No clock, no disk, no network, no promise.
// Source: Ongaro, "Consensus: Bridging Theory and Practice" (2014), with PreVote (9.6), CheckQuorum (6.2) and ReadIndex (6.4).
import type { Random } from '../../../base/random.ts';
import { invariant } from '../../../base/assert.ts';
import { ElectionTimer } from './election-timer.ts';
import { Follower } from './follower.ts';
import { Leader, type Outgoing } from './leader.ts';
import { RaftLog } from './log.ts';
import { type Membership, type MembershipChange, votersOf } from './membership.ts';
import { MembershipHistory } from './membership-history.ts';
import { Outbox } from './outbox.ts';
import type {
  Entry,
  InitialState,
  MemberId,
  Message,
  RaftLimits,
  Ready,
  Refusal,
  Role,
  SnapshotMeta,
  VoteRequest,
  VoteResponse,
} from './types.ts';
import { answerTo, Ballot, type Candidacy, givesWay, isUpToDate, voteRequests } from './voting.ts';
import { Writes } from './writes.ts';

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
  readonly #log: RaftLog;
  readonly #timer: ElectionTimer;
  readonly #memberships: MembershipHistory;
  readonly #writes: Writes;
  readonly #follower: Follower;
  #term: number;
  #vote: MemberId | undefined;
  #role: Role = 'follower';
  #leaderId: MemberId | undefined;
  #leader: Leader | undefined;
  #ballot = new Ballot();
  /** The leader wants us to take over, but there is something to apply first. */
  #isInvited = false;
  readonly #outbox = new Outbox();

  constructor({ id, limits, random, initial }: RaftOptions) {
    this.id = id;
    this.#limits = limits;
    this.#log = new RaftLog(initial);
    this.#timer = new ElectionTimer(limits, random);
    this.#memberships = new MembershipHistory(initial.snapshot);
    this.#writes = new Writes(initial.hardState);
    this.#term = initial.hardState.term;
    this.#vote = initial.hardState.vote;
    this.#follower = new Follower({
      log: this.#log,
      memberships: this.#memberships,
      writes: this.#writes,
      isTermDurable: () => this.#writes.durable.term === this.#term,
      send: (message) => this.#send(message),
      vouch: (message) => this.#vouch(message),
    });
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
    return this.#memberships.current;
  }
  /** The index of the entry (or snapshot) that the present membership comes from. */
  get membershipIndex(): number {
    return this.#memberships.index;
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
    | Pick<Leader, 'reachable' | 'successor' | 'isCaughtUp' | 'isChanging' | 'progressOf' | 'transferee' | 'hasRoomFor'>
    | undefined {
    return this.#leader;
  }
  /** A leader has been heard from within the shortest election timeout. */
  get inLease(): boolean {
    return this.#leader !== undefined || (this.#leaderId !== undefined && this.#timer.isWithinLease);
  }
  get isVoter(): boolean {
    return votersOf(this.membership).includes(this.id);
  }
  /** Whether this snapshot was accepted and is not yet durable. */
  isRestoring(snapshot: SnapshotMeta): boolean {
    return this.#writes.isRestoring(snapshot);
  }
  /** The membership as of an applied index that is not older than the last snapshot. */
  membershipAt(index: number): Membership {
    return this.#memberships.at(index);
  }

  // ---- What happens to it ----

  tick(): void {
    if (this.#leader) {
      if (!this.#leader.tick()) this.#becomeFollower(this.#term, undefined);
      return;
    }
    const isAlone = this.isVoter && votersOf(this.membership).length === 1;
    if (!this.#timer.tick() && !(isAlone && this.#role !== 'candidate')) return;
    this.#timer.reset();
    if (this.#mayCampaign()) this.#campaign('pre-candidate');
  }

  /** The leader's machine refuses connections: no need to wait out the whole timeout. PreVote guards against error. */
  suspectLeader(id: MemberId): void {
    if (this.#leaderId !== id || this.#leader) return;
    this.#leaderId = undefined;
    this.#timer.hurry();
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
        this.#follow(message.from);
        return this.#follower.onAppend(message);
      case 'heartbeat':
        this.#follow(message.from);
        return this.#follower.onHeartbeat(message);
      case 'snapshot':
        this.#follow(message.from);
        return this.#follower.onSnapshot(message);
      case 'append-response':
        return this.#leader?.onAppendResponse(message);
      case 'heartbeat-response':
        return this.#leader?.onHeartbeatResponse(message);
      case 'timeout-now':
        this.#isInvited = true;
        return this.#acceptInvitation();
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
    this.#memberships.forgetBefore(snapshot.index);
  }

  // ---- What it wants done ----

  ready(options: { withCommitted: boolean } = { withCommitted: true }): Ready | undefined {
    const committed = options.withCommitted ? this.#takeCommitted() : [];
    if (this.#isInvited) this.#acceptInvitation();
    const write = this.#writes.take(this.#log, { term: this.#term, vote: this.#vote });
    return this.#outbox.take(write, committed, this.#writes.isUnderWay);
  }

  /** The write of this `ready` is durable. */
  advance({ write }: Pick<Ready, 'write'>): void {
    if (!write) return;
    this.#writes.done(write);
    this.#log.markStable(write.entries);
    if (this.#leader) this.#leader.writtenHere();
    else this.#countOwnVote();
  }

  /**
   * A membership is applied only when its commit is durable here: a member that is gone may be needed no more after a
   * restart, so the restart must not begin with a membership that still counts it.
   */
  #takeCommitted(): Entry[] {
    if (this.#writes.isInstalling) return [];
    const found = this.#log.peekCommitted(COMMITTED_BYTES_MAX);
    const durable = this.#writes.durable.commit;
    const tooEarly = found.findIndex(({ kind, index }) => kind === 'membership' && index > durable);
    if (tooEarly >= 0) this.#writes.wantCommit();
    const entries = tooEarly >= 0 ? found.slice(0, tooEarly) : found;
    this.#log.appliedTo(entries.at(-1)?.index ?? this.#log.applied);
    for (const entry of entries) if (entry.kind === 'membership') this.#applyChange(entry);
    return entries;
  }

  #applyChange(entry: Entry): void {
    if (!this.#memberships.apply(entry) || !this.#leader) return;
    this.#leader.membershipApplied(this.membership);
    if (this.isVoter) return;
    // Another leader began its removal, and it has committed that; it names a successor and goes.
    const successor = this.#leader.successor();
    if (successor) this.#send({ type: 'timeout-now', to: successor });
    this.#becomeFollower(this.#term, undefined);
  }

  // ---- Standing for election ----

  /** Committed but unapplied entries may change who votes; an election waits for them. */
  #mayCampaign(): boolean {
    const { applied, committed, stable } = this.#log;
    return this.isVoter && !this.#writes.isInstalling && applied >= Math.min(committed, stable);
  }

  /** No pre-vote, and no lease stands in the way: the leader itself wants it. */
  #acceptInvitation(): void {
    if (!this.#mayCampaign()) return;
    this.#isInvited = false;
    this.#campaign('candidate', { transfer: true });
  }

  #campaign(as: Candidacy, { transfer }: { transfer: boolean } = { transfer: false }): void {
    this.#dropLeadership();
    this.#role = as;
    this.#leaderId = undefined;
    this.#ballot = new Ballot();
    if (as === 'candidate') {
      this.#setTerm(this.#term + 1);
      this.#vote = this.id;
      this.#timer.waitForVotes();
      this.#outbox.vouch(...voteRequests(this, 'vote-request', { term: this.#term, transfer }));
    } else {
      this.#ballot.cast(this.id, true);
      this.#timer.retrySoon();
      this.#outbox.send(...voteRequests(this, 'pre-vote-request', { term: this.#term + 1, transfer }));
    }
    this.#countVotes();
  }

  /** A candidate's vote for itself counts once it is durable, like any other. */
  #countOwnVote(): void {
    const { term, vote } = this.#writes.durable;
    if (this.#role !== 'candidate' || term !== this.#term || vote !== this.id) return;
    this.#ballot.cast(this.id, true);
    this.#countVotes();
  }

  #onVoteResponse(message: VoteResponse): void {
    if (this.#role !== (message.type === 'vote-response' ? 'candidate' : 'pre-candidate')) return;
    this.#ballot.cast(message.from, message.granted);
    this.#countVotes();
  }

  #countVotes(): void {
    const result = this.#ballot.result(this.membership);
    if (result === 'lost') this.#becomeFollower(this.#term, undefined);
    if (result !== 'won') return;
    if (this.#role === 'pre-candidate') this.#campaign('candidate');
    else this.#becomeLeader();
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
        readConfirmed: (read) => this.#outbox.confirm(read),
      },
      this.membership,
    );
  }

  // ---- Voting ----

  #onVoteRequest(message: VoteRequest): void {
    const isPreVote = message.type === 'pre-vote-request';
    const isFree = this.#vote === undefined && this.#leaderId === undefined;
    const mayVote = this.#vote === message.from || isFree || (isPreVote && message.term > this.#term);
    const isRival = isPreVote && this.#role === 'pre-candidate';
    const granted = mayVote && isUpToDate(this, message) && (!isRival || givesWay(this, message));
    if (isPreVote) {
      if (granted && isRival) {
        this.#role = 'follower';
        this.#timer.retrySoon();
      }
      return this.#outbox.send(answerTo(message, granted, this.#term));
    }
    if (granted) {
      this.#timer.heard();
      this.#vote = message.from;
    }
    this.#outbox.vouch(answerTo(message, granted, this.#term));
  }

  // ---- Terms ----

  /** A message of a newer term; false if it is to be ignored. */
  #stepNewerTerm(message: Message): boolean {
    switch (message.type) {
      case 'pre-vote-request':
        return message.transfer || !this.inLease;
      case 'vote-request':
        if (!message.transfer && this.inLease) return false;
        this.#becomeVoter(message.term);
        return true;
      case 'pre-vote-response':
        if (!message.granted) this.#becomeFollower(message.term, undefined);
        else if (message.term === this.#term + 1) this.#onVoteResponse(message);
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

  #stepOlderTerm(message: Message): void {
    switch (message.type) {
      case 'append':
      case 'heartbeat':
      case 'snapshot':
        return this.#follower.onDeposed(message.from);
      case 'pre-vote-request':
        return this.#outbox.send(answerTo(message, false, this.#term));
      case 'vote-request':
      case 'pre-vote-response':
      case 'vote-response':
      case 'append-response':
      case 'heartbeat-response':
      case 'timeout-now':
        return;
    }
  }

  #follow(leaderId: MemberId): void {
    invariant(!this.#leader, 'one leader in a term');
    this.#role = 'follower';
    this.#leaderId = leaderId;
    this.#timer.heard();
  }

  #becomeFollower(term: number, leaderId: MemberId | undefined): void {
    this.#dropLeadership();
    if (term > this.#term) this.#setTerm(term);
    this.#role = 'follower';
    this.#leaderId = leaderId;
    this.#timer.reset();
  }

  /** A request for votes moves us to its term, but does not by itself put off our own election. */
  #becomeVoter(term: number): void {
    if (this.#leader) this.#timer.reset();
    else this.#timer.redraw();
    this.#dropLeadership();
    this.#setTerm(term);
    this.#role = 'follower';
    this.#leaderId = undefined;
  }

  #dropLeadership(): void {
    this.#leader = undefined;
    this.#outbox.leadershipEnded();
  }

  #setTerm(term: number): void {
    this.#term = term;
    this.#vote = undefined;
    this.#isInvited = false;
    this.#outbox.termEnded();
  }

  // ---- Sending ----

  #send(message: Outgoing): void {
    this.#outbox.send({ ...message, from: this.id, term: this.#term });
  }

  /** For what must not be said before it is durable. */
  #vouch(message: Outgoing): void {
    this.#outbox.vouch({ ...message, from: this.id, term: this.#term });
  }
}
