import { strict as assert } from 'node:assert';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import type { ProgressLine } from '../../runtime/image/contract.ts';
import { sha256 } from '../../runtime/image/digest.ts';
import { bytesOf, dockerArchive, streamOf, tarOf, testStore, trickle } from './support.ts';

async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
}

describe('image load', () => {
  it('loads a docker archive and says so as Docker does', async () => {
    await using store = await testStore();
    const lines: ProgressLine[] = [];
    const [id] = await store.images.load(streamOf(await dockerArchive()), (line) => lines.push(line));
    const image = store.images.get('hello');
    assert.equal(image.id, id);
    assert.deepEqual(image.tags, ['hello:latest']);
    assert.deepEqual(image.config.command, ['/hello']);
    assert.equal(image.sizeBytes, 5);
    assert.deepEqual(lines.at(-1), { stream: 'Loaded image: hello:latest\n' });
    const { lowers } = store.images.hold(image.id, { containerId: 'c', isRunning: () => false });
    assert.equal(await readFile(join(lowers[0] ?? '', 'hello.txt'), 'utf8'), 'hello');
  });

  it('gives one archive the same id plain, compressed and in small pieces', async () => {
    const archive = await dockerArchive();
    const ids = new Set<string>();
    for (const stream of [
      streamOf(archive),
      streamOf(gzipSync(archive)),
      trickle(archive),
      trickle(gzipSync(archive), 3),
    ]) {
      await using store = await testStore();
      for (const id of await store.images.load(stream, () => undefined)) ids.add(id);
    }
    assert.equal(ids.size, 1);
  });

  it('accepts compressed layers and one file used for two layers', async () => {
    await using store = await testStore();
    const layer = await tarOf([['a', 'a']]);
    const options = {
      layers: [gzipSync(layer)],
      layerNames: ['0/layer.tar', '0/layer.tar'],
      diffIds: [sha256(layer), sha256(layer)],
    };
    await store.images.load(streamOf(await dockerArchive(options)), () => undefined);
    const { lowers } = store.images.hold(store.images.get('hello').id, { containerId: 'c', isRunning: () => false });
    assert.equal(lowers.length, 2);
    for (const lower of lowers) assert.deepEqual(await readdir(lower), ['a']);
  });

  it('survives a reopen, and saves what it loaded so that it loads again with the same id', async () => {
    await using store = await testStore();
    const [id] = await store.images.load(
      streamOf(await dockerArchive({ tags: ['a:1', 'example.org/b:2'] })),
      () => undefined,
    );
    const again = await store.reopen();
    assert.deepEqual(again.get('a:1').tags, ['a:1', 'example.org/b:2']);
    const saved = await bytesOf(await again.save(['a:1', 'example.org/b:2']));
    await using other = await testStore();
    assert.deepEqual(await other.images.load(streamOf(saved), () => undefined), [id]);
    assert.deepEqual(other.images.get('a:1').tags, ['a:1', 'example.org/b:2']);
  });

  it('reads its own archive as an OCI layout too', async () => {
    await using store = await testStore();
    const [id] = await store.images.load(streamOf(await dockerArchive()), () => undefined);
    const saved = await bytesOf(await store.images.save(['hello']));
    const withoutDocker = Buffer.from(saved.toString('latin1').replace('manifest.json', 'ignored1.json'), 'latin1');
    const fixed = fixChecksums(withoutDocker);
    await using other = await testStore();
    assert.deepEqual(await other.images.load(streamOf(fixed), () => undefined), [id]);
    assert.deepEqual(other.images.get(id ?? '').tags, ['hello:latest']);
  });

  for (const [name, archive, reason] of [
    [
      'a wrong diff id',
      () => dockerArchive({ diffIds: [`sha256:${'0'.repeat(64)}`] }),
      /don't match image configuration/,
    ],
    ['too few layers', () => dockerArchive({ layerNames: [] }), /layers length mismatch: expected 1, got 0/],
    [
      'a layer path that leaves the archive',
      () => dockerArchive({ layerNames: ['../../etc/passwd'] }),
      /no file '..\/..\/etc\/passwd'/,
    ],
    ['no manifest', () => tarOf([['a', 'b']]), /neither a docker archive nor an OCI layout/],
    ['a broken manifest', () => tarOf([['manifest.json', '{']]), /not valid JSON/],
    ['something that is no tar', () => Promise.resolve(Buffer.alloc(2000, 7)), /can not be read|Invalid tar/],
    ['a bad tag', () => dockerArchive({ tags: ['UPPER:1'] }), /must be lowercase/],
    ['a layer that is no tar', () => dockerArchive({ layers: [Buffer.alloc(600, 9)] }), /tar header/],
    [
      'xz that is cut',
      () => Promise.resolve(Buffer.from('fd377a585a0000', 'hex')),
      /xz archive can not be read: it ends too/,
    ],
  ] as const) {
    it(`refuses ${name} and leaves nothing behind`, async () => {
      await using store = await testStore();
      const before = await filesBelow(store.root);
      await assert.rejects(
        store.images.load(streamOf(await archive()), () => undefined),
        reason,
      );
      assert.deepEqual(store.images.list(), []);
      assert.deepEqual(await filesBelow(store.root), before);
    });
  }

  it('leaves nothing when the sender goes away in the middle', async () => {
    await using store = await testStore();
    const archive = await dockerArchive({ layers: [await tarOf([['big', Buffer.alloc(3_000_000, 1)]])] });
    const broken = Readable.from(
      (function* () {
        yield archive.subarray(0, 1_000_000);
        throw new Error('connection reset');
      })(),
    );
    await assert.rejects(
      store.images.load(broken, () => undefined),
      /connection reset/,
    );
    assert.deepEqual(await readdir(join(store.root, 'incoming')), []);
    assert.deepEqual(await readdir(join(store.root, 'layer')), []);
  });

  it('loads a big layer that comes in small pieces', async () => {
    await using store = await testStore();
    const layer = await tarOf([['big', Buffer.alloc(5_000_000, 1)]]);
    await store.images.load(trickle(await dockerArchive({ layers: [layer] }), 60_000), () => undefined);
    assert.equal(store.images.get('hello').sizeBytes, 5_000_000);
  });

  it('cleans up what an interrupted load left', async () => {
    await using store = await testStore();
    await writeFile(join(store.root, 'incoming', 'junk'), 'x');
    await writeFile(join(store.root, 'blobs', 'sha256', '0'.repeat(64)), 'x');
    const again = await store.reopen();
    await again.collectGarbage();
    assert.deepEqual(await readdir(join(store.root, 'incoming')), []);
    assert.deepEqual(await readdir(join(store.root, 'blobs', 'sha256')), []);
  });

  it('refuses a folder written by a newer version', async () => {
    await using store = await testStore();
    await writeFile(join(store.root, 'format'), '99\n');
    await assert.rejects(store.reopen(), /written by a newer version \(format 99/);
  });
});

/** The entry's name was replaced by one of the same length: only its header checksum changes. */
function fixChecksums(archive: Buffer): Buffer {
  const at = archive.indexOf('ignored1.json');
  const header = archive.subarray(at, at + 512);
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return archive;
}
