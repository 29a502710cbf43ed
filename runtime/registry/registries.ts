// The registry client of one machine: which registry a name means, one attempt at each of its endpoints, and Docker's words
// around it. Bounds on what goes on at once hold for the whole daemon.
import type { Clock } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import { Limiter } from '../../base/limiter.ts';
import type { Random } from '../../base/random.ts';
import type { ImageDoor } from '../image/door.ts';
import { familiar, familiarName, parseReference, type Reference, repository, tagKey } from '../image/reference.ts';
import type { Descriptor, Registries, RegistryAuth, RegistryRequest, RegistrySettings } from './contract.ts';
import { domainOfServer, type Endpoint, endpointsOf } from './endpoints.ts';
import { pullFault } from './faults.ts';
import { platformOf } from './manifest.ts';
import { parsePlatform, type Platform } from '../../base/platform.ts';
import { pullImage } from './pull.ts';
import { pushImage } from './push.ts';
import { Repository } from './repository.ts';
import { Session } from './session.ts';
import { Transport } from './transport.ts';
import { parseJson } from '../../base/parse.ts';

export interface RegistriesOptions {
  readonly door: ImageDoor;
  readonly settings: RegistrySettings;
  readonly platform: Platform; // of this machine
  readonly clock: Clock;
  readonly random: Random;
  readonly silenceMs?: number;
}

const NEVER = new AbortController().signal;

export class RegistryClient implements Registries, Disposable {
  readonly settings: RegistrySettings;
  readonly #options: RegistriesOptions;
  readonly #transport: Transport;
  readonly #downloads: Limiter;
  readonly #uploads: Limiter;

  constructor(options: RegistriesOptions) {
    this.settings = options.settings;
    this.#options = options;
    this.#transport = new Transport(options.silenceMs === undefined ? {} : { silenceMs: options.silenceMs });
    this.#downloads = new Limiter(options.settings.downloadsMax);
    this.#uploads = new Limiter(options.settings.uploadsMax);
  }

  async pull(text: string, options: Parameters<Registries['pull']>[1]): Promise<string> {
    const reference = parseReference(text);
    const { platform: own } = this.#options;
    const asked = options.platform ?? '';
    const platform = asked === '' ? own : parsePlatform(asked, own);
    const pull = { platform, platformAsked: asked !== '', report: options.report, abort: options.abort ?? NEVER };
    const deps = { ...this.#options, downloads: this.#downloads, attemptsMax: this.settings.attemptsMax };
    return await this.#withRepository(reference, 'pull', options, async (from) => {
      if (options.allTags !== true) return await pullImage(from, { ...pull, reference }, deps);
      let id = '';
      const tags = await from.tags();
      if (tags.length === 0) fail('not-found', `repository ${familiarName(reference)} has no tags`);
      for (const tag of tags) id = await pullImage(from, { ...pull, reference: { ...reference, tag } }, deps);
      return id;
    });
  }

  async push(text: string, options: Parameters<Registries['push']>[1]): Promise<void> {
    const reference = parseReference(text);
    const { report, abort = NEVER } = options;
    if (reference.digest !== undefined) fail('invalid', 'cannot push a digest reference');
    report({ status: `The push refers to repository [${repository(reference)}]` });
    const { door } = this.#options;
    const keys = options.allTags === true ? door.tagsOf(repository(reference)) : [tagKey(reference)];
    const images = keys.map((key) => ({ key, id: door.tagged(key) ?? noSuchTag(reference) }));
    if (images.length === 0) noSuchTag(reference);
    const deps = { ...this.#options, uploads: this.#uploads, attemptsMax: this.settings.attemptsMax };
    await this.#withRepository(reference, 'pull,push', options, async (to) => {
      for (const { key, id } of images)
        await pushImage(to, { reference: parseReference(key), id, report, abort }, deps);
    });
  }

  async resolve(
    text: string,
    options: RegistryRequest,
  ): Promise<{ descriptor: Descriptor; platforms: readonly Platform[] }> {
    const reference = parseReference(text);
    return await this.#withRepository(reference, 'pull', options, async (from) => {
      const { parsed, descriptor } = await from.manifest(reference.digest ?? reference.tag ?? 'latest');
      if (parsed.kind === 'index') {
        return { descriptor, platforms: parsed.manifests.flatMap(({ platform }) => (platform ? [platform] : [])) };
      }
      const config = parseJson((await from.blob(parsed.config)).toString('utf8'), 'image config');
      return { descriptor, platforms: [platformOf(config, 'image config')] };
    });
  }

  async login(auth: RegistryAuth, abort?: AbortSignal): Promise<{ identityToken: string }> {
    const endpoints = await endpointsOf(domainOfServer(auth.serverAddress), this.settings);
    const endpoint = endpoints.find(({ isMirror }) => !isMirror) ?? fail('internal', 'a registry without an endpoint');
    const session = await this.#session(endpoint, { auth, abort }, []);
    return { identityToken: session.refreshToken };
  }

  [Symbol.dispose](): void {
    this.#transport[Symbol.dispose]();
  }

  /** Each endpoint in turn; the last one's failure is the one that is told. Mirrors are never shown credentials. */
  async #withRepository<T>(
    reference: Reference,
    actions: string,
    request: RegistryRequest,
    work: (repository: Repository) => Promise<T>,
  ): Promise<T> {
    const endpoints = await endpointsOf(reference.domain, this.settings);
    const usable = actions === 'pull' ? endpoints : endpoints.filter(({ isMirror }) => !isMirror);
    const scope = `repository:${reference.path}:${actions}`;
    for (const endpoint of usable.slice(0, -1)) {
      try {
        const session = await this.#session(endpoint, { ...request, auth: undefined }, [scope]);
        return await work(new Repository(session, reference.path));
      } catch {
        request.abort?.throwIfAborted(); // a mirror may fail for any reason: the registry itself is asked next
      }
    }
    const last = usable.at(-1) ?? fail('internal', 'a registry without an endpoint');
    try {
      const session = await this.#session(last, request, [scope]);
      return await work(new Repository(session, reference.path));
    } catch (error) {
      throw pullFault(error, { name: familiarName(reference), full: familiar(reference) });
    }
  }

  #session(endpoint: Endpoint, { auth, abort }: RegistryRequest, scopes: readonly string[]): Promise<Session> {
    const { clock, random } = this.#options;
    const { attemptsMax } = this.settings;
    return Session.open({ transport: this.#transport, clock, random, attemptsMax, endpoint, auth, scopes, abort });
  }
}

function noSuchTag(reference: Reference): never {
  return fail('not-found', `An image does not exist locally with the tag: ${familiarName(reference)}`);
}
