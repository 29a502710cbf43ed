// A state machine that is the list of what was applied.
import type { SnapshotChunk, StateMachine } from '../../manager/raft/contract.ts';

export class Journal implements StateMachine {
  entries: { index: number; text: string }[] = [];
  restoredAt = 0;

  get texts(): string[] {
    return this.entries.map(({ text }) => text);
  }

  apply(index: number, entry: Uint8Array): void {
    this.entries.push({ index, text: Buffer.from(entry).toString() });
  }

  async *snapshot(): AsyncIterable<SnapshotChunk> {
    const entries = [...this.entries];
    for (let at = 0; at < entries.length; at += 100) {
      yield { kind: 'entries', bytes: Buffer.from(JSON.stringify(entries.slice(at, at + 100))) };
    }
  }

  async restore(index: number, chunks: AsyncIterable<SnapshotChunk>): Promise<void> {
    const entries: { index: number; text: string }[] = [];
    for await (const { bytes } of chunks) {
      entries.push(...(JSON.parse(Buffer.from(bytes).toString()) as { index: number; text: string }[]));
    }
    this.entries = entries;
    this.restoredAt = index;
  }
}
