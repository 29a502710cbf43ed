// Unpacking of archives by the C helper: faithful, confined, bounded.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type Header, pack } from 'tar-stream';
import { silentLog } from '../../base/log.ts';
import type { NativeRuntime } from '../../runtime/native/contract.ts';
import { requireRoot } from '../support/requirements.ts';
import { openNativeRuntime } from '../../runtime/native/native-runtime.ts';

type Entry = Partial<Header> & { name: string; content?: string };

describe('unpacking by the native helper', function () {
  this.timeout(60_000);
  let base: string;
  let runtime: NativeRuntime;
  let count = 0;

  let opened = false;
  before(async function () {
    requireRoot(this);
    base = mkdtempSync('/tmp/shoal-unpack-');
    const cacheDirectory = process.env['SHOAL_TEST_CACHE'] ?? '/tmp/shoal-native-cache';
    runtime = await openNativeRuntime({ runDirectory: join(base, 'run'), cacheDirectory, log: silentLog });
    opened = true;
  });
  after(async () => {
    if (!opened) return;
    await runtime[Symbol.asyncDispose]();
    rmSync(base, { recursive: true, force: true });
  });

  const newDirectory = (): string => {
    const directory = join(base, `d${count++}`);
    mkdirSync(directory);
    return directory;
  };

  async function unpackBytes(bytes: Buffer, options = { layer: true }, directory = newDirectory()): Promise<string> {
    const { input, done } = await runtime.unpack(directory, options);
    input.end(bytes);
    await done;
    return directory;
  }

  async function unpack(
    entries: readonly Entry[],
    options = { layer: true },
    directory = newDirectory(),
  ): Promise<string> {
    return await unpackBytes(await archive(entries), options, directory);
  }

  it('keeps types, modes, owners, times, links and long names', async () => {
    const long = `long/${'n'.repeat(90)}/${'m'.repeat(200)}`;
    const mtime = new Date(1_500_000_000_000);
    const directory = await unpack([
      { name: 'd/', type: 'directory', mode: 0o1777, uid: 5, gid: 6, mtime },
      { name: 'd/f', mode: 0o4755, uid: 7, gid: 8, mtime, content: 'hello' },
      { name: 'd/hard', type: 'link', linkname: 'd/f' },
      { name: 'd/soft', type: 'symlink', linkname: '/etc/passwd', mtime },
      { name: 'd/null', type: 'character-device', devmajor: 1, devminor: 3, mode: 0o666 },
      { name: 'd/fifo', type: 'fifo' },
      { name: long, content: 'x' },
      { name: './plain', content: 'p', pax: { uid: '3000000' } },
    ]);
    const at = (name: string) => lstatSync(join(directory, name));
    assert.equal(at('d').mode & 0o7777, 0o1777);
    assert.deepEqual([at('d').uid, at('d').gid, at('d').mtimeMs], [5, 6, 1_500_000_000_000]);
    assert.equal(at('d/f').mode & 0o7777, 0o4755);
    assert.deepEqual([at('d/f').uid, at('d/f').gid, at('d/f').mtimeMs], [7, 8, 1_500_000_000_000]);
    assert.equal(at('d/hard').ino, at('d/f').ino);
    assert.equal(readlinkSync(join(directory, 'd/soft')), '/etc/passwd');
    assert.equal(at('d/null').rdev, statSync('/dev/null').rdev);
    assert.ok(at('d/fifo').isFIFO());
    assert.equal(readFileSync(join(directory, long), 'utf8'), 'x');
    assert.equal(at('plain').uid, 3_000_000);
  });

  it('turns whiteouts into overlay’s, only in layers', async () => {
    const entries: Entry[] = [
      { name: 'a/.wh.gone', content: '' },
      { name: 'b/.wh..wh..opq', content: '' },
      { name: 'c/kept', content: '1' },
      { name: 'c/.wh.kept', content: '' },
    ];
    const layer = await unpack(entries);
    const gone = lstatSync(join(layer, 'a/gone'));
    assert.ok(gone.isCharacterDevice() && gone.rdev === 0);
    assert.match(attributes(join(layer, 'b')), /SCHILY\.xattr\.trusted\.overlay\.opaque=y/);
    assert.ok(lstatSync(join(layer, 'c/kept')).isFile());
    const plain = await unpack(entries, { layer: false });
    assert.ok(lstatSync(join(plain, 'a/.wh.gone')).isFile());
  });

  it('follows links inside the root only', async () => {
    const outside = join(base, 'outside');
    mkdirSync(outside, { recursive: true });
    const directory = await unpack([
      { name: 'up', type: 'symlink', linkname: '../../../../../../..' },
      { name: 'abs', type: 'symlink', linkname: outside },
      { name: 'up/one', content: '1' },
      { name: 'inner/', type: 'directory' },
      { name: 'rel', type: 'symlink', linkname: 'inner' },
      { name: 'rel/two', content: '2' },
    ]);
    assert.equal(readFileSync(join(directory, 'one'), 'utf8'), '1');
    assert.equal(readFileSync(join(directory, 'inner/two'), 'utf8'), '2');
    await assert.rejects(unpack([{ name: 'abs/three', content: '3' }], { layer: false }, directory), {
      message: /abs/,
    });
    assert.equal(existsSync(join(outside, 'three')), false);
  });

  it('replaces what stands in the way', async () => {
    const directory = await unpack([
      { name: 'x/deep/er', content: '1' },
      { name: 'x', content: 'now a file' },
      { name: 'y', type: 'symlink', linkname: 'x' },
      { name: 'y', content: 'no link' },
    ]);
    assert.equal(readFileSync(join(directory, 'x'), 'utf8'), 'now a file');
    assert.equal(readFileSync(join(directory, 'y'), 'utf8'), 'no link');
  });

  for (const [what, entry, text] of [
    ['a climbing name', { name: '../evil', content: '' }, /climbs out/],
    ['a climbing name in the middle', { name: 'a/../../evil', content: '' }, /climbs out/],
    ['an absolute name', { name: '/evil', content: '' }, /absolute name/],
    ['a hard link to outside', { name: 'h', type: 'link', linkname: '../../etc/passwd' }, /climbs out/],
    ['a hard link to nothing', { name: 'h', type: 'link', linkname: 'nothing' }, /not in this archive/],
    ['a bad whiteout', { name: '.wh...', content: '' }, /bad whiteout/],
  ] as const) {
    it(`refuses ${what}`, async () => {
      await assert.rejects(unpack([entry]), { message: text });
    });
  }

  it('drops attributes that speak overlay’s or the machine’s own language', async () => {
    const directory = await unpack([
      {
        name: 'f',
        content: '',
        pax: { 'SCHILY.xattr.trusted.overlay.redirect': '/etc', 'SCHILY.xattr.user.kept': 'yes' },
      },
    ]);
    assert.match(attributes(join(directory, 'f')), /SCHILY\.xattr\.user\.kept=yes/);
    assert.doesNotMatch(attributes(join(directory, 'f')), /overlay/);
  });

  it('names a damaged or cut archive', async () => {
    const good = await archive([{ name: 'f', content: 'x'.repeat(5000) }]);
    const damaged = Buffer.from(good);
    damaged[0] = 0x41;
    await assert.rejects(unpackBytes(damaged), { code: 'invalid', message: /checksum/ });
    await assert.rejects(unpackBytes(good.subarray(0, 2000)), { code: 'invalid', message: /too early/ });
    await assert.rejects(unpackBytes(Buffer.alloc(1024, 'zip!')), { code: 'invalid' });
  });

  it('survives any cut and any flipped byte of an archive', async () => {
    const good = await archive([
      { name: 'd/', type: 'directory' },
      { name: 'd/f', content: 'x'.repeat(700), pax: { 'SCHILY.xattr.user.a': 'b' } },
    ]);
    for (let seed = 1; seed <= 60; seed++) {
      const bytes = Buffer.from(good);
      bytes[(seed * 7919) % bytes.length] = (seed * 31) & 255;
      await unpackBytes(bytes.subarray(0, bytes.length - ((seed * 13) % 600))).catch((error: unknown) => {
        assert.match(String(error), /archive/);
      });
    }
  });

  it('agrees with the system’s tar about a real tree', async () => {
    const source = join(base, 'tree');
    execFileSync('cp', ['-a', '/etc', source]);
    writeFileSync(join(source, 'with space'), 'x');
    const bytes = execFileSync('tar', ['--format=pax', '-C', source, '-cf', '-', '.'], { maxBuffer: 1 << 28 });
    const directory = await unpackBytes(bytes, { layer: false });
    execFileSync('chmod', ['--reference', source, directory]);
    execFileSync('touch', ['-r', source, directory]);
    const list = (path: string): string =>
      execFileSync('sh', ['-c', 'find . -printf "%p %y %m %U %G %l %T@ %s\\n" | sort'], {
        cwd: path,
        encoding: 'utf8',
      });
    const sizes = (text: string): string => text.replace(/^(\S+ d .*) \d+$/gm, '$1');
    assert.equal(sizes(list(directory)), sizes(list(source)));
  });
});

/** The extended attributes as GNU tar writes them. */
function attributes(path: string): string {
  const args = ['--xattrs', '--xattrs-include=*', '--format=pax', '-cf', '-', '-C', path, '.'];
  if (!lstatSync(path).isDirectory()) args.splice(-2, 2, dirname(path), basename(path));
  return execFileSync('tar', args, { encoding: 'latin1', maxBuffer: 1 << 24 });
}

async function archive(entries: readonly Entry[]): Promise<Buffer> {
  const stream = pack();
  for (const { content, ...header } of entries) stream.entry({ mode: 0o644, ...header }, content ?? '');
  stream.finalize();
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return Buffer.concat(parts);
}
