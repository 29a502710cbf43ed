// A server on a socket of its own over fakes, and plain ways of talking to it.
import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ApiDeps, SystemFacts } from '../../../api/deps.ts';
import { createRoutes } from '../../../api/routes.ts';
import { type ApiServer, createApiServer } from '../../../api/server.ts';
import { systemClock } from '../../../base/clock.ts';
import { silentLog } from '../../../base/log.ts';
import { seededRandom } from '../../../base/random.ts';
import { NOW_MS } from './fake-containers.ts';
import { FakeRuntime } from './fake-runtime.ts';
import { FakeSwarm } from './fake-swarm.ts';

export const SYSTEM: SystemFacts = {
  daemonId: '11111111-2222-3333-4444-555555555555',
  hostname: 'node1',
  dataRoot: '/var/lib/shoal',
  version: '0.1.0',
  gitCommit: 'abcdef0',
  buildTime: '2026-01-01T00:00:00Z',
  kernelVersion: '6.1.0',
  operatingSystem: 'Debian GNU/Linux 12 (bookworm)',
  osVersion: '12',
  appArmor: false,
  architecture: 'x86_64',
  cpus: 2,
  memoryBytes: 4_294_967_296,
  cgroupVersion: '2',
  storageDriver: 'overlay2',
  hiddenPaths: { masked: ['/proc/kcore'], readOnly: ['/proc/sys'] },
  labels: [],
  debug: false,
  warnings: [],
};

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly bytes: Buffer;
  // The body as JSON; tests say what they expect of it.
  json<T = Record<string, unknown>>(): T;
}

export class ApiFixture implements AsyncDisposable {
  readonly runtime = new FakeRuntime();
  readonly swarm = new FakeSwarm();
  readonly #server: ApiServer;
  readonly #directory: string;
  readonly #deps: ApiDeps;

  private constructor(directory: string) {
    this.#directory = directory;
    const clock = { ...systemClock, nowMs: () => NOW_MS };
    const { runtime, swarm } = this;
    this.#deps = { runtime, swarm, system: SYSTEM, clock, random: seededRandom(7), log: silentLog };
    this.#server = createApiServer(this.#deps);
  }

  static async start(): Promise<ApiFixture> {
    const fixture = new ApiFixture(await mkdtemp(join(tmpdir(), 'shoal-api-')));
    await fixture.#server.listen({ kind: 'unix', path: fixture.socketPath, mode: 0o600 });
    return fixture;
  }

  routes(): { method: string; pattern: string }[] {
    return createRoutes(this.#deps).patterns();
  }

  get socketPath(): string {
    return join(this.#directory, 'api.sock');
  }

  get server(): ApiServer {
    return this.#server;
  }

  call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const content = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const type = content === undefined ? {} : { 'Content-Type': 'application/json' };
    return new Promise((resolve, reject) => {
      const options = { socketPath: this.socketPath, method, path, headers: { ...type, ...headers }, agent: false };
      const request = httpRequest(options, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const bytes = Buffer.concat(chunks);
          const text = bytes.toString('utf8');
          const { statusCode = 0, headers } = response;
          resolve({ status: statusCode, headers, text, bytes, json: <T>() => JSON.parse(text) as T });
        });
      });
      request.on('error', reject);
      request.end(content);
    });
  }

  /** A bare connection, for what HTTP clients hide. */
  raw(): RawClient {
    return new RawClient(createConnection({ path: this.socketPath, allowHalfOpen: true }));
  }

  async create(config: Record<string, unknown>, name = ''): Promise<string> {
    const answer = await this.call('POST', `/containers/create${name === '' ? '' : `?name=${name}`}`, {
      Image: 'busybox',
      ...config,
    });
    return answer.json<{ Id: string }>().Id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

export class RawClient {
  readonly socket: Socket;
  ended = false;
  error: Error | undefined;
  #received = Buffer.alloc(0);
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    socket.on('end', () => {
      this.ended = true;
      this.#wake();
    });
    socket.on('error', (error) => {
      this.error = error;
      this.#wake();
    });
  }

  get received(): Buffer {
    return this.#received;
  }

  send(text: string | Uint8Array): void {
    this.socket.write(text);
  }

  /** Resolves when `condition` holds; the test's own time limit is the deadline. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** The head of the answer, once it is there, and what follows it. */
  async head(): Promise<string> {
    await this.until(() => this.#received.includes('\r\n\r\n'));
    return this.#received.subarray(0, this.#received.indexOf('\r\n\r\n')).toString();
  }

  get body(): Buffer {
    return this.#received.subarray(this.#received.indexOf('\r\n\r\n') + 4);
  }
}
