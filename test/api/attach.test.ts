import assert from 'node:assert/strict';
import { ApiFixture } from './support/fixture.ts';

const UPGRADE = 'Connection: Upgrade\r\nUpgrade: tcp\r\n';

/** The frames in a multiplexed stream, as [stream, text]. */
function frames(bytes: Buffer): [number, string][] {
  const found: [number, string][] = [];
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at + 4);
    found.push([bytes[at] ?? -1, bytes.subarray(at + 8, at + 8 + length).toString()]);
    at += 8 + length;
  }
  return found;
}

describe('attached streams', () => {
  let api: ApiFixture;
  beforeEach(async () => {
    api = await ApiFixture.start();
  });
  afterEach(() => api[Symbol.asyncDispose]());

  const attachHead = (id: string, query: string, headers: string, version = 'v1.51'): string =>
    `POST /${version}/containers/${id}/attach?stream=1&stdout=1&stderr=1${query} HTTP/1.1\r\nHost: d\r\n${headers}\r\n`;

  it('upgrades, frames both outputs, and ends after the last byte', async () => {
    const id = await api.create({ Cmd: ['warn', 'uh', 'oh'] });
    const client = api.raw();
    client.send(attachHead(id, '', UPGRADE));
    const head = await client.head();
    assert.match(head, /^HTTP\/1\.1 101 UPGRADED\r\n/);
    assert.match(head, /Content-Type: application\/vnd\.docker\.multiplexed-stream/);
    assert.match(head, /Connection: Upgrade\r\nUpgrade: tcp/);
    assert.doesNotMatch(head, /content-length|transfer-encoding/i);
    await api.call('POST', `/containers/${id}/start`);
    await client.until(() => client.ended);
    assert.deepEqual(frames(client.body), [[2, 'uh oh\n']]);
  });

  it('answers 200 and a raw stream to a client that does not ask for an upgrade', async () => {
    const id = await api.create({ Cmd: ['cat'], OpenStdin: true, StdinOnce: true });
    const client = api.raw();
    client.send(attachHead(id, '&stdin=1', 'Content-Length: 0\r\n'));
    const head = await client.head();
    assert.match(head, /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(head, /Content-Type: application\/vnd\.docker\.raw-stream/);
    assert.doesNotMatch(head, /content-length|transfer-encoding/i);
    await api.call('POST', `/containers/${id}/start`);
    client.send('one\n');
    await client.until(() => frames(client.body).length === 1);
    client.send('two\n');
    client.socket.end();
    await client.until(() => client.ended);
    assert.deepEqual(frames(client.body), [
      [1, 'one\n'],
      [1, 'two\n'],
    ]);
  });

  it('tells older clients only of the raw type', async () => {
    const id = await api.create({ Cmd: ['echo', 'x'] });
    const client = api.raw();
    client.send(attachHead(id, '', UPGRADE, 'v1.41'));
    assert.match(await client.head(), /application\/vnd\.docker\.raw-stream/);
  });

  it('takes the end of input for the process only, and keeps its output coming', async () => {
    const id = await api.create({ Cmd: ['cat'], OpenStdin: true, StdinOnce: true });
    const client = api.raw();
    client.send(attachHead(id, '&stdin=1', UPGRADE));
    await client.head();
    await api.call('POST', `/containers/${id}/start`);
    client.send('half');
    client.socket.end();
    await client.until(() => client.ended);
    assert.deepEqual(frames(client.body), [[1, 'half']]);
    assert.equal(client.error, undefined);
  });

  it('keeps stdin open for the next client when it is not to be closed once', async () => {
    const id = await api.create({ Cmd: ['cat'], OpenStdin: true });
    await api.call('POST', `/containers/${id}/start`);
    const first = api.raw();
    first.send(attachHead(id, '&stdin=1', UPGRADE));
    await first.head();
    first.send('a');
    await first.until(() => frames(first.body).length === 1);
    first.socket.destroy();
    const second = api.raw();
    second.send(attachHead(id, '&stdin=1', UPGRADE));
    await second.head();
    second.send('b');
    await second.until(() => frames(second.body).some(([, text]) => text === 'b'));
  });

  it('loses no output and sends no reset when the process ends with input unread', async () => {
    const id = await api.create({ Cmd: ['echo', 'done'], OpenStdin: true, StdinOnce: true });
    const client = api.raw();
    client.send(attachHead(id, '&stdin=1', UPGRADE));
    await client.head();
    client.send(Buffer.alloc(300_000));
    await api.call('POST', `/containers/${id}/start`);
    await client.until(() => client.ended);
    client.send(Buffer.alloc(300_000));
    client.socket.end();
    await new Promise((resolve) => client.socket.once('close', resolve));
    assert.equal(client.error, undefined);
    assert.deepEqual(frames(client.body), [[1, 'done\n']]);
  });

  it('sends a terminal raw and lets the detach keys leave it running', async () => {
    const id = await api.create({ Cmd: ['cat'], Tty: true, OpenStdin: true });
    await api.call('POST', `/containers/${id}/start`);
    const client = api.raw();
    client.send(attachHead(id, '&stdin=1&detachKeys=ctrl-a,x', UPGRADE));
    assert.match(await client.head(), /raw-stream/);
    client.send('abc\x01');
    await client.until(() => client.body.toString() === 'abc');
    client.send('x');
    await client.until(() => client.ended);
    assert.equal(client.body.toString(), 'abc');
    assert.equal(
      (await api.call('GET', `/containers/${id}/json`)).json<{ State: { Running: boolean } }>().State.Running,
      true,
    );
  });

  it('refuses before the head when there is nothing to attach to', async () => {
    const client = api.raw();
    client.send(attachHead('nobody', '', UPGRADE));
    assert.match(await client.head(), /^HTTP\/1\.1 404 /);
    await client.until(() => client.ended);
    assert.match(client.body.toString(), /No such container: nobody/);
  });

  it('replays what was logged before, when asked', async () => {
    const id = await api.create({ Cmd: ['echo', 'past'] });
    await api.call('POST', `/containers/${id}/start`);
    await api.call('POST', `/containers/${id}/wait`);
    const client = api.raw();
    client.send(`POST /containers/${id}/attach?logs=1&stdout=1 HTTP/1.1\r\nHost: d\r\n${UPGRADE}\r\n`);
    await client.until(() => client.ended);
    assert.deepEqual(frames(client.body), [[1, 'past\n']]);
  });

  it('lets go of the process when the client can not be served after all', async () => {
    const id = await api.create({ Cmd: ['sleep', '9'] });
    await api.call('POST', `/containers/${id}/start`);
    const noHandshake = api.raw();
    noHandshake.send(
      `GET /containers/${id}/attach/ws?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    );
    assert.match(await noHandshake.head(), /^HTTP\/1\.1 400 /);
    api.runtime.containers.logs = () => {
      throw new Error('the log is damaged');
    };
    const noLogs = api.raw();
    noLogs.send(attachHead(id, '&logs=1', UPGRADE));
    await noLogs.until(() => noLogs.ended);
    assert.ok(api.runtime.containers.calls.filter((call) => call === 'attach').length === 2);
    assert.equal(api.runtime.containers.attached, 0);
  });

  describe('of exec', () => {
    const newExec = async (config: Record<string, unknown>): Promise<string> => {
      const id = await api.create({ Cmd: ['sleep', '60'] });
      await api.call('POST', `/containers/${id}/start`);
      const body = { AttachStdin: true, AttachStdout: true, AttachStderr: true, ...config };
      return (await api.call('POST', `/containers/${id}/exec`, body)).json<{ Id: string }>().Id;
    };
    const startHead = (exec: string, length: number, headers: string): string =>
      `POST /v1.51/exec/${exec}/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n${headers}\r\n`;

    it('reads the JSON body of an upgraded request whole, and what follows it is input', async () => {
      const exec = await newExec({ Cmd: ['cat'] });
      const body = '{"Detach":false,"Tty":false}';
      const client = api.raw();
      client.send(`${startHead(exec, body.length, UPGRADE)}${body.slice(0, 10)}`);
      // Another request on another connection goes through meanwhile: the first is still without an answer.
      await api.call('GET', '/_ping');
      assert.equal(client.received.length, 0);
      client.send(`${body.slice(10)}typed early`);
      assert.match(await client.head(), /^HTTP\/1\.1 101 /);
      client.socket.end();
      await client.until(() => client.ended);
      assert.deepEqual(frames(client.body), [[1, 'typed early']]);
    });

    it('sends no output in one piece with the head to a client that would lose it', async () => {
      const exec = await newExec({ Cmd: ['echo', 'hi'] });
      const body = '{"Detach":false,"Tty":false}';
      const client = api.raw();
      const agent = 'User-Agent: docker-sdk-python/7.1.0\r\n';
      client.send(`${startHead(exec, body.length, `${UPGRADE}${agent}`)}${body}`);
      const pieces: string[] = [];
      client.socket.on('data', (piece: Buffer) => pieces.push(piece.toString()));
      await client.until(() => client.ended);
      assert.ok(pieces[0]?.endsWith('\r\n\r\n'), pieces[0]);
      assert.deepEqual(frames(client.body), [[1, 'hi\n']]);
    });

    it('works without an upgrade too, as docker-py does it', async () => {
      const exec = await newExec({ Cmd: ['echo', 'hi'] });
      const body = '{"Detach":false,"Tty":false}';
      const client = api.raw();
      client.send(`${startHead(exec, body.length, '')}${body}`);
      assert.match(await client.head(), /^HTTP\/1\.1 200 OK/);
      await client.until(() => client.ended);
      assert.deepEqual(frames(client.body), [[1, 'hi\n']]);
      const { ExitCode, Running } = (await api.call('GET', `/exec/${exec}/json`)).json();
      assert.deepEqual([ExitCode, Running], [0, false]);
    });

    it('returns at once when detached', async () => {
      const exec = await newExec({ Cmd: ['sleep', '1'] });
      const answer = await api.call('POST', `/exec/${exec}/start`, { Detach: true });
      assert.equal(answer.status, 200);
      const { ExitCode, Running } = (await api.call('GET', `/exec/${exec}/json`)).json();
      assert.deepEqual([ExitCode, Running], [null, true]);
    });

    it('refuses an empty command and a stopped container', async () => {
      const id = await api.create({ Cmd: ['sleep', '60'] });
      assert.equal((await api.call('POST', `/containers/${id}/exec`, { Cmd: [] })).status, 400);
      const stopped = await api.call('POST', `/containers/${id}/exec`, { Cmd: ['true'] });
      assert.equal(stopped.status, 409);
      assert.match(stopped.text, /is not running/);
    });
  });
});
