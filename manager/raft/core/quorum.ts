// Counting majorities of voters. Learners are never among them.
import type { MemberId } from './types.ts';

export const majorityOf = (voters: number): number => Math.floor(voters / 2) + 1;

/** The highest value that a majority of voters has reached; Infinity for no voters is never asked for. */
export function majorityValue(voters: readonly MemberId[], valueOf: (id: MemberId) => number): number {
  const values = voters.map(valueOf).sort((a, b) => b - a);
  return values[majorityOf(voters.length) - 1] ?? 0;
}

export type VoteResult = 'won' | 'lost' | 'open';

export function voteResult(voters: readonly MemberId[], votes: ReadonlyMap<MemberId, boolean>): VoteResult {
  const needed = majorityOf(voters.length);
  const granted = voters.filter((id) => votes.get(id) === true).length;
  const refused = voters.filter((id) => votes.get(id) === false).length;
  if (granted >= needed) return 'won';
  return voters.length - refused < needed ? 'lost' : 'open';
}
