// The state machine of the simulation: it remembers every operation that it has applied, in order.
import type { SnapshotChunk } from '../../manager/raft/contract.ts';

export interface Applied {
  readonly index: number;
  readonly text: string;
}

export class SimMachine {
  applied: Applied[] = [];
  index = 0;

  snapshot(): SnapshotChunk[] {
    const chunks: SnapshotChunk[] = [];
    for (let at = 0; at < this.applied.length; at += 64) {
      chunks.push({ kind: 'applied', bytes: Buffer.from(JSON.stringify(this.applied.slice(at, at + 64))) });
    }
    return chunks;
  }

  restore(index: number, chunks: readonly SnapshotChunk[]): void {
    this.applied = chunks.flatMap(({ bytes }) => JSON.parse(Buffer.from(bytes).toString()) as Applied[]);
    this.index = index;
  }
}
