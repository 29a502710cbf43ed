// Folders of containers lie apart on the disk, where the file system can do that.
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../base/log.ts';
import type { NativeRuntime } from '../../runtime/native/contract.ts';
import { openNativeRuntime } from '../../runtime/native/native-runtime.ts';
import { requireRoot, requireTool } from '../support/requirements.ts';

describe('spreading folders by the native helper', function () {
  this.timeout(60_000);
  let base: string;
  let runtime: NativeRuntime | undefined;

  before(async function () {
    requireRoot(this);
    base = mkdtempSync(join(tmpdir(), 'shoal-spread-'));
    const cacheDirectory = process.env['SHOAL_TEST_CACHE'] ?? '/tmp/shoal-native-cache';
    runtime = await openNativeRuntime({ runDirectory: join(base, 'run'), cacheDirectory, log: silentLog });
  });
  after(async () => {
    await runtime?.[Symbol.asyncDispose]();
    if (base) rmSync(base, { recursive: true, force: true });
  });

  it('marks a folder as the top of a hierarchy where chattr can, and can be asked again', async function () {
    requireTool(this, '/usr/bin/chattr');
    const [byHelper, byTool] = [join(base, 'a'), join(base, 'b')];
    for (const folder of [byHelper, byTool]) mkdirSync(folder);
    spawnSync('chattr', ['+T', byTool]); // fails where the file system knows no such mark
    await runtime?.spread([byHelper]);
    await runtime?.spread([byHelper]);
    assert.equal(isMarked(byHelper), isMarked(byTool));
  });

  it('leaves file systems alone that know no such mark', async () => {
    await runtime?.spread(['/proc/self', '/dev/shm']);
  });
});

const isMarked = (folder: string): boolean =>
  /^\S*T/.test(spawnSync('lsattr', ['-d', folder], { encoding: 'utf8' }).stdout);
