// The dashboard's own listener: static files and the live feed, for whoever holds a session.
// Host and Origin are checked on everything, so that no other page or name leads here.
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { Background } from '../../base/background.ts';
import { errnoOf, fail } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import { Feed, type FeedDeps } from './feed.ts';
import { COOKIE, Sessions } from './sessions.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};
const HEADERS = {
  'Content-Security-Policy': "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-store',
} as const;
const MESSAGE_BYTES_MAX = 4096;
const PAGES_MAX = 100;

export interface DashboardDeps extends FeedDeps {
  readonly random: Random;
  /** Folder of the built pages. */
  readonly files: string;
}

export class Dashboard implements AsyncDisposable {
  readonly #deps: DashboardDeps;
  readonly #sessions: Sessions;
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_BYTES_MAX });
  readonly #feeds: Background;
  #origin = '';

  constructor(deps: DashboardDeps) {
    this.#deps = deps;
    this.#sessions = new Sessions(deps);
    this.#feeds = new Background({
      onFailure: (name, error) => deps.log.warn('dashboard feed failed', { name, error }),
    });
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        deps.log.warn('dashboard page failed', { error });
        response.destroy();
      });
    });
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#server.on('clientError', (_, socket: Duplex) => socket.destroy());
  }

  /** `address`: host:port; port 0 for any. Resolves when it listens. */
  async listen(address: string): Promise<void> {
    const match = /^(\[[0-9a-f:]+\]|[^:]+):(\d+)$/i.exec(address);
    if (!match?.[1]) fail('invalid', `--dashboard '${address}' must be address:port`);
    const host = match[1].replace(/^\[|\]$/g, '');
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port: Number(match[2]) }, () => resolve());
    });
    this.#origin = `http://${match[1]}:${(this.#server.address() as AddressInfo).port}`;
  }

  /** A link that opens the dashboard once. */
  createLink(): string {
    if (this.#origin === '')
      fail('unavailable', 'the dashboard does not listen: start shoald with --dashboard address:port');
    return `${this.#origin}/?token=${this.#sessions.createLinkToken()}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    await this.#feeds.stop();
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.#origin);
    if (!this.#hostIsOurs(request)) return send(response, 403, 'This address is not the dashboard’s.');
    if (request.method !== 'GET') return send(response, 405, 'Only GET.');
    const token = url.searchParams.get('token');
    if (url.pathname === '/' && token) return this.#login(response, token);
    if (!this.#sessions.admits(request.headers.cookie)) return send(response, 401, UNAUTHORISED);
    await this.#serveFile(response, url.pathname === '/' ? '/index.html' : url.pathname);
  }

  #login(response: ServerResponse, token: string): void {
    const session = this.#sessions.exchange(token);
    if (!session) return send(response, 401, UNAUTHORISED);
    // The redirect takes the token out of the address bar and the history.
    response.writeHead(303, {
      ...HEADERS,
      Location: '/',
      'Set-Cookie': `${COOKIE}=${session}; HttpOnly; SameSite=Strict; Path=/`,
    });
    response.end();
  }

  async #serveFile(response: ServerResponse, path: string): Promise<void> {
    const type = TYPES[extname(path)];
    const inside = normalize(path);
    if (!type || inside !== path || !/^\/[\w./-]+$/.test(path)) return send(response, 404, 'No such page.');
    try {
      const body = await readFile(join(this.#deps.files, inside));
      response.writeHead(200, { ...HEADERS, 'Content-Type': type, 'Content-Length': body.length });
      response.end(body);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      send(response, 404, 'No such page.');
    }
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const admitted =
      request.url === '/feed' &&
      this.#hostIsOurs(request) &&
      request.headers.origin === this.#origin &&
      this.#sessions.admits(request.headers.cookie);
    if (!admitted || this.#sockets.clients.size >= PAGES_MAX) {
      socket.end(
        `HTTP/1.1 ${admitted ? '503 Service Unavailable' : '401 Unauthorized'}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
      );
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      this.#feeds.run('dashboard feed', (abort) => new Feed(webSocket, this.#deps).run(abort));
    });
  }

  #hostIsOurs(request: IncomingMessage): boolean {
    return `http://${request.headers.host ?? ''}` === this.#origin;
  }
}

const UNAUTHORISED = 'Open the dashboard with the link that npm start printed; each link works once.';

function send(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { ...HEADERS, 'Content-Type': 'text/plain; charset=utf-8' });
  response.end(`${text}\n`);
}
