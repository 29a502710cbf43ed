// Which compression a stream or file has, by its first bytes, and how to undo it.
import { type Duplex, PassThrough, type Readable, type Transform, type TransformOptions } from 'node:stream';
import zlib from 'node:zlib';
import { fail } from '../../base/errors.ts';
import { ownDecompressor } from './unpack-stream.ts';

export type Compression = 'none' | 'gzip' | 'zstd' | 'bzip2' | 'xz';

const CHUNK_BYTES = 256 * 1024; // twice as fast as the default of 16 KiB
const UNDER_WAY_BYTES = 1024 * 1024; // so that it goes on while the last chunk is still looked at
const GUNZIP: zlib.ZlibOptions & TransformOptions = { chunkSize: CHUNK_BYTES, highWaterMark: UNDER_WAY_BYTES };
const MAGIC_BYTES = 10;
const BZIP2 = /^425a683[1-9](314159265359|177245385090)/; // a level, then a block or the end

export function compressionOf(start: Uint8Array): Compression {
  const hex = Buffer.from(start.subarray(0, MAGIC_BYTES)).toString('hex');
  if (hex.startsWith('1f8b')) return 'gzip';
  if (hex.startsWith('28b52ffd')) return 'zstd';
  if (BZIP2.test(hex)) return 'bzip2';
  if (hex.startsWith('fd377a585a00')) return 'xz';
  return 'none';
}

/** By a layer's media type, before a byte of it is here. */
export function compressionName(mediaType: string): Compression {
  return mediaType.endsWith('zstd') ? 'zstd' : mediaType.endsWith('gzip') ? 'gzip' : 'none';
}

/** What a layer may have by the image specification; anything else is stored plain. */
export const isOfLayers = (compression: Compression): boolean => compression !== 'bzip2' && compression !== 'xz';

/** Node has zstd from 22.15 on. */
export const readableHere = (compression: Compression): boolean =>
  compression !== 'zstd' || 'createZstdDecompress' in zlib;

export function decompressor(compression: Compression): Duplex {
  switch (compression) {
    case 'none':
      return new PassThrough();
    case 'gzip':
      return zlib.createGunzip(GUNZIP);
    case 'zstd':
      return zstdDecompressor();
    case 'bzip2':
    case 'xz':
      return ownDecompressor(compression);
  }
}

function zstdDecompressor(): Transform {
  const create = (zlib as { createZstdDecompress?: (options: object) => Transform }).createZstdDecompress;
  return create
    ? create({ chunkSize: CHUNK_BYTES })
    : fail('not-implemented', `archives compressed with zstd need Node 22.15 or newer; this is ${process.version}`);
}

/** Reads the first bytes and puts them back. */
export async function sniff(stream: Readable): Promise<Compression> {
  const parts: Buffer[] = [];
  let length = 0;
  while (length < MAGIC_BYTES) {
    const part = (stream.read() as Buffer | null) ?? (await nextChunk(stream));
    if (part === undefined) break;
    parts.push(part);
    length += part.length;
  }
  const start = Buffer.concat(parts);
  if (start.length > 0) stream.unshift(start);
  return compressionOf(start);
}

/** Undefined at the end of the stream. */
async function nextChunk(stream: Readable): Promise<Buffer | undefined> {
  if (stream.readableEnded || stream.destroyed) return undefined;
  await new Promise<void>((resolve, reject) => {
    const finish = (error?: Error): void => {
      stream.off('readable', onReady).off('end', onReady).off('close', onReady).off('error', finish);
      if (error) reject(error);
      else resolve();
    };
    const onReady = (): void => finish();
    stream.on('readable', onReady).on('end', onReady).on('close', onReady).on('error', finish);
  });
  return (stream.read() as Buffer | null) ?? (stream.readableEnded || stream.destroyed ? undefined : nextChunk(stream));
}
