// What the link to other nodes needs to carry IPv6: this node's own addresses on it, routes to all others, and the rule
// that leads answers into it. The other half is packet rules (ruleset-ways6.ts).
import { CodedError } from '../../base/errors.ts';
import { formatAddress6, isSix } from './addresses.ts';
import { withIpv6 } from './bridges.ts';
import type { Instance } from './instance.ts';
import { addAddress, dumpAddresses, dumpAddresses6, readLinkAddresses } from './link-messages.ts';
import type { Netd } from './netd.ts';
import { NETLINK_ROUTE } from './netd-protocol.ts';
import { MessageWriter } from './netlink.ts';
import { dumpAddressNeighbours6 } from './overlay-messages.ts';
import { AF_INET6 } from './rtnetlink.ts';
import { nodeSix } from './way-addresses.ts';
import {
  addMarkRule,
  dumpRoutes6,
  dumpRules,
  hasGateway6,
  hasMarkRule,
  putRoutes6,
  readRoutes6,
} from './way-messages.ts';

const MTU_MIN = 1280;

/** The link, and the port at which it is heard. */
interface WayLink {
  readonly index: number;
  readonly port: number;
}

export class SixCarrier {
  readonly #netd: () => Netd;
  readonly #instance: Instance;
  /** IPv4 addresses of the cluster's nodes; those that are this machine's say what it is called on the link. */
  peers: ReadonlySet<number> = new Set();

  constructor({ netd, instance }: { readonly netd: () => Netd; readonly instance: Instance }) {
    this.#netd = netd;
    this.#instance = instance;
  }

  /** `ports`: where other nodes' links are heard. */
  async ensure(link: WayLink, ports: ReadonlySet<number>, mtu: number): Promise<void> {
    if (mtu < MTU_MIN) {
      throw new CodedError('unavailable', `the link to other nodes carries ${mtu} bytes, and IPv6 needs ${MTU_MIN}`);
    }
    const writer = new MessageWriter();
    for (const address of await this.#missing(link)) {
      addAddress(writer, { index: link.index, address, prefixLength: 128 });
    }
    putRoutes6(writer, link.index, this.#instance.wayMark, ports);
    if (!(await this.#hasRule())) addMarkRule(writer, this.#instance.wayMark, AF_INET6);
    await this.#netd().do('leading IPv6 to other nodes', [
      ...withIpv6(this.#instance.wayLink),
      { do: 'netlink', family: NETLINK_ROUTE, where: '', messages: writer.finish() },
    ]);
  }

  /** What the kernel lacks. */
  async compare(link: WayLink, ports: ReadonlySet<number>): Promise<string[]> {
    const found = (await this.#missing(link)).map(
      (address) => `the link ${this.#instance.wayLink} lacked its address ${formatAddress6(address)}`,
    );
    if (!(await this.#hasRule())) found.push('the routing rule for answers by IPv6 was gone');
    const dump = await this.#netd().dump('listing IPv6 routes', dumpRoutes6());
    const routes = readRoutes6(dump, link.index, this.#instance.wayMark, ports);
    const neighbours = await this.#netd().dump('listing IPv6 neighbours', dumpAddressNeighbours6());
    if (!routes.answers || routes.ports.size < ports.size || !hasGateway6(neighbours, link.index)) {
      found.push('the routes by IPv6 to other nodes were gone');
    }
    return found;
  }

  /** The addresses by which others find this node, as far as the link has not got them. */
  async #missing({ index, port }: WayLink): Promise<bigint[]> {
    const here = readLinkAddresses(await this.#netd().dump('listing addresses', dumpAddresses()));
    const own = here.flatMap(({ address }) => (!isSix(address) && this.peers.has(address) ? [address] : []));
    const six = readLinkAddresses(await this.#netd().dump('listing IPv6 addresses', dumpAddresses6()));
    const has = new Set(six.filter((each) => each.index === index).map(({ address }) => address));
    return own.map((address) => nodeSix({ address, port })).filter((address) => !has.has(address));
  }

  async #hasRule(): Promise<boolean> {
    const rules = await this.#netd().dump('listing routing rules', dumpRules(AF_INET6));
    return hasMarkRule(rules, this.#instance.wayMark);
  }
}
