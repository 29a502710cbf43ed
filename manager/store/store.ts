// The store: the meeting place of the manager's loops, and the state machine that consensus drives.
// Invariant: the state changes only in `apply` and `restore`, so it is a function of the log on every machine.
import { invariant } from '../../base/assert.ts';
import type { Clock } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import { type Log, silentLog } from '../../base/log.ts';
import { Interner } from './codec.ts';
import type { Proposer, ReplicatedStore, SnapshotChunk, Store, Transaction, View } from './contract.ts';
import { Digest } from './digest.ts';
import type { Changeset } from './entry.ts';
import { applyEntry } from './machine.ts';
import { Pipeline } from './pipeline.ts';
import { readSnapshot, takeSnapshot } from './snapshot.ts';
import { liveView, type State, Tables } from './tables.ts';
import { openTransaction } from './transaction.ts';
import { WatchHub } from './watch.ts';

/** So often may the state move under a change before its caller is told. */
const ATTEMPTS_MAX = 20;

export interface StoreOptions {
  readonly proposer: Proposer;
  readonly clock: Clock;
  readonly log?: Log;
}

export function createStore(options: StoreOptions): ReplicatedStore {
  return new ConsensusStore(options);
}

class ConsensusStore implements ReplicatedStore {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #state: State = { tables: new Tables(), version: 0 };
  readonly #view: View = liveView(this.#state);
  readonly #interner = new Interner();
  readonly #watchers = new WatchHub();
  readonly #digest = new Digest();
  readonly #pipeline: Pipeline;
  /** Verdicts on entries with a refusal, until their proposer asks; kept only while something is in flight. */
  readonly #refused = new Map<number, ReadonlySet<number>>();
  #restoredAt = 0;

  constructor({ proposer, clock, log }: StoreOptions) {
    this.#clock = clock;
    this.#log = log ?? silentLog;
    this.#pipeline = new Pipeline({ proposer, clock, refusedIn: (index) => this.#refusedIn(index) });
  }

  view(): View {
    return this.#view;
  }

  viewAndWatch(...[kinds, { abort }]: Parameters<Store['viewAndWatch']>): ReturnType<Store['viewAndWatch']> {
    return { view: this.#view, changes: this.#watchers.subscribe(kinds, abort) };
  }

  watchFrom(...[version, kinds, { abort }]: Parameters<Store['watchFrom']>): ReturnType<Store['watchFrom']> {
    const here = this.#state.version;
    if (version > here) fail('unavailable', `this manager has applied changes up to ${here}, not yet ${version}`);
    return this.#watchers.resume(version, kinds, abort);
  }

  async update<T>(
    change: (transaction: Transaction) => T,
    options: { abort?: AbortSignal | undefined } = {},
  ): Promise<T> {
    const { abort } = options;
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; ) {
      if (abort?.aborted) fail('aborted', 'the write was given up before it was proposed', { cause: abort.reason });
      const { result, changeset } = this.#run(change);
      if (changeset.length === 0) return result;
      const busy = this.#pipeline.busyWith(changeset);
      if (busy) {
        await overOrAborted(busy, abort);
        continue;
      }
      if (await this.#pipeline.submit(changeset, abort)) return result;
      this.#log.debug('transaction runs again', { attempt, objects: changeset.map(({ id }) => id).slice(0, 5) });
      attempt += 1;
    }
    return fail('conflict', `the state moved under the change ${ATTEMPTS_MAX} times`);
  }

  apply(index: number, entry: Uint8Array): void {
    invariant(index > this.#state.version, `entry ${index} comes after ${this.#state.version}`);
    const { changes, refused } = applyEntry(this.#state, this.#interner, index, entry);
    if (this.#pipeline.idle) this.#refused.clear();
    else if (refused.size > 0) this.#refused.set(index, refused);
    this.#watchers.publish(changes);
  }

  snapshot(): AsyncIterable<SnapshotChunk> {
    return takeSnapshot(this.#state, this.#clock);
  }

  async restore(index: number, chunks: AsyncIterable<SnapshotChunk>): Promise<void> {
    const { tables, version } = await readSnapshot(index, chunks, { clock: this.#clock, interner: this.#interner });
    this.#state.tables = tables;
    this.#state.version = version;
    this.#restoredAt = index;
    this.#watchers.resync(version);
  }

  stateDigest(): string {
    return this.#digest.of(this.#state);
  }

  #run<T>(change: (transaction: Transaction) => T): { result: T; changeset: Changeset } {
    const { transaction, finish } = openTransaction(this.#state, this.#clock.nowMs());
    const result = change(transaction);
    invariant(!(result instanceof Promise), 'a change is a synchronous function of its transaction');
    return { result, changeset: finish() };
  }

  #refusedIn(index: number): ReadonlySet<number> | 'unknown' {
    if (index <= this.#restoredAt) return 'unknown';
    invariant(
      index <= this.#state.version,
      `entry ${index} is reported as applied, the state is at ${this.#state.version}`,
    );
    const refused = this.#refused.get(index) ?? NONE;
    this.#refused.delete(index);
    return refused;
  }
}

const NONE: ReadonlySet<number> = new Set();

/** An object may be on its way for as long as the quorum is slow; a caller who goes away does not wait for it. */
async function overOrAborted(over: Promise<void>, abort: AbortSignal | undefined): Promise<void> {
  if (!abort) return await over;
  let onAbort = (): void => undefined;
  const aborted = new Promise<void>((resolve) => {
    onAbort = resolve;
    abort.addEventListener('abort', onAbort, { once: true });
  });
  await Promise.race([over, aborted]);
  abort.removeEventListener('abort', onAbort);
}
