// What the manager knows of consensus, which runs in a worker thread with its log and its peer streams.
import type { ManagerAddresses, NodeId } from '../../proto/objects.ts';

export interface ConsensusMember {
  readonly nodeId: NodeId;
  readonly raftAddress: string;
  readonly learner: boolean;
}

export interface ConsensusStatus {
  readonly role: 'leader' | 'follower' | 'candidate' | 'learner' | 'removed';
  readonly term: number;
  readonly leaderId: NodeId | undefined;
  readonly members: readonly ConsensusMember[];
  /** On the leader: members heard from within an election timeout (itself included). Elsewhere: empty. */
  readonly reachable: readonly NodeId[];
  readonly commitIndex: number;
  readonly appliedIndex: number;
}

/** What consensus does to the state machine, in order, one call at a time. */
export interface StateMachine {
  /** Applies one committed entry. Throwing ends the process: a state machine that cannot apply must not go on. */
  apply(index: number, entry: Uint8Array): void;
  /** The state at the last applied index, as chunks of (kind, bytes); must not hold the event loop for long. */
  snapshot(): AsyncIterable<SnapshotChunk>;
  /** Replaces the whole state. */
  restore(index: number, chunks: AsyncIterable<SnapshotChunk>): Promise<void>;
}

export interface SnapshotChunk {
  readonly kind: string;
  readonly bytes: Uint8Array;
}

export interface Consensus extends AsyncDisposable {
  /** Of the log on disk and no other: a node whose log was lost comes back with another one. */
  readonly logId: string;
  /** As it was at the start. */
  readonly epoch: number;
  status(): ConsensusStatus;
  /** Called on every change of role, leader, members or reachability. */
  onStatus(listener: (status: ConsensusStatus) => void): Disposable;
  /** Resolves with the index once applied here. `unavailable`: not leader or no quorum, nothing written; `unknown-outcome`. */
  propose(entry: Uint8Array, options: { abort?: AbortSignal | undefined }): Promise<number>;
  /**
   * Leader only: resolves once a heartbeat round after the call confirmed leadership and everything up to then is applied
   * here, with the index up to which a reader elsewhere must have applied, too.
   */
  readBarrier(options: { abort?: AbortSignal | undefined }): Promise<number>;
  /** Resolves once everything up to `index` is applied here, on any member. */
  applied(index: number, options: { abort?: AbortSignal | undefined }): Promise<void>;
  /** Leader only. Adds a learner, waits until it has caught up, makes it a voter. Resolves when committed. */
  addMember(
    member: { nodeId: NodeId; raftAddress: string },
    options: { abort?: AbortSignal | undefined },
  ): Promise<void>;
  /** Leader only. Refused (`conflict`, with the arithmetic) when the rest would have no reachable majority, unless forced. */
  removeMember(nodeId: NodeId, options: { force?: boolean; abort?: AbortSignal | undefined }): Promise<void>;
  /**
   * Leader only. Adds a learner, waits until it has caught up, then gives it the vote of `leaving`, which is removed, in
   * one step: there is no moment with one manager more or less. Resolves when that is settled.
   */
  replaceMember(
    leaving: NodeId,
    member: { nodeId: NodeId; raftAddress: string },
    options: { abort?: AbortSignal | undefined },
  ): Promise<void>;
  transferLeadership(to?: NodeId): Promise<void>;
  /**
   * Seals the data keys with the first of these keys of the node from now on; with `rotate`, log and snapshots get a new
   * data key as well. Resolves when it is durable.
   */
  rekey(options: { nodeKeys: readonly Uint8Array[]; rotate: boolean }): Promise<void>;
  /** New certificate material for both directions, without a restart. */
  setCertificate(material: CertificateMaterial): void;
  /** Leader gives up leadership by transfer if it can, then the worker stops. */
  stop(): Promise<void>;
}

export interface CertificateMaterial {
  readonly certificatePem: string; // leaf, then issuer chain
  readonly keyPem: string;
  readonly rootsPem: readonly string[];
}

export interface ConsensusOptions {
  readonly nodeId: NodeId;
  readonly clusterId: string;
  readonly directory: string; // for log, snapshots and the data key; created if absent
  /** What the data keys are sealed with on disk, the present one first. Empty: they lie open beside the log. */
  readonly nodeKeys?: readonly Uint8Array[];
  readonly listenAddress: string; // host:port of the raft listener
  readonly advertise: ManagerAddresses;
  readonly certificate: CertificateMaterial;
  /**
   * `bootstrap`: first start of a cluster, a one-member group; refused where a log already is. `join`: wait for the
   * leader's log, empty or, after a removal or an attempt that broke off, with the log and the votes that are there;
   * they must not be deleted while the node id is the same. `restart`: go on from disk.
   */
  readonly start: 'bootstrap' | 'join' | 'restart';
  readonly timing: { tickMs: number; heartbeatTicks: number; electionTicksMin: number; electionTicksMax: number };
  readonly snapshotIntervalEntries: number;
  readonly logEntriesForSlowFollowers: number;
}
