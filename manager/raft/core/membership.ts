// Who belongs to the group. A membership changes when the entry that says so is applied. Adding, promoting and removing
// change one member, so that any majority before and any majority after have a member in common. A replacement changes two
// at once and therefore goes through a joint membership, in which a majority before and one after must both agree
// (Ongaro's dissertation, 4.3): `replace` begins it, and the leader ends it by itself with `settle`.
import { invariant } from '../../../base/assert.ts';
import type { Quorums } from './quorum.ts';
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
  /** While one member replaces another: the voters before. The one who leaves is a member still, without a new vote. */
  readonly outgoing?: readonly MemberId[];
}

export type MembershipChange =
  | { readonly op: 'bootstrap' | 'add-learner' | 'set-address'; readonly id: MemberId; readonly address: string }
  | { readonly op: 'promote' | 'remove' | 'settle'; readonly id: MemberId }
  /** The learner `id` votes from now on instead of `replaces`, which leaves. */
  | { readonly op: 'replace'; readonly id: MemberId; readonly replaces: MemberId };

const REMOVED_MAX = 1_000;

export const NO_MEMBERS: Membership = { members: [], removed: [] };

export const memberOf = (membership: Membership, id: MemberId): Member | undefined =>
  membership.members.find((member) => member.id === id);

const incomingOf = (membership: Membership): readonly MemberId[] =>
  membership.members.filter((member) => !member.learner).map((member) => member.id);

/** The sets of voters of each of which a majority must agree: one, or two during a replacement. */
export const quorumsOf = (membership: Membership): Quorums =>
  membership.outgoing ? [incomingOf(membership), membership.outgoing] : [incomingOf(membership)];

/** Everybody whose vote counts for something. */
export const votersOf = (membership: Membership): readonly MemberId[] => [...new Set(quorumsOf(membership).flat())];

/** Members that are on their way out, by a replacement that is not settled. */
export const leavingOf = (membership: Membership): readonly MemberId[] =>
  (membership.outgoing ?? []).filter((id) => !incomingOf(membership).includes(id));

/** Why `change` makes no sense for this membership, or undefined. Whether a learner has caught up is not judged here. */
export function refusalOf(membership: Membership, change: MembershipChange): Refusal | undefined {
  const member = memberOf(membership, change.id);
  if (change.op === 'settle') return membership.outgoing ? undefined : 'not-a-member';
  if (membership.outgoing) return 'change-in-progress';
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
    case 'replace':
      if (!member || !votersOf(membership).includes(change.replaces)) return 'not-a-member';
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
      return { members: others, removed: withRemoved(membership, [change.id]) };
    case 'replace': {
      const admitted = replaced(membership, change.id, { learner: false });
      const members = admitted.map((one) => (one.id === change.replaces ? { ...one, learner: true } : one));
      return { ...membership, members, outgoing: votersOf(membership) };
    }
    case 'settle': {
      const leaving = leavingOf(membership);
      const members = membership.members.filter(({ id }) => !leaving.includes(id));
      return { members, removed: withRemoved(membership, leaving) };
    }
  }
}

const withRemoved = ({ removed }: Membership, ids: readonly MemberId[]): MemberId[] =>
  [...removed, ...ids].slice(-REMOVED_MAX);

function replaced(membership: Membership, id: MemberId, part: Partial<Member>): Member[] {
  return membership.members.map((member) => (member.id === id ? { ...member, ...part } : member));
}

export function encodeChange(change: MembershipChange): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(change));
}

/** Reads what `encodeChange` wrote. An entry that is not one is a bug or a newer version: it must not be skipped. */
export function decodeChange(bytes: Uint8Array): MembershipChange {
  const value = JSON.parse(new TextDecoder().decode(bytes)) as Partial<Record<string, unknown>>;
  const { op, id, address, replaces } = value;
  invariant(typeof id === 'string', 'a membership change names a member');
  if (op === 'promote' || op === 'remove' || op === 'settle') return { op, id };
  if (op === 'replace') {
    invariant(typeof replaces === 'string', 'a replacement names who is replaced');
    return { op, id, replaces };
  }
  invariant(op === 'bootstrap' || op === 'add-learner' || op === 'set-address', `membership change '${String(op)}'`);
  invariant(typeof address === 'string', 'a membership change names an address');
  return { op, id, address };
}
