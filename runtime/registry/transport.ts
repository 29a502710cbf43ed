// One HTTP request to a registry: connections are kept and shared, silence has a bound, and every failure of the way there
// says which address it was about.
import { Agent as HttpAgent, type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Readable } from 'node:stream';
import { CodedError, sentenceOf } from '../../base/errors.ts';
import { withoutQuery } from './faults.ts';

export interface HttpRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | (() => Readable);
  /** Take any certificate. */
  readonly unchecked: boolean;
  readonly abort?: AbortSignal | undefined;
}

const SILENCE_MS_MAX = 60_000;
const IDLE_CONNECTION_MS = 20_000;
const CONNECTIONS_MAX = 16; // to each host

export class Transport implements Disposable {
  readonly #silenceMs: number;
  readonly #plain: HttpAgent;
  readonly #checked: HttpsAgent;
  readonly #unchecked: HttpsAgent;

  constructor(options: { silenceMs?: number } = {}) {
    this.#silenceMs = options.silenceMs ?? SILENCE_MS_MAX;
    const kept = { keepAlive: true, maxSockets: CONNECTIONS_MAX, timeout: IDLE_CONNECTION_MS };
    this.#plain = new HttpAgent(kept);
    this.#checked = new HttpsAgent(kept);
    this.#unchecked = new HttpsAgent({ ...kept, rejectUnauthorized: false });
  }

  /** Resolves with the head; the caller reads the body to its end or destroys it. */
  send(request: HttpRequest): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const { url, method, headers, abort } = request;
      const options = { method, headers, timeout: this.#silenceMs, ...(abort ? { signal: abort } : {}) };
      const fail = (cause: unknown): void => reject(this.#fault(request, cause));
      const sent: ClientRequest =
        url.protocol === 'https:'
          ? httpsRequest(url, { ...options, agent: request.unchecked ? this.#unchecked : this.#checked })
          : httpRequest(url, { ...options, agent: this.#plain });
      sent.on('response', resolve);
      sent.on('error', fail);
      sent.on('timeout', () =>
        sent.destroy(new CodedError('deadline', `no answer within ${this.#silenceMs / 1000} s`)),
      );
      writeBody(sent, request.body, fail);
    });
  }

  #fault({ method, url, abort }: HttpRequest, cause: unknown): unknown {
    if (abort?.aborted) return new CodedError('aborted', 'the request was cancelled', { cause: abort.reason });
    const code = cause instanceof CodedError ? cause.code : 'unavailable';
    const verb = method.slice(0, 1) + method.slice(1).toLowerCase();
    return new CodedError(code, `${verb} "${withoutQuery(url.href)}": ${dialled(sentenceOf(cause))}`);
  }

  [Symbol.dispose](): void {
    for (const agent of [this.#plain, this.#checked, this.#unchecked]) agent.destroy();
  }
}

const DIAL_WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  EHOSTUNREACH: 'no route to host',
  ENETUNREACH: 'network is unreachable',
  ETIMEDOUT: 'connection timed out',
};

/** A connection that was not made, in the words of Docker's engine: scripts look for them. */
function dialled(sentence: string): string {
  const [, errno = '', address = ''] = /^connect (\w+) (\S+)/.exec(sentence) ?? [];
  const [, host] = /^getaddrinfo ENOTFOUND (\S+)/.exec(sentence) ?? [];
  if (host !== undefined) return `dial tcp: lookup ${host}: no such host`;
  const [, unsure] = /^getaddrinfo EAI_AGAIN (\S+)/.exec(sentence) ?? [];
  if (unsure !== undefined) return `dial tcp: lookup ${unsure}: temporary failure in name resolution`;
  return DIAL_WORDS[errno] === undefined ? sentence : `dial tcp ${address}: connect: ${DIAL_WORDS[errno]}`;
}

function writeBody(sent: ClientRequest, body: HttpRequest['body'], fail: (cause: unknown) => void): void {
  if (typeof body !== 'function') {
    sent.end(body);
    return;
  }
  const stream = body();
  stream.on('error', (error) => {
    fail(error);
    sent.destroy();
  });
  sent.on('close', () => stream.destroy());
  stream.pipe(sent);
}

/** The whole body, which is refused when it is longer. */
export async function readBody(response: IncomingMessage, bytesMax: number, what: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of response) {
      length += (chunk as Buffer).length;
      if (length > bytesMax) throw new CodedError('invalid', `${what} is longer than ${bytesMax} bytes`);
      chunks.push(chunk as Buffer);
    }
  } catch (cause) {
    if (cause instanceof CodedError) throw cause;
    throw new CodedError('unavailable', `${what} broke off: ${sentenceOf(cause)}`);
  }
  return Buffer.concat(chunks);
}
