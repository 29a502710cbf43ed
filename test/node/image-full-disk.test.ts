// A pull onto a disk that is full: a sentence, nothing half there, and it works again when there is room.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { tarOf } from '../image/support.ts';
import { FakeRegistry } from '../support/fake-registry.ts';
import { requireRoot } from '../support/requirements.ts';

describe('a pull onto a full disk', function () {
  this.timeout(60_000);

  it('says so, leaves nothing, and works again when there is room', async function () {
    requireRoot(this);
    await using registry = await FakeRegistry.start();
    const noise = Buffer.from(Array.from({ length: 600_000 }, (_, at) => (at * 7919 + (at >> 3)) % 251));
    registry.addImage('app', '1', { layers: [{ tar: await tarOf([['noise', noise]]), pack: (tar) => tar }] });
    const root = mkdtempSync(join(tmpdir(), 'image-full-'));
    try {
      const program = join(import.meta.dirname, '../support/full-disk-child.js');
      // The mount is in a namespace of the child's own and goes with it.
      const script = `mount -t tmpfs -o size=4m tmpfs ${root} && exec "$0" "$@"`;
      const args = ['-m', 'sh', '-c', script, process.execPath, program, root, `${registry.host}/app:1`];
      const child = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'inherit'] });
      const [output] = await Promise.all([text(child.stdout), once(child, 'close')]);
      const [full, again] = output
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      assert.equal(full?.['code'], 'exhausted', output);
      assert.match(String(full?.['message']), /^no space left on device/);
      assert.deepEqual([full?.['images'], full?.['left']], [0, [0, 0, 0]]);
      assert.deepEqual([again?.['code'], again?.['images'], again?.['left']], ['pulled', 1, [0, 1, 3]]);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});
