// Which addresses a network of the cluster gets: its subnet, its gateway, its number on the wire. Pure.
import { fail } from '../base/errors.ts';
import {
  contains,
  formatAddress,
  formatSubnet,
  overlaps,
  parseAddress,
  parseSubnet,
  type Subnet,
} from '../base/ipv4.ts';
import { contains6, formatAddress6, formatSubnet6, overlaps6, parseSubnet6, type Subnet6 } from '../base/ipv6.ts';
import { gatewaysOfSixes, longestPrefixes, sixOfFour, sixPlaces } from '../base/six-of-four.ts';
import { parseDurationMs } from '../base/units.ts';
import { isPredefinedNetwork } from './defaults.ts';
import type {
  Labels,
  Network,
  NetworkAttachmentSpec,
  NetworkId,
  NetworkPool,
  NetworkSpec,
  NetworkSubnet,
} from './objects.ts';

/** Subnets are cut from here where nobody asked for one. The first is left free: Docker's ingress network has it. */
const POOL = { base: parseAddress('10.0.0.0'), prefixLength: 8 } as const;
const PIECE_LENGTH = 24;
const PREFIX_LENGTHS = { min: 8, max: 29 } as const;

/** Docker's own numbers begin at 4096, for its ingress network. */
const VNI = { first: 4097, end: 2 ** 24 } as const;

export interface TakenSubnet {
  readonly subnet: Subnet;
  readonly owner: string; // "network back", "the address of node a"
}

export interface NetworkPlan extends NetworkSubnet {
  readonly further?: readonly NetworkSubnet[];
}

/** Of IPv6. */
export interface Plan6 {
  readonly subnet6: string;
  readonly further6?: readonly string[];
}

const POOLS_MAX = 32;

export function planNetwork(
  spec: Partial<NetworkPool> & Pick<NetworkSpec, 'further'>,
  taken: readonly TakenSubnet[],
): NetworkPlan {
  const { further = [] } = spec;
  if (further.length >= POOLS_MAX) fail('invalid', `a network has ${POOLS_MAX} subnets at most`);
  const own: TakenSubnet[] = [];
  const plans = [spec, ...further].map((pool) => {
    const plan = planPool(pool, [...taken, ...own]);
    own.push({ subnet: parseSubnet(plan.subnet), owner: 'the same request' });
    return plan;
  });
  const [first = fail('internal', 'a network has a subnet'), ...others] = plans;
  return others.length === 0 ? first : { ...first, further: others };
}

function planPool(pool: Partial<NetworkPool>, taken: readonly TakenSubnet[]): NetworkSubnet {
  const subnet = pool.subnet === undefined ? freePiece(taken) : askedSubnet(pool.subnet, taken);
  const inside = (text: string, what: string): number => {
    const address = parseAddress(text, what);
    if (contains(subnet, address) && isHost(subnet, address)) return address;
    return fail('invalid', `no matching subnet for ${what} ${text}: it is not in ${formatSubnet(subnet)}`);
  };
  const gateway = pool.gateway === undefined ? subnet.base + 1 : inside(pool.gateway, 'gateway');
  for (const [name, text] of Object.entries(pool.auxiliary ?? {})) {
    if (inside(text, `auxiliary address ${name}`) !== gateway) continue;
    fail('invalid', `auxiliary address ${name} is the gateway of ${formatSubnet(subnet)}: ${text}`);
  }
  if (pool.range !== undefined) checkRange(pool.range, subnet);
  return { subnet: formatSubnet(subnet), gateway: formatAddress(gateway) };
}

function checkRange(text: string, subnet: Subnet): void {
  const range = parseSubnet(text);
  if (range.prefixLength >= subnet.prefixLength && contains(subnet, range.base)) return;
  fail('invalid', `no matching subnet for range ${text}: it is not in ${formatSubnet(subnet)}`);
}

/** A network's subnets, each as it was settled and with what was asked of it. */
export function poolsOf({
  spec,
  subnet,
  gateway,
  further = [],
}: Pick<Network, 'spec' | 'subnet' | 'gateway' | 'further'>): (NetworkSubnet & NetworkPool)[] {
  const asked: readonly Partial<NetworkPool>[] = [spec, ...(spec.further ?? [])];
  return [{ subnet, gateway }, ...further].map((settled, at) => {
    const { range, auxiliary } = asked[at] ?? {};
    return { ...settled, ...(range !== undefined && { range }), ...(auxiliary && { auxiliary }) };
  });
}

/** Traffic that was asked to be encrypted is never sent in clear: whoever has no means refuses. */
export const isEncrypted = ({ options }: { readonly options: Labels }): boolean => Object.hasOwn(options, 'encrypted');

export const KEY_PERIOD_OPTION = 'shoal.key-period';
/** As in Docker. */
const KEY_PERIOD_MS = 12 * 3_600_000;
const KEY_PERIOD_MIN_MS = 1_000;

/** How long an encrypted network sends under one key. */
export function keyPeriodMs(options: Labels): number {
  const text = options[KEY_PERIOD_OPTION];
  if (text === undefined) return KEY_PERIOD_MS;
  const periodMs = parseDurationMs(text);
  if (periodMs < KEY_PERIOD_MIN_MS) fail('invalid', `option ${KEY_PERIOD_OPTION}: ${text} is shorter than 1s`);
  return periodMs;
}

export interface TakenSubnet6 {
  readonly subnet6: string;
  readonly owner: string;
}

/** Undefined: without IPv6. One that nobody asked for is made of the network's number, which no other has. */
export function planSubnets6(
  { ipv6 = false, subnet6, further6 = [] }: Pick<NetworkSpec, 'ipv6' | 'subnet6' | 'further6'>,
  plan: NetworkPlan & { readonly vni: number },
  taken: readonly TakenSubnet6[],
): Plan6 | undefined {
  if (!ipv6) return undefined;
  if (further6.length >= POOLS_MAX) fail('invalid', `a network has ${POOLS_MAX} subnets at most`);
  const { vni } = plan;
  const first = subnet6 ?? `fd53:6f${hex(vni >> 16, 2)}:${hex(vni & 0xffff, 4)}::/64`;
  const wanted = [first, ...further6].map(parseSubnet6);
  const longest = longestPrefixes(foursOf(plan), wanted);
  const own: TakenSubnet6[] = [];
  for (const [at, subnet] of wanted.entries()) {
    checkSubnet6(subnet, longest[at] ?? 0, [...taken, ...own]);
    own.push({ subnet6: formatSubnet6(subnet), owner: 'the same request' });
  }
  const [settled = '', ...others] = wanted.map(formatSubnet6);
  return { subnet6: settled, ...(others.length > 0 && { further6: others }) };
}

function checkSubnet6(subnet: Subnet6, longest: number, taken: readonly TakenSubnet6[]): void {
  const text = formatSubnet6(subnet);
  if (subnet.prefixLength < PREFIX_LENGTH6_MIN || subnet.prefixLength > longest) {
    fail('invalid', `subnet ${text} must be between /${PREFIX_LENGTH6_MIN} and /${longest}`);
  }
  const other = taken.find((each) => overlaps6(subnet, parseSubnet6(each.subnet6)));
  if (!other) return;
  const clash = 'invalid pool request: Pool overlaps with other one on this address space';
  fail('forbidden', `${clash}: ${text} meets ${other.owner} (${other.subnet6})`);
}

const PREFIX_LENGTH6_MIN = 16;
const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

type Subnets = Pick<NetworkPlan, 'subnet' | 'gateway' | 'further'> & Partial<Plan6>;

const foursOf = ({ subnet, further = [] }: Pick<NetworkPlan, 'subnet' | 'further'>): Subnet[] =>
  [subnet, ...further.map((pool) => pool.subnet)].map(parseSubnet);

const sixesOf = ({ subnet6, further6 = [] }: Partial<Plan6>): Subnet6[] =>
  subnet6 === undefined ? [] : [subnet6, ...further6].map(parseSubnet6);

/** A network's IPv6 subnets, none where it is without, each with its gateway. */
export function pools6Of(network: Subnets): NetworkSubnet[] {
  const { subnet, gateway, further = [] } = network;
  const pools = [{ subnet, gateway }, ...further].map((pool) => ({
    subnet: parseSubnet(pool.subnet),
    gateway: parseAddress(pool.gateway),
  }));
  const sixes = sixesOf(network);
  return gatewaysOfSixes(pools, sixes).map((address, at) => {
    return { subnet: formatSubnet6(sixes[at] ?? fail('internal', 'a subnet')), gateway: formatAddress6(address) };
  });
}

/** The IPv6 address of who has `address`, with the prefix length of its subnet (base/six-of-four.ts). */
export function sixOf(
  address: string,
  network: Omit<Subnets, 'gateway'>,
): { readonly address: string; readonly prefixLength: number } | undefined {
  const six = sixOfFour(sixPlaces(foursOf(network), sixesOf(network)), parseAddress(address));
  if (six === undefined) return undefined;
  const prefixLength = sixesOf(network).find((subnet) => contains6(subnet, six))?.prefixLength ?? 128;
  return { address: formatAddress6(six), prefixLength };
}

/** Neither the subnet's own address nor its broadcast address. */
export function isHost(subnet: Subnet, address: number): boolean {
  return address > subnet.base && address < subnet.base + 2 ** (32 - subnet.prefixLength) - 1;
}

/** A number that no network has; `hint` spreads them, so that one is not used again soon. */
export function freeVni(hint: number, taken: ReadonlySet<number>): number {
  const count = VNI.end - VNI.first;
  for (let step = 0; step < count; step += 1) {
    const vni = VNI.first + ((hint + step) % count);
    if (!taken.has(vni)) return vni;
  }
  return fail('exhausted', 'every number for networks between nodes is taken');
}

/** The cluster's networks among those that a service asks for, by id once its specification is stored. */
export function clusterNetworks(attachments: readonly NetworkAttachmentSpec[]): NetworkId[] {
  return attachments.flatMap(({ target }) => (isPredefinedNetwork(target) ? [] : [target as NetworkId]));
}

function askedSubnet(text: string, taken: readonly TakenSubnet[]): Subnet {
  const subnet = parseSubnet(text);
  const { min, max } = PREFIX_LENGTHS;
  if (subnet.prefixLength < min || subnet.prefixLength > max) {
    fail('invalid', `subnet ${text} must be between /${min} and /${max}`);
  }
  const other = taken.find((each) => overlaps(subnet, each.subnet));
  if (other) {
    fail(
      'forbidden',
      `invalid pool request: Pool overlaps with other one on this address space: ${text} meets ${other.owner} (${formatSubnet(other.subnet)})`,
    );
  }
  return subnet;
}

function freePiece(taken: readonly TakenSubnet[]): Subnet {
  const size = 2 ** (32 - PIECE_LENGTH);
  const end = POOL.base + 2 ** (32 - POOL.prefixLength);
  for (let base = POOL.base + size; base < end; base += size) {
    const piece = { base, prefixLength: PIECE_LENGTH };
    if (!taken.some(({ subnet }) => overlaps(piece, subnet))) return piece;
  }
  return fail('exhausted', `every /${PIECE_LENGTH} of ${formatSubnet(POOL)} is taken: name a subnet`);
}
