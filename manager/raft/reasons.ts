// Why consensus can not do what was asked, for a person: with names and the arithmetic.
import { CodedError, type ErrorCode } from '../../base/errors.ts';
import { type Membership, quorumsOf } from './core/membership.ts';
import { majorityOf } from './core/quorum.ts';
import type { MemberId, Refusal } from './core/types.ts';

export interface Situation {
  readonly self: MemberId;
  readonly leaderId: MemberId | undefined;
  readonly transferee: MemberId | undefined;
  readonly membership: Membership;
  /** Members that can be talked to, this one included. */
  readonly reachable: readonly MemberId[];
  readonly isRemoved: boolean;
}

/** `2 of 3 managers reachable, 2 needed`, and whether that is enough. */
export function quorumOf({ membership, reachable }: Pick<Situation, 'membership' | 'reachable'>): {
  text: string;
  isThere: boolean;
} {
  const counts = quorumsOf(membership).map((voters) => {
    const present = voters.filter((id) => reachable.includes(id)).length;
    const needed = majorityOf(voters.length);
    const text = `${present} of ${voters.length} managers reachable, ${needed} needed`;
    return { text, isThere: voters.length > 0 && present >= needed };
  });
  // During a replacement there are two sets of voters: the one that lacks its majority is the one to speak of.
  const [first] = counts;
  return counts.find(({ isThere }) => !isThere) ?? first ?? { text: 'no managers', isThere: false };
}

export function whyNoLeader(situation: Situation): string {
  if (situation.isRemoved) return 'this manager was removed from the cluster';
  if (situation.membership.members.length === 0) return 'this manager has not been let into the cluster yet';
  if (situation.leaderId === situation.self) return 'this manager is the leader';
  if (situation.leaderId) return `this manager is not the leader; the leader is ${situation.leaderId}`;
  const quorum = quorumOf(situation);
  return quorum.isThere ? `no leader is elected yet: ${quorum.text}` : `no quorum: ${quorum.text}`;
}

export function refusalError(refusal: Refusal, situation: Situation, subject = 'the member'): CodedError {
  const [code, message] = describe(refusal, situation, subject);
  return new CodedError(code, message);
}

function describe(refusal: Refusal, situation: Situation, subject: string): [ErrorCode, string] {
  switch (refusal) {
    case 'not-leader':
      return ['unavailable', whyNoLeader(situation)];
    case 'transferring':
      return ['unavailable', `leadership is being handed over to ${situation.transferee ?? 'another manager'}`];
    case 'too-much-uncommitted':
      return ['exhausted', 'too many writes are waiting to be committed; try again'];
    case 'too-many-reads':
      return ['exhausted', 'too many reads are waiting for the managers; try again'];
    case 'change-in-progress':
      return ['conflict', 'another change of the managers is still under way; try again when it is done'];
    case 'not-caught-up':
      return ['conflict', `${subject} has not caught up with the log yet`];
    case 'already-member':
      return ['conflict', `${subject} is a manager already`];
    case 'not-a-member':
      return ['not-found', `${subject} is not a manager`];
    case 'not-a-learner':
      return ['conflict', `${subject} has a vote already`];
    case 'is-leader':
      return ['conflict', `${subject} is the leader; hand leadership over first`];
    case 'last-voter':
      return ['conflict', `${subject} is the last manager`];
  }
}

/** Of work that was under way when this manager stopped leading. */
export function leadershipLost(situation: Situation, appended: boolean): CodedError {
  const why = whyNoLeader(situation);
  return appended
    ? new CodedError(
        'unknown-outcome',
        `leadership was lost while the write was under way, so it may yet be committed: ${why}`,
      )
    : new CodedError('unavailable', `leadership was lost: ${why}`);
}
