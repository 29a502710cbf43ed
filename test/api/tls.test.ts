import assert from 'node:assert/strict';
import { createConnection } from 'node:net';
import { connect, type ConnectionOptions } from 'node:tls';
import { TestAuthority } from '../raft/support.ts';
import { ApiFixture, RawClient } from './support/fixture.ts';

describe('a TLS listener', () => {
  let api: ApiFixture;
  let port: number;
  let ca: string;
  let client: { cert: string; key: string };

  beforeEach(async () => {
    api = await ApiFixture.start();
    const authority = await TestAuthority.create();
    const server = await authority.issue('server', { clusterId: 'test' });
    const own = await authority.issue('client', { clusterId: 'test' });
    ca = server.rootsPem.join('');
    client = { cert: own.certificatePem, key: own.keyPem };
    const tls = { cert: server.certificatePem, key: server.keyPem, ca, requestCert: true, rejectUnauthorized: true };
    port = await api.server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0, tls });
  });
  afterEach(() => api[Symbol.asyncDispose]());

  const dial = (material: object): RawClient => {
    const options: ConnectionOptions & { allowHalfOpen: boolean } = { port, ca, allowHalfOpen: true, ...material };
    const socket = connect({ ...options, checkServerIdentity: () => undefined });
    return new RawClient(socket);
  };

  it('serves a client with a certificate', async () => {
    const raw = dial(client);
    raw.send('GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n');
    await raw.until(() => raw.received.toString().endsWith('\r\n\r\nOK'));
    raw.socket.destroy();
  });

  it('lets no client in without one', async () => {
    const raw = dial({});
    raw.send('GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n');
    await raw.until(() => raw.ended || raw.error !== undefined);
    assert.doesNotMatch(raw.received.toString(), /200 OK/);
  });

  it('tells a client that speaks plain text', async () => {
    const raw = new RawClient(createConnection({ port, host: '127.0.0.1', allowHalfOpen: true }));
    raw.send('GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n');
    await raw.until(() => raw.ended);
    assert.match(raw.received.toString(), /^HTTP\/1\.1 400 [\s\S]*Client sent an HTTP request to an HTTPS server\./);
    raw.socket.destroy();
  });

  for (const [name, headers] of [
    ['with an upgrade', 'Connection: Upgrade\r\nUpgrade: tcp\r\n'],
    ['without one', 'Content-Length: 0\r\n'],
  ] as const) {
    it(`ends each direction of an attached stream on its own, ${name}`, async () => {
      const id = await api.create({ Cmd: ['cat'], OpenStdin: true, StdinOnce: true });
      await api.call('POST', `/containers/${id}/start`);
      const raw = dial(client);
      raw.send(`POST /containers/${id}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\n${headers}\r\n`);
      await raw.head();
      raw.send('half');
      raw.socket.end();
      await raw.until(() => raw.ended);
      assert.equal(raw.body.subarray(8).toString(), 'half');
      assert.equal(raw.error, undefined);
    });
  }
});
