// The Engine API as the commands use it: over a unix socket or TCP, as JSON, as a stream, or as a hijacked connection.
import { type IncomingMessage, request as httpRequest, type RequestOptions } from 'node:http';
import type { Duplex } from 'node:stream';
import { CodedError, errnoOf, fail } from '../base/errors.ts';
import { parseJson } from '../base/parse.ts';

const API_VERSION = 'v1.47';

/** An answer of 400 and more: the engine's own sentence, and the status for those who decide on it. */
export class EngineError extends CodedError {
  readonly status: number;

  constructor(status: number, message: string, code = '') {
    const unknown = code === 'unknown-outcome';
    super(unknown ? code : status === 404 ? 'not-found' : status === 409 ? 'conflict' : 'internal', message);
    this.name = 'EngineError';
    this.status = status;
  }
}

export interface Call {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly json?: unknown;
  /** Sent as it is, with these headers. */
  readonly bytes?: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  readonly abort?: AbortSignal;
}

export class EngineClient {
  readonly #target: RequestOptions;
  readonly #host: string;

  /** `host`: unix:///path or tcp://address:port, as DOCKER_HOST has it. */
  constructor(host: string) {
    this.#host = host;
    this.#target = targetOf(host);
  }

  /** The parsed body; undefined when there is none. */
  async json<T>(path: string, call: Call = {}): Promise<T> {
    const response = await this.stream(path, call);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString('utf8');
    return (text === '' ? undefined : parseJson(text, `the engine's answer to ${path}`)) as T;
  }

  /** The response once its head is there and says success. */
  stream(path: string, call: Call = {}): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const body = call.json === undefined ? call.bytes : Buffer.from(JSON.stringify(call.json));
      const type = call.json === undefined ? 'application/octet-stream' : 'application/json';
      const outgoing = httpRequest(
        {
          ...this.#target,
          method: call.method ?? 'GET',
          path: pathWithQuery(path, call.query),
          headers: { ...call.headers, ...(body ? { 'Content-Type': type, 'Content-Length': body.length } : {}) },
          ...(call.abort ? { signal: call.abort } : {}),
        },
        (response) => resolve(expectSuccess(response)),
      );
      outgoing.on('error', (error) => reject(this.#unreachable(error)));
      outgoing.end(body);
    });
  }

  /** Takes the connection over after the head: what follows is the container's stream in both directions. */
  hijack(path: string, call: Call = {}): Promise<Duplex> {
    return new Promise((resolve, reject) => {
      const body = call.json === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(call.json));
      const outgoing = httpRequest({
        ...this.#target,
        method: 'POST',
        path: pathWithQuery(path, call.query),
        headers: {
          Connection: 'Upgrade',
          Upgrade: 'tcp',
          'Content-Type': 'application/json',
          'Content-Length': body.length,
        },
      });
      outgoing.on('upgrade', (_, socket, head) => {
        if (head.length > 0) socket.unshift(head);
        resolve(socket);
      });
      outgoing.on('response', (response) => {
        expectSuccess(response).then(
          () => reject(new CodedError('internal', `${path}: the engine did not upgrade the connection`)),
          reject,
        );
      });
      outgoing.on('error', (error) => reject(this.#unreachable(error)));
      outgoing.end(body);
    });
  }

  #unreachable(cause: Error): Error {
    const errno = errnoOf(cause);
    if (errno === 'EACCES') {
      return new CodedError(
        'forbidden',
        `no permission for ${this.#host}: use sudo or join the group that owns the socket`,
      );
    }
    if (errno === 'ENOENT' || errno === 'ECONNREFUSED') {
      return new CodedError(
        'unavailable',
        `no daemon answers at ${this.#host}: is shoald running? (choose another with -H)`,
      );
    }
    return cause;
  }
}

function targetOf(host: string): RequestOptions {
  const unix = /^unix:\/\/(\/.+)$/.exec(host);
  if (unix?.[1]) return { socketPath: unix[1] };
  const tcp = /^tcp:\/\/([^:/]+):(\d+)$/.exec(host);
  if (tcp?.[1]) return { host: tcp[1], port: Number(tcp[2]) };
  return fail('invalid', `the host '${host}' must be unix:///path or tcp://address:port`);
}

function pathWithQuery(path: string, query: Call['query']): string {
  const given = Object.entries(query ?? {}).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const text = new URLSearchParams(given).toString();
  return `/${API_VERSION}${path}${text ? `?${text}` : ''}`;
}

async function expectSuccess(response: IncomingMessage): Promise<IncomingMessage> {
  const status = response.statusCode ?? 0;
  if (status < 400) return response;
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  const code = response.headers['shoal-error'];
  throw new EngineError(status, messageIn(text) ?? `the engine answered ${status}`, String(code ?? ''));
}

function messageIn(text: string): string | undefined {
  const match = /^\s*\{/.test(text) ? (parseJson(text) as { message?: unknown }) : undefined;
  return typeof match?.message === 'string' ? match.message : undefined;
}
