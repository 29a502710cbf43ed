// What the package exports as `shoal/raft-ts`: the consensus core with its interfaces, and the durable log and snapshots
// under it. Needs only the base room; time, randomness, disk and network are handed in.
export {
  changed,
  decodeChange,
  encodeChange,
  memberOf,
  leavingOf,
  NO_MEMBERS,
  quorumsOf,
  votersOf,
  type Member as GroupMember,
  type Membership,
  type MembershipChange,
} from './core/membership.ts';
export { majorityOf, type Quorums } from './core/quorum.ts';
export { Raft, type RaftOptions } from './core/raft.ts';
export * from './core/types.ts';
export { type CommittedBatch, type Failure, type Machine, Member, type MemberOptions, type Peers } from './member.ts';
export { Storage, type StorageDeps } from './storage.ts';
export { type LogDeps, type RecoveredLog, WriteAheadLog } from './write-ahead-log.ts';
