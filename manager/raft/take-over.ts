// Beginning anew with one manager: from its own log when the majority is lost for good, or from a backup. Done on the
// directory while no consensus runs on it. The new cluster has a later epoch: whoever was left out is of an earlier one,
// and neither its votes nor its entries are taken any more.
import type { InitialState } from './core/types.ts';
import type { SnapshotChunk } from './contract.ts';
import {
  changed,
  decodeChange,
  encodeChange,
  type Membership,
  type MembershipChange,
  NO_MEMBERS,
} from './core/membership.ts';
import type { Entry, MemberId } from './core/types.ts';
import { Storage, type StorageDeps } from './storage.ts';

/**
 * Makes this member the only one. Everything in its log counts as committed from now on, also what it does not know to
 * have been: an acknowledged write may be among it. Harmless to repeat.
 */
export async function seizeDirectory(deps: StorageDeps, { raftAddress }: { raftAddress: string }): Promise<void> {
  const { storage, initial } = await Storage.open(deps);
  try {
    // First, so that an attempt that breaks off has shut the others out and is repeated, and not the other way round.
    await storage.setEpoch(storage.epoch + 1);
    const last = initial.entries.at(-1) ?? initial.base;
    const term = Math.max(initial.hardState.term, last.term) + 1;
    const changes = aloneFrom(membershipOf(initial), deps.nodeId, raftAddress);
    const entries = changes.map(
      (change, at): Entry => ({ index: last.index + 1 + at, term, kind: 'membership', bytes: encodeChange(change) }),
    );
    const commit = last.index + entries.length;
    await storage.save({ snapshot: undefined, entries, hardState: { term, vote: undefined, commit } });
  } finally {
    await storage.close();
  }
}

/** The membership when every entry of the log is applied. */
function membershipOf({ snapshot, entries }: InitialState): Membership {
  const later = entries.filter(({ kind, index }) => kind === 'membership' && index > (snapshot?.index ?? 0));
  return later.reduce(
    (membership, { bytes }) => changed(membership, decodeChange(bytes)),
    snapshot?.membership ?? NO_MEMBERS,
  );
}

/** One change after the other, each of which makes sense after those before it. */
function aloneFrom({ members }: Membership, id: MemberId, address: string): MembershipChange[] {
  const self = members.find((member) => member.id === id);
  const others = members.filter((member) => member.id !== id);
  return [
    ...(self ? [] : [{ op: 'add-learner', id, address } as const]),
    ...(self?.learner === false ? [] : [{ op: 'promote', id } as const]),
    ...(self && self.address !== address ? [{ op: 'set-address', id, address } as const] : []),
    ...others.map((other) => ({ op: 'remove', id: other.id }) as const),
  ];
}

export interface Seed {
  readonly raftAddress: string;
  readonly index: number;
  readonly term: number;
  readonly epoch: number;
  /** Who was a member of the cluster that the state is of. */
  readonly former: readonly MemberId[];
  readonly chunks: Iterable<SnapshotChunk>;
}

/** A new directory whose log begins with this state and has one member. */
export async function seedDirectory(deps: StorageDeps, seed: Seed): Promise<void> {
  await Storage.create(deps, undefined);
  const { storage } = await Storage.open(deps);
  try {
    await storage.setEpoch(seed.epoch);
    const { index, term, raftAddress, former } = seed;
    const members = [{ id: deps.nodeId, address: raftAddress, learner: false }];
    const snapshot = { index, term, membership: { members, removed: former.filter((id) => id !== deps.nodeId) } };
    const writer = await storage.beginSnapshot(snapshot);
    for (const chunk of seed.chunks) await writer.write(chunk);
    await writer.finish();
    await storage.stage(writer);
    await storage.save({ snapshot, entries: [], hardState: { term, vote: undefined, commit: index } });
  } finally {
    await storage.close();
  }
}
