import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { ManualClock } from '../../base/manual-clock.ts';
import { sentenceOf } from '../../base/errors.ts';
import { PeerStream } from '../../manager/raft/peer-stream.ts';
import { encodeFrame, type Frame } from '../../manager/raft/wire.ts';
import { until } from './support.ts';

/** Both ends of a connection over the loopback interface. */
async function pair(): Promise<[Socket, Socket]> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const near = connect(port, '127.0.0.1');
  const [far] = (await once(server, 'connection')) as [Socket];
  server.close();
  return [near, far];
}

class End {
  readonly frames: Frame[] = [];
  readonly broken: string[] = [];
  readonly over: string[] = [];
  readonly stream: PeerStream;

  constructor(socket: Socket, clock: ManualClock) {
    this.stream = new PeerStream(socket, {
      clock,
      onFrame: (frame) => this.frames.push(frame),
      onBroken: (error) => this.broken.push(sentenceOf(error)),
      onOver: (error) => this.over.push(sentenceOf(error)),
    });
  }
}

const chunk = (bytes: Uint8Array): object => ({ chunk: { kind: 'rows', bytes } });
const lengthOf = ({ body }: Frame): number => (body as { bytes: Uint8Array }).bytes.length;

describe('a connection between two managers', () => {
  let clock: ManualClock;
  let near: End;
  let far: End;
  let sockets: [Socket, Socket];
  beforeEach(async () => {
    clock = new ManualClock();
    sockets = await pair();
    near = new End(sockets[0], clock);
    far = new End(sockets[1], clock);
  });
  afterEach(() => {
    for (const socket of sockets) socket.destroy();
  });

  it('carries frames of any size in order', async () => {
    far.stream.frameBytesMax = 16 * 1024 * 1024;
    const sizes = [0, 1, 65_535, 65_536, 3_000_000, 7];
    for (const size of sizes) near.stream.send(chunk(Buffer.alloc(size, 'x')));
    await until(() => far.frames.length === sizes.length, 'all frames');
    assert.deepEqual(far.frames.map(lengthOf), sizes);
  });

  it('reads frames that come byte by byte', async () => {
    const body = encodeFrame(chunk(Buffer.from('abc')));
    for (const byte of [0, 0, 0, body.length, ...body]) {
      sockets[0].write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => far.frames.length === 1, 'the frame');
  });

  it('hands out nothing while it is paused, not even what has come', async () => {
    for (let number = 0; number < 5; number += 1) near.stream.send(chunk(Buffer.alloc(number)));
    far.stream.pause();
    near.stream.send(chunk(Buffer.alloc(5)));
    await until(() => near.stream.bytesWaiting === 0, 'the system to take it');
    assert.equal(far.frames.length, 0);
    far.stream.resume();
    await until(() => far.frames.length === 6, 'all frames');
  });

  it('says when it has room again', async () => {
    far.stream.frameBytesMax = 64 * 1024 * 1024;
    far.stream.pause();
    assert.equal(near.stream.send(chunk(Buffer.alloc(30_000_000))), false);
    let hasRoom = false;
    near.stream.whenDrained(() => {
      hasRoom = true;
    });
    assert.equal(hasRoom, false);
    far.stream.resume();
    await until(() => hasRoom, 'room');
  });

  it('refuses frames over its limit before they have come', async () => {
    sockets[0].write(Buffer.from('00010001', 'hex'));
    await until(() => far.broken.length === 1, 'the refusal');
    assert.match(far.broken[0] ?? '', /65537 bytes is over the limit of 65536/);
  });

  it('is kept by pings, and given up when the other side is silent', async () => {
    for (let second = 0; second < 5; second += 1) {
      const before = sockets[1].bytesRead;
      clock.advance(1_000);
      await until(() => sockets[1].bytesRead > before && sockets[0].bytesRead >= sockets[1].bytesRead, 'pings');
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual([near.over, far.over], [[], []]);
    sockets[0].pause();
    for (let second = 0; second < 3; second += 1) clock.advance(1_000);
    assert.match(near.over[0] ?? '', /silent for 2500 ms/);
    await until(() => far.over.length === 1, 'the other end');
    assert.deepEqual([near.frames, far.frames], [[], []]);
  });

  it('sends a last frame before it closes, and takes nothing any more', async () => {
    near.stream.end({ goodbye: { reason: 'refused', message: 'no' } });
    far.stream.send(chunk(Buffer.alloc(3)));
    await until(() => far.over.length === 1 && near.over.length === 1, 'the end');
    assert.deepEqual(
      far.frames.map(({ name }) => name),
      ['goodbye'],
    );
    assert.deepEqual(near.frames, []);
  });
});
