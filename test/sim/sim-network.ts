// The simulated network: between two members there is a link each way, which drops, doubles, delays and reorders messages,
// can be cut, made slow, and reset, which loses what was under way on it.
import type { Random } from '../../base/random.ts';
import type { Message } from '../../manager/raft/core/types.ts';
import type { Events } from './events.ts';
import type { Weather } from './weather.ts';

interface Link {
  /** The cuts that lie on it; each ends by itself, and not one that came after a healing. */
  readonly cuts: Set<object>;
  resets: number;
  bytesPerMs: number;
  freeAtMs: number;
}

export interface NetworkDeps {
  readonly events: Events;
  readonly random: Random;
  readonly weather: () => Weather;
  readonly count: (what: string) => void;
}

/** So much a message costs on a slow link, beside its entries. */
const ENVELOPE_BYTES = 80;

export class SimNetwork {
  readonly #deps: NetworkDeps;
  readonly #links = new Map<string, Link>();

  constructor(deps: NetworkDeps) {
    this.#deps = deps;
  }

  transmit(from: string, to: string, bytes: number, deliver: () => void): void {
    const { events, random, weather, count } = this.#deps;
    const { dropRate, doubleRate } = weather();
    if (random.fraction() < dropRate) return count('message lost');
    const isDoubled = random.fraction() < doubleRate;
    if (isDoubled) count('message doubled');
    const link = this.#link(from, to);
    const { resets } = link;
    for (let copy = 0; copy < (isDoubled ? 2 : 1); copy += 1) {
      events.after(this.#queueMs(link, bytes) + this.#delayMs(), () => {
        if (link.cuts.size > 0) return count('message cut off');
        if (link.resets !== resets) return count('message lost by a reset');
        deliver();
      });
    }
  }

  cut(from: string, to: string, forMs: number): void {
    const { cuts } = this.#link(from, to);
    const one = {};
    cuts.add(one);
    this.#deps.events.after(forMs, () => cuts.delete(one));
  }

  slow(from: string, to: string, bytesPerMs: number, forMs: number): void {
    const link = this.#link(from, to);
    link.bytesPerMs = bytesPerMs;
    this.#deps.events.after(forMs, () => {
      link.bytesPerMs = Number.POSITIVE_INFINITY;
      link.freeAtMs = 0;
    });
  }

  /** Until the world is healed. */
  cutForLong(from: string, to: string): void {
    this.#link(from, to).cuts.add({});
  }

  reset(from: string, to: string): void {
    this.#link(from, to).resets += 1;
  }

  heal(): void {
    for (const link of this.#links.values()) {
      link.cuts.clear();
      link.bytesPerMs = Number.POSITIVE_INFINITY;
      link.freeAtMs = 0;
    }
  }

  #link(from: string, to: string): Link {
    const name = `${from}>${to}`;
    const known = this.#links.get(name);
    if (known) return known;
    const link: Link = { cuts: new Set(), resets: 0, bytesPerMs: Number.POSITIVE_INFINITY, freeAtMs: 0 };
    this.#links.set(name, link);
    return link;
  }

  #queueMs(link: Link, bytes: number): number {
    if (link.bytesPerMs === Number.POSITIVE_INFINITY) return 0;
    const { nowMs } = this.#deps.events;
    link.freeAtMs = Math.max(nowMs, link.freeAtMs) + bytes / link.bytesPerMs;
    return link.freeAtMs - nowMs;
  }

  /** Mostly a few milliseconds; now and then something from a heavy tail. */
  #delayMs(): number {
    const { random, weather, count } = this.#deps;
    const { slowRate, slowMsMax } = weather();
    if (random.fraction() >= slowRate) return 0.1 + random.fraction() * 3;
    count('message delayed');
    return slowMsMax * random.fraction() ** 3 + 3;
  }
}

export function sizeOf(message: Message): number {
  if (message.type !== 'append') return ENVELOPE_BYTES;
  return message.entries.reduce((sum, { bytes }) => sum + bytes.length + 16, ENVELOPE_BYTES);
}
