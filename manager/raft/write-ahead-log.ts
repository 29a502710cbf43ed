// The durable log: segments of sealed batches. One batch is one frame and one flush, whole or not there.
// A segment is never appended to after a restart: recovery copies what survived into a fresh one that replaces the rest,
// because the page cache may show what a failed flush never wrote, and because a nonce must not be used twice.
import { invariant } from '../../base/assert.ts';
import type { Disk, DiskFile } from '../../base/disk.ts';
import { fail } from '../../base/errors.ts';
import { Mutex } from '../../base/mutex.ts';
import type { Random } from '../../base/random.ts';
import type { Entry, HardState } from './core/types.ts';
import { FrameWriter, openFrames, type OpenedFile } from './frames.ts';
import { encodeRecords, type LogRecord } from './records.ts';
import { damaged, Replay } from './replay.ts';
import type { KeyRing } from './data-keys.ts';
import { type DataKey, SALT_BYTES } from './seal.ts';
import { isDiskFull, type Space } from './disk-full.ts';

export const LOG_DIRECTORY = 'log';
const FLAG_CHECKPOINT = 1;
/** What a segment begins with ends in a mark, without which it is damaged: it was durable before it had its name. */
const FLAG_MARKED = 2;
const CHECKPOINT_BATCH_BYTES = 1024 * 1024;

export interface LogDeps {
  readonly disk: Disk;
  readonly keys: KeyRing;
  readonly random: Random;
  readonly clusterId: string;
  readonly nodeId: string;
  readonly segmentBytesMax: number;
  /** Absent: a full disk is a failure like another. */
  readonly space?: Space | undefined;
}

/** What a log held, in the order of its writing made whole: later entries have replaced earlier ones. */
export interface RecoveredLog {
  readonly hardState: HardState;
  readonly snapshot: { readonly index: number; readonly term: number } | undefined;
  readonly base: { readonly index: number; readonly term: number };
  readonly entries: readonly Entry[];
  /** Bytes of an unfinished last batch that were cut off. */
  readonly tornBytes: number;
}

interface Segment {
  readonly number: number;
  readonly file: DiskFile;
  readonly frames: FrameWriter;
  readonly key: DataKey;
  bytes: number;
}

const baseNameOf = (number: number): string => `${String(number).padStart(16, '0')}.wal`;
const nameOf = (number: number): string => `${LOG_DIRECTORY}/${baseNameOf(number)}`;

export class WriteAheadLog {
  readonly #deps: LogDeps;
  #segment: Segment;
  /** Live segments, oldest first, with the index that each one's entries follow on. */
  #segments: { number: number; base: number; key: DataKey }[];
  #hardState: HardState;
  #snapshot: { index: number; term: number } | undefined;
  #last: { index: number; term: number };
  readonly #mutex = new Mutex();
  /** Nobody knows what the disk holds after a failed flush, so nothing is written after it. */
  #failure: { readonly error: unknown } | undefined;

  /** Reads what is there, makes it durable in a fresh segment, and is then ready for appending. */
  static async open(deps: LogDeps): Promise<{ log: WriteAheadLog; recovered: RecoveredLog }> {
    await deps.disk.makeDirectory(LOG_DIRECTORY);
    const names = await deps.disk.list(LOG_DIRECTORY);
    const recovered = await readLog(deps, names);
    const number = Math.max(0, ...names.map(numberOf)) + 1;
    const segment = await writeCheckpoint(deps, number, recovered);
    for (const name of names) await deps.disk.remove(`${LOG_DIRECTORY}/${name}`);
    await deps.disk.syncDirectory(LOG_DIRECTORY);
    return { log: new WriteAheadLog(deps, segment, recovered), recovered };
  }

  private constructor(deps: LogDeps, segment: Segment, recovered: RecoveredLog) {
    this.#deps = deps;
    this.#segment = segment;
    this.#segments = [{ number: segment.number, base: recovered.base.index, key: segment.key }];
    this.#hardState = recovered.hardState;
    this.#snapshot = recovered.snapshot;
    this.#last = recovered.entries.at(-1) ?? recovered.base;
  }

  isSealedWith(key: DataKey): boolean {
    return this.#segments.every((segment) => segment.key === key);
  }

  get segmentCount(): number {
    return this.#segments.length;
  }

  /** Resolves when the records are durable, all of them or, after a crash, none. A failure is final. */
  append(records: readonly LogRecord[]): Promise<void> {
    return this.#mutex.run(async () => {
      if (this.#failure) throw this.#failure.error;
      try {
        await this.#append(records);
      } catch (error) {
        this.#failure = { error };
        throw error;
      }
    });
  }

  /** Removes segments that hold only entries at or before `index`; a durable snapshot must reach that far. */
  forgetUpTo(index: number): Promise<void> {
    return this.#mutex.run(async () => {
      invariant(this.#snapshot && this.#snapshot.index >= index, 'only what a snapshot holds is forgotten');
      const keepFrom = this.#segments.findLastIndex((segment) => segment.base <= index);
      const old = this.#segments.splice(0, Math.max(0, keepFrom));
      for (const { number } of old) await this.#deps.disk.remove(nameOf(number));
      if (old.length > 0) await this.#deps.disk.syncDirectory(LOG_DIRECTORY);
    });
  }

  /** Marks a clean end and closes the file. */
  close(): Promise<void> {
    return this.#mutex.run(async () => {
      if (!this.#failure) await this.#appendEnd();
      await this.#segment.file.close();
    });
  }

  /** Closes the file as a crash would leave it. */
  abandon(): Promise<void> {
    return this.#mutex.run(() => this.#segment.file.close());
  }

  /** Copies the live log into a fresh segment, sealed with the current key, which replaces all older ones. */
  rewrite(): Promise<void> {
    return this.#mutex.run(async () => {
      if (this.#failure) throw this.#failure.error;
      try {
        await this.#rewrite();
      } catch (error) {
        // Without space nothing has begun; after anything else nobody knows which segment counts.
        if (!isDiskFull(error)) this.#failure = { error };
        throw error;
      }
    });
  }

  async #rewrite(): Promise<void> {
    const { disk } = this.#deps;
    const names = this.#segments.map(({ number }) => baseNameOf(number));
    const recovered = await readLog(this.#deps, names);
    const previous = this.#segment;
    this.#segment = await writeCheckpoint(this.#deps, previous.number + 1, recovered);
    this.#segments = [{ number: this.#segment.number, base: recovered.base.index, key: this.#segment.key }];
    await previous.file.close();
    for (const name of names) await disk.remove(`${LOG_DIRECTORY}/${name}`);
    await disk.syncDirectory(LOG_DIRECTORY);
  }

  async #append(records: readonly LogRecord[]): Promise<void> {
    if (this.#segment.bytes > this.#deps.segmentBytesMax) await this.#withSpace(() => this.#rotate());
    const frame = this.#segment.frames.frame(encodeRecords(records));
    // The very same bytes at the very same place, until they fit: no nonce is used for anything else.
    await this.#withSpace(() => this.#segment.file.append(frame));
    await this.#segment.file.sync();
    this.#segment.bytes += frame.length;
    for (const record of records) this.#note(record);
  }

  #note(record: LogRecord): void {
    if (record.type === 'hard-state') this.#hardState = record.hardState;
    if (record.type === 'entry') this.#last = record.entry;
    if (record.type === 'snapshot' || record.type === 'restore') this.#snapshot = record;
    if (record.type === 'restore') this.#last = record;
  }

  /** A mark that does not fit any more is only missed: the batch before it then counts as a torn end if it is damaged. */
  async #appendEnd(): Promise<void> {
    const frame = this.#segment.frames.frame(encodeRecords([{ type: 'end' }]));
    try {
      await this.#segment.file.append(frame);
    } catch (error) {
      if (isDiskFull(error)) return;
      throw error;
    }
    await this.#segment.file.sync();
  }

  async #withSpace(work: () => Promise<void>): Promise<void> {
    const { space } = this.#deps;
    for (let attempt = 0; ; attempt += 1) {
      try {
        await work();
        if (attempt > 0) space?.found();
        return;
      } catch (error) {
        if (!space || !isDiskFull(error)) throw error;
        await space.wait(error);
      }
    }
  }

  async #rotate(): Promise<void> {
    const previous = this.#segment;
    const number = previous.number + 1;
    const start: LogRecord[] = [{ type: 'base', index: this.#last.index, term: this.#last.term }];
    if (this.#snapshot) start.push({ type: 'snapshot', index: this.#snapshot.index, term: this.#snapshot.term });
    start.push({ type: 'hard-state', hardState: this.#hardState });
    this.#segment = await createSegment(this.#deps, number, 0, [start]);
    this.#segments.push({ number, base: this.#last.index, key: this.#segment.key });
    await previous.file.close();
  }
}

/** Reads a log without changing anything. */
export async function readLog(
  deps: Pick<LogDeps, 'disk' | 'keys' | 'clusterId' | 'nodeId'>,
  names: readonly string[],
): Promise<RecoveredLog> {
  const numbers = names
    .filter((name) => name.endsWith('.wal'))
    .map(numberOf)
    .sort((a, b) => a - b);
  const opened: { number: number; file: OpenedFile; tornBytes: number }[] = [];
  for (const number of numbers) {
    const bytes = await deps.disk.read(nameOf(number));
    const identity = { magic: 'SHOALWAL', number, owner: ownerOf(deps) } as const;
    const file = openFrames(bytes, deps.keys, identity, nameOf(number));
    opened.push({ number, file, tornBytes: bytes.length - file.end });
  }
  // A checkpoint holds everything before it; older segments are only there because a crash came before their removal.
  const start = Math.max(
    0,
    opened.findLastIndex(({ file }) => (file.flags & FLAG_CHECKPOINT) !== 0),
  );
  const replay = new Replay();
  for (const [offset, { number, file }] of opened.slice(start).entries()) {
    const expected = (opened[start]?.number ?? 0) + offset;
    if (number !== expected) fail('internal', damaged(`it lacks segment ${nameOf(expected)}`));
    const isLast = number === opened.at(-1)?.number;
    if (file.torn && !isLast) fail('internal', damaged(`${nameOf(number)} ends at byte ${file.end}`));
    const isBegun = replay.segment(file.frames, nameOf(number));
    if ((file.flags & FLAG_MARKED) !== 0 && !isBegun)
      fail('internal', damaged(`what ${nameOf(number)} begins with is cut off at byte ${file.end}`));
  }
  return { ...replay.finish(), tornBytes: opened.at(-1)?.tornBytes ?? 0 };
}

function numberOf(name: string): number {
  const match = /^(\d{16})\.wal(\.tmp)?$/.exec(name);
  return match
    ? Number(match[1])
    : fail('internal', `the consensus log holds a foreign file: ${LOG_DIRECTORY}/${name}`);
}

const ownerOf = (deps: Pick<LogDeps, 'clusterId' | 'nodeId'>): string => `${deps.clusterId}/${deps.nodeId}/log`;

async function writeCheckpoint(deps: LogDeps, number: number, recovered: RecoveredLog): Promise<Segment> {
  const { base, snapshot, hardState, entries } = recovered;
  const start: LogRecord[] = [{ type: 'base', ...base }];
  if (snapshot) start.push({ type: 'snapshot', ...snapshot });
  start.push({ type: 'hard-state', hardState });
  return createSegment(deps, number, FLAG_CHECKPOINT, [start, ...batchesOf(entries)]);
}

function* batchesOf(entries: readonly Entry[]): Generator<LogRecord[]> {
  let batch: LogRecord[] = [];
  let bytes = 0;
  for (const entry of entries) {
    batch.push({ type: 'entry', entry });
    bytes += entry.bytes.length;
    if (bytes < CHECKPOINT_BATCH_BYTES) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}

/** A segment with its first batches; it gets its name only when they are durable. */
async function createSegment(
  deps: LogDeps,
  number: number,
  flags: number,
  batches: Iterable<readonly LogRecord[]>,
): Promise<Segment> {
  const key = deps.keys.current;
  const frames = new FrameWriter(
    key,
    { magic: 'SHOALWAL', number, owner: ownerOf(deps) },
    { flags: flags | FLAG_MARKED, salt: deps.random.bytes(SALT_BYTES) },
  );
  const temporary = `${nameOf(number)}.tmp`;
  const file = await deps.disk.create(temporary);
  let bytes = 0;
  try {
    for (const part of partsOf(frames, batches)) {
      await file.append(part);
      bytes += part.length;
    }
  } catch (error) {
    await file.close();
    await deps.disk.remove(temporary); // or it would keep the space that others wait for
    throw error;
  }
  await file.sync();
  await deps.disk.rename(temporary, nameOf(number));
  await deps.disk.syncDirectory(LOG_DIRECTORY);
  return { number, file, frames, key, bytes };
}

function* partsOf(frames: FrameWriter, batches: Iterable<readonly LogRecord[]>): Generator<Uint8Array> {
  yield frames.header;
  for (const batch of batches) yield frames.frame(encodeRecords(batch));
  yield frames.frame(encodeRecords([{ type: 'begun' }]));
}
