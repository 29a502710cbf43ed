// Whose messages are taken. A certificate says who somebody is; this says whether the group still, or already, has them.
import type { Raft } from './core/raft.ts';
import type { MemberId } from './core/types.ts';

/** `stranger`: a manager of this cluster that is not known here as a member while a leader is, who would have told. */
export type Judgement = 'member' | 'removed' | 'stranger';

/** A manager that is not known here may be newer than what we know, unless a live leader would have told us of it. */
export function judge(raft: Pick<Raft, 'membership' | 'inLease' | 'leaderId'>, id: MemberId): Judgement {
  const { membership, inLease, leaderId } = raft;
  if (membership.removed.includes(id)) return 'removed';
  if (membership.members.some((member) => member.id === id)) return 'member';
  if (id === leaderId) return 'member';
  return membership.members.length > 0 && inLease ? 'stranger' : 'member';
}
