// The latest commits, for readers that were away for a moment: they go on where they stopped instead of scanning again.
// Bound: so many changes; whole commits are forgotten, the oldest first, and asking for what followed them is `compacted`.
import type { Change } from './contract.ts';

const CHANGES_MAX = 10_000;

interface Commit {
  readonly version: number;
  readonly changes: readonly Change[];
}

export class RecentCommits {
  readonly #changesMax: number;
  #commits: Commit[] = [];
  #count = 0;
  /** Everything after this version is here. */
  #since = 0;

  constructor(options: { changesMax: number } = { changesMax: CHANGES_MAX }) {
    this.#changesMax = options.changesMax;
  }

  add(changes: readonly Change[]): void {
    const [first] = changes;
    if (!first) return;
    this.#commits.push({ version: first.version, changes });
    this.#count += changes.length;
    if (this.#count > this.#changesMax) this.#forget();
  }

  /** What came after `version`, in order. */
  after(version: number): readonly Commit[] | 'compacted' {
    if (version < this.#since) return 'compacted';
    const from = this.#commits.findIndex((commit) => commit.version > version);
    return from < 0 ? [] : this.#commits.slice(from);
  }

  /** The state was replaced by that of `version`. */
  restart(version: number): void {
    this.#commits = [];
    this.#count = 0;
    this.#since = version;
  }

  /** Down to half, so that it is seldom done. */
  #forget(): void {
    let gone = 0;
    for (const { changes } of this.#commits) {
      if (this.#count <= this.#changesMax / 2) break;
      this.#count -= changes.length;
      gone += 1;
    }
    this.#since = this.#commits[gone - 1]?.version ?? this.#since;
    this.#commits = this.#commits.slice(gone);
  }
}
