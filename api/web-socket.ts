// A websocket in the place of a taken connection: for attaching from a browser. Messages in are input, output leaves as
// binary messages, unframed.
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { RawData, WebSocket, WebSocketServer } from 'ws';
import { CodedError, fail } from '../base/errors.ts';
import type { HijackedConnection, InputSink } from './hijack.ts';

const MESSAGE_BYTES_MAX = 1024 * 1024;
const CLOSE_NORMAL = 1000;

let server: WebSocketServer | undefined; // made for the first one: few daemons see any

/** A page of another site could otherwise reach a local listener through its visitor's browser. */
export function requireWebSocket(request: IncomingMessage): void {
  const { upgrade = '', origin, host } = request.headers;
  if (upgrade.toLowerCase() !== 'websocket') fail('invalid', 'this needs a websocket: Upgrade: websocket is missing');
  const isOurs = origin === undefined || (URL.canParse(origin) && new URL(origin).host === host);
  if (!isOurs) fail('forbidden', `pages of ${origin} may not attach to containers`);
}

export async function acceptWebSocket(request: IncomingMessage, socket: Socket): Promise<WebSocketConnection> {
  const { WebSocketServer } = await import('ws');
  const accepting = (server ??= new WebSocketServer({
    noServer: true,
    maxPayload: MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
  }));
  return await new Promise((resolve, reject) => {
    if (socket.destroyed) reject(new CodedError('aborted', 'the client went away'));
    socket.once('close', () => reject(new CodedError('aborted', 'the client went away')));
    accepting.handleUpgrade(request, socket, Buffer.alloc(0), (webSocket) =>
      resolve(new WebSocketConnection(webSocket)),
    );
  });
}

export class WebSocketConnection implements HijackedConnection {
  readonly #socket: WebSocket;
  readonly #gone = new AbortController();

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('close', () => this.#gone.abort());
    socket.on('error', () => this.#gone.abort());
  }

  get closed(): AbortSignal {
    return this.#gone.signal;
  }

  /** The next message is read when the last was taken. */
  readInto(sink: InputSink): void {
    let last: Promise<void> = Promise.resolve();
    this.#socket.on('message', (data: RawData) => {
      this.#socket.pause();
      last = last.then(() => sink.take(bytesOf(data))).finally(() => this.#socket.resume());
    });
    this.#socket.on('close', () => void last.then(() => sink.end()));
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.send(bytes, { binary: true }, (cause) =>
        cause ? reject(new CodedError('aborted', 'the client went away', { cause })) : resolve(),
      );
    });
  }

  end(): void {
    this.#socket.close(CLOSE_NORMAL);
  }
}

function bytesOf(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}
