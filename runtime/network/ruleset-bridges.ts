// The packet rules of bridges: who may pass into and out of them, and whose address is hidden behind the machine's. Pure.
import type { Subnet, Subnet6 } from './addresses.ts';
import { masquerade } from './nft-expressions.ts';
import type { Expression } from './nft-messages.ts';
import { accept, CONNECTION, connection, drop, fromSubnet, fromSubnet6, link } from './ruleset-parts.ts';

export interface BridgeRules {
  readonly name: string;
  readonly subnets: readonly Subnet[];
  readonly subnets6: readonly Subnet6[];
  /** The bridge's own IPv6 address; absent: it has none. */
  readonly gateway6?: bigint;
  readonly internal: boolean;
  readonly masquerade: boolean;
  readonly talkInside: boolean;
}

export const LOOPBACK: Subnet = { base: 0x7f00_0000, prefixLength: 8 };

/** Direct access from outside, and from other bridges, is closed: only what was published, and answers, come in. */
export function bridgeForwardRules({ name, internal, talkInside }: BridgeRules): Expression[][] {
  const into = link('oifname', 'equal', name);
  const outOf = link('iifname', 'equal', name);
  const inside = talkInside ? [[...outOf, ...into, accept]] : [];
  if (internal) return [...inside, [...into, drop], [...outOf, drop]];
  return [
    ...inside,
    [...into, ...connection('state', CONNECTION.known), accept],
    [...into, ...connection('status', CONNECTION.destinationTranslated), accept],
    [...into, drop],
    // Packets that belong to no known connection would leave with the container's own address.
    [...outOf, ...connection('state', CONNECTION.invalid), drop],
  ];
}

export function masqueradeRules({
  name,
  subnets,
  subnets6,
  internal,
  masquerade: outside,
}: BridgeRules): Expression[][] {
  const translated = connection('status', CONNECTION.destinationTranslated);
  const sources = [...subnets.map(fromSubnet), ...subnets6.map(fromSubnet6)];
  const leaving = !internal && outside ? sources : [];
  return [
    // A container that reaches itself or a neighbour through a published port: the answer must pass us again.
    ...sources.map((each) => [...link('oifname', 'equal', name), ...each, ...translated, masquerade]),
    [...link('oifname', 'equal', name), ...fromSubnet(LOOPBACK), masquerade],
    ...leaving.map((each) => [...link('oifname', 'not-equal', name), ...each, masquerade]),
  ];
}
