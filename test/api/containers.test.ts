import assert from 'node:assert/strict';
import { ApiFixture } from './support/fixture.ts';

describe('/containers', () => {
  let api: ApiFixture;
  beforeEach(async () => {
    api = await ApiFixture.start();
  });
  afterEach(() => api[Symbol.asyncDispose]());

  const message = async (method: string, path: string, body?: unknown): Promise<[number, string]> => {
    const answer = await api.call(method, path, body);
    return [answer.status, answer.json<{ message: string }>().message];
  };

  it('creates with an array of warnings', async () => {
    const answer = await api.call('POST', '/v1.44/containers/create?name=web', { Image: 'busybox', Cmd: 'sleep' });
    assert.equal(answer.status, 201);
    assert.deepEqual(Object.keys(answer.json()), ['Id', 'Warnings']);
    assert.deepEqual(answer.json()['Warnings'], []);
  });

  it('starts with 204, and with 304 and no body when it runs already', async () => {
    const id = await api.create({ Cmd: ['sleep', '60'] });
    assert.equal((await api.call('POST', `/containers/${id}/start`)).status, 204);
    const again = await api.call('POST', `/containers/${id}/start`);
    assert.deepEqual([again.status, again.text], [304, '']);
    assert.equal((await api.call('POST', `/containers/${id}/stop?t=3&signal=INT`)).status, 204);
    assert.equal((await api.call('POST', `/containers/${id}/stop`)).status, 304);
    assert.ok(api.runtime.containers.calls.includes('stop {"graceMs":3000,"signal":"INT"}'));
  });

  it('flushes the head of wait at once and the code at the end', async () => {
    const id = await api.create({ Cmd: ['exit', '3'] });
    const client = api.raw();
    client.send(`POST /containers/${id}/wait?condition=next-exit HTTP/1.1\r\nHost: d\r\n\r\n`);
    assert.match(await client.head(), /^HTTP\/1\.1 200 OK/);
    assert.equal(client.body.length, 0);
    await api.call('POST', `/containers/${id}/start`);
    await client.until(() => client.body.toString().includes('{"StatusCode":3}'));
  });

  it('knows the code of a removed container', async () => {
    const id = await api.create({ Cmd: ['exit', '4'], HostConfig: { AutoRemove: true } });
    const waiting = api.raw();
    waiting.send(`POST /containers/${id}/wait?condition=removed HTTP/1.1\r\nHost: d\r\n\r\n`);
    await waiting.head(); // it listens once its head is out
    await api.call('POST', `/containers/${id}/start`);
    await waiting.until(() => waiting.body.includes('{"StatusCode":4}'));
    assert.equal((await api.call('GET', `/containers/${id}/json`)).status, 404);
  });

  it('answers errors in the words that clients look for', async () => {
    const id = await api.create({ Cmd: ['sleep', '60'] }, 'web');
    assert.deepEqual(await message('GET', '/containers/nobody/json'), [404, 'No such container: nobody']);
    assert.deepEqual(await message('POST', '/containers/create', { Image: 'missing' }), [
      404,
      'No such image: missing:latest',
    ]);
    assert.deepEqual(await message('POST', '/containers/create?name=web', { Image: 'busybox' }), [
      409,
      `Conflict. The container name "/web" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`,
    ]);
    assert.equal((await message('POST', `/containers/${id}/kill`))[0], 409);
    await api.call('POST', `/containers/${id}/start`);
    assert.equal((await message('DELETE', `/containers/${id}`))[0], 409);
    assert.deepEqual(await message('POST', `/containers/${id}/wait?condition=soon`), [
      400,
      'invalid condition: "soon"',
    ]);
    assert.deepEqual(await message('GET', `/containers/${id}/logs`), [
      400,
      'Bad parameters: you must choose at least one stream',
    ]);
    assert.deepEqual(await message('POST', `/containers/${id}/resize?h=a&w=1`), [
      400,
      "parameter h: 'a' is not a whole number",
    ]);
  });

  it('removes with the options asked for', async () => {
    const id = await api.create({ Cmd: ['sleep', '60'] });
    await api.call('POST', `/containers/${id}/start`);
    assert.equal((await api.call('DELETE', `/containers/${id}?force=1&v=1`)).status, 204);
    assert.ok(api.runtime.containers.calls.includes('remove {"force":true,"volumes":true}'));
  });

  it('lists running ones, all, and those that filters choose', async () => {
    const one = await api.create({ Cmd: ['sleep', '60'], Labels: { tier: 'a' } }, 'one');
    await api.create({ Cmd: ['sleep', '60'] }, 'two');
    await api.call('POST', `/containers/${one}/start`);
    const names = async (query: string): Promise<string[]> =>
      (await api.call('GET', `/containers/json${query}`))
        .json<{ Names: string[] }[]>()
        .map(({ Names }) => Names[0] ?? '');
    const filters = (value: unknown): string => `filters=${encodeURIComponent(JSON.stringify(value))}`;
    assert.deepEqual(await names(''), ['/one']);
    assert.equal((await names('?all=1')).length, 2);
    assert.equal((await names('?limit=1')).length, 1);
    assert.deepEqual(await names(`?all=1&${filters({ label: ['tier=a'] })}`), ['/one']);
    assert.deepEqual(await names(`?${filters({ status: ['created'] })}`), ['/two']);
    assert.deepEqual(await names(`?all=1&${filters({ name: { two: true } })}`), ['/two']);
    assert.deepEqual(await names(`?all=1&${filters({ id: [one.slice(0, 64)] })}`), ['/one']);
    assert.deepEqual(await names(`?all=1&${filters({ ancestor: ['busybox'] })}`).then((list) => list.length), 2);
    assert.deepEqual(await message('GET', `/containers/json?${filters({ status: ['tired'] })}`), [
      400,
      "invalid filter 'status=tired'",
    ]);
    assert.deepEqual(await message('GET', `/containers/json?${filters({ colour: ['red'] })}`), [
      400,
      "invalid filter 'colour'",
    ]);
  });

  it('shows what it does in the words of ps', async () => {
    const id = await api.create({ Cmd: ['exit', '3'] });
    const status = async (): Promise<string> =>
      (await api.call('GET', '/containers/json?all=1')).json<{ Status: string }[]>()[0]?.Status ?? '';
    assert.equal(await status(), 'Created');
    await api.call('POST', `/containers/${id}/start`);
    await api.call('POST', `/containers/${id}/wait`);
    assert.equal(await status(), 'Exited (3) 2 seconds ago');
  });

  it('keeps every key that templates of inspect ask for, and echoes HostConfig', async () => {
    const host = {
      Binds: ['/a:/b'],
      Memory: 33_554_432,
      RestartPolicy: { Name: 'always' },
      Dns: ['1.1.1.1'],
      NetworkMode: 'default',
    };
    const id = await api.create({ Cmd: ['sleep'], Env: ['A=1'], HostConfig: host, AttachStdout: true }, 'web');
    const inspect = (await api.call('GET', `/containers/${id}/json`)).json<{
      Name: string;
      State: Record<string, unknown>;
      HostConfig: Record<string, unknown>;
      Config: Record<string, unknown>;
      NetworkSettings: Record<string, unknown>;
    }>();
    assert.equal(inspect.Name, '/web');
    assert.equal(inspect.State['StartedAt'], '0001-01-01T00:00:00Z');
    assert.deepEqual(inspect.HostConfig['Binds'], ['/a:/b']);
    assert.equal(inspect.HostConfig['Memory'], 33_554_432);
    assert.deepEqual(inspect.HostConfig['RestartPolicy'], { Name: 'always', MaximumRetryCount: 0 });
    assert.equal(inspect.HostConfig['NetworkMode'], 'bridge');
    assert.equal(inspect.HostConfig['ShmSize'], 67_108_864);
    assert.ok(Object.keys(inspect.HostConfig).length >= 60);
    assert.equal(inspect.Config['AttachStdout'], true);
    assert.deepEqual(inspect.Config['Env'], ['A=1']);
    assert.deepEqual(inspect.NetworkSettings['Ports'], {});
  });

  it('gives logs framed, with times when asked, and raw for a terminal', async () => {
    const id = await api.create({ Cmd: ['echo', 'line'] });
    await api.call('POST', `/containers/${id}/start`);
    await api.call('POST', `/containers/${id}/wait`);
    const framed = await api.call('GET', `/v1.44/containers/${id}/logs?stdout=1&timestamps=1`);
    assert.equal(framed.headers['content-type'], 'application/vnd.docker.multiplexed-stream');
    assert.equal(framed.text.slice(8), '2023-11-14T22:13:20.000000001Z line\n');
    assert.equal(
      (await api.call('GET', `/v1.41/containers/${id}/logs?stdout=1`)).headers['content-type'],
      'application/vnd.docker.raw-stream',
    );
  });

  it('samples stats once when asked, and in pairs for a reader without a stream', async () => {
    const id = await api.create({ Cmd: ['sleep', '60'] });
    await api.call('POST', `/containers/${id}/start`);
    const once = await api.call('GET', `/containers/${id}/stats?stream=0&one-shot=1`);
    assert.equal(once.json<{ memory_stats: { usage: number } }>().memory_stats.usage, 1_048_576);
    const stopped = await api.create({ Cmd: ['sleep', '60'] });
    assert.deepEqual(
      (await api.call('GET', `/containers/${stopped}/stats?stream=0&one-shot=1`)).json()['memory_stats'],
      {},
    );
  });

  it('changes only the limits that an update names', async () => {
    const id = await api.create({ Cmd: ['sleep', '60'] });
    await api.call('POST', `/containers/${id}/update`, { Memory: 67_108_864, RestartPolicy: { Name: 'always' } });
    assert.ok(
      api.runtime.containers.calls.includes(
        'update {"limits":{"memoryBytes":67108864},"restart":{"name":"always","attemptsMax":0}}',
      ),
    );
  });

  it('prunes what is stopped and leaves what runs', async () => {
    const running = await api.create({ Cmd: ['sleep', '60'] });
    const created = await api.create({ Cmd: ['sleep', '60'] });
    await api.call('POST', `/containers/${running}/start`);
    const answer = await api.call('POST', '/containers/prune');
    assert.deepEqual(answer.json(), { ContainersDeleted: [created], SpaceReclaimed: 12 });
  });

  it('tells of a file in a header, and copies it out and in', async () => {
    const id = await api.create({ Cmd: ['sleep', '60'] }, 'web');
    const head = await api.call('HEAD', '/containers/web/archive?path=/data');
    const stat = Buffer.from(String(head.headers['x-docker-container-path-stat']), 'base64').toString();
    assert.deepEqual(JSON.parse(stat), {
      name: 'data',
      size: 4096,
      mode: 2 ** 31 + 0o755,
      mtime: '2023-11-14T22:13:20.5Z',
      linkTarget: '',
    });
    const copied = await api.call('GET', '/containers/web/archive?path=/data/file');
    assert.deepEqual([copied.headers['content-type'], copied.text], ['application/x-tar', 'a tar']);
    const put = await api.call('PUT', '/containers/web/archive?path=/data', 'some bytes', {
      'Content-Type': 'application/x-tar',
    });
    assert.deepEqual([put.status, api.runtime.containers.files.writtenBytes], [200, 10]);
    assert.deepEqual(await message('PUT', '/containers/web/archive?path=/no'), [
      404,
      'Could not find the file /no in container web',
    ]);
    const changes = await api.call('GET', `/containers/${id}/changes`);
    assert.deepEqual(changes.json(), [
      { Path: '/data', Kind: 0 },
      { Path: '/data/file', Kind: 1 },
      { Path: '/gone', Kind: 2 },
    ]);
    assert.equal((await api.call('GET', `/containers/${id}/export`)).text, 'a tar');
    const commit = await api.call('POST', `/commit?container=${id}&repo=mine&tag=1`);
    assert.deepEqual([commit.status, Object.keys(commit.json())], [201, ['Id']]);
  });

  for (const [method, path] of [
    ['POST', '/build'],
    ['GET', '/images/search?term=x'],
  ] as const) {
    it(`says in a sentence that ${method} ${path} is not there yet`, async () => {
      const [status, text] = await message(method, path);
      assert.equal(status, 501);
      assert.match(text, /is not implemented yet$/);
    });
  }
});
