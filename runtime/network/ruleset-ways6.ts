// What connections by IPv6 need on the link to other nodes besides the rules of ruleset-ways.ts. They are led there by
// their destination, a node's address on the link (way-addresses.ts), so nothing marks them; answers go as those of IPv4.
// There is no other way to a node by IPv6: whoever the client is, its address is kept. Pure.
import {
  compare,
  flipAddress6,
  loadConntrack,
  loadConstant,
  loadMeta,
  loadPayload,
  loadSourceType,
  mask,
  masquerade,
  setLargestSegment,
  setMeta,
} from './nft-expressions.ts';
import type { Expression } from './nft-messages.ts';
import { CONNECTION, connection, drop, link, onlyIpv6, protocolBytes, type Rule, u32 } from './ruleset-parts.ts';
import type { WayRules } from './ruleset-ways.ts';

const TCP_HEADERS = 60;
const ASKING = Buffer.from([0]);
const LOCAL_ADDRESS = u32(2);

/**
 * The node of the task asks through another node: its own address comes in from the link, and answers would never leave.
 * While it is here the address has one bit turned over. All addresses there are begin with 001 or 111, so that it is
 * nobody's then, and is known again by its beginning.
 */
const ONE_BIT = Buffer.from([0x80, 0x00]);
const TURNED = [0x60, 0xa0];

const beginsWith = (field: 'sourceAddress6Begin' | 'destinationAddress6Begin', bits: number): Expression[] => [
  loadPayload(field),
  mask(Buffer.from([0xe0, 0x00])),
  compare('equal', Buffer.from([bits, 0x00])),
];

export function wayRules6(way: WayRules | undefined): Rule[] {
  if (!way?.six) return [];
  const into = [...link('iifname', 'equal', way.link), ...onlyIpv6];
  const outOf = [...link('oifname', 'equal', way.link), ...onlyIpv6];
  const tcp = [loadMeta('l4proto'), compare('equal', protocolBytes('tcp').subarray(0, 1))];
  const begins = [loadPayload('tcpFlags'), mask(Buffer.from([0x06])), compare('equal', Buffer.from([0x02]))];
  const translated = connection('status', CONNECTION.destinationTranslated);
  const fromElsewhere = [...link('iifname', 'not-equal', way.link), ...onlyIpv6];
  return [
    // Who came with such an address would pass for this node in the container.
    ...TURNED.map((bits): Rule => ['way_zones', [...fromElsewhere, ...beginsWith('sourceAddress6Begin', bits), drop]]),
    [
      'way_zones',
      [...into, loadSourceType, compare('equal', LOCAL_ADDRESS), ...flipAddress6('sourceAddress6Begin', ONE_BIT)],
    ],
    // The container knows its node by the bridge, as when it is asked directly.
    ...TURNED.map(
      (bits): Rule => [
        'postrouting',
        [...onlyIpv6, ...translated, ...beginsWith('sourceAddress6Begin', bits), masquerade],
      ],
    ),
    ['way_out', [...outOf, ...tcp, ...begins, ...setLargestSegment(way.mtu - TCP_HEADERS)]],
    // A mark of somebody else's would be taken for an answer's way back.
    [
      'way_out',
      [...outOf, loadConntrack('direction'), compare('equal', ASKING), loadConstant(u32(0)), setMeta('mark')],
    ],
    ...TURNED.map(
      (bits): Rule => [
        'way_out',
        [
          ...outOf,
          ...beginsWith('destinationAddress6Begin', bits),
          ...flipAddress6('destinationAddress6Begin', ONE_BIT),
        ],
      ],
    ),
  ];
}
