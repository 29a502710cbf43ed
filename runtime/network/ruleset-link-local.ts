// The packet rules by which clients whose address means something on their own link only (fe80::/64) reach published ports.
// The kernel forwards nothing from such an address. So the client has another one from before the routes are asked: its
// own last half, behind a number of ours and that of the link; a route leads there by that link (link-local.ts), and the
// answer has the client's own address again after all else. The container sees its bridge, as who else should it answer. Pure.
import { compare, loadConstant, loadMeta, loadPayload, lookup, masquerade, storeAddress6 } from './nft-expressions.ts';
import type { Expression } from './nft-messages.ts';
import { CONNECTION, connection, loadProtocolAndPort, onlyIpv6, type Rule, toThisHost6 } from './ruleset-parts.ts';
import { INGRESS6_PORTS, loadAddressProtocolPort6, PUBLISHED6, PUBLISHED6_ON_ADDRESS } from './ruleset6.ts';

const LINK_LOCAL = Buffer.from('fe80000000000000', 'hex');

export const LINK_LOCAL_CHAINS = ['link_local', 'link_local_back'] as const;

/** `zone`: the four bytes that addresses of this daemon's begin with while they are here; absent: without IPv6. */
export function linkLocalRules(zone: Buffer | undefined): Rule[] {
  if (!zone) return [];
  const fromLink = [...onlyIpv6, loadPayload('sourceNetwork6'), compare('equal', LINK_LOCAL), ...toThisHost6];
  const moved = [loadConstant(zone), storeAddress6('sourceZone6'), loadMeta('iif'), storeAddress6('sourceLink6')];
  const published: readonly Expression[][] = [
    [...loadAddressProtocolPort6, lookup(PUBLISHED6_ON_ADDRESS, 'value')],
    [...loadProtocolAndPort, lookup(PUBLISHED6, 'value')],
    [...loadProtocolAndPort, lookup(INGRESS6_PORTS)],
  ];
  const isMoved = (field: 'sourceZone6' | 'destinationZone6'): Expression[] => [
    ...onlyIpv6,
    loadPayload(field),
    compare('equal', zone),
  ];
  return [
    // A rule that has moved the address is not met by the next one.
    ...published.map((each): Rule => ['link_local', [...fromLink, ...each, ...moved]]),
    ['postrouting', [...isMoved('sourceZone6'), ...connection('status', CONNECTION.destinationTranslated), masquerade]],
    [
      'link_local_back',
      [...isMoved('destinationZone6'), loadConstant(LINK_LOCAL), storeAddress6('destinationNetwork6')],
    ],
  ];
}
