// A connection taken away from HTTP: bytes both ways, each direction ended on its own.
// Invariants: our end of stream is sent after the last output byte; what the client still sends then is read and
// dropped, because closing with unread bytes makes the kernel reset the connection and the client lose output.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';
import { CodedError, fail } from '../base/errors.ts';
import { bodyTooLarge } from './faults.ts';

const LINGER_MS = 10_000;
const KEEP_ALIVE_MS = 30_000;

export interface InputSink {
  take(bytes: Buffer): Promise<void>;
  /** The client ended its direction (or is gone). */
  end(): Promise<void>;
}

export interface HijackedConnection {
  /** Hands what the client sends to `sink`, one piece at a time, in the background until the connection ends. */
  readInto(sink: InputSink): void;
  /** Resolves when the system has room for more. Rejects `aborted` once the client is gone. */
  write(bytes: Uint8Array): Promise<void>;
  /** Fires when the connection is gone. */
  readonly closed: AbortSignal;
}

const DISCARD: InputSink = { take: async () => {}, end: async () => {} };

export class SocketConnection implements HijackedConnection {
  readonly #socket: Socket;
  readonly #gone = new AbortController();
  #reading: Promise<void> | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS); // a client that vanished without a word
    socket.on('error', () => this.#gone.abort(CLIENT_GONE));
    socket.on('close', () => this.#gone.abort(CLIENT_GONE));
    if (socket.destroyed) this.#gone.abort(CLIENT_GONE);
  }

  get closed(): AbortSignal {
    return this.#gone.signal;
  }

  readInto(sink: InputSink): void {
    this.#reading = this.#read(sink);
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.closed.aborted) throw clientGone();
    if (this.#socket.write(bytes)) return;
    await new Promise<void>((resolve, reject) => {
      const settle = (): void => {
        this.#socket.off('drain', settle);
        this.#socket.off('close', settle);
        if (this.#socket.destroyed) reject(clientGone());
        else resolve();
      };
      this.#socket.on('drain', settle);
      this.#socket.on('close', settle);
    });
  }

  /** Ends our direction after everything written, then drops what still comes until the client ends too. */
  async end(clock: Clock): Promise<void> {
    this.#socket.end();
    using deadline = clock.deadline(undefined, LINGER_MS);
    deadline.signal.addEventListener('abort', () => this.#socket.destroy());
    await (this.#reading ?? this.#read(DISCARD));
  }

  async #read(sink: InputSink): Promise<void> {
    try {
      for await (const chunk of this.#socket.iterator({ destroyOnReturn: false })) await sink.take(chunk as Buffer);
    } catch (error) {
      if (!this.#socket.destroyed) throw error;
    }
    await sink.end();
  }
}

/** The reason of every request's signal; made once, because each would cost a stack trace at its request's end. */
export const CLIENT_GONE = new CodedError('aborted', 'the client went away');
const clientGone = (): CodedError => new CodedError('aborted', 'the client went away');

/** Takes the socket of an ordinary request: HTTP lets go of it, and nothing parses it any more. */
export function takeSocket(request: IncomingMessage, response: ServerResponse): Socket {
  const socket = request.socket;
  response.detachSocket(socket);
  for (const event of ['data', 'end', 'close', 'drain', 'error', 'timeout', 'readable'])
    socket.removeAllListeners(event);
  return socket;
}

/**
 * The body of an upgraded request. Node stops parsing at the end of the head, so the body is the first bytes of the
 * stream: as many as Content-Length says; they are read before the answer, and the rest stays in the socket.
 */
export async function readUpgradedBody(request: IncomingMessage, socket: Socket, bytesMax: number): Promise<Buffer> {
  if (request.headers['transfer-encoding'] !== undefined) {
    fail('invalid', 'the body of an upgraded request must have a Content-Length');
  }
  const length = Number(request.headers['content-length'] ?? 0);
  if (!Number.isSafeInteger(length) || length < 0) fail('invalid', 'malformed Content-Length');
  if (length > bytesMax) throw bodyTooLarge(bytesMax);
  return await readExactly(socket, length);
}

async function readExactly(socket: Socket, length: number): Promise<Buffer> {
  if (length === 0) return Buffer.alloc(0);
  const chunks: Buffer[] = [];
  let missing = length;
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    const bytes = chunk as Buffer;
    chunks.push(bytes.subarray(0, missing));
    if (bytes.length > missing) socket.unshift(bytes.subarray(missing));
    missing -= Math.min(missing, bytes.length);
    if (missing === 0) return Buffer.concat(chunks);
  }
  return fail('invalid', 'the connection ended before the request body was whole');
}
