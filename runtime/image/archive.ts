// Reads an image archive (docker-archive or OCI layout, plain or compressed) into a staging folder.
// Entry names only become keys of a map. Bounds: entries, bytes, and the length of anything read as JSON.
import { readFile } from 'node:fs/promises';
import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CodedError, codeOf, fail, sentenceOf } from '../../base/errors.ts';
import { parseJson } from '../../base/parse.ts';
import { decompressor, sniff } from './compression.ts';
import type { StagedFile, Staging } from './staging.ts';

const ENTRIES_MAX = 20_000;
const ARCHIVE_BYTES_MAX = 256 * 1024 ** 3;
const JSON_BYTES_MAX = 8 * 1024 * 1024;
const LINKS_FOLLOWED_MAX = 8;

export class Archive {
  readonly #files: ReadonlyMap<string, StagedFile>;
  readonly #links: ReadonlyMap<string, string>;

  constructor(files: ReadonlyMap<string, StagedFile>, links: ReadonlyMap<string, string>) {
    this.#files = files;
    this.#links = links;
  }

  /** Older archives hold a layer once and link to it from the other images. */
  find(name: string): StagedFile | undefined {
    let key = posix.normalize(name);
    for (let step = 0; step < LINKS_FOLLOWED_MAX; step += 1) {
      const file = this.#files.get(key);
      const target = this.#links.get(key);
      if (file || target === undefined) return file;
      key = target;
    }
    return undefined;
  }

  get(name: string): StagedFile {
    return this.find(name) ?? fail('invalid', `the archive has no file '${name}'`);
  }

  async bytes(name: string): Promise<Buffer> {
    const file = this.get(name);
    if (file.sizeBytes > JSON_BYTES_MAX) fail('invalid', `'${name}' is longer than ${JSON_BYTES_MAX} bytes`);
    return readFile(file.path);
  }

  async json(name: string): Promise<unknown> {
    return parseJson((await this.bytes(name)).toString('utf8'), `'${name}'`);
  }
}

export async function readArchive(stream: Readable, staging: Staging, abort?: AbortSignal): Promise<Archive> {
  try {
    return await extract(stream, staging, abort);
  } catch (error) {
    if (abort?.aborted) throw new CodedError('aborted', 'the load was cancelled', { cause: error });
    if (error instanceof CodedError) throw error;
    throw archiveFault(error);
  }
}

/** Node's own errors about the bytes it was given are the sender's fault; those of the disk are not. */
export function archiveFault(error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const ours = /^E[A-Z]+$/.test(code);
  const message = ours ? 'storing the archive' : `the archive can not be read: ${sentenceOf(error)}`;
  return new CodedError(ours ? codeOf(error) : 'invalid', message, { cause: error });
}

async function extract(stream: Readable, staging: Staging, abort?: AbortSignal): Promise<Archive> {
  const files = new Map<string, StagedFile>();
  const links = new Map<string, string>();
  const { default: tar } = await import('tar-stream');
  const parser = tar.extract();
  const fed = pipeline([stream, decompressor(await sniff(stream)), parser], abort ? { signal: abort } : {});
  const failed = fed.catch((error: unknown) => parser.destroy(error as Error));
  let bytesLeft = ARCHIVE_BYTES_MAX;
  let entries = 0;
  for await (const entry of parser) {
    if (++entries > ENTRIES_MAX) fail('invalid', `the archive has more than ${ENTRIES_MAX} entries`);
    const { name, type, linkname } = entry.header;
    const key = posix.normalize(name);
    if (type === 'file' || type === 'contiguous-file') {
      const file = await staging.add(entry as unknown as Readable, { bytesMax: bytesLeft }, abort);
      bytesLeft -= file.sizeBytes;
      files.set(key, file);
    } else {
      if (type === 'symlink') links.set(key, posix.join(posix.dirname(key), linkname ?? ''));
      if (type === 'link') links.set(key, posix.normalize(linkname ?? ''));
      entry.resume();
    }
  }
  await failed;
  await fed;
  return new Archive(files, links);
}
