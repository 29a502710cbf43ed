// IPv6 addresses that follow from those of IPv4, on networks between nodes: nobody has to be told them. Pure.
// An IPv4 subnet counts in the IPv6 subnet at the same place in their order, or in the last one where there are fewer. In one
// that several count in, an address ends in the whole IPv4 address, so that no two of them meet.
import { contains, type Subnet } from './ipv4.ts';
import type { Subnet6 } from './ipv6.ts';

export interface SixPlace {
  readonly four: Subnet;
  /** Where its addresses are counted from. */
  readonly from: number;
  readonly six: Subnet6;
}

export function sixPlaces(fours: readonly Subnet[], sixes: readonly Subnet6[]): readonly SixPlace[] {
  const counting = fours.flatMap((four, at) => {
    const six = sixes[Math.min(at, sixes.length - 1)];
    return six ? [{ four, six }] : [];
  });
  return counting.map(({ four, six }) => {
    const isShared = counting.filter((other) => other.six === six).length > 1;
    return { four, six, from: isShared ? 0 : four.base };
  });
}

/** Undefined: there are no IPv6 subnets. */
export function sixOfFour(places: readonly SixPlace[], address: number): bigint | undefined {
  const place = places.find(({ four }) => contains(four, address)) ?? places[0];
  return place && place.six.base + BigInt(address - place.from);
}

/** One for each IPv6 subnet; that of a subnet which nobody counts in is its first address. */
export function gatewaysOfSixes(
  pools: readonly { readonly subnet: Subnet; readonly gateway: number }[],
  sixes: readonly Subnet6[],
): bigint[] {
  const fours = pools.map(({ subnet }) => subnet);
  const places = sixPlaces(fours, sixes);
  return sixes.map((six) => {
    const pool = pools[places.findIndex((place) => place.six === six)];
    return (pool && sixOfFour(places, pool.gateway)) ?? six.base + 1n;
  });
}

/** With a longer prefix an IPv6 subnet has not room for whoever counts in it. */
export function longestPrefixes(fours: readonly Subnet[], sixes: readonly Subnet6[]): number[] {
  const places = sixPlaces(fours, sixes);
  return sixes.map((six) => {
    const place = places.find((each) => each.six === six);
    if (!place) return LONGEST;
    return 96 + (place.from === 0 ? 0 : place.four.prefixLength);
  });
}

const LONGEST = 126;
