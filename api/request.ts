// One request as a route sees it: parameters, query and body, each read through something that names what is wrong.
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { fail } from '../base/errors.ts';
import { asObject, type Json, parseJson } from '../base/parse.ts';
import { bodyTooLarge } from './faults.ts';

const JSON_BYTES_MAX = 8 * 1024 * 1024;

export interface ApiRequestParts {
  readonly method: string;
  readonly path: string;
  readonly version: string;
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: Readable;
  readonly upgraded: boolean;
  readonly abort: AbortSignal;
}

export class ApiRequest {
  readonly version: string;
  readonly headers: IncomingHttpHeaders;
  /** The body's bytes as they come, for archives; `json` is for everything else. */
  readonly body: Readable;
  /** The client asked for a raw stream with `Upgrade`, and gets 101 instead of 200. */
  readonly upgraded: boolean;
  /** Fires when the client went away or the server closes. */
  readonly abort: AbortSignal;
  readonly query: Query;
  readonly #params: Readonly<Record<string, string>>;

  constructor(parts: ApiRequestParts) {
    this.version = parts.version;
    this.headers = parts.headers;
    this.body = parts.body;
    this.upgraded = parts.upgraded;
    this.abort = parts.abort;
    this.query = new Query(parts.query);
    this.#params = parts.params;
  }

  /** How the cluster's objects are to be read: `stale=true` is content with what this manager has. */
  get reading(): { readonly abort: AbortSignal; readonly stale: boolean } {
    return { abort: this.abort, stale: this.query.flag('stale') };
  }

  /** A reading that may be old says so. */
  get readingHeaders(): Readonly<Record<string, string>> {
    return this.reading.stale ? { 'Shoal-Stale': 'true' } : {};
  }

  param(name: string): string {
    return this.#params[name] ?? fail('internal', `the route has no parameter ${name}`);
  }

  header(name: string): string {
    const value = this.headers[name];
    return typeof value === 'string' ? value : '';
  }

  /** The body as a JSON object. An empty body is refused. */
  async json(): Promise<Json> {
    const text = await this.#text();
    if (text === '') fail('invalid', 'got EOF while reading request body');
    return asObject(parseJson(text), 'body');
  }

  /** As `json`, but an empty body is an empty object. */
  async jsonOrEmpty(): Promise<Json> {
    const text = await this.#text();
    return text === '' ? {} : asObject(parseJson(text), 'body');
  }

  async #text(): Promise<string> {
    const body = await readAll(this.body, JSON_BYTES_MAX);
    if (body.length === 0) return '';
    // A web page can post text/plain to a local TCP listener without asking first; JSON it can not.
    const type = this.header('content-type').split(';')[0]?.trim().toLowerCase() ?? '';
    if (type !== '' && type !== 'application/json') {
      fail('invalid', `unsupported Content-Type header (${type}): must be 'application/json'`);
    }
    return body.toString('utf8').trim();
  }
}

/** Leaves the stream whole when the bound is passed: destroying a request's body would cut the answer off. */
export async function readAll(stream: Readable, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    const bytes = chunk as Buffer;
    length += bytes.length;
    if (length > bytesMax) throw bodyTooLarge(bytesMax);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

/** Query parameters, as Docker reads them. */
export class Query {
  readonly #values: URLSearchParams;

  constructor(values: URLSearchParams) {
    this.#values = values;
  }

  text(name: string): string {
    return this.#values.get(name) ?? '';
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  list(name: string): string[] {
    return this.#values.getAll(name);
  }

  /** Absent, empty, 0, no, false and none are false; everything else is true. */
  flag(name: string, whenAbsent = false): boolean {
    const value = this.#values.get(name);
    if (value === null) return whenAbsent;
    return !['', '0', 'no', 'false', 'none'].includes(value.trim().toLowerCase());
  }

  integer(name: string, limits: { min?: number; max?: number } = {}): number | undefined {
    const text = this.text(name);
    if (text === '') return undefined;
    const value = Number(text);
    if (!/^[+-]?\d+$/.test(text) || !Number.isSafeInteger(value)) {
      fail('invalid', `parameter ${name}: '${text}' is not a whole number`);
    }
    if (limits.min !== undefined && value < limits.min)
      fail('invalid', `parameter ${name} must be at least ${limits.min}`);
    if (limits.max !== undefined && value > limits.max)
      fail('invalid', `parameter ${name} must be at most ${limits.max}`);
    return value;
  }

  requiredInteger(name: string, limits: { min?: number; max?: number } = {}): number {
    return this.integer(name, limits) ?? fail('invalid', `parameter ${name} is required`);
  }
}
