// The packet rules of bridges: who may pass into and out of them, and whose address is hidden behind the machine's. Pure.
import type { Subnet, Subnet6 } from './addresses.ts';
import { loadMeta, lookup, masquerade, verdict } from './nft-expressions.ts';
import { type Expression, type SetShape, typeOf } from './nft-messages.ts';
import {
  accept,
  CONNECTION,
  connection,
  drop,
  fromSubnet,
  fromSubnet6,
  link,
  linkBytes,
  linkIn,
  type Rule,
} from './ruleset-parts.ts';

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

/** Names of bridges: all, those without a way out, and those inside which everybody talks to everybody, as pairs with themselves. */
export const BRIDGES = 'bridges';
const INTERNAL = 'bridges_internal';
const INSIDE = 'bridges_inside';

export const BRIDGE_SETS: Readonly<Record<string, SetShape>> = {
  [BRIDGES]: { keyType: typeOf('link'), keyLength: 16 },
  [INTERNAL]: { keyType: typeOf('link'), keyLength: 16 },
  [INSIDE]: { keyType: typeOf('link', 'link'), keyLength: 32 },
};

export const BRIDGE_CHAINS = ['into_bridge', 'out_of_bridge'] as const;

/** Every packet passes these: so they ask sets, and are as many for a hundred bridges as for one. */
export const bridgeForwardRules: readonly (readonly Expression[])[] = [
  [loadMeta('iifname'), loadMeta('oifname', 4), lookup(INSIDE), accept],
  [...linkIn('iifname', BRIDGES), verdict({ kind: 'jump', chain: 'out_of_bridge' })],
  [...linkIn('oifname', BRIDGES), verdict({ kind: 'jump', chain: 'into_bridge' })],
];

/** Direct access from outside, and from other bridges, is closed: only what was published, and answers, come in. */
export const bridgeRules: readonly Rule[] = [
  ['out_of_bridge', [...linkIn('iifname', INTERNAL), drop]],
  // Packets that belong to no known connection would leave with the container's own address.
  ['out_of_bridge', [...connection('state', CONNECTION.invalid), drop]],
  ['into_bridge', [...linkIn('oifname', INTERNAL), drop]],
  ['into_bridge', [...connection('state', CONNECTION.known), accept]],
  ['into_bridge', [...connection('status', CONNECTION.destinationTranslated), accept]],
  ['into_bridge', [drop]],
];

export function bridgeElements(bridges: readonly BridgeRules[]): ReadonlyMap<string, readonly Buffer[]> {
  const names = (some: readonly BridgeRules[]): Buffer[] => some.map(({ name }) => linkBytes(name));
  return new Map([
    [BRIDGES, names(bridges)],
    [INTERNAL, names(bridges.filter(({ internal }) => internal))],
    [INSIDE, names(bridges.filter(({ talkInside }) => talkInside)).map((name) => Buffer.concat([name, name]))],
  ]);
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
