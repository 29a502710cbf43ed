// One socket to the zygote or a shim: hello exchanged, then frames in order. One consumer.
import { connect, type Socket } from 'node:net';
import type { Clock } from '../../base/clock.ts';
import { CodedError, fail } from '../../base/errors.ts';
import { decodeFault, decodeHello, encodeHello } from './messages.ts';
import { FRAME, type Frame, FrameSplitter, PROTOCOL } from './wire.ts';

const SOCKET_PATH_BYTES_MAX = 107; // longer ones are cut in silence by the system
const CONNECT_MS_MAX = 10_000;

export interface ConnectionOptions {
  readonly path: string;
  readonly sourceHash: string;
  readonly clock: Clock;
  /** Sent along with the hello, for a listener whose version does not matter: saves a round trip. */
  readonly request?: Uint8Array;
}

export class Connection {
  readonly #socket: Socket;
  readonly #frames: AsyncGenerator<Frame, void, void>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#frames = frames(socket);
  }

  /** Connects and exchanges hellos. Fails with the socket's own error when nobody listens. */
  static async open(options: ConnectionOptions): Promise<{ connection: Connection; sourceHash: string }> {
    const socket = await open(options);
    const connection = new Connection(socket);
    try {
      const greeting = encodeHello(options.sourceHash);
      await connection.send(options.request === undefined ? greeting : Buffer.concat([greeting, options.request]));
      const hello = decodeHello(await within(options.clock, CONNECT_MS_MAX, 'hello', connection.expect(FRAME.hello)));
      if (hello.min > PROTOCOL.max || hello.max < PROTOCOL.min) {
        fail('unavailable', `the helper speaks protocol ${hello.min} to ${hello.max}, this daemon ${PROTOCOL.max}`);
      }
      return { connection, sourceHash: hello.sourceHash };
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  get socket(): Socket {
    return this.#socket;
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed;
  }

  /** Resolves when the system has taken the bytes. */
  send(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** The next frame; undefined at the end. */
  async next(): Promise<Frame | undefined> {
    const { value, done } = await this.#frames.next();
    return done === true ? undefined : value;
  }

  /** The next frame, which must be of this type; a fault is thrown. */
  async expect(type: number): Promise<Frame> {
    const frame = await this.next();
    if (frame === undefined) fail('unavailable', 'the helper closed the connection');
    if (frame.type === FRAME.fault) throw decodeFault(frame).error;
    if (frame.type !== type) fail('internal', `the helper sent frame ${frame.type} where ${type} was due`);
    return frame;
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** Rejects with code `deadline` when `work` takes longer. The work itself goes on: close what it waits for. */
export async function within<T>(clock: Clock, ms: number, what: string, work: Promise<T>): Promise<T> {
  let reject: (error: CodedError) => void = () => {};
  const late = new Promise<never>((_, refuse) => {
    reject = refuse;
  });
  const timer = clock.after(ms, () => reject(new CodedError('deadline', `${what}: no answer within ${ms} ms`)));
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.cancel();
  }
}

async function open({ path, clock }: ConnectionOptions): Promise<Socket> {
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    fail(
      'invalid',
      `the socket path ${path} is longer than ${SOCKET_PATH_BYTES_MAX} bytes; choose a shorter --exec-root`,
    );
  }
  const socket = connect({ path, allowHalfOpen: true });
  const connected = new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  try {
    await within(clock, CONNECT_MS_MAX, `connecting to ${path}`, connected);
  } catch (error) {
    socket.destroy();
    throw error;
  }
  socket.on('error', () => socket.destroy()); // readers see the end, writers get the error themselves
  return socket;
}

/** Reading stops while nobody asks for frames: that is how a slow consumer holds the sender back. */
async function* frames(socket: Socket): AsyncGenerator<Frame, void, void> {
  const splitter = new FrameSplitter();
  try {
    for await (const bytes of socket) yield* splitter.push(bytes as Buffer);
  } catch (error) {
    if (!socket.destroyed) throw error; // a closed connection simply ends
  }
}
