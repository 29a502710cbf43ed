import assert from 'node:assert/strict';
import { chmodSync, statSync } from 'node:fs';
import { ApiFixture } from './support/fixture.ts';

describe('the Engine API server', () => {
  let api: ApiFixture;
  beforeEach(async () => {
    api = await ApiFixture.start();
  });
  afterEach(() => api[Symbol.asyncDispose]());

  it('answers a ping without a version, with what clients negotiate by', async () => {
    const answer = await api.call('GET', '/_ping');
    assert.equal(answer.status, 200);
    assert.equal(answer.text, 'OK');
    assert.equal(answer.headers['api-version'], '1.51');
    assert.equal(answer.headers['ostype'], 'linux');
    assert.equal(answer.headers['docker-experimental'], 'false');
    assert.equal(answer.headers['swarm'], 'inactive');
    assert.equal(answer.headers['cache-control'], 'no-cache, no-store, must-revalidate');
    assert.match(String(answer.headers['server']), /^Docker\/\S+ \(linux\)$/);
  });

  it('answers HEAD of ping with no body and length 0', async () => {
    const answer = await api.call('HEAD', '/_ping');
    assert.equal(answer.status, 200);
    assert.equal(answer.text, '');
    assert.equal(answer.headers['content-length'], '0');
  });

  it('tells the node role in the Swarm header', async () => {
    api.swarm.current = { ...api.swarm.current, state: 'active', controlAvailable: true };
    assert.equal((await api.call('GET', '/_ping')).headers['swarm'], 'active/manager');
    api.swarm.current = { ...api.swarm.current, controlAvailable: false };
    assert.equal((await api.call('GET', '/_ping')).headers['swarm'], 'active/worker');
  });

  for (const [path, status, message] of [
    ['/version', 200, ''],
    ['/v1.24/version', 200, ''],
    ['/v1.44/version', 200, ''],
    ['/v1.51/version', 200, ''],
    ['/v1.52/version', 400, 'client version 1.52 is too new. Maximum supported API version is 1.51'],
    ['/v9.99/version', 400, 'client version 9.99 is too new. Maximum supported API version is 1.51'],
    [
      '/v1.9/version',
      400,
      'client version 1.9 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version',
    ],
    ['/nonsense', 404, 'page not found'],
    ['/v1.40/containers/x/nonsense', 404, 'page not found'],
    ['/containers/%zz/json', 400, 'the path holds a malformed percent escape: %zz'],
  ] as const) {
    it(`answers ${path} with ${status}`, async () => {
      const answer = await api.call('GET', path);
      assert.equal(answer.status, status);
      assert.equal(answer.headers['api-version'], '1.51');
      if (status !== 200) assert.deepEqual(answer.json(), { message });
    });
  }

  it('refuses bytes that are not HTTP with a JSON message', async () => {
    const client = api.raw();
    client.send('nonsense\r\n\r\n');
    assert.match(await client.head(), /^HTTP\/1\.1 400 /);
    await client.until(() => client.ended);
    assert.match(client.body.toString(), /"message":"malformed HTTP request/);
  });

  it('keeps the connection usable after a refused request whose body it did not read', async () => {
    const client = api.raw();
    const body = 'x'.repeat(100_000);
    client.send(`POST /v9.99/containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    assert.match(await client.head(), /^HTTP\/1\.1 400 /);
    client.send('GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n');
    await client.until(() => client.received.toString().endsWith('\r\n\r\nOK'));
  });

  it('asks for a body that waits to be asked for', async () => {
    const client = api.raw();
    const head =
      'POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 19\r\n';
    client.send(`${head}Expect: 100-continue\r\n\r\n`);
    assert.match(await client.head(), /^HTTP\/1\.1 100 Continue/);
    client.send('{"Image":"busybox"}');
    await client.until(() => client.received.includes('HTTP/1.1 201 Created'));
  });

  it('refuses a head without measure', async () => {
    const client = api.raw();
    client.send(`GET /_ping HTTP/1.1\r\nX: ${'x'.repeat(200_000)}\r\n\r\n`);
    assert.match(await client.head(), /^HTTP\/1\.1 431 /);
  });

  it('answers many requests on one connection, in order', async () => {
    const client = api.raw();
    for (let i = 0; i < 20; i += 1) client.send(`GET /containers/c${i}/json HTTP/1.1\r\nHost: d\r\n\r\n`);
    await client.until(() => client.received.includes('container: c19'));
    const order = [...client.received.toString().matchAll(/container: c(\d+)/g)].map(([, number]) => Number(number));
    assert.deepEqual(order, [...Array(20).keys()]);
  });

  it('answers 413 to a JSON body without end', async () => {
    const answer = await api.call('POST', '/containers/create', `{"Image":"${'x'.repeat(9_000_000)}"}`);
    assert.equal(answer.status, 413);
    assert.match(answer.json<{ message: string }>().message, /larger than/);
  });

  it('gives the socket exactly the asked mode, and refuses to take over one that is answered', async () => {
    const path = `${api.socketPath}2`;
    await api.server.listen({ kind: 'unix', path, mode: 0o660 });
    assert.equal(statSync(path).mode & 0o777, 0o660);
    await assert.rejects(api.server.listen({ kind: 'unix', path, mode: 0o660 }), /already listening/);
    chmodSync(path, 0o600);
  });

  it('refuses a socket path that the system would cut', async () => {
    await assert.rejects(
      api.server.listen({ kind: 'unix', path: `/tmp/${'x'.repeat(120)}`, mode: 0o600 }),
      /longer than 107 bytes/,
    );
  });

  it('ends open streams when it closes', async () => {
    const id = await api.create({ Cmd: ['sleep', '60'] });
    const client = api.raw();
    client.send(`POST /containers/${id}/wait HTTP/1.1\r\nHost: d\r\n\r\n`);
    await client.head();
    await api.server.close();
    await client.until(() => client.ended || client.error !== undefined);
  });
});
