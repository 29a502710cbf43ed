// Do the nodes that connections are passed on to hear us over the link to them? Where a firewall between two nodes drops
// the link's packets, connections that keep their client's address would hang: they are then passed on as this node's.
// Each node is asked over the link itself, and its kernel answers over it.
import type { Clock } from '../../base/clock.ts';
import { sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { formatAddress, type Ip, isSix } from './addresses.ts';
import type { Netd } from './netd.ts';
import { askedMark } from './ruleset-ways.ts';
import { nodeOfSix } from './way-addresses.ts';

export interface WayProbesParts {
  readonly netd: () => Netd;
  readonly clock: Clock;
  readonly log: Log;
  readonly mark: number;
  readonly periodMs: number;
  /** A node began to answer, or to be silent. */
  readonly onChange: () => void;
}

/** A node that is new is waited for so long; it answers within a round trip. */
const FIRST_ANSWER_MS = 250;
const MISSED_MAX = 3;
const ASKED_AT_ONCE = 1_000;

const formatNode = (address: Ip): string => formatAddress(isSix(address) ? nodeOfSix(address) : address);

export class WayProbes {
  readonly #parts: WayProbesParts;
  /** By IPv4 and IPv6 addresses: questions since the last answer; `MISSED_MAX`: silent, as is one that has never answered. */
  readonly #missed = new Map<Ip, number>();
  #inUse: ReadonlySet<Ip> = new Set();
  readonly #awaited = new Map<Ip, () => void>();

  constructor(parts: WayProbesParts) {
    this.#parts = parts;
  }

  /** Nodes that connections were passed on to by an earlier daemon. */
  adopt(addresses: readonly Ip[]): void {
    for (const address of addresses) this.#missed.set(address, 0);
  }

  answers(address: Ip): boolean {
    return (this.#missed.get(address) ?? MISSED_MAX) < MISSED_MAX;
  }

  /** Of those in use. */
  silent(): Ip[] {
    return [...this.#inUse].filter((address) => !this.answers(address));
  }

  /** These are asked from now on, and no others. Resolves when the new ones have answered, or had their time. */
  async use(addresses: readonly Ip[]): Promise<void> {
    this.#inUse = new Set(addresses);
    const fresh = addresses.filter((address) => !this.#missed.has(address));
    if (fresh.length === 0) return;
    for (const address of fresh) this.#missed.set(address, MISSED_MAX);
    using deadline = this.#parts.clock.deadline(undefined, FIRST_ANSWER_MS);
    const late = new Promise<void>((resolve) => {
      deadline.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    const heard = Promise.all(
      fresh.map((address) => new Promise<void>((resolve) => this.#awaited.set(address, resolve))),
    );
    await this.#ask(fresh);
    await Promise.race([heard, late]);
    for (const address of fresh) {
      this.#awaited.delete(address);
      if (!this.answers(address)) this.#warn(address);
    }
  }

  heard(address: Ip): void {
    if (!this.#missed.has(address)) return;
    const wasSilent = !this.answers(address);
    this.#missed.set(address, 0);
    const awaited = this.#awaited.get(address);
    if (awaited) awaited();
    else if (wasSilent) {
      const what = isSix(address)
        ? 'connections by IPv6 are passed on to a node again'
        : 'connections passed on to a node keep their client’s address again';
      this.#parts.log.info(what, { node: formatNode(address) });
      this.#parts.onChange();
    }
  }

  async run(abort: AbortSignal): Promise<void> {
    for (;;) {
      await this.#parts.clock.sleep(this.#parts.periodMs, { abort });
      try {
        await this.#round();
      } catch (error) {
        if (abort.aborted) return;
        this.#parts.log.debug('other nodes were not asked whether they hear this one', { reason: sentenceOf(error) });
      }
    }
  }

  async #round(): Promise<void> {
    if (this.#inUse.size === 0) return;
    const fell = [...this.#inUse].filter((address) => {
      const missed = this.#missed.get(address) ?? MISSED_MAX;
      this.#missed.set(address, Math.min(missed + 1, MISSED_MAX));
      return missed === MISSED_MAX - 1;
    });
    for (const address of fell) this.#warn(address);
    if (fell.length > 0) this.#parts.onChange();
    await this.#ask([...this.#inUse]);
  }

  #warn(address: Ip): void {
    const what = isSix(address)
      ? 'a node does not answer over the link to it by IPv6: no connections by IPv6 are passed on to it'
      : 'a node does not answer over the link to it: its tasks see this node as their client';
    this.#parts.log.warn(what, { node: formatNode(address) });
  }

  async #ask(addresses: readonly Ip[]): Promise<void> {
    const mark = askedMark(this.#parts.mark);
    for (let at = 0; at < addresses.length; at += ASKED_AT_ONCE) {
      const some = addresses.slice(at, at + ASKED_AT_ONCE);
      await this.#parts.netd().do('asking other nodes', [{ do: 'probe', mark, addresses: some }]);
    }
  }
}
