// In which life this node's kernel carries each encrypted network, and what was made in it: on disk, as the kernel outlives
// the daemon. A state that is made a second time would count from the beginning: it would seal two packets alike, and take
// what was recorded. So what is to be made is noted first, and what was noted is made only once in a life.
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { errnoOf, sentenceOf } from '../../base/errors.ts';
import { writeFileAtomic } from '../../base/files.ts';
import type { Log } from '../../base/log.ts';
import { asArray, asMap, asObject, asString, parseJson } from '../../base/parse.ts';

export interface KernelLivesParts {
  readonly path: string;
  /** Of the running kernel: another one has nothing of what was made. */
  readonly bootId: () => Promise<string>;
  readonly log: Log;
}

interface Life {
  readonly life: string;
  readonly made: ReadonlySet<string>;
}

/** Of one life; then the next one begins. A turn of the ring makes two for each other node. */
export const MADE_MAX = 16_384;
const FORMAT = 1;

export class KernelLives {
  readonly #parts: KernelLivesParts;
  #lives: Map<string, Life> | undefined; // by network
  #boot = '';

  constructor(parts: KernelLivesParts) {
    this.#parts = parts;
  }

  /** Networks that an earlier daemon had, too. */
  async ids(): Promise<readonly string[]> {
    return [...(await this.#all()).keys()];
  }

  async of(networkId: string): Promise<Life | undefined> {
    return (await this.#all()).get(networkId);
  }

  /** A life in which nothing was made yet. */
  async begin(networkId: string, life = randomBytes(16).toString('hex')): Promise<string> {
    await this.#put(networkId, { life, made: new Set() });
    return life;
  }

  /** Durable when it resolves. False: this life has no room for them. */
  async note(networkId: string, states: readonly string[]): Promise<boolean> {
    const known = await this.of(networkId);
    if (!known || known.made.size + states.length > MADE_MAX) return false;
    if (states.length > 0) await this.#put(networkId, { ...known, made: new Set([...known.made, ...states]) });
    return true;
  }

  async end(networkId: string): Promise<void> {
    if (await this.of(networkId)) await this.#put(networkId, undefined);
  }

  async #all(): Promise<Map<string, Life>> {
    this.#lives ??= await this.#load();
    return this.#lives;
  }

  async #put(networkId: string, life: Life | undefined): Promise<void> {
    const lives = new Map(await this.#all());
    if (life) lives.set(networkId, life);
    else lives.delete(networkId);
    const networks = Object.fromEntries(
      [...lives].map(([id, each]) => [id, { life: each.life, made: [...each.made] }] as const),
    );
    await writeFileAtomic(this.#parts.path, JSON.stringify({ format: FORMAT, boot: this.#boot, networks }));
    this.#lives = lives;
  }

  /** What can not be read is as good as of another boot: all begin anew. */
  async #load(): Promise<Map<string, Life>> {
    const { path, bootId, log } = this.#parts;
    this.#boot = await bootId();
    try {
      return parseLives(await readFile(path, 'utf8'), this.#boot);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') {
        log.warn('what the kernel encrypts begins anew', { path, reason: sentenceOf(error) });
      }
      return new Map();
    }
  }
}

function parseLives(text: string, boot: string): Map<string, Life> {
  const json = asObject(parseJson(text, 'lives'), 'lives');
  if (json['format'] !== FORMAT || json['boot'] !== boot) return new Map();
  const networks = asMap(json['networks'], 'networks', (value, path) => {
    const life = asObject(value, path);
    return {
      life: asString(life['life'], `${path}.life`),
      made: new Set(asArray(life['made'], `${path}.made`, asString)),
    };
  });
  return new Map(Object.entries(networks));
}
