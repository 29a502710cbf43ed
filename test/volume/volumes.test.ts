import { strict as assert } from 'node:assert';
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../base/log.ts';
import { ManualClock } from '../../base/manual-clock.ts';
import { seededRandom } from '../../base/random.ts';
import { VolumeStore } from '../../runtime/volume/volumes.ts';
import { FakeMounter } from './fake-mounter.ts';

describe('volumes', () => {
  let root = '';
  let mounter = new FakeMounter();
  const events: string[] = [];
  const open = (): Promise<VolumeStore> =>
    VolumeStore.open({
      sizeOf: () => Promise.resolve(0),
      removeFolder: (folder) => rm(folder, { recursive: true, force: true }),
      mounter,
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
    mounter = new FakeMounter();
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

  const memory = { type: 'tmpfs', device: 'tmpfs', o: 'size=1m' };

  it('of a file system of its own is mounted by its first user and unmounted by its last', async () => {
    const store = await open();
    const { mountpoint } = await store.create({ ...named('data'), options: memory });
    assert.deepEqual(mounter.mounted, []);
    await Promise.all([store.mountFor('data', 'c1'), store.mountFor('data', 'c2'), store.mountFor('data', 'c1')]);
    assert.deepEqual(mounter.mounted, [mountpoint]);
    await store.unmountFor('data', 'c1');
    await store.unmountFor('data', 'never came');
    assert.deepEqual(mounter.mounted, [mountpoint]);
    await store.unmountFor('data', 'c2');
    assert.deepEqual(mounter.mounted, []);
    assert.equal(mounter.calls.length, 1);
  });

  it('without options is never mounted', async () => {
    const store = await open();
    await store.create(named('data'));
    await store.mountFor('data', 'c1');
    await store.unmountFor('data', 'c1');
    assert.deepEqual(mounter.calls, []);
  });

  it('says why it can not be mounted, without its password, and can be tried again', async () => {
    const store = await open();
    const options = { type: 'cifs', device: '//1.2.3.4/x', o: 'username=u,password=secret' };
    const { mountpoint } = await store.create({ ...named('data'), options });
    mounter.fails = `mount //1.2.3.4/x:${mountpoint}, data: username=u,password=secret: connection refused`;
    await assert.rejects(store.mountFor('data', 'c1'), {
      code: 'internal',
      message: `failed to mount local volume: mount //1.2.3.4/x:${mountpoint}, data: username=u,password=********: connection refused`,
    });
    assert.deepEqual(mounter.mounted, []);
    await store.mountFor('data', 'c1');
    assert.deepEqual(mounter.mounted, [mountpoint]);
  });

  it('stays mounted over a restart for who still runs, and for nobody else', async () => {
    const before = await open();
    const used = await before.create({ ...named('used'), options: memory });
    await before.create({ ...named('left'), options: memory });
    await before.mountFor('used', 'c1');
    await before.mountFor('left', 'c2');
    const store = await open();
    store.noteMounted('used', 'c1');
    await store.unmountUnused();
    assert.deepEqual(mounter.mounted, [used.mountpoint]);
    await store.mountFor('used', 'c3');
    await store.unmountFor('used', 'c1');
    assert.deepEqual(mounter.mounted, [used.mountpoint]);
    await store.unmountFor('used', 'c3');
    assert.deepEqual(mounter.mounted, []);
  });

  it('is mounted anew for the next one when somebody unmounted it by hand', async () => {
    const store = await open();
    const { mountpoint } = await store.create({ ...named('data'), options: memory });
    await store.mountFor('data', 'c1');
    await mounter.unmount(mountpoint);
    await store.mountFor('data', 'c2');
    assert.deepEqual(mounter.mounted, [mountpoint]);
  });

  it('is unmounted before its folder is deleted, whoever mounted what there', async () => {
    const store = await open();
    const { mountpoint } = await store.create({ ...named('data'), options: memory });
    await store.mountFor('data', 'lost');
    mounter.mounted.push(mountpoint);
    await store.remove('data', { force: false });
    assert.deepEqual(mounter.mounted, []);
  });

  it('loses what is mounted below it, too, and that alone, before it is deleted', async () => {
    const store = await open();
    const { mountpoint } = await store.create(named('data'));
    const { mountpoint: neighbour } = await store.create(named('data2'));
    mounter.mounted.push(join(mountpoint, 'a'), neighbour, join(mountpoint, 'a/b'), join(mountpoint, 'a'));
    await store.remove('data', { force: false });
    assert.deepEqual(mounter.mounted, [neighbour]);
  });

  it('is not deleted while something can not be unmounted', async () => {
    const store = await open();
    const { mountpoint } = await store.create({ ...named('data'), options: memory });
    await store.mountFor('data', 'lost');
    mounter.unmount = () => Promise.reject(new Error('unmount: operation not permitted'));
    await assert.rejects(store.remove('data', { force: true }), /operation not permitted/);
    assert.ok((await stat(mountpoint)).isDirectory());
    assert.equal(store.get('data').name, 'data');
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
    [
      'options that need others',
      { ...named('xx'), options: { type: 'nfs' } },
      /^CodedError: create xx: missing required option: "device"$/,
    ],
  ] as const) {
    it(`refuses ${name}`, async () => {
      const store = await open();
      await assert.rejects(store.create(request), reason);
      assert.deepEqual(await readdir(root), ['format']);
    });
  }
});
