// A store on a temporary folder, with an unpacker that writes plain files by tar-stream in place of the C helper.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import { ManualClock } from '../../base/manual-clock.ts';
import { silentLog } from '../../base/log.ts';
import { seededRandom } from '../../base/random.ts';
import { sha256 } from '../../runtime/image/digest.ts';
import { ImageStore } from '../../runtime/image/images.ts';
import type { Unpack } from '../../runtime/image/layers.ts';
import { TAR_END, type TarEntry, tarHeader, tarPadding } from '../../runtime/image/tar-writer.ts';

const ZSTD_BLOCK_BYTES = 128 * 1024;

export type Entries = readonly (readonly [
  entry: string | (Partial<TarEntry> & { name: string }),
  content?: string | Buffer,
])[];

export function tarOf(entries: Entries): Promise<Buffer> {
  const parts = entries.flatMap(([entry, content]) => {
    const bytes = Buffer.from(content ?? '');
    const given = typeof entry === 'string' ? { name: entry } : entry;
    return [
      tarHeader({ type: 'file', mode: 0o644, sizeBytes: bytes.length, ...given }),
      bytes,
      tarPadding(bytes.length),
    ];
  });
  return Promise.resolve(Buffer.concat([...parts, TAR_END]));
}

export const fakeUnpack: Unpack = (directory) => {
  const parser = tar.extract();
  const input = new PassThrough();
  const fed = pipeline(input, parser as unknown as NodeJS.WritableStream);
  const read = async (): Promise<void> => {
    for await (const entry of parser) {
      const parts: Buffer[] = [];
      for await (const part of entry) parts.push(part as Buffer);
      const path = join(directory, entry.header.name);
      await mkdir(entry.header.type === 'directory' ? path : dirname(path), { recursive: true });
      if (entry.header.type !== 'directory') await writeFile(path, Buffer.concat(parts));
    }
  };
  return Promise.resolve({ input, done: Promise.all([read(), fed]).then(() => undefined) });
};

export interface TestStore extends AsyncDisposable {
  readonly images: ImageStore;
  readonly root: string;
  readonly events: string[];
  /** Opens the same folder again, as a restarted daemon does. */
  reopen(): Promise<ImageStore>;
}

export async function testStore(unpack: Unpack = fakeUnpack): Promise<TestStore> {
  const root = await mkdtemp(join(tmpdir(), 'images-'));
  const events: string[] = [];
  const open = (): Promise<ImageStore> =>
    ImageStore.open({
      root: join(root, 'image'),
      unpack,
      clock: new ManualClock(),
      random: seededRandom(1),
      log: silentLog,
      onEvent: (action, _id, name) => events.push(`${action} ${name}`),
    });
  const images = await open();
  return {
    images,
    root: join(root, 'image'),
    events,
    reopen: open,
    async [Symbol.asyncDispose]() {
      await rm(root, { recursive: true, force: true });
    },
  };
}

export interface ArchiveOptions {
  readonly tags?: readonly string[];
  readonly config?: object;
  readonly layers?: readonly Buffer[];
  readonly diffIds?: readonly string[];
  readonly layerNames?: readonly string[];
}

/** A docker-archive with one image. */
export async function dockerArchive(options: ArchiveOptions = {}): Promise<Buffer> {
  const layers = options.layers ?? [await tarOf([['hello.txt', 'hello']])];
  const diffIds = options.diffIds ?? layers.map(sha256);
  const config = JSON.stringify({
    architecture: 'amd64',
    os: 'linux',
    created: '2024-01-02T03:04:05Z',
    config: { Cmd: ['/hello'], Env: ['A=1'], ...options.config },
    rootfs: { type: 'layers', diff_ids: diffIds },
  });
  const names = options.layerNames ?? layers.map((_, index) => `${index}/layer.tar`);
  const configName = `${sha256(config).slice(7)}.json`;
  const manifest = [{ Config: configName, RepoTags: options.tags ?? ['hello:latest'], Layers: names }];
  return tarOf([
    ...layers.map((layer, index) => [`${index}/layer.tar`, layer] as const),
    [configName, config],
    ['manifest.json', JSON.stringify(manifest)],
  ]);
}

/** A frame of zstd (RFC 8878) whose blocks are not packed: no compressor is needed, which older Node does not have. */
export function zstdOf(bytes: Buffer): Buffer {
  const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0b1010_0000, 0, 0, 0, 0]); // one segment, its length in four bytes
  head.writeUInt32LE(bytes.length, 5);
  const blocks: Buffer[] = [];
  for (let at = 0; at < bytes.length || at === 0; at += ZSTD_BLOCK_BYTES) {
    const block = bytes.subarray(at, at + ZSTD_BLOCK_BYTES);
    const start = Buffer.alloc(3);
    start.writeUIntLE((block.length << 3) | Number(at + ZSTD_BLOCK_BYTES >= bytes.length), 0, 3);
    blocks.push(start, block);
  }
  return Buffer.concat([head, ...blocks]);
}

export const streamOf = (bytes: Buffer): Readable => Readable.from([bytes]);

/** In small pieces, as a socket may deliver. */
export function trickle(bytes: Buffer, size = 700): Readable {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return Readable.from(pieces);
}

export async function bytesOf(stream: Readable): Promise<Buffer> {
  const parts: Buffer[] = [];
  stream.on('data', (part: Buffer) => parts.push(part));
  await finished(stream);
  return Buffer.concat(parts);
}
