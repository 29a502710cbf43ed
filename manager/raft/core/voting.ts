// Votes: asking for them, counting them, and judging who may have ours.
import { type Membership, quorumsOf, votersOf } from './membership.ts';
import type { RaftLog } from './log.ts';
import { type VoteResult, voteResult } from './quorum.ts';
import type { MemberId, VoteRequest, VoteResponse } from './types.ts';

export type Candidacy = 'pre-candidate' | 'candidate';

/** The votes of one candidacy. Each member has one, whatever it says later. */
export class Ballot {
  readonly #votes = new Map<MemberId, boolean>();

  cast(from: MemberId, granted: boolean): void {
    if (!this.#votes.has(from)) this.#votes.set(from, granted);
  }

  result(membership: Membership): VoteResult {
    return voteResult(quorumsOf(membership), this.#votes);
  }
}

export interface Voter {
  readonly id: MemberId;
  readonly log: Pick<RaftLog, 'lastIndex' | 'lastTerm' | 'termAt'>;
  readonly membership: Membership;
  /** The index of the entry that the membership comes from. */
  readonly membershipIndex: number;
}

/** What a candidate asks of everybody else whose vote counts. `term` is the one it leads in if it wins. */
export function voteRequests(
  { id, log, membership }: Voter,
  type: VoteRequest['type'],
  { term, transfer }: { term: number; transfer: boolean },
): VoteRequest[] {
  const { lastIndex, lastTerm } = log;
  return votersOf(membership)
    .filter((to) => to !== id)
    .map((to) => ({ type, from: id, to, term, lastIndex, lastTerm, transfer }));
}

/** Whether the candidate's log holds everything that may have been committed with our help. */
export function isUpToDate({ id, log, membership, membershipIndex }: Voter, request: VoteRequest): boolean {
  // A member that has come back with nothing may once have held what the candidate lacks. When a leader has sent it
  // something, a majority of the others knows of its return, and the candidate needs one of them.
  if (log.lastIndex === 0) return false;
  // A removed member's entries after its removal never counted for anybody. They must not stand in the way of those
  // who do not know yet that they need its vote no more.
  const isRemoved = membership.removed.includes(id);
  const index = isRemoved ? membershipIndex : log.lastIndex;
  const term = log.termAt(index);
  if (term === undefined) return false;
  return request.lastTerm > term || (request.lastTerm === term && request.lastIndex >= index);
}

/** Of two that ask for pre-votes with equal logs at once one gives way, so that they do not split the vote. */
export function givesWay({ id, log }: Voter, request: VoteRequest): boolean {
  const isRival = request.lastIndex === log.lastIndex && request.lastTerm === log.lastTerm;
  return !(isRival && request.from < id);
}

/** A granted pre-vote echoes the term that would be started; a refusal tells ours, in case it is the newer. */
export function answerTo(request: VoteRequest, granted: boolean, term: number): VoteResponse {
  const type = request.type === 'vote-request' ? 'vote-response' : 'pre-vote-response';
  return { type, from: request.to, to: request.from, term: granted ? request.term : term, granted };
}
