// What the kernel has of one network's WireGuard, seen as a plan: so that what is wanted is compared with what is there,
// whoever made it and whatever became of it.
import { ask, type Helper } from './esp-kernel.ts';
import { dumpAddresses, dumpLinks, dumpRoutes, readLinkAddresses, readLinks, readRoutes } from './link-messages.ts';
import { NETLINK_GENERIC, NETLINK_ROUTE } from './netd-protocol.ts';
import {
  dumpWireguard,
  type FoundDevice,
  type FoundPeer,
  readWireguard,
  type WireguardPeer,
} from './wireguard-messages.ts';
import {
  isSame,
  isSamePeer,
  NO_WIREGUARD,
  SLOTS,
  type WireguardLink,
  wireguardName,
  type WireguardPlan,
} from './wireguard-plan.ts';

export interface WireguardWhere {
  readonly namespacePath: string;
  readonly family: number;
  readonly firstIndex: number;
}

interface FoundLink extends FoundDevice {
  readonly index: number;
  readonly name: string;
  readonly isUp: boolean;
  readonly mtu: number;
  readonly addresses: ReadonlySet<number>;
}

export interface FoundWireguard {
  readonly links: ReadonlyMap<number, FoundLink>; // by index
  readonly routes: ReadonlyMap<number, number>; // where a packet goes, and by which of these links
}

export async function lookAtWireguard(helper: Helper, where: WireguardWhere): Promise<FoundWireguard> {
  const { namespacePath, family } = where;
  const [links, addresses, routes] = [
    readLinks(await ask(helper, NETLINK_ROUTE, namespacePath, dumpLinks())),
    readLinkAddresses(await ask(helper, NETLINK_ROUTE, namespacePath, dumpAddresses())),
    readRoutes(await ask(helper, NETLINK_ROUTE, namespacePath, dumpRoutes())),
  ];
  const found = new Map<number, FoundLink>();
  for (const { index, name, up, mtu, kind } of links) {
    if (!isOurs(where, index) || kind !== 'wireguard') continue;
    const device = readWireguard(
      family,
      await ask(helper, NETLINK_GENERIC, namespacePath, dumpWireguard(family, index)),
    );
    const own = addresses.flatMap((each) => (each.index === index ? [Number(each.address)] : []));
    found.set(index, { ...device, index, name, isUp: up, mtu, addresses: new Set(own) });
  }
  const leadThere = routes.filter(({ isMain, index }) => isMain && isOurs(where, index));
  return { links: found, routes: new Map(leadThere.map(({ destination, index }) => [destination.base, index])) };
}

/** Links of a network, where the packets are, and such that were not moved there as whoever made them died in between. */
export async function linksLeft(
  helper: Helper,
  where: Omit<WireguardWhere, 'family'>,
): Promise<{ readonly where: string; readonly index: number }[]> {
  const left: { where: string; index: number }[] = [];
  for (const path of ['', where.namespacePath]) {
    for (const { index, name } of readLinks(await ask(helper, NETLINK_ROUTE, path, dumpLinks()))) {
      if (isOurs(where, index) && name === wireguardName(index)) left.push({ where: path, index });
    }
  }
  return left;
}

const isOurs = ({ firstIndex }: Pick<WireguardWhere, 'firstIndex'>, index: number): boolean =>
  index >= firstIndex && index < firstIndex + SLOTS;

/**
 * As the plan before, to come from to the next. `last` is what this daemon has said: a node that was heard from another place
 * than that is answered there, and stays so.
 */
export function asPlan(found: FoundWireguard, wanted: WireguardPlan, last = NO_WIREGUARD): WireguardPlan {
  const byIndex = new Map([...wanted.links.values(), ...last.links.values()].map((link) => [link.index, link]));
  for (const link of wanted.links.values()) byIndex.set(link.index, link);
  const links = [...found.links.values()].map((there): [number, WireguardLink] => {
    const link = byIndex.get(there.index);
    const isIt = link && there.isUp && there.addresses.has(link.own) && there.privateKey.equals(link.privateKey);
    const keyId = isIt ? link.keyId : -1 - there.index; // no key has such a number
    const peers = peersOf(there.peers, link, last.links.get(keyId));
    const { index, name, port, mtu, privateKey } = there;
    return [keyId, { index, name, port, mtu, privateKey, keyId, own: link?.own ?? 0, peers }];
  });
  return { links: new Map(links), routes: found.routes, refused: new Map() };
}

function peersOf(
  found: readonly FoundPeer[],
  wanted: WireguardLink | undefined,
  last: WireguardLink | undefined,
): Map<string, WireguardPeer> {
  const ids = new Map([...(wanted?.peers ?? [])].map(([id, { publicKey }]) => [hex(publicKey), id]));
  return new Map(
    found.map(({ publicKey, presharedKey, inside, address, port }): [string, WireguardPeer] => {
      const key = hex(publicKey);
      const id = ids.get(key) ?? key;
      const said = last?.peers.get(id);
      const place = said ? { address: said.address, port: said.port } : { address, port };
      return [id, { publicKey, presharedKey, inside, ...place }];
    }),
  );
}

/** A part of a sentence for each kind of thing that is not as it should be. */
export function wireguardDifferences(wanted: WireguardPlan, there: WireguardPlan): string[] {
  const [right, wrong] = [[...wanted.links.values()], [...there.links.values()]];
  const kept = right.filter((link) => isSame(there.links.get(link.keyId), link));
  const peers = kept.map((link) => {
    const found = there.links.get(link.keyId)?.peers ?? new Map<string, WireguardPeer>();
    const lacks = [...link.peers].filter(([id, peer]) => !isSamePeer(found.get(id), peer)).length;
    return [lacks, [...found.keys()].filter((id) => !link.peers.has(id)).length] as const;
  });
  const sum = (at: 0 | 1): number => peers.reduce((total, counts) => total + counts[at], 0);
  const led = [...wanted.routes].filter(([to, index]) => there.routes.get(to) !== index).length;
  return [
    ...words('links', right.length - kept.length, wrong.length - kept.length),
    ...words('peers', sum(0), sum(1)),
    ...words('routes', led, [...there.routes.keys()].filter((to) => !wanted.routes.has(to)).length),
  ];
}

const words = (what: string, lacks: number, extra: number): string[] =>
  lacks + extra > 0 ? [`lacked ${lacks} ${what} of WireGuard and had ${extra} too many`] : [];

/** What the kernel has counted with each node on the link that is sent by. */
export function heardBy(plan: WireguardPlan, found: FoundWireguard, sendId: number): Map<string, FoundPeer> {
  const link = plan.links.get(sendId);
  const there = new Map((found.links.get(link?.index ?? 0)?.peers ?? []).map((peer) => [hex(peer.publicKey), peer]));
  return new Map(
    [...(link?.peers ?? [])].flatMap(([id, { publicKey }]) => {
      const peer = there.get(hex(publicKey));
      return peer ? [[id, peer] as const] : [];
    }),
  );
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
