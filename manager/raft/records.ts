// What one batch of the write-ahead log holds, as bytes: a list of records, each with its type and length, so that an
// unknown type is noticed and named instead of misread.
import { fail } from '../../base/errors.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import type { Entry, EntryKind, HardState } from './core/types.ts';

export type LogRecord =
  /** Where the log stood when its segment was begun: entries of this and later segments follow on this one. */
  | { readonly type: 'base'; readonly index: number; readonly term: number }
  /** A snapshot of what the log leads up to is durable; the log stays as it is. */
  | { readonly type: 'snapshot'; readonly index: number; readonly term: number }
  /** A snapshot that was received is durable and replaces the log. */
  | { readonly type: 'restore'; readonly index: number; readonly term: number }
  | { readonly type: 'hard-state'; readonly hardState: HardState }
  /** Replaces what stood at its index and after. */
  | { readonly type: 'entry'; readonly entry: Entry }
  /** Nothing; ends what a segment began with before it had its name, so that a cut in there is known as damage. */
  | { readonly type: 'begun' }
  /** Nothing; written on a clean stop, so that damage to the batch before it is told from a torn end. */
  | { readonly type: 'end' };

const TYPES = {
  base: 1,
  snapshot: 2,
  'hard-state': 3,
  entry: 4,
  end: 5,
  restore: 6,
  begun: 7,
} as const satisfies Record<LogRecord['type'], number>;
const KINDS = { data: 1, membership: 2, noop: 3 } as const satisfies Record<EntryKind, number>;

export function encodeRecords(records: readonly LogRecord[]): Buffer {
  const size = records.reduce((sum, record) => sum + 64 + (record.type === 'entry' ? record.entry.bytes.length : 0), 0);
  const writer = new ByteWriter(size);
  for (const record of records) encodeRecord(record, writer);
  return writer.take();
}

export function decodeRecords(bytes: Uint8Array): LogRecord[] {
  const reader = new ByteReader(bytes);
  const records: LogRecord[] = [];
  while (reader.left > 0) records.push(decodeRecord(reader));
  return records;
}

function encodeRecord(record: LogRecord, writer: ByteWriter): void {
  writer.u8(TYPES[record.type]);
  switch (record.type) {
    case 'base':
    case 'snapshot':
    case 'restore':
      return void writer.u32(16).u64(record.index).u64(record.term);
    case 'hard-state': {
      const vote = Buffer.from(record.hardState.vote ?? '', 'utf8');
      return void writer
        .u32(16 + vote.length)
        .u64(record.hardState.term)
        .u64(record.hardState.commit)
        .raw(vote);
    }
    case 'entry': {
      const { index, term, kind, bytes } = record.entry;
      return void writer
        .u32(17 + bytes.length)
        .u64(index)
        .u64(term)
        .u8(KINDS[kind])
        .raw(bytes);
    }
    case 'begun':
    case 'end':
      return void writer.u32(0);
  }
}

function decodeRecord(reader: ByteReader): LogRecord {
  const type = reader.u8();
  const body = new ByteReader(reader.blob());
  switch (type) {
    case TYPES.base:
      return { type: 'base', index: body.u64(), term: body.u64() };
    case TYPES.snapshot:
      return { type: 'snapshot', index: body.u64(), term: body.u64() };
    case TYPES.restore:
      return { type: 'restore', index: body.u64(), term: body.u64() };
    case TYPES['hard-state']: {
      const [term, commit] = [body.u64(), body.u64()];
      return {
        type: 'hard-state',
        hardState: { term, commit, vote: body.raw(body.left).toString('utf8') || undefined },
      };
    }
    case TYPES.entry: {
      const [index, term, kind] = [body.u64(), body.u64(), kindOf(body.u8())];
      return { type: 'entry', entry: { index, term, kind, bytes: body.raw(body.left) } };
    }
    case TYPES.end:
      return { type: 'end' };
    case TYPES.begun:
      return { type: 'begun' };
    default:
      return fail('internal', `the log holds a record of unknown type ${type}: it was written by a newer version`);
  }
}

function kindOf(number: number): EntryKind {
  switch (number) {
    case KINDS.data:
      return 'data';
    case KINDS.membership:
      return 'membership';
    case KINDS.noop:
      return 'noop';
    default:
      return fail('internal', `the log holds an entry of unknown kind ${number}: it was written by a newer version`);
  }
}
