// Changesets on their way through consensus. Several entries are in flight at once; what arrives meanwhile waits and
// travels together in the next. Nothing waits while there is room: an idle store proposes at once.
import { CodedError, fail } from '../../base/errors.ts';
import type { Clock } from '../../base/clock.ts';
import type { Proposer } from './contract.ts';
import { type Changeset, encodeEntry, sizeOf } from './entry.ts';

export const ENTRY_BYTES_MAX = 1.5 * 1024 * 1024;
const HEADER_BYTES = 64;
const IN_FLIGHT_MAX = 8;
const WAITING_MAX = 10_000;
/** Grouping stops here, so that one entry does not hold up the log. */
const GROUP_BYTES_MAX = 256 * 1024;

/** Numbers of the changesets that were refused in the entry at `index`; `unknown` when it was not applied one by one here. */
export type RefusedIn = (index: number) => ReadonlySet<number> | 'unknown';

export class Pipeline {
  readonly #proposer: Proposer;
  readonly #clock: Clock;
  readonly #refusedIn: RefusedIn;
  readonly #waiting = new Set<Passage>();
  readonly #busy = new Map<string, Passage>();
  #inFlight = 0;

  constructor(options: { proposer: Proposer; clock: Clock; refusedIn: RefusedIn }) {
    this.#proposer = options.proposer;
    this.#clock = options.clock;
    this.#refusedIn = options.refusedIn;
  }

  get idle(): boolean {
    return this.#inFlight === 0;
  }

  /** Ends when an earlier changeset that writes one of the same objects has its verdict; undefined when there is none. */
  busyWith(changeset: Changeset): Promise<void> | undefined {
    for (const operation of changeset) {
      const earlier = this.#busy.get(keyOf(operation));
      if (earlier) return earlier.over;
    }
    return undefined;
  }

  /** True once applied here; false when it was refused because something had moved. */
  submit(changeset: Changeset, abort: AbortSignal | undefined): Promise<boolean> {
    const bytes = sizeOf(changeset);
    if (bytes > ENTRY_BYTES_MAX - HEADER_BYTES) {
      fail('exhausted', `the change has ${bytes} bytes, the most is ${ENTRY_BYTES_MAX}: write it in parts`);
    }
    if (this.#waiting.size >= WAITING_MAX) {
      fail('exhausted', `${WAITING_MAX} changes are already waiting to be written`);
    }
    const passage = new Passage(changeset, bytes, abort);
    passage.onLeave = () => {
      if (this.#waiting.delete(passage)) this.#release(passage);
    };
    for (const operation of changeset) this.#busy.set(keyOf(operation), passage);
    this.#waiting.add(passage);
    this.#pump();
    return passage.outcome;
  }

  #pump(): void {
    while (this.#inFlight < IN_FLIGHT_MAX) {
      const group = this.#takeGroup();
      if (group.length === 0) return;
      this.#inFlight += 1;
      void this.#send(group); // settles every passage of the group, and never rejects
    }
  }

  #takeGroup(): Passage[] {
    const group: Passage[] = [];
    let bytes = 0;
    for (const next of this.#waiting) {
      if (group.length > 0 && bytes + next.bytes > GROUP_BYTES_MAX) break;
      this.#waiting.delete(next);
      group.push(next);
      bytes += next.bytes;
    }
    return group;
  }

  async #send(group: readonly Passage[]): Promise<void> {
    const abort = new AbortController();
    for (const passage of group) {
      passage.travelling = true;
      passage.onLeave = () => {
        if (group.every((member) => member.settled)) abort.abort();
      };
    }
    try {
      const entry = encodeEntry({ atMs: this.#clock.nowMs(), changesets: group.map((passage) => passage.changeset) });
      const index = await this.#proposer.propose(entry, { abort: abort.signal });
      this.#settle(group, this.#refusedIn(index));
    } catch (error) {
      for (const passage of group) passage.fail(error);
    } finally {
      for (const passage of group) this.#release(passage);
      this.#inFlight -= 1;
      this.#pump();
    }
  }

  #settle(group: readonly Passage[], refused: ReadonlySet<number> | 'unknown'): void {
    for (const [number, passage] of group.entries()) {
      if (refused === 'unknown')
        passage.fail(new CodedError('unknown-outcome', 'the state was replaced by a snapshot'));
      else passage.settle(!refused.has(number));
    }
  }

  #release(passage: Passage): void {
    for (const operation of passage.changeset) {
      if (this.#busy.get(keyOf(operation)) === passage) this.#busy.delete(keyOf(operation));
    }
    passage.end();
  }
}

const keyOf = (operation: { kind: string; id: string }): string => `${operation.kind}/${operation.id}`;

/** One changeset's way from `submit` to its verdict. Its caller may go away before; its objects stay busy until the end. */
class Passage {
  readonly changeset: Changeset;
  readonly bytes: number;
  readonly outcome: Promise<boolean>;
  readonly over: Promise<void>;
  settled = false;
  /** In an entry: whether it will be committed is not ours to say any more. */
  travelling = false;
  /** The caller has gone away. */
  onLeave: () => void = () => undefined;
  #resolve!: (applied: boolean) => void;
  #reject!: (error: unknown) => void;
  #end!: () => void;
  readonly #abort: AbortSignal | undefined;
  readonly #onAbort: () => void;

  constructor(changeset: Changeset, bytes: number, abort: AbortSignal | undefined) {
    this.changeset = changeset;
    this.bytes = bytes;
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.over = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#abort = abort;
    this.#onAbort = () => this.#leave();
    abort?.addEventListener('abort', this.#onAbort, { once: true });
  }

  settle(applied: boolean): void {
    this.settled = true;
    this.#resolve(applied);
  }

  fail(error: unknown): void {
    this.settled = true;
    this.#reject(error);
  }

  end(): void {
    this.#abort?.removeEventListener('abort', this.#onAbort);
    this.#end();
  }

  #leave(): void {
    this.fail(
      this.travelling
        ? new CodedError('unknown-outcome', 'the write was given up on its way: it may yet be committed')
        : new CodedError('aborted', 'the write was given up before it was proposed'),
    );
    this.onLeave();
  }
}
