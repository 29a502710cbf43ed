import { strict as assert } from 'node:assert';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { EMPTY_CONFIG } from '../../runtime/image/image-config.ts';
import { type RemovalCase, planRemoval } from '../../runtime/image/removal.ts';
import { dockerArchive, streamOf, tarOf, type TestStore, testStore } from './support.ts';

const idle = { containerId: 'f'.repeat(64), isRunning: () => false };

async function loaded(tags: readonly string[] = ['hello:latest']): Promise<TestStore> {
  const store = await testStore();
  await store.images.load(streamOf(await dockerArchive({ tags })), () => undefined);
  return store;
}

describe('image store', () => {
  it('finds an image by tag, full name, id, short id and digest', async () => {
    await using store = await loaded();
    const { id } = store.images.get('hello');
    const hex = id.slice(7);
    for (const name of [
      'hello:latest',
      'docker.io/library/hello',
      'library/hello',
      id,
      hex,
      hex.slice(0, 12),
      `hello@${id}`,
    ]) {
      assert.equal(store.images.get(name).id, id, name);
    }
  });

  for (const [reference, message] of [
    ['absent', 'No such image: absent:latest'],
    ['example.org/a/b:3', 'No such image: example.org/a/b:3'],
    ['sha256:1234', 'No such image: sha256:1234'],
  ] as const) {
    it(`says that ${reference} is not there`, async () => {
      await using store = await loaded();
      assert.throws(() => store.images.get(reference), { code: 'not-found', message });
    });
  }

  it('tags, and moves a tag', async () => {
    await using store = await loaded();
    await store.images.tag('hello', 'example.org:5000/team/hello:v1');
    assert.deepEqual(store.images.get('hello').tags, ['example.org:5000/team/hello:v1', 'hello:latest']);
    await assert.rejects(store.images.tag('hello', 'Bad Name'), { code: 'invalid' });
    await assert.rejects(store.images.tag('absent', 'x'), { code: 'not-found' });
  });

  it('removes the last tag with the image, its layers and blobs', async () => {
    await using store = await loaded();
    const { id, layers } = store.images.get('hello');
    const removed = await store.images.remove('hello', { force: false });
    assert.deepEqual(removed, [{ untagged: 'hello:latest' }, { deleted: id }, { deleted: layers[0] }]);
    assert.deepEqual(store.images.list(), []);
    assert.deepEqual(await readdir(join(store.root, 'layer')), []);
    assert.deepEqual(await readdir(join(store.root, 'blobs', 'sha256')), []);
    assert.deepEqual(store.events, ['load hello:latest', 'untag hello:latest', `delete ${id}`]);
  });

  it('only untags while another tag is left', async () => {
    await using store = await loaded(['a:1', 'b:1']);
    assert.deepEqual(await store.images.remove('a:1', { force: false }), [{ untagged: 'a:1' }]);
    assert.equal(store.images.list().length, 1);
  });

  it('keeps the layers that a container holds, until it lets go', async () => {
    await using store = await loaded();
    const { id } = store.images.get('hello');
    const held = store.images.hold(id, idle);
    await assert.rejects(store.images.remove('hello', { force: false }), {
      code: 'conflict',
      message: `conflict: unable to remove repository reference "hello" (must force) - container ${'f'.repeat(12)} is using its referenced image ${id.slice(7, 19)}`,
    });
    await store.images.remove('hello', { force: true });
    assert.equal((await readdir(join(store.root, 'layer'))).length, 1);
    await held.release();
    await store.images.collectGarbage();
    assert.equal((await readdir(join(store.root, 'layer'))).length, 0);
  });

  it('holds layers again after a restart although the image is gone', async () => {
    await using store = await loaded();
    const held = store.images.hold(store.images.get('hello').id, idle);
    await store.images.remove('hello', { force: true });
    const again = await store.reopen();
    again.holdLayers('sha256:gone', held.layers, idle);
    await again.collectGarbage();
    assert.equal((await readdir(join(store.root, 'layer'))).length, 1);
  });
});

describe('an image made from another', () => {
  const extension = {
    baseImageId: '',
    base: [] as readonly string[],
    layer: undefined,
    config: { ...EMPTY_CONFIG, command: ['new'], onBuild: ['RUN x'] },
    author: 'me',
    comment: 'why',
    createdBy: 'sh',
    createdAtMs: 1_700_000_000_000,
    containerId: 'c'.repeat(64),
    target: 'made:1',
  };

  it('has the layers of its base and one more, their history and sizes, and its base as parent', async () => {
    await using store = await loaded();
    const base = store.images.get('hello');
    const held = store.images.hold(base.id, idle);
    const layer = streamOf(await tarOf([['more.txt', 'more!!']]));
    const id = await store.images.extend({ ...extension, baseImageId: base.id, base: held.layers, layer });
    const image = store.images.get('made:1');
    assert.equal(image.id, id);
    assert.equal(image.parentId, base.id);
    assert.deepEqual(image.layerBytes, [5, 6]);
    assert.deepEqual(image.layers.slice(0, 1), base.layers);
    assert.deepEqual(image.config, { ...EMPTY_CONFIG, command: ['new'], onBuild: ['RUN x'] });
    assert.equal(image.history.at(-1)?.createdBy, 'sh');
    await held.release();
  });

  it('needs no new layer when nothing differs, and no base image as long as its layers are held', async () => {
    await using store = await loaded();
    const held = store.images.hold(store.images.get('hello').id, idle);
    await store.images.remove('hello', { force: true });
    await store.images.extend({ ...extension, baseImageId: 'sha256:gone', base: held.layers });
    const { parentId, layers, history } = store.images.get('made:1');
    assert.equal(parentId, '');
    assert.equal(layers.length, 1);
    assert.equal(history.at(-1)?.emptyLayer, true);
  });
});

describe('image import', () => {
  const changes = ['CMD ["/bin/sh"]', 'ENV A=1 B="two words"', 'EXPOSE 80 53/udp', 'LABEL x=y'];

  it('gives one archive one id everywhere, and applies the changes', async () => {
    const archive = await tarOf([['bin/sh', 'x']]);
    const ids = new Set<string>();
    for (let node = 0; node < 2; node += 1) {
      await using store = await testStore();
      ids.add(await store.images.import(streamOf(archive), { target: 'mine:v1', changes, message: 'made here' }));
      const { config, comment } = store.images.get('mine:v1');
      assert.deepEqual(config.command, ['/bin/sh']);
      assert.deepEqual(config.env, ['A=1', 'B=two words']);
      assert.deepEqual(config.exposedPorts, ['53/udp', '80/tcp']);
      assert.deepEqual(config.labels, { x: 'y' });
      assert.equal(comment, 'made here');
    }
    assert.equal(ids.size, 1);
  });

  it('takes a compressed archive; the id follows the content, not the compression', async () => {
    await using store = await testStore();
    const archive = await tarOf([['a', 'x']]);
    const options = { target: '', changes: [], message: '' };
    const plain = await store.images.import(streamOf(archive), options);
    assert.equal(await store.images.import(streamOf(gzipSync(archive)), options), plain);
  });

  it('refuses a wrong change before it stores anything', async () => {
    await using store = await testStore();
    const options = { target: '', changes: ['RUN ls'], message: '' };
    await assert.rejects(store.images.import(streamOf(await tarOf([])), options), /run is not a valid change command/);
    await assert.rejects(
      store.images.import(streamOf(Buffer.alloc(5000, 3)), { ...options, changes: [] }),
      /tar header/,
    );
    assert.deepEqual(store.images.list(), []);
    assert.deepEqual(await readdir(join(store.root, 'incoming')), []);
  });
});

describe('image removal plan', () => {
  const tag = 'docker.io/library/a:1';
  const other = 'docker.io/library/b:1';
  const tag2 = 'docker.io/library/a:2';
  const pinned = `docker.io/library/a@sha256:${'9'.repeat(64)}`;
  const alien = `docker.io/library/z@sha256:${'9'.repeat(64)}`;
  const base: RemovalCase = {
    id: `sha256:${'a'.repeat(64)}`,
    asked: 'a:1',
    byId: false,
    askedTag: tag,
    tags: [tag],
    digests: [],
    containers: [],
    hasChildren: false,
    force: false,
  };
  const running = { id: 'c'.repeat(64), running: true };
  const stopped = { id: 'd'.repeat(64), running: false };
  const byId = { ...base, byId: true, askedTag: undefined };
  const removed = { kind: 'remove', untag: [tag], deleteImage: true };
  for (const [name, state, expected] of [
    ['a name, free', base, removed],
    ['a name, one of two', { ...base, tags: [tag, other] }, { ...removed, deleteImage: false }],
    ['a name, used, forced', { ...base, containers: [running], force: true }, { ...removed, deleteImage: false }],
    ['a name, stopped container, forced', { ...base, containers: [stopped], force: true }, removed],
    [
      'the last tag, with its digests',
      { ...base, digests: [pinned, alien] },
      { ...removed, untag: [tag, pinned], deleteImage: false },
    ],
    [
      'a tag beside another of its repository',
      { ...base, tags: [tag, tag2], digests: [pinned] },
      { ...removed, deleteImage: false },
    ],
    [
      'a digest beside its tag',
      { ...base, askedTag: pinned, digests: [pinned] },
      { ...removed, untag: [pinned], deleteImage: false },
    ],
    ['the digest alone', { ...base, askedTag: pinned, tags: [], digests: [pinned] }, { ...removed, untag: [pinned] }],
    ['an id, free', byId, removed],
    [
      'an id, running',
      { ...byId, containers: [running], force: true },
      /cannot be forced\) - image is being used by running container cccccccccccc/,
    ],
    [
      'an id, stopped',
      { ...byId, containers: [stopped] },
      /must be forced\) - image is being used by stopped container dddddddddddd/,
    ],
    [
      'an id, two tags',
      { ...byId, tags: [tag, other] },
      /must be forced\) - image is referenced in multiple repositories/,
    ],
    ['an id, two tags, forced', { ...byId, tags: [tag, other], force: true }, { ...removed, untag: [tag, other] }],
    ['an id with children', { ...byId, hasChildren: true, force: true }, /image has dependent child images/],
  ] as const) {
    it(name, () => {
      const plan = planRemoval(state);
      if (expected instanceof RegExp) assert.match(plan.kind === 'refuse' ? plan.reason : '', expected);
      else assert.deepEqual(plan, expected);
    });
  }
});
