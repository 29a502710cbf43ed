// Follows a growing log by inotify, through rotations, until the writer is known to be finished.
import { type FSWatcher, watch } from 'node:fs';
import { type FileHandle, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { errnoOf } from '../../base/errors.ts';
import { FILES_MAX, LineSplitter, openIfThere } from './files.ts';

export interface Follow {
  readonly path: string;
  readonly file: FileHandle; // the newest file; stays the caller's
  readonly from: number;
  readonly finished: AbortSignal;
  readonly clock: Clock;
  readonly untilMs?: number;
}

const CHUNK_BYTES = 64 * 1024;

export async function* follow(options: Follow, abort: AbortSignal): AsyncGenerator<string, void, void> {
  const { path, finished, clock, untilMs } = options;
  using bell = new Bell(path, [finished, abort]);
  using _timer =
    untilMs === undefined ? undefined : clock.after(Math.max(0, untilMs - clock.nowMs()), () => bell.end());
  const opened: FileHandle[] = [];
  const splitter = new LineSplitter();
  let file = options.file;
  let at = options.from;
  try {
    while (!abort.aborted) {
      // Both are asked before reading: what was written before them is then read below.
      const isLastRound = finished.aborted || bell.ended;
      const next = await successor(path, file);
      for (let chunk = await readChunk(file, at); chunk.length > 0; chunk = await readChunk(file, at)) {
        at += chunk.length;
        yield* splitter.add(chunk);
      }
      if (next) {
        opened.push(next);
        [file, at] = [next, 0];
      } else if (isLastRound) return;
      else await bell.rung();
    }
  } finally {
    for (const each of opened) await each.close();
  }
}

async function readChunk(file: FileHandle, at: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES, at);
  return buffer.subarray(0, bytesRead);
}

/** The file that a rotation put after `file`, or undefined while it is the newest and nothing more is in it. */
async function successor(path: string, file: FileHandle): Promise<FileHandle | undefined> {
  const { ino } = await file.stat({ bigint: true });
  for (let number = 0; number < FILES_MAX; number += 1) {
    const found = await inodeOf(number === 0 ? path : `${path}.${number}`);
    if (found === ino) return number === 0 ? undefined : openIfThere(number === 1 ? path : `${path}.${number - 1}`);
    if (found === undefined && number > 0) return openIfThere(number === 1 ? path : `${path}.${number - 1}`);
  }
  return undefined;
}

async function inodeOf(path: string): Promise<bigint | undefined> {
  try {
    return (await stat(path, { bigint: true })).ino;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Rings when the log's folder reports a change of one of its files, and when one of the signals fires. */
class Bell implements Disposable {
  ended = false;
  #hasRung = false;
  #wake: (() => void) | undefined;
  readonly #stop: () => void;

  constructor(path: string, signals: readonly AbortSignal[]) {
    const watcher = this.#watch(dirname(path), basename(path));
    const ring = (): void => this.#ring();
    for (const signal of signals) signal.addEventListener('abort', ring);
    this.#stop = () => {
      watcher?.close();
      for (const signal of signals) signal.removeEventListener('abort', ring);
    };
  }

  /** Without the folder the container was removed: what the file holds that was opened before is all there will be. */
  #watch(folder: string, name: string): FSWatcher | undefined {
    try {
      const watcher = watch(folder, (_event, changed) => {
        if (changed === null || changed.startsWith(name)) this.#ring();
      });
      return watcher.on('error', () => this.end());
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      this.end();
      return undefined;
    }
  }

  end(): void {
    this.ended = true;
    this.#ring();
  }

  async rung(): Promise<void> {
    if (!this.#hasRung) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#hasRung = false;
  }

  #ring(): void {
    this.#hasRung = true;
    this.#wake?.();
  }

  [Symbol.dispose](): void {
    this.#stop();
  }
}
