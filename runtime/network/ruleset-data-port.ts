// Who may speak to this node at the port of networks between nodes. VXLAN believes whoever reaches it: a frame that a
// container or a stranger makes would come out of our own links as if another node had sent it. So the port takes packets
// of known nodes only, containers do not reach anybody's, and out of the link to other nodes comes nothing but
// connections to published ports. Pure.
import { addressBytes } from './addresses.ts';
import { compare, loadMeta, loadPayload, lookup, mask } from './nft-expressions.ts';
import type { Element, Expression, NftBatch } from './nft-messages.ts';
import { BRIDGES } from './ruleset-bridges.ts';
import {
  accept,
  CONNECTION,
  connection,
  drop,
  link,
  linkIn,
  loadProtocolAndPort,
  onlyIpv4,
  onlyIpv6,
  portBytes,
  protocolBytes,
} from './ruleset-parts.ts';
import type { WayRules } from './ruleset-ways.ts';

export interface DataPort {
  readonly port: number;
  /** Addresses of the cluster's nodes; absent: nobody has said, and everybody is heard. */
  readonly peers?: ReadonlySet<number> | undefined;
}

/** Addresses of the cluster's nodes. */
export const PEERS = 'peers';
/** Every TCP port that a service publishes, whether somebody serves it now or not. */
export const INGRESS_TCP = 'ingress_tcp';

const ICMP = 1;
const ICMP6 = 58;
/** Question or answer: 128 or 129. */
const isEcho6 = [loadPayload('icmpType'), mask(Buffer.from([0xfe])), compare('equal', Buffer.from([128]))];

export function addDataPortChain(batch: NftBatch): void {
  batch.addBaseChain('input', { type: 'filter', hook: 'input', priority: 0 });
}

/** Behind the rules of the bridges, which take what was translated and answers, and drop the rest of what enters them. */
export function wayForwardRules(way: WayRules | undefined): Expression[][] {
  if (!way) return [];
  const outOf = link('iifname', 'equal', way.link);
  // A packet that belongs to no connection has no status, and is dropped by the second.
  return [
    [...outOf, ...connection('status', CONNECTION.destinationTranslated), accept],
    [...outOf, drop],
  ];
}

/** Behind the rules of the bridges: from one container to another it is nobody's business. */
export function containerForwardRules(data: DataPort | undefined): Expression[][] {
  return data ? [[...toDataPort(data.port), ...linkIn('iifname', BRIDGES), drop]] : [];
}

export function inputRules(way: WayRules | undefined, data: DataPort | undefined): Expression[][] {
  const rules: Expression[][] = [];
  if (way) {
    const outOf = link('iifname', 'equal', way.link);
    // Nodes ask each other whether this link leads there and back (way-probes.ts).
    rules.push([...outOf, loadMeta('l4proto'), compare('equal', Buffer.from([ICMP])), accept]);
    if (way.six) {
      rules.push([...outOf, loadMeta('l4proto'), compare('equal', Buffer.from([ICMP6])), ...isEcho6, accept]);
      // This node's own connections by IPv6 lead there, too.
      rules.push([...outOf, ...onlyIpv6, ...connection('state', CONNECTION.known), accept]);
    }
    // A task on the machine's own network serves its port itself; where nobody does, the kernel says so.
    rules.push([...outOf, ...loadProtocolAndPort, lookup(INGRESS_TCP), accept], [...outOf, drop]);
  }
  if (!data) return rules;
  const arrives = toDataPort(data.port);
  rules.push([...arrives, ...linkIn('iifname', BRIDGES), drop]);
  if (!data.peers) return rules;
  return [
    ...rules,
    [...onlyIpv4, ...arrives, loadPayload('sourceAddress'), lookup(PEERS), accept],
    [...onlyIpv4, ...arrives, drop],
  ];
}

const toDataPort = (port: number): Expression[] => [
  loadMeta('l4proto'),
  compare('equal', protocolBytes('udp').subarray(0, 1)),
  loadPayload('destinationPort'),
  compare('equal', portBytes(port).subarray(0, 2)),
];

export const peerElements = (data: DataPort | undefined): Element[] =>
  [...(data?.peers ?? [])].map((address) => ({ key: addressBytes(address) }));
