// A folder of its own for one load or import, removed with everything in it at the end. Files in it are numbered:
// names that came in an archive are never used as paths.
import { createWriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { newHexId } from '../../base/id.ts';
import type { Random } from '../../base/random.ts';
import { CodedError } from '../../base/errors.ts';

const WRITE_BYTES = 256 * 1024;

export interface StagedFile {
  readonly path: string;
  readonly sizeBytes: number;
}

export class Staging implements AsyncDisposable {
  readonly directory: string;
  #number = 0;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static root(imageRoot: string): string {
    return join(imageRoot, 'incoming');
  }

  static async open(imageRoot: string, random: Random): Promise<Staging> {
    const directory = join(Staging.root(imageRoot), newHexId(random).slice(0, 16));
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return new Staging(directory);
  }

  /** A path for a new file or folder. */
  next(): string {
    return join(this.directory, String(++this.#number));
  }

  async add(stream: Readable, limits: { bytesMax: number }, abort?: AbortSignal): Promise<StagedFile> {
    const path = this.next();
    let sizeBytes = 0;
    const count = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        sizeBytes += chunk.length;
        const tooLong = sizeBytes > limits.bytesMax;
        done(tooLong ? new CodedError('invalid', `the archive is longer than ${limits.bytesMax} bytes`) : null, chunk);
      },
    });
    const file = createWriteStream(path, { mode: 0o600, highWaterMark: WRITE_BYTES });
    await pipeline(stream, count, file, abort ? { signal: abort } : {});
    return { path, sizeBytes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A helper that was cut off may still finish the file it is at.
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}
