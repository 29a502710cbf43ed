// Reads the json-file logs that shims write: NAME is the newest file, NAME.1 the one before, and so on.
// One line is {"log":"text\n","stream":"stdout","time":"…"}; text without its newline continues in the stream's next line.
import type { FileHandle } from 'node:fs/promises';
import type { Clock } from '../../base/clock.ts';
import { FILES_MAX, LineSplitter, openIfThere } from './files.ts';
import { follow } from './follow.ts';

export interface LogEntry {
  readonly stream: 'stdout' | 'stderr';
  readonly time: string; // RFC 3339 with nanoseconds
  readonly bytes: Buffer; // partial lines joined
}

export interface ReadLog {
  readonly path: string;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tailLines: number | 'all';
  readonly sinceMs: number; // 0: from the start
  readonly untilMs: number; // 0: no end
  /** Absent: read what is there and end. Otherwise go on until `finished` fires and the last byte is read. */
  readonly follow: { readonly finished: AbortSignal; readonly clock: Clock } | undefined;
}

const CHUNK_BYTES = 64 * 1024;
const LINE_BYTES_MAX = 1024 * 1024; // of a joined line; longer ones come in pieces

export async function* readLog(request: ReadLog, abort: AbortSignal): AsyncGenerator<LogEntry, void, void> {
  const files = await openAll(request.path);
  const joiner = new LineJoiner();
  try {
    let skip = request.tailLines === 'all' ? undefined : await tailStart(files, request.tailLines);
    for (const [index, file] of files.entries()) {
      const isNewest = index === files.length - 1;
      const from = skip === undefined || index > skip.file ? 0 : index < skip.file ? 'none' : skip.offset;
      if (from === 'none' && !isNewest) continue;
      const lines =
        isNewest && request.follow
          ? follow(
              { path: request.path, file, from: from === 'none' ? 0 : from, ...request.follow, ...untilOf(request) },
              abort,
            )
          : linesFrom(file, from === 'none' ? 0 : from);
      for await (const line of lines) {
        if (abort.aborted) return;
        const entry = joiner.add(line);
        if (!entry) continue;
        if (isAfter(entry, request)) return;
        if (isWanted(entry, request)) yield entry;
      }
      skip = undefined;
    }
    for (const entry of joiner.rest()) if (isWanted(entry, request) && !isAfter(entry, request)) yield entry;
  } finally {
    for (const file of files) await file.close();
  }
}

const untilOf = ({ untilMs }: ReadLog): { untilMs?: number } => (untilMs > 0 ? { untilMs } : {});

function isWanted(entry: LogEntry, { stdout, stderr, sinceMs }: ReadLog): boolean {
  if (entry.stream === 'stdout' ? !stdout : !stderr) return false;
  return sinceMs <= 0 || Date.parse(entry.time) >= sinceMs;
}

const isAfter = (entry: LogEntry, { untilMs }: ReadLog): boolean => untilMs > 0 && Date.parse(entry.time) > untilMs;

/** Oldest first. A rotation in between only makes a file appear twice in the numbering, so handles are compared. */
async function openAll(path: string): Promise<FileHandle[]> {
  const files: FileHandle[] = [];
  const seen = new Set<bigint>();
  for (let number = 0; number < FILES_MAX; number += 1) {
    const file = await openIfThere(number === 0 ? path : `${path}.${number}`);
    if (!file) break;
    const { ino } = await file.stat({ bigint: true });
    if (seen.has(ino)) await file.close();
    else files.unshift(file);
    seen.add(ino);
  }
  return files;
}

/** The lines of one file from `offset` to its end as it is now. */
async function* linesFrom(file: FileHandle, offset: number): AsyncGenerator<string, void, void> {
  const splitter = new LineSplitter();
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let at = offset; ; ) {
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield* splitter.add(buffer.subarray(0, bytesRead));
  }
}

interface RawLine {
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
  readonly time: string;
}

/** Undefined for what is no log line: after a crash of the machine a file may hold garbage, which must not end the reading. */
function parseLine(line: string): RawLine | undefined {
  try {
    const json = JSON.parse(line) as { log?: unknown; stream?: unknown; time?: unknown } | null;
    const { log, stream, time } = json ?? {};
    if (typeof log !== 'string' || typeof time !== 'string') return undefined;
    return { text: log, time, stream: stream === 'stderr' ? 'stderr' : 'stdout' };
  } catch {
    return undefined;
  }
}

class LineJoiner {
  readonly #open = { stdout: undefined as RawLine | undefined, stderr: undefined as RawLine | undefined };

  add(line: string): LogEntry | undefined {
    const raw = parseLine(line);
    if (!raw) return undefined;
    const before = this.#open[raw.stream];
    const joined = before ? { ...before, text: before.text + raw.text } : raw;
    const isWhole = joined.text.endsWith('\n') || joined.text.length > LINE_BYTES_MAX;
    this.#open[raw.stream] = isWhole ? undefined : joined;
    return isWhole ? entryOf(joined) : undefined;
  }

  /** What never got its newline. */
  rest(): LogEntry[] {
    return [this.#open.stdout, this.#open.stderr].flatMap((raw) => (raw ? [entryOf(raw)] : []));
  }
}

const entryOf = ({ stream, text, time }: RawLine): LogEntry => ({ stream, time, bytes: Buffer.from(text) });

/** Where the last `count` lines begin, found from the end backwards. */
async function tailStart(files: readonly FileHandle[], count: number): Promise<{ file: number; offset: number }> {
  let missing = count;
  for (let index = files.length - 1; index >= 0; index -= 1) {
    const file = files[index];
    if (!file) break;
    const found = await offsetOfLast(file, missing);
    if (found.missing === 0) return { file: index, offset: found.offset };
    missing = found.missing;
  }
  return { file: 0, offset: 0 };
}

async function offsetOfLast(file: FileHandle, count: number): Promise<{ offset: number; missing: number }> {
  let { size: at } = await file.stat();
  if (count === 0) return { offset: at, missing: 0 };
  let missing = count;
  let tail = Buffer.alloc(0); // bytes from `at` on that belong to a line whose start is not read yet
  let isLast = true;
  while (at > 0) {
    const length = Math.min(CHUNK_BYTES, at);
    at -= length;
    const { buffer } = await file.read(Buffer.allocUnsafe(length), 0, length, at);
    tail = Buffer.concat([buffer, tail]);
    for (let end = tail.length; ; ) {
      const start = end < 2 ? 0 : tail.lastIndexOf(10, end - 2) + 1;
      if (start === 0 && at > 0) {
        tail = tail.subarray(0, end);
        break;
      }
      const raw = parseLine(tail.toString('utf8', start, end));
      // A line counts at its last piece; pieces before it belong to it.
      const ends = raw !== undefined && (isLast || raw.text.endsWith('\n'));
      if (raw !== undefined) isLast = false;
      if (ends && missing === 0) return { offset: at + end, missing: 0 };
      if (ends) missing -= 1;
      if (start === 0) break;
      end = start;
    }
  }
  return { offset: 0, missing };
}
