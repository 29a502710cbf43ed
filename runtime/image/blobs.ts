// Content-addressed files: <root>/blobs/sha256/<hex>. A blob appears by a link, whole and verified, or not at all.
import { createReadStream } from 'node:fs';
import { link, mkdir, open, readdir, readFile, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { invariant } from '../../base/assert.ts';
import { errnoOf } from '../../base/errors.ts';
import { removeIfThere, syncDirectory } from '../../base/files.ts';
import { isDigest } from './reference.ts';

export class Blobs {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async open(root: string): Promise<Blobs> {
    const directory = join(root, 'blobs', 'sha256');
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return new Blobs(directory);
  }

  path(digest: string): string {
    invariant(isDigest(digest), `'${digest}' is a digest`);
    return join(this.#directory, digest.slice('sha256:'.length));
  }

  async has(digest: string): Promise<boolean> {
    try {
      await stat(this.path(digest));
      return true;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false;
      throw error;
    }
  }

  read(digest: string): Promise<Buffer> {
    return readFile(this.path(digest));
  }

  stream(digest: string): Readable {
    return createReadStream(this.path(digest), { highWaterMark: 256 * 1024 });
  }

  /** Its first bytes, which tell the compression. */
  async start(digest: string): Promise<Buffer> {
    await using file = await open(this.path(digest), 'r');
    const { buffer, bytesRead } = await file.read(Buffer.alloc(8), 0, 8, 0);
    return buffer.subarray(0, bytesRead);
  }

  async sizeBytes(digest: string): Promise<number> {
    return (await stat(this.path(digest))).size;
  }

  /** Takes a file whose content the caller has verified and made durable. `sync` the folder when all have been taken. */
  async take(file: string, digest: string): Promise<void> {
    try {
      await link(file, this.path(digest)); // an archive may use one file for several layers, so it stays where it is
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
  }

  sync(): Promise<void> {
    return syncDirectory(this.#directory);
  }

  async remove(digest: string): Promise<void> {
    await removeIfThere(this.path(digest));
  }

  /** Deletes what nothing refers to; for the start, when nothing is being written. */
  async keepOnly(digests: ReadonlySet<string>): Promise<void> {
    for (const name of await readdir(this.#directory)) {
      if (!digests.has(`sha256:${name}`)) await unlink(join(this.#directory, name));
    }
  }
}
