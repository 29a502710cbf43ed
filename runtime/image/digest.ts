// What a layer file is: digests of it as stored and as uncompressed tar, and the sizes. Runs in the worker or here.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Compression, compressionOf, decompressor } from './compression.ts';
import { TarMeter } from './tar-meter.ts';

export interface LayerDigest {
  readonly digest: string; // of the file
  readonly diffId: string; // of the uncompressed tar
  readonly storedBytes: number;
  readonly contentBytes: number; // of its regular files
  readonly compression: Compression;
  readonly opaqueFolders: readonly string[];
}

const READ_BYTES = 256 * 1024;

export async function compressionOfFile(path: string): Promise<Compression> {
  await using file = await open(path, 'r');
  const { bytesRead, buffer } = await file.read(Buffer.alloc(8), 0, 8, 0);
  return compressionOf(buffer.subarray(0, bytesRead));
}

export async function digestLayer(path: string): Promise<LayerDigest> {
  const compression = await compressionOfFile(path);
  const stored = createHash('sha256');
  const plain = createHash('sha256');
  const meter = new TarMeter();
  let storedBytes = 0;
  const file = createReadStream(path, { highWaterMark: READ_BYTES });
  file.on('data', (chunk: string | Buffer) => {
    storedBytes += chunk.length;
    if (compression !== 'none') stored.update(chunk);
  });
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      plain.update(chunk);
      try {
        meter.write(chunk);
        done();
      } catch (error) {
        done(error as Error);
      }
    },
  });
  await pipeline(compression === 'none' ? [file, sink] : [file, decompressor(compression), sink]);
  meter.end();
  const diffId = `sha256:${plain.digest('hex')}`;
  const digest = compression === 'none' ? diffId : `sha256:${stored.digest('hex')}`;
  const { contentBytes, opaqueFolders } = meter;
  return { digest, diffId, storedBytes, contentBytes, compression, opaqueFolders };
}

export const sha256 = (bytes: Uint8Array | string): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
