// The state machine of the simulation: it remembers every operation that it has applied, in order.
import type { SnapshotChunk } from '../../manager/raft/contract.ts';

export interface Applied {
  readonly index: number;
  readonly text: string;
}

const KIND = 'applied';
const CHUNK = 64;

export class SimMachine {
  applied: Applied[] = [];
  index = 0;
  /** Full chunks never change, and a snapshot is made often. */
  #full: SnapshotChunk[] = [];

  /** Returns what the operation is known by. */
  apply(index: number, bytes: Uint8Array): string {
    const text = this.nameOf(bytes);
    this.applied.push({ index, text });
    return text;
  }

  async snapshot(): Promise<SnapshotChunk[]> {
    const chunkAt = (at: number): SnapshotChunk => ({
      kind: KIND,
      bytes: Buffer.from(JSON.stringify(this.applied.slice(at, at + CHUNK))),
    });
    const end = Math.floor(this.applied.length / CHUNK) * CHUNK;
    for (let at = this.#full.length * CHUNK; at < end; at += CHUNK) this.#full.push(chunkAt(at));
    return end < this.applied.length ? [...this.#full, chunkAt(end)] : [...this.#full];
  }

  async restore(index: number, chunks: readonly SnapshotChunk[]): Promise<void> {
    const own = chunks.filter(({ kind }) => kind === KIND);
    this.#full = [];
    this.applied = own.flatMap(({ bytes }) => JSON.parse(Buffer.from(bytes).toString()) as Applied[]);
    this.index = index;
  }

  /** What must be equal on all at the same index, beyond the operations themselves. */
  digest(): string {
    return '';
  }

  nameOf(bytes: Uint8Array): string {
    return Buffer.from(bytes).toString();
  }
}
