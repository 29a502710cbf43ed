// Chunks of a snapshot on their way from the main thread to the file: the main thread sends the next when one was taken.
import { BoundedQueue } from '../../base/bounded-queue.ts';
import { CodedError } from '../../base/errors.ts';
import type { SnapshotChunk } from './contract.ts';

const CHUNKS_QUEUED_MAX = 16;

export class SnapshotIntake {
  readonly #onTaken: () => void;
  #queue: BoundedQueue<SnapshotChunk> | undefined;

  constructor(onTaken: () => void) {
    this.#onTaken = onTaken;
  }

  begin(): AsyncGenerator<SnapshotChunk> {
    const queue = new BoundedQueue<SnapshotChunk>({ lengthMax: CHUNKS_QUEUED_MAX, whenFull: 'fail' });
    this.#queue = queue;
    return this.#chunks(queue);
  }

  chunk(chunk: SnapshotChunk): void {
    this.#queue?.push(chunk);
  }

  end(failed: string | undefined): void {
    this.#queue?.end(failed === undefined ? undefined : new CodedError('internal', failed));
    this.#queue = undefined;
  }

  async *#chunks(queue: BoundedQueue<SnapshotChunk>): AsyncGenerator<SnapshotChunk> {
    for await (const chunk of queue.drain()) {
      if (chunk !== 'resync') yield chunk; // a queue that fails when full never resyncs
      this.#onTaken();
    }
  }
}
