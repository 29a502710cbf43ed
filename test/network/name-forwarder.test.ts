import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { ManualClock } from '../../base/manual-clock.ts';
import { systemClock } from '../../base/clock.ts';
import { frameOf, StreamFrames } from '../../runtime/network/dns-stream.ts';
import {
  CODE,
  codeOfAnswer,
  type Question,
  readQuestion,
  TYPE,
  writeAnswer,
  writeQuestion,
} from '../../runtime/network/dns-wire.ts';
import type { Upstream } from '../../runtime/network/contract.ts';
import { NameForwarder } from '../../runtime/network/name-forwarder.ts';

const answerTo = (message: Buffer, code: number): Buffer =>
  writeAnswer(message, readQuestion(message) as Question, { code, records: [] }, 512);

describe('questions that are passed on', () => {
  const open: Socket[] = [];
  afterEach(() => {
    for (const socket of open.splice(0)) socket.close();
  });

  async function server(
    reply: (message: Buffer, socket: Socket, port: number, seen: number) => void,
  ): Promise<Upstream> {
    const socket = createSocket('udp4');
    let seen = 0;
    socket.on('message', (message, from) => reply(message, socket, from.port, ++seen));
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    open.push(socket);
    return { address: '127.0.0.1', port: socket.address().port };
  }

  const question = writeQuestion(4711, 'example.com', TYPE.a, 1232);
  const end = (readQuestion(question) as Question).end;

  it('come back under the id of the client, and go to the next server when the first one fails', async () => {
    const failing = await server((message, socket, port) => socket.send(answerTo(message, CODE.failed), port));
    const good = await server((message, socket, port) => socket.send(answerTo(message, CODE.unknownName), port));
    const forwarder = new NameForwarder(systemClock);
    const answer = await forwarder.ask(question, end, [failing, good], false);
    forwarder.close();
    assert.ok(answer);
    assert.deepEqual([answer.readUInt16BE(0), codeOfAnswer(answer)], [4711, CODE.unknownName]);
  });

  it('take no answer to another question, or from another port', async () => {
    const stranger = createSocket('udp4');
    open.push(stranger);
    const asked = await server((message, socket, port) => {
      stranger.send(answerTo(message, CODE.ok), port, '127.0.0.1', () => {
        const other = writeQuestion(message.readUInt16BE(0), 'example.org', TYPE.a);
        socket.send(answerTo(other, CODE.ok), port);
        socket.send(answerTo(message, CODE.unknownName), port);
      });
    });
    const forwarder = new NameForwarder(systemClock);
    const answer = await forwarder.ask(question, end, [asked], false);
    forwarder.close();
    assert.equal(answer && codeOfAnswer(answer), CODE.unknownName);
  });

  it('end without an answer when no server answers in time', async () => {
    const silent = await server(() => undefined);
    const clock = new ManualClock();
    const forwarder = new NameForwarder(clock);
    const asking = forwarder.ask(question, end, [silent], false);
    clock.advance(2_000);
    assert.equal(await asking, undefined);
    forwarder.close();
  });

  it('go over TCP when the client came so', async () => {
    const streams = createServer((stream) => {
      const frames = new StreamFrames();
      stream.on('data', (chunk) => {
        for (const message of frames.push(chunk)) stream.write(frameOf(answerTo(message, CODE.ok)));
      });
    });
    streams.listen(0, '127.0.0.1');
    await once(streams, 'listening');
    const { port } = streams.address() as { port: number };
    const forwarder = new NameForwarder(systemClock);
    const answer = await forwarder.ask(question, end, [{ address: '127.0.0.1', port }], true);
    streams.close();
    assert.equal(answer && codeOfAnswer(answer), CODE.ok);
  });
});
