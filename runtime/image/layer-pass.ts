// One pass over a layer's bytes: kept as they come, hashed as they come and uncompressed, counted, and unpacked, all at
// once. So a layer is on disk when its last byte has arrived, and nothing is read or uncompressed twice.
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { type Readable, Transform, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { errnoOf, fail } from '../../base/errors.ts';
import { decompressor, isOfLayers, sniff } from './compression.ts';
import { TarMeter } from './tar-meter.ts';

const UNDER_WAY_BYTES = 1024 * 1024;

export interface LayerDigest {
  readonly digest: string; // of the bytes as they came
  readonly diffId: string; // of the uncompressed tar
  readonly storedBytes: number;
  readonly contentBytes: number; // of its regular files
  readonly opaqueFolders: readonly string[];
}

export interface Unpacking {
  readonly input: Writable;
  readonly done: Promise<void>;
}

export interface LayerPass {
  /** A new file for the bytes as they come; left out where they come from a file. */
  readonly keepIn?: string;
  readonly unpack: () => Promise<Unpacking>;
  readonly abort?: AbortSignal | undefined;
}

/** Whatever happens, nothing of it is at work any more when it has settled. */
export async function passLayer(source: Readable, { keepIn, unpack, abort }: LayerPass): Promise<LayerDigest> {
  const compression = await sniff(source); // refuses what we do not read before anything is stored
  if (keepIn === undefined && !isOfLayers(compression))
    fail('not-implemented', `layers compressed with ${compression} are not read: an image may not have them`);
  await using file = keepIn === undefined ? undefined : await open(keepIn, 'wx', 0o600);
  const stored = new HashingStep((chunk) => file && writeAll(file, chunk));
  const meter = new TarMeter();
  const plain = new HashingStep((chunk) => meter.write(chunk));
  const { input, done } = await unpack();
  const unpacking = compression === 'none' ? [] : [decompressor(compression)];
  const middle = isOfLayers(compression) ? [stored, ...unpacking, plain] : [...unpacking, stored, plain];
  const fed = pipeline([source, ...middle, input], abort ? { signal: abort } : {});
  const [sent, unpacked] = await Promise.allSettled([fed, done]);
  abort?.throwIfAborted();
  if (sent.status === 'rejected' && !(unpacked.status === 'rejected' && isBrokenPipe(sent.reason))) throw sent.reason;
  if (unpacked.status === 'rejected') throw unpacked.reason;
  meter.end();
  const { contentBytes, opaqueFolders } = meter;
  return { digest: stored.digest(), diffId: plain.digest(), storedBytes: stored.bytes, contentBytes, opaqueFolders };
}

/** A refused entry breaks our pipe to the helper: then the helper has the reason. */
const isBrokenPipe = (error: unknown): boolean =>
  ['EPIPE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_DESTROYED'].includes(errnoOf(error) ?? '');

/**
 * Passes on what it has hashed. It hashes in a turn of its own, so that whoever uncompresses, in another thread, is at the
 * next chunk meanwhile; both have room for some chunks, or they would wait for each other.
 */
class HashingStep extends Transform {
  bytes = 0;
  readonly #hash = createHash('sha256');

  constructor(see: (chunk: Buffer) => Promise<void> | void | undefined) {
    super({
      highWaterMark: UNDER_WAY_BYTES,
      transform: (chunk: Buffer, _encoding, done) => {
        setImmediate(() => {
          this.#hash.update(chunk);
          this.bytes += chunk.length;
          Promise.resolve(chunk)
            .then(see)
            .then(
              () => done(null, chunk),
              (error: unknown) => done(error as Error),
            );
        });
      },
    });
  }

  digest(): string {
    return `sha256:${this.#hash.digest('hex')}`;
  }
}

async function writeAll(file: FileHandle, chunk: Buffer): Promise<void> {
  for (let at = 0; at < chunk.length; ) at += (await file.write(chunk, at)).bytesWritten;
}
