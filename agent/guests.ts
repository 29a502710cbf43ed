// Containers that no service owns, on networks of the cluster. What there is is told to the managers whole, whenever it
// changed and at the start of every session; they answer with the place of each.
// Invariant: one list is under way at a time, so that an earlier one never comes after a later one.
import type { Clock } from '../base/clock.ts';
import { CodedError, type ErrorCode, sentenceOf } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { GuestPlace, GuestRequest } from '../proto/control.ts';

export interface GuestsDeps {
  readonly clock: Clock;
  readonly log: Log;
}

/** How places are asked for and given up. */
export interface GuestPlaces {
  /** Resolves with the place on the network; rejects with the managers' reason, or when none of them speaks in time. */
  place(request: GuestRequest): Promise<GuestPlace>;
  release(containerId: string, networkId: string): void;
  /**
   * Rejects with the managers' reason when there is no such network, or only services may be on it; sooner than `place`
   * when none of them speaks.
   */
  check(network: string): Promise<void>;
}

type Send = (guests: readonly GuestRequest[]) => Promise<readonly GuestPlace[]>;

interface Wanted {
  readonly request: GuestRequest;
  place: GuestPlace | undefined;
  readonly waiters: Set<(place: GuestPlace) => void>;
}

const PLACE_WITHIN_MS = 10_000;
const CHECK_WITHIN_MS = 5_000;
const RETRY_MS = 300;

export class Guests implements GuestPlaces {
  readonly #deps: GuestsDeps;
  readonly #wanted = new Map<string, Wanted>();
  #send: Send | undefined;
  #dirty = false;
  #sending = false;

  constructor(deps: GuestsDeps) {
    this.#deps = deps;
  }

  /** Containers of an earlier life, with the addresses that they have; `network` is an id. */
  restore(requests: readonly GuestRequest[]): void {
    for (const request of requests) {
      const { containerId, network, address } = request;
      const place = { containerId, network, networkId: network, address };
      this.#wanted.set(keyOf(request), { request, place, waiters: new Set() });
    }
  }

  /** A manager listens. */
  connect(send: Send): Disposable {
    this.#send = send;
    this.#changed();
    return {
      [Symbol.dispose]: () => {
        if (this.#send === send) this.#send = undefined;
      },
    };
  }

  place(request: GuestRequest): Promise<GuestPlace> {
    return this.#place(request, PLACE_WITHIN_MS);
  }

  #place(request: GuestRequest, withinMs: number): Promise<GuestPlace> {
    const key = keyOf(request);
    const wanted: Wanted = this.#wanted.get(key) ?? { request, place: undefined, waiters: new Set() };
    if (wanted.place) return Promise.resolve(wanted.place);
    this.#wanted.set(key, wanted);
    return new Promise((resolve, reject) => {
      const waiter = (place: GuestPlace): void => {
        late.cancel();
        const { refusal } = place;
        if (refusal) reject(new CodedError(refusal.code as ErrorCode, refusal.reason));
        else resolve(place);
      };
      const late = this.#deps.clock.after(withinMs, () => {
        wanted.waiters.delete(waiter);
        this.#drop(key);
        const { network } = request;
        const reason = `no manager gave a place on network ${network} within ${withinMs / 1000} s`;
        reject(new CodedError('unavailable', `${reason}: networks of the swarm can be joined while managers answer`));
      });
      wanted.waiters.add(waiter);
      this.#changed();
    });
  }

  async check(network: string): Promise<void> {
    const request = { containerId: '', network, name: '', aliases: [], address: '', probe: true };
    try {
      await this.#place(request, CHECK_WITHIN_MS);
    } finally {
      this.#wanted.delete(keyOf(request));
    }
  }

  release(containerId: string, networkId: string): void {
    for (const [key, { request, place }] of this.#wanted) {
      if (request.containerId === containerId && place?.networkId === networkId) this.#drop(key);
    }
  }

  #drop(key: string): void {
    if (this.#wanted.delete(key)) this.#changed();
  }

  #changed(): void {
    this.#dirty = true;
    if (this.#send && !this.#sending) void this.#sendAll();
  }

  async #sendAll(): Promise<void> {
    this.#sending = true;
    while (this.#dirty && this.#send) {
      this.#dirty = false;
      try {
        this.#take(await this.#send([...this.#wanted.values()].map(({ request }) => request)));
      } catch (error) {
        this.#deps.log.warn('the managers were not told of containers on networks of the swarm', {
          reason: sentenceOf(error),
        });
        this.#again();
        break;
      }
    }
    this.#sending = false;
  }

  #take(places: readonly GuestPlace[]): void {
    for (const place of places) {
      const key = keyOf(place);
      const wanted = this.#wanted.get(key);
      if (!wanted) continue;
      if (place.refusal && PASSING.has(place.refusal.code)) {
        this.#again();
        continue;
      }
      if (place.refusal && wanted.place) {
        const { reason } = place.refusal;
        this.#deps.log.error('a container lost its place on a network of the swarm', { ...place, reason });
        continue;
      }
      if (place.refusal) {
        this.#wanted.delete(key);
        this.#dirty = true;
      } else wanted.place = place;
      for (const waiter of wanted.waiters) waiter(place);
      wanted.waiters.clear();
    }
  }

  #again(): void {
    this.#deps.clock.after(RETRY_MS, () => this.#changed());
  }
}

/** What may be otherwise in a moment. */
const PASSING: ReadonlySet<string> = new Set(['unavailable', 'deadline', 'aborted', 'unknown-outcome']);

const keyOf = ({ containerId, network }: { containerId: string; network: string }): string =>
  `${containerId}/${network}`;
