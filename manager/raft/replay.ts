// Replaying the batches of a log, oldest first, into what they amount to. Anything that can not have been written so is damage.
import { fail } from '../../base/errors.ts';
import type { Entry, HardState } from './core/types.ts';
import type { OpenedFrame } from './frames.ts';
import { decodeRecords, type LogRecord } from './records.ts';
import type { RecoveredLog } from './write-ahead-log.ts';

interface Position {
  readonly index: number;
  readonly term: number;
}

export class Replay {
  #base: Position | undefined;
  #entries: Entry[] = [];
  #snapshot: Position | undefined;
  #hardState: HardState = { term: 0, vote: undefined, commit: 0 };

  segment(frames: readonly OpenedFrame[], name: string): void {
    for (const { plain, offset } of frames) {
      for (const record of decodeRecords(plain)) this.#record(record, `${name} at byte ${offset}`);
    }
  }

  finish(): Omit<RecoveredLog, 'tornBytes'> {
    const base = this.#base ?? { index: 0, term: 0 };
    const start = this.#snapshot?.index ?? 0;
    if (base.index > start)
      fail('internal', `the consensus log is damaged: entries ${start + 1} to ${base.index} are missing`);
    if (this.#last.index < start)
      fail('internal', `the consensus log is damaged: it ends before its snapshot at ${start}`);
    return { base, entries: this.#entries, snapshot: this.#snapshot, hardState: this.#hardState };
  }

  get #last(): Position {
    return this.#entries.at(-1) ?? this.#base ?? { index: 0, term: 0 };
  }

  #record(record: LogRecord, place: string): void {
    switch (record.type) {
      case 'base':
        return this.#onBase(record, place);
      case 'snapshot':
        return this.#onSnapshot(record);
      case 'hard-state':
        this.#hardState = record.hardState;
        return;
      case 'entry':
        return this.#onEntry(record.entry, place);
      case 'end':
        return;
    }
  }

  #onBase({ index, term }: Position, place: string): void {
    if (!this.#base) this.#base = { index, term };
    else if (this.#last.index !== index || this.#last.term !== term) {
      fail('internal', `the consensus log is damaged: ${place} does not follow on the segment before it`);
    }
  }

  /** A snapshot of our own state leaves the log as it is; one that was received replaces what does not lead up to it. */
  #onSnapshot({ index, term }: Position): void {
    this.#snapshot = { index, term };
    if (index <= (this.#base?.index ?? 0) || this.#termAt(index) === term) return;
    this.#base = { index, term };
    this.#entries = [];
  }

  #onEntry(entry: Entry, place: string): void {
    const base = this.#base?.index ?? 0;
    if (entry.index > this.#last.index + 1 || entry.index <= base) {
      fail('internal', `the consensus log is damaged: ${place} holds entry ${entry.index} after ${this.#last.index}`);
    }
    this.#entries.length = entry.index - base - 1;
    this.#entries.push(entry);
  }

  #termAt(index: number): number | undefined {
    return this.#entries[index - (this.#base?.index ?? 0) - 1]?.term;
  }
}
