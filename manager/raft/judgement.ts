// Whose messages are taken. A certificate says who somebody is; this says whether the group still, or already, has them.
import type { Raft } from './core/raft.ts';
import type { MemberId } from './core/types.ts';

/** `stranger`: a manager of this cluster that is not known here as a member while a leader is, who would have told. */
export type Judgement = 'member' | 'removed' | 'stranger';

type Known = Pick<Raft, 'membership' | 'membershipIndex' | 'inLease' | 'leaderId'>;

/**
 * A manager that is not known here may be newer than what we know, unless a live leader would have told us of it. The
 * same goes for one that was removed and claims to have come back by a later membership than ours, which is at
 * `claimedIndex` of the log.
 */
export function judge(raft: Known, id: MemberId, claimedIndex: number): Judgement {
  const { membership, inLease, leaderId } = raft;
  if (membership.members.some((member) => member.id === id)) return 'member';
  const mayHaveReturned = claimedIndex > raft.membershipIndex && (!inLease || id === leaderId);
  if (membership.removed.includes(id)) return mayHaveReturned ? 'member' : 'removed';
  if (id === leaderId) return 'member';
  return membership.members.length > 0 && inLease ? 'stranger' : 'member';
}

/** The index of the membership by which a member takes itself for one; 0 if it does not. */
export function claimOf({
  membership,
  membershipIndex,
  id,
}: Pick<Raft, 'membership' | 'membershipIndex' | 'id'>): number {
  return membership.members.some((member) => member.id === id) ? membershipIndex : 0;
}
