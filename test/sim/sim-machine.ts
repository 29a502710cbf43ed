// The state machine of the simulation: it remembers every operation that it has applied, in order.
import type { SnapshotChunk } from '../../manager/raft/contract.ts';

export interface Applied {
  readonly index: number;
  readonly text: string;
}

const KIND = 'applied';

export class SimMachine {
  applied: Applied[] = [];
  index = 0;

  /** Returns what the operation is known by. */
  apply(index: number, bytes: Uint8Array): string {
    const text = this.nameOf(bytes);
    this.applied.push({ index, text });
    return text;
  }

  async snapshot(): Promise<SnapshotChunk[]> {
    const chunks: SnapshotChunk[] = [];
    for (let at = 0; at < this.applied.length; at += 64) {
      chunks.push({ kind: KIND, bytes: Buffer.from(JSON.stringify(this.applied.slice(at, at + 64))) });
    }
    return chunks;
  }

  async restore(index: number, chunks: readonly SnapshotChunk[]): Promise<void> {
    const own = chunks.filter(({ kind }) => kind === KIND);
    this.applied = own.flatMap(({ bytes }) => JSON.parse(Buffer.from(bytes).toString()) as Applied[]);
    this.index = index;
  }

  /** What must be equal on all at the same index, beyond the operations themselves. */
  digest(): string {
    return '';
  }

  protected nameOf(bytes: Uint8Array): string {
    return Buffer.from(bytes).toString();
  }
}
