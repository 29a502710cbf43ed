// Applies what the worker hands over to the state machine, strictly in order, without holding the event loop for long;
// gives it snapshots to restore and asks it for them.
import { invariant } from '../../base/assert.ts';
import { sentenceOf } from '../../base/errors.ts';
import type { SnapshotChunk, StateMachine } from './contract.ts';
import type { Requests } from './requests.ts';
import { type Committed, type FromWorker, type ToWorker, unpack, type WorkerStatus } from './worker-protocol.ts';

type Item = Extract<FromWorker, { type: 'committed' | 'status' | 'restore' | 'reads-confirmed' }>;
type Restore = Extract<FromWorker, { type: 'restore' }>;

export interface ApplierDeps {
  readonly stateMachine: StateMachine;
  readonly requests: Requests;
  readonly onApplied: (index: number) => void;
  readonly onStatus: (status: WorkerStatus) => void;
  readonly post: (message: ToWorker) => void;
  readonly onFatal: (error: unknown) => void;
}

/** How long applying may hold the event loop before others get their turn. */
const SLICE_MS = 10;

export class Applier {
  readonly #deps: ApplierDeps;
  #queue: Item[] = [];
  #index = 0;
  #reads: { ids: readonly number[]; index: number }[] = [];
  #isRunning = false;
  #stopped = false;
  #onChunkWritten: (() => void) | undefined;
  #isSnapshotWanted = false;

  constructor(deps: ApplierDeps) {
    this.#deps = deps;
  }

  get index(): number {
    return this.#index;
  }

  push(item: Item): void {
    this.#queue.push(item);
    if (!this.#isRunning) this.#run();
  }

  stop(): void {
    this.#stopped = true;
    this.#queue = [];
    this.snapshotOver();
  }

  snapshotWanted(): void {
    this.#isSnapshotWanted = true;
    void this.#giveSnapshot();
  }

  snapshotChunkWritten(): void {
    this.#onChunkWritten?.();
  }

  snapshotOver(): void {
    this.#isSnapshotWanted = false;
    this.#onChunkWritten?.();
  }

  #run(): void {
    this.#isRunning = true;
    try {
      const isDone = this.#work();
      if (isDone) this.#isRunning = false;
    } catch (error) {
      this.#deps.onFatal(error);
    }
  }

  /** False: it goes on later, and calls `#run` itself. */
  #work(): boolean {
    const untilMs = performance.now() + SLICE_MS;
    for (let item = this.#queue.shift(); item && !this.#stopped; item = this.#queue.shift()) {
      if (item.type === 'restore') {
        void this.#restore(item);
        return false;
      }
      this.#do(item);
      if (performance.now() < untilMs || this.#queue.length === 0) continue;
      setImmediate(() => this.#run());
      return false;
    }
    return true;
  }

  #do(item: Exclude<Item, Restore>): void {
    switch (item.type) {
      case 'committed':
        return this.#apply(item);
      case 'status':
        return this.#deps.onStatus(item.status);
      case 'reads-confirmed':
        this.#reads.push(item);
        return this.#answerReads();
    }
  }

  #apply({ upTo, indexes, entries, proposals }: Committed): void {
    const waiting = new Map(proposals);
    for (const [at, bytes] of unpack(entries).entries()) {
      const index = indexes[at];
      invariant(index !== undefined && index > this.#index, 'entries are applied once and in order');
      this.#deps.stateMachine.apply(index, bytes);
      this.#index = index;
      const id = waiting.get(index);
      if (id !== undefined) this.#deps.requests.resolve(id, index);
    }
    this.#index = upTo;
    this.#answerReads();
    this.#deps.onApplied(upTo);
  }

  #answerReads(): void {
    for (const { ids, index } of this.#reads.filter((read) => read.index <= this.#index)) {
      for (const id of ids) this.#deps.requests.resolve(id, index);
    }
    this.#reads = this.#reads.filter(({ index }) => index > this.#index);
  }

  async #restore({ index, kinds, chunks }: Restore): Promise<void> {
    try {
      const bytes = unpack(chunks);
      await this.#deps.stateMachine.restore(
        index,
        each(kinds.map((kind, at) => ({ kind, bytes: bytes[at] ?? new Uint8Array() }))),
      );
      this.#index = index;
      this.#answerReads();
      this.#deps.onApplied(index);
      this.#run();
    } catch (error) {
      this.#deps.onFatal(error);
    }
  }

  /** The state as it is now, chunk by chunk, as fast as the worker writes it. */
  async #giveSnapshot(): Promise<void> {
    let failed: string | undefined;
    try {
      const chunks = this.#deps.stateMachine.snapshot();
      this.#deps.post({ type: 'snapshot-begin', index: this.#index });
      for await (const { kind, bytes } of chunks) {
        if (!this.#isSnapshotWanted) return;
        await new Promise<void>((resolve) => {
          this.#onChunkWritten = resolve;
          this.#deps.post({ type: 'snapshot-chunk', kind, bytes });
        });
      }
    } catch (error) {
      failed = sentenceOf(error);
    }
    this.#deps.post({ type: 'snapshot-end', failed });
  }
}

async function* each(chunks: readonly SnapshotChunk[]): AsyncGenerator<SnapshotChunk> {
  yield* chunks;
}
