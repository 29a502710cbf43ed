// What reading a log to its end and following it share: its files, and cutting chunks into lines.
import { type FileHandle, open } from 'node:fs/promises';
import { errnoOf } from '../../base/errors.ts';

export const FILES_MAX = 1_000;

export async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Cuts chunks at newlines; a line without its newline yet waits for the rest. */
export class LineSplitter {
  #parts: Buffer[] = [];

  *add(chunk: Buffer): Generator<string, void, void> {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      this.#parts.push(chunk.subarray(start, end));
      const line = Buffer.concat(this.#parts).toString('utf8');
      this.#parts = [];
      start = end + 1;
      yield line;
    }
    if (start < chunk.length) this.#parts.push(Buffer.from(chunk.subarray(start)));
  }
}
