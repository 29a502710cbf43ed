// Folders are taken away whole by the native helper, and nothing else with them.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../base/log.ts';
import type { NativeRuntime } from '../../runtime/native/contract.ts';
import { openNativeRuntime } from '../../runtime/native/native-runtime.ts';
import { requireRoot } from '../support/requirements.ts';

describe('folders removed by the native helper', function () {
  this.timeout(60_000);
  let base: string;
  let runtime: NativeRuntime;

  before(async function () {
    requireRoot(this);
    base = mkdtempSync(join(tmpdir(), 'shoal-remove-'));
    const cacheDirectory = process.env['SHOAL_TEST_CACHE'] ?? '/tmp/shoal-native-cache';
    runtime = await openNativeRuntime({ runDirectory: join(base, 'run'), cacheDirectory, log: silentLog });
  });
  after(async () => {
    await runtime?.[Symbol.asyncDispose]();
    if (base) rmSync(base, { recursive: true, force: true });
  });

  const folder = (name: string): string => {
    const path = join(base, name);
    mkdirSync(path);
    return path;
  };

  it('takes many at once, with all that is in them, and those that are not there', async () => {
    const all = Array.from({ length: 50 }, (_, index) => folder(`many-${index}`));
    for (const path of all) {
      mkdirSync(join(path, 'a/b/c'), { recursive: true });
      for (let file = 0; file < 20; file++) writeFileSync(join(path, 'a/b', `file ${file}`), 'text');
    }
    await Promise.all([...all, join(base, 'absent')].map((path) => runtime.removeFolder(path)));
    assert.deepEqual(
      readdirSync(base).filter((name) => name.startsWith('many')),
      [],
    );
  });

  it('removes links, and leaves alone what they lead to', async () => {
    const [kept, doomed] = [folder('kept'), folder('doomed')];
    writeFileSync(join(kept, 'file'), 'text');
    symlinkSync(kept, join(doomed, 'to-folder'));
    symlinkSync(join(kept, 'file'), join(doomed, 'to-file'));
    await runtime.removeFolder(doomed);
    assert.deepEqual([existsSync(doomed), existsSync(join(kept, 'file'))], [false, true]);
  });

  it('goes deeper than a path can be long', async () => {
    const deep = folder('deep');
    const script = 'i=0; while [ $i -lt 2500 ]; do mkdir ddd && cd -P ddd || exit 1; i=$((i+1)); done';
    execFileSync('busybox', ['sh', '-c', script], { cwd: deep, stdio: 'ignore' });
    await runtime.removeFolder(deep);
    assert.equal(existsSync(deep), false);
  });

  it('keeps what is mounted below, says so, and removes the others', async () => {
    const [busy, other] = [folder('busy'), folder('other')];
    const place = join(busy, 'inner/place');
    mkdirSync(place, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', 'none', place]);
    try {
      writeFileSync(join(place, 'precious'), 'text');
      const [first, second] = await Promise.allSettled([runtime.removeFolder(busy), runtime.removeFolder(other)]);
      assert.match(first.status === 'rejected' ? String(first.reason) : '', /remove .*busy: /);
      assert.deepEqual([second.status, existsSync(other)], ['fulfilled', false]);
      assert.ok(existsSync(join(place, 'precious')));
    } finally {
      execFileSync('umount', [place]);
    }
    await runtime.removeFolder(busy);
    assert.equal(existsSync(busy), false);
  });
});
