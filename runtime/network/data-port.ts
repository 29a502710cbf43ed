// The port of networks between nodes, and whose packets it takes (ruleset-data-port.ts). Until the managers have said who
// the nodes are, it takes everybody's; what was said outlives the daemon in the kernel.
import { isIPv4 } from 'node:net';
import { parseAddress } from './addresses.ts';
import type { Firewall } from './firewall.ts';
import { type Netd, StepError } from './netd.ts';
import { NETLINK_NETFILTER } from './netd-protocol.ts';
import { listElements } from './nft-read.ts';
import { PEERS } from './ruleset-data-port.ts';

export interface DataPortParts {
  readonly netd: () => Netd;
  readonly firewall: Firewall;
  readonly table: string;
}

export class DataPortGuard {
  readonly #parts: DataPortParts;
  #port: number | undefined;
  #peers: ReadonlySet<number> | undefined;

  constructor(parts: DataPortParts) {
    this.#parts = parts;
  }

  /** What an earlier daemon guarded; the kernel gets it again with the first rules. */
  async adopt(port: number): Promise<void> {
    this.#port = port;
    this.#peers = await this.#readPeers();
    this.#parts.firewall.prepare((wanted) => ({ ...wanted, dataPort: this.#wanted() }));
  }

  async open(port: number): Promise<void> {
    if (this.#port === port) return;
    this.#port = port;
    await this.#put();
  }

  /** Only these are heard from now on. None: whoever says that does not know them. */
  async know(addresses: readonly string[]): Promise<void> {
    const peers = new Set(addresses.filter((address) => isIPv4(address)).map((address) => parseAddress(address)));
    const same = peers.size === (this.#peers?.size ?? 0) && [...peers].every((peer) => this.#peers?.has(peer));
    if (same) return;
    this.#peers = peers.size === 0 ? undefined : peers;
    await this.#put();
  }

  /** IPv4 addresses of nodes, as far as somebody has said. */
  get peers(): ReadonlySet<number> {
    return this.#peers ?? new Set();
  }

  async close(): Promise<void> {
    this.#port = undefined;
    this.#peers = undefined;
    await this.#put();
  }

  async #put(): Promise<void> {
    await this.#parts.firewall.set((wanted) => ({ ...wanted, dataPort: this.#wanted() }));
  }

  #wanted(): { port: number; peers: ReadonlySet<number> | undefined } | undefined {
    return this.#port === undefined ? undefined : { port: this.#port, peers: this.#peers };
  }

  async #readPeers(): Promise<ReadonlySet<number> | undefined> {
    const { netd, table } = this.#parts;
    try {
      const bytes = await netd().exchange('listing nodes', NETLINK_NETFILTER, listElements.request(table, PEERS));
      const found = listElements.read(bytes).map((key) => Number.parseInt(key, 16));
      return found.length === 0 ? undefined : new Set(found);
    } catch (error) {
      if (error instanceof StepError) return undefined; // there is no such table
      throw error;
    }
  }
}
