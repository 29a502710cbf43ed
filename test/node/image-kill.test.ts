// A daemon that is killed while it pulls: at whatever line of its progress, the next one finds whole images or none,
// cleans up what was under way, and pulls again.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { ImageStore } from '../../runtime/image/images.ts';
import { fakeUnpack, tarOf } from '../image/support.ts';
import { FakeRegistry } from '../support/fake-registry.ts';

const LAYERS = ['a', 'b', 'c'];

describe('a store whose daemon is killed in a pull', function () {
  this.timeout(120_000);
  let registry: FakeRegistry;
  let root: string;
  beforeEach(async () => {
    registry = await FakeRegistry.start();
    root = mkdtempSync(join(tmpdir(), 'image-kill-'));
    const layers = await Promise.all(LAYERS.map(async (name) => ({ tar: await tarOf([[name, name.repeat(50_000)]]) })));
    registry.addImage('app', '1', { layers });
  });
  afterEach(async () => {
    await registry[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  });

  /** Resolves with the lines that were read before the child ended or was killed. */
  async function pull(killAtLine: number): Promise<number> {
    const program = join(import.meta.dirname, '../support/pull-child.js');
    const child = spawn(process.execPath, [program, root, `${registry.host}/app:1`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const closed = once(child, 'close');
    let lines = 0;
    for await (const _ of createInterface({ input: child.stdout })) {
      lines += 1;
      if (lines === killAtLine) child.kill('SIGKILL');
    }
    await closed;
    return lines;
  }

  async function wholeOrNone(): Promise<number> {
    const common = { clock: systemClock, random: systemRandom, log: silentLog };
    const store = await ImageStore.open({ ...common, root, unpack: fakeUnpack, onEvent: () => undefined });
    await store.collectGarbage();
    const images = store.list();
    for (const { layerFolders } of images) {
      const contents = layerFolders.map((folder, at) => readFileSync(join(folder, LAYERS[at] ?? ''), 'utf8'));
      assert.deepEqual(
        contents,
        LAYERS.map((name) => name.repeat(50_000)),
      );
    }
    assert.deepEqual(readdirSync(join(root, 'incoming')), []);
    assert.equal(readdirSync(join(root, 'layer')).length, images.length * LAYERS.length);
    assert.equal(readdirSync(join(root, 'blobs/sha256')).length, images.length * (LAYERS.length + 2)); // config, manifest
    return images.length;
  }

  it('has it whole or not at all, whichever line was its last', async () => {
    let line = 1;
    for (; (await pull(line)) >= line; line += 1) {
      await wholeOrNone();
      // Bounded, and more lines than three layers can do without.
      assert.ok(line < 60, 'a pull has an end');
      rmSync(root, { recursive: true, force: true });
    }
    assert.ok(line > LAYERS.length * 3, `${line} lines`);
    assert.equal(await wholeOrNone(), 1);
  });

  it('pulls again after it was killed', async () => {
    await pull(4);
    await wholeOrNone();
    await pull(Infinity);
    assert.equal(await wholeOrNone(), 1);
  });
});
