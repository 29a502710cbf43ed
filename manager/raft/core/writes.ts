// What has to become durable: one write at a time, and what the disk is known to hold of term, vote and commit.
import { invariant } from '../../../base/assert.ts';
import type { RaftLog } from './log.ts';
import type { HardState, SnapshotMeta, Write } from './types.ts';

export class Writes {
  #durable: HardState;
  #current: Write | undefined;
  #restored: SnapshotMeta | undefined;
  #commitWanted = false;

  constructor(hardState: HardState) {
    this.#durable = hardState;
  }

  get durable(): HardState {
    return this.#durable;
  }

  get isUnderWay(): boolean {
    return this.#current !== undefined;
  }

  /** A snapshot that replaces the state was accepted and is not durable yet. */
  get isInstalling(): boolean {
    return this.#restored !== undefined || this.#current?.snapshot !== undefined;
  }

  isRestoring({ index, term }: SnapshotMeta): boolean {
    return [this.#restored, this.#current?.snapshot].some((one) => one?.index === index && one.term === term);
  }

  restore(snapshot: SnapshotMeta): void {
    this.#restored = snapshot;
  }

  /** The commit index alone is worth a write: otherwise it only rides along. */
  wantCommit(): void {
    this.#commitWanted = true;
  }

  /** The next write, if there is something to write and none is under way. */
  take(log: RaftLog, { term, vote }: Pick<HardState, 'term' | 'vote'>): Write | undefined {
    if (this.#current) return undefined;
    const isStale = this.#durable.term !== term || this.#durable.vote !== vote;
    if (!isStale && !this.#commitWanted && !this.#restored && !log.hasUnwritten) return undefined;
    const hardState: HardState = { term, vote, commit: log.committed };
    this.#current = { snapshot: this.#restored, entries: log.takeUnwritten(), hardState };
    this.#restored = undefined;
    this.#commitWanted = false;
    return this.#current;
  }

  done(write: Write): void {
    invariant(write === this.#current, 'writes are finished in the order in which they were handed out');
    this.#current = undefined;
    this.#durable = write.hardState;
  }
}
