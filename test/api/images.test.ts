import assert from 'node:assert/strict';
import { once } from 'node:events';
import { ApiFixture } from './support/fixture.ts';

describe('/images, /volumes, /networks', () => {
  let api: ApiFixture;
  beforeEach(async () => {
    api = await ApiFixture.start();
  });
  afterEach(() => api[Symbol.asyncDispose]());

  it('shows an image, with VirtualSize only to old clients', async () => {
    const [row] = (await api.call('GET', '/images/json')).json<Record<string, unknown>[]>();
    assert.deepEqual(row?.['RepoTags'], ['busybox:latest']);
    assert.equal(row?.['VirtualSize'], undefined);
    const [old] = (await api.call('GET', '/v1.43/images/json')).json<Record<string, unknown>[]>();
    assert.equal(old?.['VirtualSize'], 1_234_567);
    const inspect = (await api.call('GET', '/images/docker.io/library/busybox:latest/json')).json<{
      Config: { Cmd: string[] };
    }>();
    assert.deepEqual(inspect.Config.Cmd, ['sh']);
  });

  it('counts the containers of an image', async () => {
    await api.create({ Cmd: ['sleep'] });
    const [row] = (await api.call('GET', '/images/json')).json<Record<string, unknown>[]>();
    assert.equal(row?.['Containers'], 1);
  });

  it('filters by reference, label and dangling', async () => {
    const count = async (filters: object): Promise<number> =>
      (await api.call('GET', `/images/json?filters=${encodeURIComponent(JSON.stringify(filters))}`)).json<unknown[]>()
        .length;
    assert.equal(await count({ reference: ['busy*'] }), 1);
    assert.equal(await count({ reference: ['busybox:latest'] }), 1);
    assert.equal(await count({ reference: ['alpine'] }), 0);
    assert.equal(await count({ dangling: ['true'] }), 0);
    assert.equal(await count({ dangling: ['false'] }), 1);
    assert.equal(await count({ label: ['x'] }), 0);
  });

  it('loads, and tells a failure within the stream', async () => {
    const loaded = await api.call('POST', '/images/load?quiet=1', 'an archive', {
      'Content-Type': 'application/x-tar',
    });
    assert.equal(loaded.text, '{"stream":"Loaded image: busybox:latest\\n"}\r\n');
    const empty = await api.call('POST', '/images/load', undefined, { 'Content-Type': 'application/x-tar' });
    assert.equal(empty.status, 200);
    assert.deepEqual(empty.json(), { errorDetail: { message: 'the archive is empty' }, error: 'the archive is empty' });
  });

  it('reads an archive that comes slowly to its end', async () => {
    const client = api.raw();
    client.send(
      'POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\nContent-Length: 6\r\n\r\n',
    );
    assert.match(await client.head(), /^HTTP\/1\.1 200 /);
    for (const piece of ['one', 'two']) {
      const arrived = once(api.runtime.images.arrivals, 'piece');
      client.send(piece);
      await arrived;
    }
    await client.until(() => client.body.includes('Loaded image'));
    assert.equal(api.runtime.images.loadedBytes, 6);
  });

  it('imports with its changes', async () => {
    const path = '/images/create?fromSrc=-&repo=mine&tag=1&changes=CMD%20x&changes=ENV%20A%3D1&message=m';
    const answer = await api.call('POST', path, 'tar', { 'Content-Type': 'application/x-tar' });
    assert.deepEqual(answer.json(), { status: `sha256:${'b'.repeat(64)}` });
    assert.deepEqual(api.runtime.images.calls, [
      'import {"target":"mine:1","changes":["CMD x","ENV A=1"],"message":"m"}',
    ]);
  });

  it('takes an image that is here for pulled, and names the way to bring another', async () => {
    const here = await api.call('POST', '/images/create?fromImage=docker.io/library/busybox&tag=latest');
    assert.equal(here.json()['status'], 'Status: Image is up to date for busybox:latest');
    const absent = await api.call('POST', '/images/create?fromImage=alpine&tag=3');
    assert.equal(absent.status, 501);
    assert.match(
      absent.text,
      /pulling alpine:3 from a registry is not implemented yet: bring the image with docker load/,
    );
  });

  it('tells the size of each step of an image, newest first', async () => {
    const [image] = api.runtime.images.images;
    assert.ok(image);
    const step = (createdBy: string, emptyLayer: boolean) => ({ createdAtMs: 1, createdBy, comment: '', emptyLayer });
    const history = [step('ADD', false), step('ENV', true), step('COPY', false)];
    api.runtime.images.images = [{ ...image, layers: ['a', 'b'], layerBytes: [7, 8], history }];
    const rows = (await api.call('GET', '/images/busybox/history')).json<{ CreatedBy: string; Size: number }[]>();
    assert.deepEqual(
      rows.map(({ CreatedBy, Size }) => [CreatedBy, Size]),
      [
        ['COPY', 8],
        ['ENV', 0],
        ['ADD', 7],
      ],
    );
  });

  it('tags, saves and deletes', async () => {
    assert.equal((await api.call('POST', '/images/busybox/tag?repo=mine&tag=2')).status, 201);
    assert.deepEqual(api.runtime.images.calls, ['tag mine:2']);
    const saved = await api.call('GET', '/images/get?names=busybox&names=mine:2');
    assert.deepEqual([saved.headers['content-type'], saved.text], ['application/x-tar', 'a tar']);
    assert.equal((await api.call('GET', '/images/get?names=alpine')).status, 404);
    const deleted = (await api.call('DELETE', '/images/busybox')).json<object[]>();
    assert.deepEqual(deleted, [{ Untagged: 'busybox' }, { Deleted: `sha256:${'b'.repeat(64)}` }]);
    assert.match((await api.call('GET', '/images/busybox/json')).text, /No such image: busybox:latest/);
  });

  it('prunes no image that a tag names unless told to, and none in use', async () => {
    const prune = async (filters: object): Promise<unknown> =>
      (await api.call('POST', `/images/prune?filters=${encodeURIComponent(JSON.stringify(filters))}`)).json()[
        'ImagesDeleted'
      ];
    await api.create({ Cmd: ['sleep'] }, 'user');
    assert.deepEqual(await prune({ dangling: ['false'] }), []);
    await api.call('DELETE', '/containers/user');
    assert.deepEqual(await prune({}), []);
    assert.equal(((await prune({ dangling: ['false'] })) as unknown[]).length, 2);
  });

  it('creates volumes once by name, lists and removes them', async () => {
    const create = () => api.call('POST', '/volumes/create', { Name: 'data', Labels: { a: 'b' } });
    assert.equal((await create()).status, 201);
    assert.equal((await create()).json()['Name'], 'data');
    const { Volumes } = (await api.call('GET', '/volumes')).json<{ Volumes: { Name: string }[] }>();
    assert.deepEqual(
      Volumes.map(({ Name }) => Name),
      ['data'],
    );
    assert.deepEqual((await api.call('POST', '/volumes/prune')).json()['VolumesDeleted'], []);
    assert.equal((await api.call('DELETE', '/volumes/data')).status, 204);
    assert.match((await api.call('GET', '/volumes/data')).text, /get data: no such volume/);
  });

  it('prunes named volumes for clients before 1.42 or when asked for all', async () => {
    for (const [prefix, query] of [
      ['/v1.41', ''],
      ['', `?filters=${encodeURIComponent('{"all":["true"]}')}`],
    ] as const) {
      await api.call('POST', '/volumes/create', { Name: 'data' });
      const answer = await api.call('POST', `${prefix}/volumes/prune${query}`);
      assert.deepEqual(answer.json()['VolumesDeleted'], ['data']);
    }
  });

  it('creates, shows and removes a network, and keeps the built-in ones', async () => {
    const body = { Name: 'mine', IPAM: { Config: [{ Subnet: '10.9.0.0/24', Gateway: '10.9.0.1' }] } };
    assert.equal((await api.call('POST', '/networks/create', body)).status, 201);
    const inspect = (await api.call('GET', '/networks/mine')).json<{ IPAM: { Config: object[] } }>();
    assert.deepEqual(inspect.IPAM.Config, [{ Subnet: '10.9.0.0/24', Gateway: '10.9.0.1' }]);
    assert.equal((await api.call('DELETE', '/networks/mine')).status, 204);
    assert.equal((await api.call('DELETE', '/networks/bridge')).status, 403);
    assert.match((await api.call('GET', '/networks/mine')).text, /network mine not found/);
  });
});
