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
  readonly #waiting: Passage[] = [];
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
    const passage = new Passage(changeset, abort);
    if (passage.bytes > ENTRY_BYTES_MAX - HEADER_BYTES) {
      fail('exhausted', `the change has ${passage.bytes} bytes, the most is ${ENTRY_BYTES_MAX}: write it in parts`);
    }
    if (this.#waiting.length >= WAITING_MAX)
      fail('exhausted', `${WAITING_MAX} changes are already waiting to be written`);
    for (const operation of changeset) this.#busy.set(keyOf(operation), passage);
    this.#waiting.push(passage);
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
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      if (group.length > 0 && bytes + next.bytes > GROUP_BYTES_MAX) break;
      this.#waiting.shift();
      if (next.settled) this.#release(next);
      else {
        group.push(next);
        bytes += next.bytes;
      }
    }
    return group;
  }

  async #send(group: readonly Passage[]): Promise<void> {
    const abort = new AbortController();
    for (const passage of group) passage.depart(() => group.every((member) => member.settled) && abort.abort());
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
  #resolve!: (applied: boolean) => void;
  #reject!: (error: unknown) => void;
  #end!: () => void;
  readonly #abort: AbortSignal | undefined;
  readonly #onAbort: () => void;
  #onLeave: (() => void) | undefined;

  constructor(changeset: Changeset, abort: AbortSignal | undefined) {
    this.changeset = changeset;
    this.bytes = sizeOf(changeset);
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

  /** It is in an entry now; `onLeave` is told when the caller goes away. */
  depart(onLeave: () => void): void {
    this.#onLeave = onLeave;
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
    const travelling = this.#onLeave !== undefined;
    this.fail(
      travelling
        ? new CodedError('unknown-outcome', 'the write was given up on its way: it may yet be committed')
        : new CodedError('aborted', 'the write was given up before it was proposed'),
    );
    this.#onLeave?.();
  }
}
