// The nodes of the cluster, as far as the managers have said: whose packets this node takes at its data port. Handed to
// the executor whole; a change that it does not take is tried again.
import type { Clock } from '../base/clock.ts';
import { sentenceOf } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { PeerEntry } from '../proto/assignment.ts';
import type { Executor } from './executor.ts';

export interface PeersDeps {
  readonly executor: Pick<Executor, 'knowNodes'>;
  readonly clock: Clock;
  readonly log: Log;
}

const RETRY_MS = 500;

export class Peers {
  readonly #deps: PeersDeps;
  readonly #known = new Map<string, PeerEntry>();
  #applying: Promise<void> | undefined;
  #again = false;

  constructor(deps: PeersDeps) {
    this.#deps = deps;
  }

  /** What a former life knew. */
  restore(entries: readonly PeerEntry[]): void {
    void this.assign(false, new Map(entries.map((entry) => [entry.nodeId, entry])));
  }

  /** `full`: there are no others. Resolves when it has been tried. */
  assign(full: boolean, changes: ReadonlyMap<string, PeerEntry | undefined>): Promise<void> {
    if (full) this.#known.clear();
    for (const [id, entry] of changes) {
      if (entry) this.#known.set(id, entry);
      else this.#known.delete(id);
    }
    if (!full && changes.size === 0) return this.#applying ?? Promise.resolve();
    this.#again = true;
    this.#applying ??= this.#apply().finally(() => {
      this.#applying = undefined;
    });
    return this.#applying;
  }

  entries(): readonly PeerEntry[] {
    return [...this.#known.values()];
  }

  async #apply(): Promise<void> {
    const { executor, clock, log } = this.#deps;
    while (this.#again) {
      this.#again = false;
      try {
        await executor.knowNodes([...this.#known.values()].flatMap(({ addresses }) => addresses));
      } catch (error) {
        log.error('the nodes of the cluster could not be made known', { error: sentenceOf(error) });
        clock.after(RETRY_MS, () => void this.assign(false, this.#known));
      }
    }
  }
}
