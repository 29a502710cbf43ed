// The membership as it is, and as it was since the last snapshot: a snapshot of an earlier index needs that of its index.
import { invariant } from '../../../base/assert.ts';
import { changed, decodeChange, type Membership, NO_MEMBERS } from './membership.ts';
import type { Entry, SnapshotMeta } from './types.ts';

export class MembershipHistory {
  /** Oldest first; the last one is in force. */
  #since: { index: number; membership: Membership }[];

  constructor(snapshot: SnapshotMeta | undefined) {
    this.#since = [{ index: snapshot?.index ?? 0, membership: snapshot?.membership ?? NO_MEMBERS }];
  }

  get current(): Membership {
    return this.#since.at(-1)?.membership ?? NO_MEMBERS;
  }

  /** The index of the entry (or snapshot) that the present membership comes from. */
  get index(): number {
    return this.#since.at(-1)?.index ?? 0;
  }

  at(index: number): Membership {
    const found = this.#since.findLast((since) => since.index <= index);
    invariant(found, 'the membership at that index is known');
    return found.membership;
  }

  /** An entry that changes the membership is applied; true if it did change it. */
  apply(entry: Entry): boolean {
    const membership = changed(this.current, decodeChange(entry.bytes));
    if (membership === this.current) return false;
    this.#since.push({ index: entry.index, membership });
    return true;
  }

  restore({ index, membership }: SnapshotMeta): void {
    this.#since = [{ index, membership }];
  }

  /** Nobody will ask for an index before this one any more. */
  forgetBefore(index: number): void {
    const inForce = this.#since.findLastIndex((since) => since.index <= index);
    this.#since.splice(0, Math.max(0, inForce));
  }
}
