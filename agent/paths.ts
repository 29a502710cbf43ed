// Which of the nodes that this one sends connections to does it reach? Each is asked now and then; one that stays silent is
// suspected: its tasks get no new connections from here while a service has others. The managers may well reach it: they
// decide who is down, this only spares the time until then, and what they can not see.
// Invariant: only who has answered can be suspected, and nothing but the choice among tasks follows from it.
import type { Clock, Timer } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import type { EndpointEntry } from '../proto/assignment.ts';
import type { NodePath } from '../proto/node-path.ts';
import type { AskNode } from './ask-node.ts';

export interface PathsDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly ask: AskNode;
  /** Nodes that this one has to do with: by address, the port of their data path. */
  readonly peers: () => ReadonlyMap<string, number>;
  /** These came under suspicion, or out of it. */
  readonly onChange: (addresses: ReadonlySet<string>) => void;
  /** Somebody is reached again: perhaps it was our own cable. */
  readonly onReached: () => void;
}

/** Of the nodes in one state; with many of them each is asked the less often. */
const ASKED_PER_SECOND = 16;
const PERIOD_MS_MIN = 500;
const ANSWER_WITHIN_MS = 300;
const MISSED_MAX = 3;
const UNDER_WAY_MAX = 32;
const REFRESH_MS = 500;

interface Peer {
  port: number;
  state: NodePath['state'];
  missed: number;
  nextAtMs: number;
  underWay: boolean;
  roundTripMs: number | undefined;
}

export class Paths implements Disposable {
  readonly #deps: PathsDeps;
  readonly #peers = new Map<string, Peer>();
  readonly #suspected = new Set<string>();
  #underWay = 0;
  #turn: Timer | undefined;
  #refresh: Timer | undefined;
  #isOver = false;

  constructor(deps: PathsDeps) {
    this.#deps = deps;
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#turn?.cancel();
    this.#refresh?.cancel();
  }

  isSuspected(address: string): boolean {
    return this.#suspected.has(address);
  }

  list(): NodePath[] {
    return [...this.#peers].map(([address, { state, missed, roundTripMs }]) => {
      return { address, state, missed, ...(roundTripMs !== undefined && { roundTripMs }) };
    });
  }

  /** The peers may be others than before: they are looked at soon, however often this is said. */
  peersChanged(): void {
    if (this.#isOver) return;
    this.#refresh ??= this.#deps.clock.after(REFRESH_MS, () => {
      this.#refresh = undefined;
      this.#takePeers();
      this.#arm();
    });
  }

  #takePeers(): void {
    const { clock, random, peers } = this.#deps;
    const wanted = peers();
    for (const address of this.#peers.keys()) {
      if (wanted.has(address)) continue;
      this.#peers.delete(address);
      this.#suspected.delete(address);
    }
    for (const [address, port] of wanted) {
      const known = this.#peers.get(address);
      if (known) known.port = port;
      else {
        const nextAtMs = clock.monotonicMs() + random.fraction() * PERIOD_MS_MIN;
        const fresh = { port, state: 'silent', missed: 0, nextAtMs, underWay: false, roundTripMs: undefined } as const;
        this.#peers.set(address, { ...fresh });
      }
    }
  }

  #arm(): void {
    this.#turn?.cancel();
    this.#turn = undefined;
    if (this.#isOver || this.#underWay >= UNDER_WAY_MAX) return; // the end of one of them arms it again
    let earliest = Number.POSITIVE_INFINITY;
    for (const { nextAtMs, underWay } of this.#peers.values()) if (!underWay) earliest = Math.min(earliest, nextAtMs);
    if (earliest === Number.POSITIVE_INFINITY) return;
    const { clock } = this.#deps;
    this.#turn = clock.after(Math.max(0, earliest - clock.monotonicMs()), () => this.#askDue());
  }

  #askDue(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    for (const [address, peer] of this.#peers) {
      if (this.#underWay >= UNDER_WAY_MAX) break;
      if (!peer.underWay && peer.nextAtMs <= nowMs) void this.#ask(address, peer);
    }
    this.#arm();
  }

  async #ask(address: string, peer: Peer): Promise<void> {
    const { clock, ask } = this.#deps;
    const startMs = clock.monotonicMs();
    peer.underWay = true;
    this.#underWay += 1;
    const answered = await ask(address, peer.port, ANSWER_WITHIN_MS);
    this.#underWay -= 1;
    peer.underWay = false;
    if (this.#isOver || this.#peers.get(address) !== peer) return;
    if (answered) this.#heard(address, peer, clock.monotonicMs() - startMs);
    else this.#missed(address, peer, startMs);
    this.#arm();
  }

  #heard(address: string, peer: Peer, roundTripMs: number): void {
    const wasSuspected = peer.state === 'suspected';
    Object.assign(peer, { state: 'reached', missed: 0, roundTripMs });
    peer.nextAtMs = this.#nextAtMs(peer);
    if (!wasSuspected) return;
    this.#suspected.delete(address);
    // All others are asked at once.
    const nowMs = this.#deps.clock.monotonicMs();
    for (const each of this.#peers.values()) if (each.state === 'suspected') each.nextAtMs = nowMs;
    this.#changed(address, 'a node is reached again');
    this.#deps.onReached();
  }

  #missed(address: string, peer: Peer, startMs: number): void {
    peer.missed += 1;
    // A doubt is settled soon; refused ways answer at once, and are not asked again at once.
    peer.nextAtMs = peer.missed < MISSED_MAX ? startMs + ANSWER_WITHIN_MS : this.#nextAtMs(peer);
    if (peer.state !== 'reached' || peer.missed < MISSED_MAX) return;
    peer.state = 'suspected';
    this.#suspected.add(address);
    this.#changed(address, 'a node is not reached: its tasks get no new connections from here while there are others');
  }

  #changed(address: string, words: string): void {
    this.#deps.log.info(words, { address });
    this.#deps.onChange(new Set([address]));
  }

  #nextAtMs({ state }: Peer): number {
    const { clock, random } = this.#deps;
    let alike = 0;
    for (const peer of this.#peers.values()) if ((peer.state === 'suspected') === (state === 'suspected')) alike += 1;
    const periodMs = Math.max(PERIOD_MS_MIN, (alike * 1_000) / ASKED_PER_SECOND);
    return clock.monotonicMs() + periodMs * (0.9 + 0.2 * random.fraction());
  }
}

/** Tasks on suspected nodes get new connections only where their service has no others. */
export function preferReached(
  endpoints: readonly EndpointEntry[],
  isSuspected: (endpoint: EndpointEntry) => boolean,
): readonly EndpointEntry[] {
  const suspected = new Set(endpoints.filter((endpoint) => endpoint.ready && isSuspected(endpoint)));
  if (suspected.size === 0) return endpoints;
  const served = new Set(endpoints.flatMap((each) => (each.ready && !suspected.has(each) ? [each.serviceId] : [])));
  return endpoints.map((each) =>
    suspected.has(each) && served.has(each.serviceId) ? { ...each, ready: false } : each,
  );
}
