// Counting majorities of voters. Learners are never among them. During a replacement there are two sets of voters, and
// nothing is decided that not a majority of each has agreed to.
import type { MemberId } from './types.ts';

export type Quorums = readonly (readonly MemberId[])[];

export const majorityOf = (voters: number): number => Math.floor(voters / 2) + 1;

/** The highest value that a majority of every set has reached; 0 where a set is empty. */
export function majorityValue(quorums: Quorums, valueOf: (id: MemberId) => number): number {
  return Math.min(...quorums.map((voters) => valueOfMajority(voters, valueOf)));
}

function valueOfMajority(voters: readonly MemberId[], valueOf: (id: MemberId) => number): number {
  const values = voters.map(valueOf).sort((a, b) => b - a);
  return values[majorityOf(voters.length) - 1] ?? 0;
}

export function hasMajority(quorums: Quorums, agrees: (id: MemberId) => boolean): boolean {
  return quorums.every((voters) => voters.filter(agrees).length >= majorityOf(voters.length));
}

export type VoteResult = 'won' | 'lost' | 'open';

export function voteResult(quorums: Quorums, votes: ReadonlyMap<MemberId, boolean>): VoteResult {
  if (hasMajority(quorums, (id) => votes.get(id) === true)) return 'won';
  return hasMajority(quorums, (id) => votes.get(id) !== false) ? 'open' : 'lost';
}
