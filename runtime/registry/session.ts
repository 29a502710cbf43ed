// Requests to one repository of one registry, for the length of one pull or push: finds out whether the registry speaks
// TLS, shows who we are when asked, follows redirects without telling strangers, and tries again what may pass.
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { backoffMs } from '../../base/backoff.ts';
import type { Clock } from '../../base/clock.ts';
import { fail, sentenceOf } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import { Authorization } from './authorization.ts';
import type { RegistryAuth } from './contract.ts';
import type { Endpoint } from './endpoints.ts';
import { isPassing, registryFault, RegistryFault } from './faults.ts';
import { readBody, type Transport } from './transport.ts';

export interface SessionDeps {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly attemptsMax: number;
}

export interface SessionOptions extends SessionDeps {
  readonly endpoint: Endpoint;
  readonly auth: RegistryAuth | undefined;
  readonly scopes: readonly string[];
  readonly abort?: AbortSignal | undefined;
}

export interface Ask {
  readonly method?: string; // GET when left out
  readonly path: string | URL; // below /v2/, or where the registry said
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | (() => Readable);
  readonly expect: readonly number[];
  /** May be sent again after a failure on the way. */
  readonly again?: boolean;
  readonly abort?: AbortSignal | undefined;
}

const REDIRECTS_MAX = 5;
const FAULT_BYTES_MAX = 64 * 1024;
const RETRY = { baseMs: 500, maxMs: 10_000 };
const RETRY_AFTER_MS_MAX = 30_000;
const AGENT = 'shoal';

export class Session {
  readonly base: URL;
  readonly endpoint: Endpoint;
  readonly #options: SessionOptions;
  readonly #authorization: Authorization;
  readonly #unchecked: boolean;

  private constructor(options: SessionOptions, base: URL, unchecked: boolean) {
    this.base = base;
    this.endpoint = options.endpoint;
    this.#options = options;
    this.#unchecked = unchecked;
    const { transport, auth, scopes } = options;
    this.#authorization = new Authorization({ transport, auth, scopes, unchecked });
  }

  /** Asks the registry who it is, and shows who we are if it wants to know. */
  static async open(options: SessionOptions): Promise<Session> {
    const { scheme, host } = options.endpoint;
    const unchecked = scheme !== 'https';
    const begin = async (protocol: string): Promise<Session> => {
      const session = new Session(options, new URL(`${protocol}://${host}/v2/`), unchecked);
      await session.#ping();
      return session;
    };
    if (scheme !== 'either') return await begin(scheme);
    try {
      return await begin('https');
    } catch (error) {
      options.abort?.throwIfAborted();
      // Whoever answered in TLS is not asked again without it.
      if (error instanceof RegistryFault || !isPassing(error)) throw error;
      return await begin('http');
    }
  }

  get refreshToken(): string {
    return this.#authorization.refreshToken;
  }

  async #ping(): Promise<void> {
    const response = await this.send({ path: '', expect: [200] });
    response.resume();
  }

  /** The head of an answer with an expected status; the caller reads or destroys the body. */
  async send(ask: Ask): Promise<IncomingMessage> {
    const { attemptsMax } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#once(ask);
      } catch (error) {
        this.#abortOf(ask)?.throwIfAborted();
        if (ask.again !== true || attempt >= attemptsMax || !isPassing(error)) throw error;
        await this.pause(attempt, error, this.#abortOf(ask));
      }
    }
  }

  /** The wait before the next try: what the registry asks for, within reason, or a little longer each time. */
  async pause(attempt: number, error: unknown, abort?: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    const asked = error instanceof RegistryFault ? error.retryAfterMs : undefined;
    if (asked !== undefined && asked > RETRY_AFTER_MS_MAX) throw error;
    await clock.sleep(asked ?? backoffMs(attempt, RETRY, random), { abort });
  }

  /** The whole body of an answer that must be short. */
  async read(ask: Ask, bytesMax: number, what: string): Promise<{ body: Buffer; response: IncomingMessage }> {
    const response = await this.send(ask);
    return { body: await readBody(response, bytesMax, what), response };
  }

  async #once(ask: Ask): Promise<IncomingMessage> {
    let url = typeof ask.path === 'string' ? new URL(ask.path, this.base) : ask.path;
    let shown = 0; // how often we have shown who we are
    for (let redirects = 0; ; ) {
      const own = url.origin === this.base.origin;
      const used = own ? this.#authorization.header : undefined;
      const response = await this.#exchange(ask, url, used);
      const status = response.statusCode ?? 0;
      if (ask.expect.includes(status)) return response;
      if (status === 401 && own && shown < 2) {
        shown += 1;
        if (used !== undefined && shown > 1) throw await this.#fault(response, ask, url);
        response.resume();
        await this.#authorization.learn(response, used, this.#abortOf(ask));
        continue;
      }
      const next = redirectOf(response, url);
      if (!next) throw await this.#fault(response, ask, url);
      response.resume();
      redirects += 1;
      if (redirects > REDIRECTS_MAX)
        fail('unavailable', `${this.endpoint.host} redirects more than ${REDIRECTS_MAX} times`);
      this.#refuseDowngrade(url, next);
      url = next;
    }
  }

  #exchange(ask: Ask, url: URL, authorization: string | undefined): Promise<IncomingMessage> {
    const headers = {
      'User-Agent': AGENT,
      ...ask.headers,
      ...(authorization === undefined ? {} : { Authorization: authorization }),
    };
    return this.#options.transport.send({
      method: ask.method ?? 'GET',
      url,
      headers,
      ...(ask.body === undefined ? {} : { body: ask.body }),
      unchecked: this.#unchecked,
      abort: this.#abortOf(ask),
    });
  }

  #abortOf(ask: Ask): AbortSignal | undefined {
    return ask.abort ?? this.#options.abort;
  }

  async #fault(response: IncomingMessage, ask: Ask, url: URL): Promise<RegistryFault> {
    const { statusCode: status = 0, headers } = response;
    const body = await readBody(response, FAULT_BYTES_MAX, 'the refusal').catch(() => Buffer.alloc(0));
    const answer = { status, body, retryAfter: headers['retry-after'] };
    return registryFault(answer, { method: ask.method ?? 'GET', url: url.href });
  }

  #refuseDowngrade(from: URL, to: URL): void {
    const isFit =
      to.protocol === 'https:' || (to.protocol === 'http:' && (from.protocol === 'http:' || this.#unchecked));
    if (!isFit) fail('unavailable', `${from.host} redirects to ${to.protocol}//${to.host}, which is not https`);
  }
}

function redirectOf(response: IncomingMessage, from: URL): URL | undefined {
  const { location } = response.headers;
  if (![301, 302, 303, 307, 308].includes(response.statusCode ?? 0) || location === undefined) return undefined;
  try {
    return new URL(location, from);
  } catch (error) {
    return fail('unavailable', `${from.host} redirects to something that is no address: ${sentenceOf(error)}`);
  }
}
