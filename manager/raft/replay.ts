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
  #last: Position = { index: 0, term: 0 };
  #snapshot: Position | undefined;
  #hardState: HardState = { term: 0, vote: undefined, commit: 0 };

  /** True when the mark was there that ends what a segment begins with. */
  segment(frames: readonly OpenedFrame[], name: string): boolean {
    let isBegun = false;
    for (const { plain, offset } of frames) {
      for (const record of decodeRecords(plain)) {
        this.#record(record, `${name} at byte ${offset}`);
        isBegun ||= record.type === 'begun';
      }
    }
    return isBegun;
  }

  finish(): Omit<RecoveredLog, 'tornBytes'> {
    const base = this.#base ?? { index: 0, term: 0 };
    const start = this.#snapshot?.index ?? 0;
    if (base.index > start) fail('internal', damaged(`entries ${start + 1} to ${base.index} are missing`));
    if (this.#last.index < start)
      fail('internal', damaged(`it ends at ${this.#last.index}, before its snapshot at ${start}`));
    if (this.#hardState.commit > this.#last.index)
      fail('internal', damaged(`it ends at ${this.#last.index}, before its commit index ${this.#hardState.commit}`));
    return { base, entries: this.#entries, snapshot: this.#snapshot, hardState: this.#hardState };
  }

  #record(record: LogRecord, place: string): void {
    switch (record.type) {
      case 'base':
        return this.#onBase(record, place);
      case 'snapshot':
        this.#snapshot = { index: record.index, term: record.term };
        return;
      case 'restore':
        this.#snapshot = { index: record.index, term: record.term };
        return this.#beginAfter(record);
      case 'hard-state':
        this.#hardState = record.hardState;
        return;
      case 'entry':
        return this.#onEntry(record.entry, place);
      case 'begun':
      case 'end':
        return;
    }
  }

  #onBase(base: Position, place: string): void {
    if (!this.#base) this.#beginAfter(base);
    else if (this.#last.index !== base.index || this.#last.term !== base.term) {
      fail('internal', damaged(`${place} does not follow on the segment before it`));
    }
  }

  #beginAfter({ index, term }: Position): void {
    this.#base = { index, term };
    this.#last = this.#base;
    this.#entries = [];
  }

  #onEntry(entry: Entry, place: string): void {
    const base = this.#base?.index ?? 0;
    if (entry.index > this.#last.index + 1)
      fail('internal', damaged(`${place} holds entry ${entry.index} after ${this.#last.index}`));
    this.#last = entry;
    this.#entries.length = Math.max(0, entry.index - base - 1);
    if (entry.index > base) this.#entries.push(entry);
    // The first segment may begin after entries that were replaced later on, so its base may be replaced as well.
    else if (entry.index === base) this.#base = { index: base, term: entry.term };
  }
}

export const damaged = (what: string): string =>
  `the consensus log is damaged: ${what}; remove this manager from the cluster and join it again`;
