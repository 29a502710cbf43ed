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

  const me = Buffer.from(JSON.stringify({ username: 'me', password: 'x' })).toString('base64url');

  it('pulls as who the client is, with progress as clients draw it', async () => {
    const answer = await api.call('POST', '/images/create?fromImage=busybox&tag=latest', undefined, {
      'X-Registry-Auth': me,
    });
    assert.equal(answer.status, 200);
    const lines = answer.text
      .split('\r\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as object);
    assert.deepEqual(lines, [
      { status: 'Pulling from library/busybox', progressDetail: {}, id: 'latest' },
      {
        status: 'Downloading',
        progressDetail: { current: 50, total: 100 },
        progress: `[${'='.repeat(25)}>${' '.repeat(25)}]      50B/100B`,
        id: 'cccccccccccc',
      },
    ]);
    assert.deepEqual(api.runtime.registries.calls, ['pull busybox:latest as me']);
  });

  for (const [auth, who] of [
    ['', 'nobody'],
    ['e30=', 'nobody'],
    ['{}', 'nobody'],
    ['not base64 at all', 'nobody'],
    [Buffer.from('{"auth":"bWU6eA=="}').toString('base64'), 'me'],
  ] as const) {
    it(`takes '${auth}' for ${who}`, async () => {
      await api.call('POST', '/images/x/push?tag=1', undefined, { 'X-Registry-Auth': auth });
      assert.deepEqual(api.runtime.registries.calls, [`push x:1 as ${who}`]);
    });
  }

  for (const [image, status, message] of [
    ['absent', 404, 'manifest for absent:1 not found: manifest unknown'],
    ['down', 500, 'connect ECONNREFUSED'],
  ] as const) {
    it(`fails a pull of ${image} with ${status} as long as nothing was said`, async () => {
      const answer = await api.call('POST', `/images/create?fromImage=${image}&tag=1`);
      assert.equal(answer.status, status);
      assert.deepEqual(answer.json(), { message });
    });
  }

  it('tells a pull’s later failure within the stream', async () => {
    const answer = await api.call('POST', '/images/create?fromImage=broken&tag=sha256:1');
    assert.equal(answer.status, 200);
    const last = answer.text.trim().split('\r\n').at(-1) ?? '';
    assert.deepEqual(JSON.parse(last), {
      errorDetail: { message: 'the connection broke' },
      error: 'the connection broke',
    });
    assert.deepEqual(api.runtime.registries.calls, ['pull broken@sha256:1 as nobody']);
  });

  it('says what a name means in its registry', async () => {
    const answer = await api.call('GET', '/distribution/host:5000/team/app:1/json');
    assert.deepEqual(answer.json(), {
      Descriptor: { mediaType: 'm', digest: `sha256:${'b'.repeat(64)}`, size: 7 },
      Platforms: [{ architecture: 'arm', os: 'linux', variant: 'v7' }],
    });
    assert.equal((await api.call('GET', '/distribution/absent/json')).status, 404);
  });

  it('checks a login', async () => {
    const login = (password: string) =>
      api.call('POST', '/auth', { username: 'me', password, serveraddress: 'h:5000' });
    assert.deepEqual((await login('right')).json(), { Status: 'Login Succeeded', IdentityToken: '' });
    const wrong = await login('wrong');
    assert.equal(wrong.status, 401);
    assert.match(wrong.text, /unauthorized: authentication required/);
    assert.doesNotMatch(wrong.text, /wrong/);
  });

  it('lists its own runtime and the others in /info', async () => {
    const { Runtimes, DefaultRuntime } = (await api.call('GET', '/info')).json<Record<string, unknown>>();
    assert.deepEqual(Runtimes, { shoal: { path: 'shoal' }, crun: { path: '/usr/bin/crun', runtimeArgs: ['--debug'] } });
    assert.equal(DefaultRuntime, 'shoal');
  });

  it('shows mirrors and insecure registries in /info', async () => {
    const { RegistryConfig } = (await api.call('GET', '/info')).json<{ RegistryConfig: Record<string, unknown> }>();
    assert.deepEqual(RegistryConfig['Mirrors'], ['https://mirror.example/']);
    assert.deepEqual(RegistryConfig['InsecureRegistryCIDRs'], ['::1/128', '127.0.0.0/8', '10.0.0.0/8']);
    assert.deepEqual(Object.keys(RegistryConfig['IndexConfigs'] as object), ['old:5000', 'docker.io']);
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
