// The vocabulary of the consensus core: entries, messages, what is kept on disk, and its limits.
// Indexes and terms are whole numbers below 2^53; ids are node ids and compared as strings.
import type { Membership } from './membership.ts';

export type MemberId = string;

/** `noop`: what a new leader writes first. `membership`: a MembershipChange. `data`: the state machine's. */
export type EntryKind = 'data' | 'membership' | 'noop';

export interface Entry {
  readonly index: number;
  readonly term: number;
  readonly kind: EntryKind;
  readonly bytes: Uint8Array;
}

/** What must survive a crash besides the entries. */
export interface HardState {
  readonly term: number;
  readonly vote: MemberId | undefined;
  readonly commit: number;
}

export interface SnapshotMeta {
  readonly index: number;
  readonly term: number;
  readonly membership: Membership;
}

interface Envelope {
  readonly from: MemberId;
  readonly to: MemberId;
  /** The sender's term; of a pre-vote request and its grant: the term the candidate would start. */
  readonly term: number;
}

export type VoteRequest = Envelope & {
  readonly type: 'pre-vote-request' | 'vote-request';
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** Asked for by the leader itself: a live leader is no reason to refuse. */
  readonly transfer: boolean;
};

export type VoteResponse = Envelope & {
  readonly type: 'pre-vote-response' | 'vote-response';
  readonly granted: boolean;
};

export type Append = Envelope & {
  readonly type: 'append';
  readonly prevIndex: number;
  readonly prevTerm: number;
  readonly entries: readonly Entry[];
  readonly commit: number;
};

export type AppendResponse = Envelope & {
  readonly type: 'append-response';
  /** Accepted: the last index that matches. Rejected: the `prevIndex` that did not. */
  readonly index: number;
  readonly rejected: boolean;
  /** Rejected: where the follower's log could still match, and its term there. */
  readonly hintIndex: number;
  readonly hintTerm: number;
};

/** `round` grows with every heartbeat of a leader, so that an answer proves when it was asked. */
export type Heartbeat = Envelope & { readonly type: 'heartbeat'; readonly commit: number; readonly round: number };
export type HeartbeatResponse = Envelope & { readonly type: 'heartbeat-response'; readonly round: number };
export type SnapshotMessage = Envelope & { readonly type: 'snapshot'; readonly snapshot: SnapshotMeta };
/** The leader asks for its own succession: start an election now. */
export type TimeoutNow = Envelope & { readonly type: 'timeout-now' };

export type Message =
  | VoteRequest
  | VoteResponse
  | Append
  | AppendResponse
  | Heartbeat
  | HeartbeatResponse
  | SnapshotMessage
  | TimeoutNow;

export interface RaftLimits {
  readonly heartbeatTicks: number;
  readonly electionTicksMin: number;
  readonly electionTicksMax: number;
  readonly appendBytesMax: number;
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
  /** Proposals beyond this many bytes that are not committed yet are refused. */
  readonly uncommittedBytesMax: number;
  /** A learner further behind than this many entries is not made a voter. */
  readonly promotionLagMax: number;
  /** Reads waiting for their round; more are refused. */
  readonly waitingReadsMax: number;
}

export const DEFAULT_LIMITS: RaftLimits = {
  heartbeatTicks: 2,
  electionTicksMin: 8,
  electionTicksMax: 15,
  appendBytesMax: 256 * 1024,
  inflightMessagesMax: 256,
  inflightBytesMax: 4 * 1024 * 1024,
  uncommittedBytesMax: 64 * 1024 * 1024,
  promotionLagMax: 64,
  waitingReadsMax: 10_000,
};

/** What a node knows when it starts: the last snapshot, the entries after (and possibly some before) it, the hard state. */
export interface InitialState {
  readonly hardState: HardState;
  readonly snapshot: SnapshotMeta | undefined;
  /** The place before the first of `entries`; at or below the snapshot. */
  readonly base: { readonly index: number; readonly term: number };
  readonly entries: readonly Entry[];
}

/** To be made durable, in this order: the snapshot, the entries (which replace what was at and after their first index), the hard state. */
export interface Write {
  readonly snapshot: SnapshotMeta | undefined;
  readonly entries: readonly Entry[];
  readonly hardState: HardState;
}

/**
 * What the driver has to do. `messages` leave at once. `write` is made durable, then `messagesAfterWrite` leave, then
 * `advance` is called; until then no further `write` is handed out. `committed` goes to the state machine in order.
 */
export interface Ready {
  readonly messages: readonly Message[];
  readonly write: Write | undefined;
  readonly messagesAfterWrite: readonly Message[];
  readonly committed: readonly Entry[];
  /** Reads whose round confirmed leadership: they may be answered from any state that has applied `index`. */
  readonly reads: readonly { readonly token: number; readonly index: number }[];
}

export type Role = 'leader' | 'follower' | 'pre-candidate' | 'candidate';

/** Why something asked of the core was not begun; nothing was written. */
export type Refusal =
  | 'not-leader'
  | 'transferring'
  | 'too-much-uncommitted'
  | 'too-many-reads'
  | 'change-in-progress'
  | 'not-caught-up'
  | 'already-member'
  | 'not-a-member'
  | 'not-a-learner'
  | 'last-voter'
  | 'is-leader';
