// Who we are to one registry: learns from its 401 what it wants and gets it, a basic header or a token for the scopes at
// hand (source: the distribution project's token specification). Tokens live as long as this object: one pull or push.
import type { IncomingMessage } from 'node:http';
import { CodedError, fail } from '../../base/errors.ts';
import { asObject, asString, optional, parseJson } from '../../base/parse.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import type { RegistryAuth } from './contract.ts';
import { registryFault } from './faults.ts';
import { readBody, type Transport } from './transport.ts';

export interface AuthorizationOptions {
  readonly transport: Transport;
  readonly auth: RegistryAuth | undefined;
  readonly scopes: readonly string[]; // repository:library/busybox:pull
  /** Take any certificate, and an http realm, as for an insecure registry. */
  readonly unchecked: boolean;
}

const TOKEN_BYTES_MAX = 256 * 1024;
const CLIENT_ID = 'docker';

export class Authorization {
  readonly #options: AuthorizationOptions;
  #header: string | undefined;
  #refreshToken = '';
  #learning: Promise<void> | undefined;

  constructor(options: AuthorizationOptions) {
    this.#options = options;
    const { registryToken = '' } = options.auth ?? {};
    if (registryToken !== '') this.#header = `Bearer ${registryToken}`;
  }

  /** For the Authorization header; undefined while the registry has not asked. */
  get header(): string | undefined {
    return this.#header;
  }

  /** A token for later, if the registry gave one. */
  get refreshToken(): string {
    return this.#refreshToken;
  }

  /** After a 401 to a request that was sent with `used`: resolves when there is another header to try. */
  async learn(response: IncomingMessage, used: string | undefined, abort?: AbortSignal): Promise<void> {
    if (this.#header !== used) return; // another request has learnt it meanwhile
    this.#learning ??= this.#answer(response, abort).finally(() => {
      this.#learning = undefined;
    });
    await this.#learning;
  }

  async #answer(response: IncomingMessage, abort?: AbortSignal): Promise<void> {
    const challenges = parseChallenges(response.headers['www-authenticate'] ?? '');
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
    const basic = challenges.find(({ scheme }) => scheme === 'basic');
    const { username = '', password = '' } = this.#options.auth ?? {};
    if (bearer) this.#header = `Bearer ${await this.#token(bearer, abort)}`;
    else if (basic && username !== '') this.#header = `Basic ${base64(`${username}:${password}`)}`;
    else if (basic) fail('unauthenticated', 'no basic auth credentials');
    else fail('unauthenticated', 'unauthorized: authentication required');
  }

  async #token({ parameters }: Challenge, abort?: AbortSignal): Promise<string> {
    const realm = this.#realm(parameters['realm'] ?? '');
    const service = parameters['service'] ?? '';
    const asked = parameters['scope'] ?? '';
    const scopes = [...new Set([...this.#options.scopes, ...(asked === '' ? [] : [asked])])];
    const answer = await this.#ask(realm, service, scopes, abort);
    const json = asObject(parseJson(answer.toString('utf8'), "the token server's answer"), "the token server's answer");
    const token =
      optional(json['token'], 'token', asString) ?? optional(json['access_token'], 'access_token', asString) ?? '';
    this.#refreshToken = optional(json['refresh_token'], 'refresh_token', asString) ?? '';
    return token === ''
      ? fail('unauthenticated', 'authorization server did not include a token in the response')
      : token;
  }

  #realm(text: string): URL {
    const url = URL.canParse(text)
      ? new URL(text)
      : fail('unavailable', `the registry names no token server: '${text}'`);
    const isFit = url.protocol === 'https:' || (url.protocol === 'http:' && this.#options.unchecked);
    return isFit ? url : fail('unavailable', `the registry's token server ${url.origin} is not reached by https`);
  }

  async #ask(realm: URL, service: string, scopes: readonly string[], abort?: AbortSignal): Promise<Buffer> {
    const { identityToken = '' } = this.#options.auth ?? {};
    const request =
      identityToken === '' ? this.#get(realm, service, scopes) : this.#post(realm, service, scopes, identityToken);
    const { transport, unchecked } = this.#options;
    const response = await transport.send({ ...request, unchecked, abort });
    const body = await readBody(response, TOKEN_BYTES_MAX, "the token server's answer");
    const { statusCode: status = 0, headers } = response;
    if (status === 200) return body;
    const fault = registryFault(
      { status, body, retryAfter: headers['retry-after'] },
      { method: request.method, url: realm.origin },
    );
    if (status === 401 || status === 403)
      throw new CodedError('unauthenticated', fault.message, { cause: fault.cause });
    throw fault;
  }

  #get(realm: URL, service: string, scopes: readonly string[]) {
    const url = new URL(realm);
    const { username = '', password = '' } = this.#options.auth ?? {};
    if (service !== '') url.searchParams.set('service', service);
    for (const scope of scopes) url.searchParams.append('scope', scope);
    if (username === '') return { method: 'GET', url, headers: {} };
    url.searchParams.set('account', username);
    url.searchParams.set('client_id', CLIENT_ID);
    if (scopes.length === 0) url.searchParams.set('offline_token', 'true');
    return { method: 'GET', url, headers: { authorization: `Basic ${base64(`${username}:${password}`)}` } };
  }

  #post(realm: URL, service: string, scopes: readonly string[], identityToken: string) {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: identityToken,
      service,
      client_id: CLIENT_ID,
    });
    if (scopes.length > 0) form.set('scope', scopes.join(' '));
    const body = Buffer.from(form.toString());
    const headers = {
      'Content-Type': 'application/x-www-form-urlencoded',
      'Content-Length': String(body.length),
    };
    return { method: 'POST', url: realm, headers, body };
  }
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');
