import { strict as assert } from 'node:assert';
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../base/log.ts';
import { ManualClock } from '../../base/manual-clock.ts';
import { seededRandom } from '../../base/random.ts';
import { VolumeStore } from '../../runtime/volume/volumes.ts';

describe('volumes', () => {
  let root = '';
  const events: string[] = [];
  const open = (): Promise<VolumeStore> =>
    VolumeStore.open({
      sizeOf: () => Promise.resolve(0),
      root,
      clock: new ManualClock(),
      random: seededRandom(3),
      log: silentLog,
      onEvent: (action, name) => events.push(`${action} ${name}`),
    });
  const named = (name: string) => ({ name, driver: 'local', labels: { a: 'b' }, options: {} });

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'volumes-'));
    events.length = 0;
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  it('creates once by name, and is there after a restart', async () => {
    const store = await open();
    const volume = await store.create(named('data'));
    assert.deepEqual(await store.create(named('data')), volume);
    assert.equal(volume.mountpoint, join(root, 'data', '_data'));
    assert.ok((await stat(volume.mountpoint)).isDirectory());
    assert.deepEqual((await open()).list(), [volume]);
    assert.deepEqual(events, ['create data']);
  });

  it('names an anonymous volume itself', async () => {
    const volume = await (await open()).create(named(''));
    assert.match(volume.name, /^[0-9a-f]{64}$/);
    assert.ok(volume.anonymous);
  });

  it('is not removed while a container uses it', async () => {
    const store = await open();
    await store.create(named('data'));
    store.use('data', 'c1');
    await assert.rejects(store.remove('data', { force: true }), {
      code: 'conflict',
      message: 'remove data: volume is in use - [c1]',
    });
    store.release('data', 'c1');
    await store.remove('data', { force: false });
    assert.throws(() => store.get('data'), { code: 'not-found', message: 'get data: no such volume' });
    assert.deepEqual(await readdir(root), ['format']);
    await assert.rejects(store.remove('data', { force: false }), { code: 'not-found' });
    await store.remove('data', { force: true });
  });

  it('clears what an interrupted create or remove left', async () => {
    await mkdir(join(root, 'half', '_data'), { recursive: true });
    await mkdir(join(root, '.doomed', '_data', 'x'), { recursive: true });
    await mkdir(join(root, 'kept', '_data', 'x'), { recursive: true });
    assert.deepEqual((await open()).list(), []);
    assert.deepEqual(await readdir(root), ['format', 'kept']);
  });

  for (const [name, request, reason] of [
    ['a path as a name', named('../x'), /includes invalid characters for a local volume name/],
    ['an unknown driver', { ...named('xx'), driver: 'nfs' }, /plugin "nfs" not found/],
    ['options', { ...named('xx'), options: { type: 'nfs' } }, /not there yet/],
  ] as const) {
    it(`refuses ${name}`, async () => {
      const store = await open();
      await assert.rejects(store.create(request), reason);
      assert.deepEqual(await readdir(root), ['format']);
    });
  }
});
