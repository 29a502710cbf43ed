// Who belongs to the group. A membership changes by one member at a time, when the entry that says so is applied:
// any majority before and any majority after a change then have a member in common.
import { invariant } from '../../../base/assert.ts';
import type { MemberId, Refusal } from './types.ts';

export interface Member {
  readonly id: MemberId;
  readonly address: string;
  readonly learner: boolean;
}

export interface Membership {
  readonly members: readonly Member[];
  /** Ids that were members and are not now; what they send is refused. The newest last. */
  readonly removed: readonly MemberId[];
}

export type MembershipChange =
  | { readonly op: 'bootstrap' | 'add-learner' | 'set-address'; readonly id: MemberId; readonly address: string }
  | { readonly op: 'promote' | 'remove'; readonly id: MemberId };

const REMOVED_MAX = 1_000;

export const NO_MEMBERS: Membership = { members: [], removed: [] };

export const memberOf = (membership: Membership, id: MemberId): Member | undefined =>
  membership.members.find((member) => member.id === id);

export const votersOf = (membership: Membership): readonly MemberId[] =>
  membership.members.filter((member) => !member.learner).map((member) => member.id);

/** Why `change` makes no sense for this membership, or undefined. Whether a learner has caught up is not judged here. */
export function refusalOf(membership: Membership, change: MembershipChange): Refusal | undefined {
  const member = memberOf(membership, change.id);
  switch (change.op) {
    case 'bootstrap':
      return membership.members.length > 0 ? 'already-member' : undefined;
    case 'add-learner':
      return member ? 'already-member' : undefined;
    case 'set-address':
      return member ? undefined : 'not-a-member';
    case 'promote':
      if (!member) return 'not-a-member';
      return member.learner ? undefined : 'not-a-learner';
    case 'remove': {
      if (!member) return 'not-a-member';
      const voters = votersOf(membership);
      return voters.length === 1 && voters[0] === change.id ? 'last-voter' : undefined;
    }
  }
}

/** The membership after `change`; one that makes no sense (any more) changes nothing, on every member alike. */
export function changed(membership: Membership, change: MembershipChange): Membership {
  if (refusalOf(membership, change)) return membership;
  const others = membership.members.filter((member) => member.id !== change.id);
  switch (change.op) {
    case 'bootstrap':
      return { ...membership, members: [{ id: change.id, address: change.address, learner: false }] };
    case 'add-learner':
      return {
        members: [...others, { id: change.id, address: change.address, learner: true }],
        removed: membership.removed.filter((id) => id !== change.id),
      };
    case 'set-address':
      return { ...membership, members: replaced(membership, change.id, { address: change.address }) };
    case 'promote':
      return { ...membership, members: replaced(membership, change.id, { learner: false }) };
    case 'remove':
      return { members: others, removed: [...membership.removed, change.id].slice(-REMOVED_MAX) };
  }
}

function replaced(membership: Membership, id: MemberId, part: Partial<Member>): Member[] {
  return membership.members.map((member) => (member.id === id ? { ...member, ...part } : member));
}

export function encodeChange(change: MembershipChange): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(change));
}

/** Reads what `encodeChange` wrote. An entry that is not one is a bug or a newer version: it must not be skipped. */
export function decodeChange(bytes: Uint8Array): MembershipChange {
  const value = JSON.parse(new TextDecoder().decode(bytes)) as Partial<Record<string, unknown>>;
  const { op, id, address } = value;
  invariant(typeof id === 'string', 'a membership change names a member');
  if (op === 'promote' || op === 'remove') return { op, id };
  invariant(op === 'bootstrap' || op === 'add-learner' || op === 'set-address', `membership change '${String(op)}'`);
  invariant(typeof address === 'string', 'a membership change names an address');
  return { op, id, address };
}
