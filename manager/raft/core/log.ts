// The log in memory: the entries after `base`, and how far they are handed to the disk, durable, committed and applied.
// Invariants: base ≤ applied ≤ committed ≤ last; applied ≤ stable ≤ handed ≤ last; committed entries never change.
import { invariant } from '../../../base/assert.ts';
import type { Entry, InitialState, SnapshotMeta } from './types.ts';

/** What an entry costs beside its bytes, in memory and on the wire, roughly. */
const ENTRY_OVERHEAD_BYTES = 32;
export const costOf = ({ bytes }: Pick<Entry, 'bytes'>): number => bytes.length + ENTRY_OVERHEAD_BYTES;

export class RaftLog {
  #base: { index: number; term: number };
  #entries: Entry[];
  #committed: number;
  #applied: number;
  #stable: number;
  #handed: number;
  #snapshot: SnapshotMeta | undefined;

  constructor(initial: InitialState) {
    this.#base = initial.base;
    this.#entries = [...initial.entries];
    this.#snapshot = initial.snapshot;
    const start = initial.snapshot?.index ?? 0;
    invariant(this.#base.index <= start, 'the log begins at or before its snapshot');
    this.#applied = start;
    this.#stable = this.lastIndex;
    this.#handed = this.#stable;
    this.#committed = Math.max(start, Math.min(initial.hardState.commit, this.lastIndex));
    invariant(this.lastIndex >= start, 'the log reaches its snapshot');
  }

  get base(): { readonly index: number; readonly term: number } {
    return this.#base;
  }
  get lastIndex(): number {
    return this.#base.index + this.#entries.length;
  }
  get lastTerm(): number {
    return this.#entries.at(-1)?.term ?? this.#base.term;
  }
  get committed(): number {
    return this.#committed;
  }
  get applied(): number {
    return this.#applied;
  }
  get stable(): number {
    return this.#stable;
  }
  get snapshot(): SnapshotMeta | undefined {
    return this.#snapshot;
  }

  /** The term of the entry at `index`; undefined where the log does not reach or no longer does. */
  termAt(index: number): number | undefined {
    if (index === this.#base.index) return this.#base.term;
    return this.#entries[index - this.#base.index - 1]?.term;
  }

  matches(index: number, term: number): boolean {
    return this.termAt(index) === term;
  }

  /** Entries from `from` on, up to `to`, at least one, otherwise at most `bytesMax`. */
  slice(from: number, bytesMax: number, to = this.lastIndex): Entry[] {
    invariant(from > this.#base.index, 'entries before the base are gone');
    let end = from;
    for (let bytes = 0; end <= to; end += 1) {
      bytes += costOf(this.#at(end));
      if (bytes > bytesMax && end > from) break;
    }
    return this.#entries.slice(from - this.#base.index - 1, end - this.#base.index - 1);
  }

  /** A leader's own entries, at the end. */
  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      invariant(entry.index === this.lastIndex + 1, 'a leader only appends');
      this.#entries.push(entry);
    }
  }

  /** A follower's: entries that match what is here are kept, the first that does not replaces the rest. Returns the last index. */
  merge(entries: readonly Entry[]): number {
    const fresh = entries.findIndex(
      (entry) => entry.index > this.#base.index && !this.matches(entry.index, entry.term),
    );
    if (fresh >= 0) this.#replaceFrom(entries.slice(fresh));
    return entries.at(-1)?.index ?? 0;
  }

  /**
   * The highest index at or below `index` whose term is at most `term`: where a leader and a follower that disagree could
   * still agree. Below the base, the base.
   */
  lastIndexWithin(index: number, term: number): number {
    let at = Math.min(index, this.lastIndex);
    while (at > this.#base.index && (this.termAt(at) ?? 0) > term) at -= 1;
    return at;
  }

  commitTo(index: number): void {
    if (index <= this.#committed) return;
    invariant(index <= this.lastIndex, 'only entries in the log can be committed');
    this.#committed = index;
  }

  /** Entries that are not yet handed to the disk; they count as handed from now on. */
  takeUnwritten(): Entry[] {
    const entries = this.#entries.slice(this.#handed - this.#base.index);
    this.#handed = this.lastIndex;
    return entries;
  }

  get hasUnwritten(): boolean {
    return this.#handed < this.lastIndex;
  }

  /** The write of these entries is durable. Those that were replaced meanwhile do not count. */
  markStable(written: readonly Entry[]): void {
    for (const entry of written) {
      if (entry.index <= this.#stable) continue;
      if (entry.index !== this.#stable + 1 || !this.matches(entry.index, entry.term)) return;
      this.#stable = entry.index;
    }
  }

  /** Entries that are committed and durable here and not yet handed out for applying, as many as `bytesMax` allows. */
  peekCommitted(bytesMax: number): Entry[] {
    const to = Math.min(this.#committed, this.#stable);
    return to <= this.#applied ? [] : this.slice(this.#applied + 1, bytesMax, to);
  }

  appliedTo(index: number): void {
    invariant(
      index >= this.#applied && index <= Math.min(this.#committed, this.#stable),
      'only committed, durable entries',
    );
    this.#applied = index;
  }

  /** A snapshot replaces everything: the log was behind it, or disagreed with it. */
  restore(snapshot: SnapshotMeta): void {
    invariant(snapshot.index > this.#committed, 'a snapshot never takes back what is committed');
    this.#base = { index: snapshot.index, term: snapshot.term };
    this.#entries = [];
    this.#snapshot = snapshot;
    this.#committed = snapshot.index;
    this.#applied = snapshot.index;
    this.#stable = snapshot.index;
    this.#handed = snapshot.index;
  }

  /** A durable snapshot of our own state; entries up to `keepAfter` are given up. */
  compact(snapshot: SnapshotMeta, keepAfter: number): void {
    invariant(snapshot.index <= this.#applied, 'a snapshot holds only what was applied');
    if (this.#snapshot && snapshot.index <= this.#snapshot.index) return;
    this.#snapshot = snapshot;
    const index = Math.min(keepAfter, snapshot.index);
    if (index <= this.#base.index) return;
    const term = this.termAt(index);
    invariant(term !== undefined, 'the new base is in the log');
    this.#entries.splice(0, index - this.#base.index);
    this.#base = { index, term };
  }

  /** The lowest base that keeps at most `entriesMax` entries and `bytesMax` bytes up to `index`. */
  baseKeeping(index: number, entriesMax: number, bytesMax: number): number {
    let at = index;
    let bytes = 0;
    while (at > this.#base.index && index - at < entriesMax) {
      bytes += costOf(this.#at(at));
      if (bytes > bytesMax) break;
      at -= 1;
    }
    return at;
  }

  bytesBetween(after: number, upTo: number): number {
    let bytes = 0;
    for (let index = Math.max(after, this.#base.index) + 1; index <= upTo; index += 1) bytes += costOf(this.#at(index));
    return bytes;
  }

  #at(index: number): Entry {
    const entry = this.#entries[index - this.#base.index - 1];
    invariant(entry, 'the entry is in the log');
    return entry;
  }

  #replaceFrom(entries: readonly Entry[]): void {
    const first = entries[0]?.index ?? 0;
    invariant(first > this.#committed, 'committed entries are never replaced');
    invariant(first <= this.lastIndex + 1, 'entries leave no gap');
    this.#entries.length = first - this.#base.index - 1;
    this.#stable = Math.min(this.#stable, first - 1);
    this.#handed = Math.min(this.#handed, first - 1);
    for (const entry of entries) this.#entries.push(entry);
  }
}
