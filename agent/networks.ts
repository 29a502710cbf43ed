// The cluster's networks on this node: what the managers say of each is kept here, and handed to the executor whole
// whenever something of it changed. A network that the node is not on any more is given up once its containers are gone.
// Invariant: what was applied is never older than what was settled.
import type { Clock } from '../base/clock.ts';
import { codeOf, sentenceOf } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import {
  type EndpointEntry,
  type NetworkEntry,
  type NetworkServiceEntry,
  parseEndpoint,
  parseNetwork,
  parseNetworkService,
} from '../proto/assignment.ts';
import type { Task } from '../proto/objects.ts';
import type { Executor } from './executor.ts';
import { preferReached } from './paths.ts';

export interface NetworksDeps {
  readonly executor: Pick<Executor, 'applyNetwork' | 'dropNetwork' | 'heldNetworks'>;
  readonly nodeId: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Resolves when every other ready node has applied the index, or `withinMs` has passed. */
  readonly awaitOthers: (index: number, withinMs: number) => Promise<boolean>;
  /** Nodes that this one does not reach at the moment. */
  readonly isSuspected: (nodeAddress: string) => boolean;
}

export type NetworkKind = 'network' | 'service' | 'endpoint';
export const isNetworkKind = (kind: string): kind is NetworkKind =>
  kind === 'network' || kind === 'service' || kind === 'endpoint';

/** One item of an assignment; without a body it is gone. */
export interface NetworkChange {
  readonly kind: NetworkKind;
  readonly id: string;
  readonly body: Uint8Array | undefined;
}

interface Known {
  network: NetworkEntry | undefined;
  readonly services: Map<string, NetworkServiceEntry>;
  readonly endpoints: Map<string, EndpointEntry>;
}

const RETRY_MS = 500;
const APPLY_WITHIN_MS = 2_000;
const OTHERS_WITHIN_MS = 1_000;

export class Networks {
  readonly #deps: NetworksDeps;
  readonly #known = new Map<string, Known>();
  readonly #dirty = new Set<string>();
  #index = 0;
  #applying = false;
  #waiters: (() => void)[] = [];

  constructor(deps: NetworksDeps) {
    this.#deps = deps;
  }

  /** `full`: there is nothing else. */
  assign(index: number, full: boolean, changes: Iterable<NetworkChange>): void {
    if (full) {
      for (const id of [...this.#known.keys(), ...this.#deps.executor.heldNetworks()]) this.#dirty.add(id);
      this.#known.clear();
    }
    this.#index = Math.max(this.#index, index);
    for (const change of changes) this.#take(change);
    if (this.#dirty.size > 0 && !this.#applying) void this.#applyAll();
  }

  /** Resolves when everything assigned so far is in force; or after a while all the same. */
  async settled(): Promise<void> {
    if (!this.#applying) return;
    await new Promise<void>((resolve) => {
      const timer = this.#deps.clock.after(APPLY_WITHIN_MS, () => {
        this.#deps.log.warn('networks are late', { networks: [...this.#dirty], withinMs: APPLY_WITHIN_MS });
        resolve();
      });
      this.#waiters.push(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  /** No new connection comes by a service's name or virtual address any more. */
  async leave({ id, attachments, version }: Task, why: 'stop' | 'ended'): Promise<void> {
    if (why !== 'stop' || (attachments?.length ?? 0) === 0) return;
    const [, settled] = await Promise.all([this.settled(), this.#deps.awaitOthers(version, OTHERS_WITHIN_MS)]);
    if (!settled) this.#deps.log.warn('other nodes may still send connections to a task', { taskId: id });
  }

  /** Nodes that have something on a network of this one: their addresses, with the ports of their data paths. */
  *nodes(): Iterable<readonly [address: string, port: number]> {
    for (const { endpoints } of this.#known.values()) {
      for (const { nodeId, nodeAddress, nodePort } of endpoints.values()) {
        if (nodeId !== this.#deps.nodeId) yield [nodeAddress, nodePort];
      }
    }
  }

  /** Nodes came under suspicion, or out of it. */
  review(addresses: ReadonlySet<string>): void {
    const concerned = [...this.#known].flatMap(([id, { endpoints }]) =>
      [...endpoints.values()].some(({ nodeAddress }) => addresses.has(nodeAddress)) ? [id] : [],
    );
    if (concerned.length > 0) this.#again(new Set(concerned));
  }

  #take({ kind, id, body }: NetworkChange): void {
    const networkId = id.split('/')[0] ?? id;
    this.#dirty.add(networkId);
    if (kind === 'network' && !body) {
      this.#known.delete(networkId);
      return;
    }
    const known = this.#known.get(networkId) ?? { network: undefined, services: new Map(), endpoints: new Map() };
    this.#known.set(networkId, known);
    if (kind === 'network' && body) known.network = parseNetwork(body);
    else if (kind === 'service') put(known.services, id, body && parseNetworkService(body));
    else put(known.endpoints, id, body && parseEndpoint(body));
  }

  async #applyAll(): Promise<void> {
    const { clock, log } = this.#deps;
    this.#applying = true;
    const later = new Set<string>();
    while (this.#dirty.size > 0) {
      for (const id of [...this.#dirty]) {
        this.#dirty.delete(id);
        try {
          await this.#apply(id);
        } catch (error) {
          later.add(id);
          // Its last container may still be stopping.
          if (codeOf(error) !== 'conflict')
            log.error('a network could not be applied', { id, error: sentenceOf(error) });
        }
      }
    }
    this.#applying = false;
    for (const resolve of this.#waiters.splice(0)) resolve();
    if (later.size > 0) clock.after(RETRY_MS, () => this.#again(later));
  }

  #again(ids: ReadonlySet<string>): void {
    for (const id of ids) this.#dirty.add(id);
    if (!this.#applying) void this.#applyAll();
  }

  async #apply(id: string): Promise<void> {
    const { executor, nodeId, isSuspected } = this.#deps;
    const known = this.#known.get(id);
    if (!known?.network) {
      if (executor.heldNetworks().includes(id)) await executor.dropNetwork(id);
      return;
    }
    const { network, services, endpoints } = known;
    await executor.applyNetwork(this.#index, {
      nodeId,
      network,
      services: [...services.values()],
      endpoints: preferReached(
        [...endpoints.values()],
        (each) => each.nodeId !== nodeId && isSuspected(each.nodeAddress),
      ),
    });
  }
}

function put<T>(map: Map<string, T>, id: string, value: T | undefined): void {
  if (value === undefined) map.delete(id);
  else map.set(id, value);
}
