// The Engine API's server: listeners, the way of a request through version check and router, and how answers leave.
import { setMaxListeners } from 'node:events';
import { createServer as createPlainServer, type IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createTlsServer, Server as TlsServer } from 'node:https';
import type { Server, Socket } from 'node:net';
import { Readable } from 'node:stream';
import { codeOf, errnoOf } from '../base/errors.ts';
import type { ApiDeps } from './deps.ts';
import { messageOf, statusOf } from './faults.ts';
import { CLIENT_GONE, readUpgradedBody, SocketConnection, takeSocket } from './hijack.ts';
import { type ListenAddress, listenOn } from './listen.ts';
import { type Chunk, empty, json, type Reply } from './reply.ts';
import { ApiRequest } from './request.ts';
import type { Router } from './router.ts';
import { createRoutes, type Handler } from './routes.ts';
import { frontOf } from './tls-front.ts';
import { acceptWebSocket, requireWebSocket } from './web-socket.ts';
import { API_VERSION, requireKnownVersion, spokenVersion, splitVersion } from './versions.ts';

const HEADER_BYTES_MAX = 128 * 1024; // X-Registry-Config carries every login of a client
const UPGRADED_BODY_BYTES_MAX = 1024 * 1024;
const KEEP_ALIVE_MS = 95_000; // longer than Go's idle reuse of 90 s, or a POST meets a closing connection
const HEAD_MS = 60_000; // a client that never finishes its request head holds no connection for ever
const CLOSE_GRACE_MS = 1_000;
const HEAD_READ_MS = 50;

export interface ApiServer {
  /** Resolves with the bound TCP port, or 0 for a unix socket. */
  listen(address: ListenAddress): Promise<number>;
  /** Accepts nothing more, ends every stream, and drops what has not ended within a second. */
  close(): Promise<void>;
}

export function createApiServer(deps: ApiDeps): ApiServer {
  return new EngineServer(deps);
}

/** How an answer leaves: on a response of HTTP, or on the socket itself once it was taken. */
interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly upgraded: boolean;
  readonly abort: AbortController;
}

class EngineServer implements ApiServer {
  readonly #deps: ApiDeps;
  readonly #router: Router<Handler>;
  readonly #listeners: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #closing = new AbortController();
  readonly #active = new Set<Promise<void>>();

  constructor(deps: ApiDeps) {
    this.#deps = deps;
    this.#router = createRoutes(deps);
    setMaxListeners(0, this.#closing.signal); // one for each request under way
  }

  async listen(address: ListenAddress): Promise<number> {
    const options = {
      maxHeaderSize: HEADER_BYTES_MAX,
      keepAliveTimeout: KEEP_ALIVE_MS,
      requestTimeout: 0,
      headersTimeout: HEAD_MS,
      noDelay: true,
      allowHalfOpen: true,
    };
    const tls = address.kind === 'tcp' ? address.tls : undefined;
    const server = tls
      ? createTlsServer({ ...options, ...tls, ALPNProtocols: ['http/1.1'] })
      : createPlainServer(options);
    const listener = server instanceof TlsServer ? frontOf(server) : server;
    listener.on('connection', (socket: Socket) => this.#track(socket));
    server.on('request', (request, response) => this.#begin(request, response, false));
    server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) =>
      this.#upgrade(request, socket, head),
    );
    server.on('clientError', (error, socket) => refuseMalformed(error, socket as Socket));
    const port = await listenOn(listener, address);
    this.#listeners.push(listener);
    return port;
  }

  async close(): Promise<void> {
    const closed = this.#listeners.map((listener) => new Promise<void>((resolve) => listener.close(() => resolve())));
    this.#closing.abort();
    using grace = this.#deps.clock.deadline(undefined, CLOSE_GRACE_MS);
    const late = new Promise<void>((resolve) => grace.signal.addEventListener('abort', () => resolve()));
    await Promise.race([Promise.all(this.#active), late]);
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#sockets.delete(socket));
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    this.#track(socket);
    if (head.length > 0) socket.unshift(head);
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    // An ordinary answer on a socket that HTTP has let go of: nobody else would end it.
    response.once('finish', () => void new SocketConnection(takeSocket(request, response)).end(this.#deps.clock));
    this.#begin(request, response, true);
  }

  #begin(request: IncomingMessage, response: ServerResponse, upgraded: boolean): void {
    const abort = new AbortController();
    const cancel = (): void => abort.abort(CLIENT_GONE);
    response.once('close', cancel);
    this.#closing.signal.addEventListener('abort', cancel, { once: true });
    const done = this.#serve({ request, response, upgraded, abort }).finally(() => {
      this.#closing.signal.removeEventListener('abort', cancel);
      this.#active.delete(done);
    });
    this.#active.add(done);
  }

  async #serve(exchange: Exchange): Promise<void> {
    this.#setCommonHeaders(exchange.response);
    try {
      await this.#send(exchange, await this.#answer(exchange));
    } catch (error) {
      await this.#fail(exchange, error);
    }
  }

  async #answer(exchange: Exchange): Promise<Reply> {
    const { request, upgraded, abort } = exchange;
    const method = request.method ?? 'GET';
    const url = request.url ?? '/';
    const queryAt = url.indexOf('?');
    const { version: asked, path } = splitVersion(queryAt < 0 ? url : url.slice(0, queryAt));
    const match = this.#router.find(method, path);
    if (!match) return json(404, { message: 'page not found' });
    requireKnownVersion(asked);
    const version = spokenVersion(asked, request.headers['user-agent']);
    const body = upgraded
      ? Readable.from([await readUpgradedBody(request, request.socket, UPGRADED_BODY_BYTES_MAX)])
      : request;
    const query = new URLSearchParams(queryAt < 0 ? '' : url.slice(queryAt + 1));
    const parts = { method, path, version, params: match.params, query, headers: request.headers, body, upgraded };
    return await match.handler(new ApiRequest({ ...parts, abort: abort.signal }));
  }

  #setCommonHeaders(response: ServerResponse): void {
    response.setHeader('Api-Version', API_VERSION);
    response.setHeader('Docker-Experimental', 'false');
    response.setHeader('Ostype', 'linux');
    response.setHeader('Server', `Docker/${this.#deps.system.version} (linux)`);
  }

  async #send(exchange: Exchange, reply: Reply): Promise<void> {
    const { request, response } = exchange;
    switch (reply.kind) {
      case 'bytes':
        return endWith(request, response, reply);
      case 'empty':
        response.writeHead(
          reply.status,
          reply.status === 200 ? { ...reply.headers, 'Content-Length': 0 } : reply.headers,
        );
        response.end();
        return drainBody(request);
      case 'stream':
        response.writeHead(reply.status, reply.headers);
        response.flushHeaders();
        return await sendChunks(exchange, reply.chunks);
      case 'hijack':
        return await this.#hijack(exchange, reply);
      case 'websocket':
        return await this.#webSocket(exchange, reply);
    }
  }

  async #hijack(exchange: Exchange, reply: Extract<Reply, { kind: 'hijack' }>): Promise<void> {
    const { request, response, upgraded } = exchange;
    const socket = takeSocket(request, response);
    this.#track(socket);
    const connection = new SocketConnection(socket);
    const leave = (): void => void socket.destroy();
    this.#closing.signal.addEventListener('abort', leave, { once: true });
    try {
      const status = upgraded
        ? 'HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n'
        : 'HTTP/1.1 200 OK\r\n';
      const common = response
        .getHeaderNames()
        .map((name) => `${name}: ${String(response.getHeader(name))}\r\n`)
        .join('');
      await connection.write(Buffer.from(`${status}Content-Type: ${reply.contentType}\r\n${common}\r\n`));
      if (readsAhead(request)) await this.#deps.clock.sleep(HEAD_READ_MS, { abort: connection.closed });
      await reply.run(connection);
    } catch (error) {
      if (codeOf(error) !== 'aborted') this.#deps.log.warn('attached stream failed', { error });
    } finally {
      reply.leave();
      await connection.end(this.#deps.clock);
      this.#closing.signal.removeEventListener('abort', leave);
    }
  }

  async #webSocket({ request, response }: Exchange, reply: Extract<Reply, { kind: 'websocket' }>): Promise<void> {
    try {
      requireWebSocket(request);
    } catch (error) {
      reply.leave();
      throw error;
    }
    const socket = takeSocket(request, response);
    this.#track(socket);
    const leave = (): void => void socket.destroy();
    this.#closing.signal.addEventListener('abort', leave, { once: true });
    try {
      const connection = await acceptWebSocket(request, socket);
      await reply.run(connection);
      connection.end();
    } catch (error) {
      socket.destroy();
      if (codeOf(error) !== 'aborted') this.#deps.log.warn('attached websocket failed', { error });
    } finally {
      reply.leave();
      this.#closing.signal.removeEventListener('abort', leave);
    }
  }

  async #fail(exchange: Exchange, error: unknown): Promise<void> {
    const { request, response } = exchange;
    const status = statusOf(error);
    const fields = { method: request.method, url: request.url, status, error };
    if (codeOf(error) === 'internal') this.#deps.log.error('request failed', fields);
    else this.#deps.log.debug('request refused', fields);
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    const headers = { 'Shoal-Error': codeOf(error) };
    await this.#send(exchange, status === 304 ? empty(304) : json(status, { message: messageOf(error) }, headers));
  }
}

function endWith(request: IncomingMessage, response: ServerResponse, reply: Extract<Reply, { kind: 'bytes' }>): void {
  const { status, headers, body } = reply;
  response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) });
  response.end(request.method === 'HEAD' ? '' : body);
  drainBody(request);
}

/**
 * Docker's library for Python reads the head through a buffer and then bypasses it: output that comes in one piece with
 * the head is lost to it. A quick exec answers within a millisecond, so for this client output waits a moment.
 */
function readsAhead({ headers }: IncomingMessage): boolean {
  return /\b(docker-sdk-python|docker-py)\//.test(headers['user-agent'] ?? '');
}

/** A body that nobody read would be taken for the next request's. */
function drainBody(request: IncomingMessage): void {
  if (!request.readableEnded) request.resume();
}

async function sendChunks({ request, response, abort }: Exchange, chunks: AsyncIterable<Chunk>): Promise<void> {
  for await (const chunk of chunks) {
    if (abort.signal.aborted) break;
    if (!response.write(chunk)) await drained(response);
  }
  response.end();
  // Only now: the chunks may be made from the body, as those of a load are.
  drainBody(request);
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      response.off('drain', settle);
      response.off('close', settle);
      resolve();
    };
    response.on('drain', settle);
    response.on('close', settle);
  });
}

const MALFORMED: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
};

function refuseMalformed(error: Error, socket: Socket): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const status = MALFORMED[errnoOf(error) ?? ''] ?? '400 Bad Request';
  const body = `${JSON.stringify({ message: `malformed HTTP request: ${error.message}` })}\n`;
  const headers = `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close`;
  socket.end(`HTTP/1.1 ${status}\r\n${headers}\r\n\r\n${body}`);
}
