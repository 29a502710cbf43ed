// Routes for clients whose address means something on their own link only: while they ask a published port they have
// another address (ruleset-link-local.ts), and what is sent there leaves by the link that it names.
import { contains6, type Subnet6 } from './addresses.ts';
import type { Instance } from './instance.ts';
import {
  addLinkRoute,
  deleteLinkRoute,
  dumpAddresses6,
  dumpLinks,
  readLinkAddresses,
  readLinks,
} from './link-messages.ts';
import type { Netd } from './netd.ts';
import { NETLINK_ROUTE } from './netd-protocol.ts';
import { MessageWriter } from './netlink.ts';
import type { NetworkTable } from './network-table.ts';
import { dumpRoutes6, readLinkRoutes6 } from './way-messages.ts';

const LINK_LOCAL: Subnet6 = { base: 0xfe80n << 112n, prefixLength: 64 };

export interface LinkLocalParts {
  readonly netd: () => Netd;
  readonly instance: Instance;
  readonly table: NetworkTable;
}

export class LinkLocalRoutes {
  readonly #parts: LinkLocalParts;
  readonly #known = new Set<number>(); // links that had one

  constructor(parts: LinkLocalParts) {
    this.#parts = parts;
  }

  /** A sentence for each that was there and is gone. Of a link that is new nobody is told. */
  async ensure(): Promise<string[]> {
    const missing = await this.#missing();
    if (missing.length > 0) await this.#write('leading to clients of a link', missing, addLinkRoute);
    const lost = await this.#sentences(missing);
    for (const index of missing) this.#known.add(index);
    return lost;
  }

  /** As `ensure`, and changes nothing. */
  async differences(): Promise<string[]> {
    return await this.#sentences(await this.#missing());
  }

  async remove(): Promise<void> {
    await this.#write('removing routes to clients of links', await this.#there(), deleteLinkRoute);
    this.#known.clear();
  }

  async #sentences(missing: readonly number[]): Promise<string[]> {
    const lost = missing.filter((index) => this.#known.has(index));
    if (lost.length === 0) return [];
    const links = readLinks(await this.#parts.netd().dump('listing links', dumpLinks()));
    const nameOf = (index: number): string => links.find((link) => link.index === index)?.name ?? `number ${index}`;
    return lost.map((index) => `the route to IPv6 clients on the link ${nameOf(index)} itself was gone`);
  }

  /** Links on which somebody may have such an address, and that have no route yet. */
  async #missing(): Promise<number[]> {
    const { netd, table } = this.#parts;
    const isSix = table.all().some(({ bridge, overlay, record }) => bridge?.subnets6[0] && !overlay && !record.lan);
    if (!isSix) return [];
    const addresses = readLinkAddresses(await netd().dump('listing IPv6 addresses', dumpAddresses6()));
    const wanted = addresses.flatMap(({ index, address }) =>
      typeof address === 'bigint' && contains6(LINK_LOCAL, address) ? [index] : [],
    );
    const there = new Set(await this.#there());
    return [...new Set(wanted)].filter((index) => !there.has(index));
  }

  async #there(): Promise<number[]> {
    const { netd, instance } = this.#parts;
    const routes = readLinkRoutes6(await netd().dump('listing IPv6 routes', dumpRoutes6()));
    return routes.flatMap(({ to, index }) => (to === subnetOf(instance.linkZone, index).base ? [index] : []));
  }

  async #write(doing: string, indexes: readonly number[], write: typeof addLinkRoute): Promise<void> {
    if (indexes.length === 0) return;
    const { netd, instance } = this.#parts;
    const writer = new MessageWriter();
    for (const index of indexes) write(writer, index, subnetOf(instance.linkZone, index));
    const messages = writer.finish();
    // A link may go meanwhile.
    await netd().do(doing, [{ do: 'netlink', family: NETLINK_ROUTE, where: '', messages, mayFail: true }]);
  }
}

/** The link's number is as the packet rules write it: as this machine keeps numbers. */
function subnetOf(zone: Buffer, index: number): Subnet6 {
  const bytes = Buffer.alloc(16);
  zone.copy(bytes);
  bytes.writeUInt32LE(index, 4);
  return { base: BigInt(`0x${bytes.toString('hex')}`), prefixLength: 64 };
}
