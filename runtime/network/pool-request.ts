// The subnets that were asked for a network, checked against each other and against those of other networks. Pure.
import { CodedError } from '../../base/errors.ts';
import * as ip from './addresses.ts';
import type { PoolRequest } from './contract.ts';
import type { PoolRecord } from './registry.ts';

const POOLS_MAX = 32;

interface SubnetLike<Address extends ip.Ip> {
  readonly base: Address;
  readonly prefixLength: number;
}

/** What the two families do alike. */
interface Family<Address extends ip.Ip> {
  readonly prefix: { readonly min: number; readonly max: number };
  readonly parse: (text: string, what: string) => Address;
  readonly format: (address: Address) => string;
  readonly parseSubnet: (text: string) => SubnetLike<Address>;
  readonly formatSubnet: (subnet: SubnetLike<Address>) => string;
  readonly contains: (subnet: SubnetLike<Address>, address: Address) => boolean;
  readonly overlaps: (a: SubnetLike<Address>, b: SubnetLike<Address>) => boolean;
  readonly first: (subnet: SubnetLike<Address>) => Address;
}

const FOUR: Family<number> = {
  prefix: { min: 8, max: 30 },
  parse: ip.parseAddress,
  format: ip.formatAddress,
  parseSubnet: ip.parseSubnet,
  formatSubnet: ip.formatSubnet,
  contains: ip.contains,
  overlaps: ip.overlaps,
  first: ({ base }) => base + 1,
};

const SIX: Family<bigint> = {
  prefix: { min: 8, max: 126 },
  parse: ip.parseAddress6,
  format: ip.formatAddress6,
  parseSubnet: ip.parseSubnet6,
  formatSubnet: ip.formatSubnet6,
  contains: ip.contains6,
  overlaps: ip.overlaps6,
  first: ({ base }) => base + 1n,
};

interface TakenOf<Address extends ip.Ip> {
  readonly subnet: SubnetLike<Address>;
  readonly owner: string; // a network's name
}
export type Taken = TakenOf<number>;
export type Taken6 = TakenOf<bigint>;

export const checkedPools = (asked: readonly PoolRequest[], taken: readonly Taken[]): PoolRecord[] =>
  checkedOf(FOUR, asked, taken);

export const checkedPools6 = (asked: readonly PoolRequest[], taken: readonly Taken6[]): PoolRecord[] =>
  checkedOf(SIX, asked, taken);

function checkedOf<Address extends ip.Ip>(
  family: Family<Address>,
  asked: readonly PoolRequest[],
  taken: readonly TakenOf<Address>[],
): PoolRecord[] {
  if (asked.length > POOLS_MAX) throw new CodedError('invalid', `a network has ${POOLS_MAX} subnets at most`);
  const own: TakenOf<Address>[] = [];
  return asked.map((pool) => {
    const record = checkedPool(family, pool, [...taken, ...own]);
    own.push({ subnet: family.parseSubnet(record.subnet), owner: 'the same request' });
    return record;
  });
}

function checkedPool<Address extends ip.Ip>(
  family: Family<Address>,
  { subnet: text, gateway, range = '', auxiliary = {} }: PoolRequest,
  taken: readonly TakenOf<Address>[],
): PoolRecord {
  const { prefix, formatSubnet } = family;
  const subnet = family.parseSubnet(text);
  if (subnet.prefixLength < prefix.min || subnet.prefixLength > prefix.max) {
    throw new CodedError('invalid', `subnet ${text} must be between /${prefix.min} and /${prefix.max}`);
  }
  const other = taken.find((each) => family.overlaps(subnet, each.subnet));
  if (other) {
    const whose = `${text} overlaps with ${formatSubnet(other.subnet)} of network ${other.owner}`;
    throw new CodedError(
      'forbidden',
      `invalid pool request: Pool overlaps with other one on this address space: ${whose}`,
    );
  }
  if (range !== '') checkRange(family, range, subnet);
  const inside = (address: string, what: string): Address => checkInside(family, subnet, address, what);
  for (const [name, address] of Object.entries(auxiliary)) inside(address, `auxiliary address ${name}`);
  const chosen = gateway === undefined || gateway === '' ? family.first(subnet) : inside(gateway, 'gateway');
  return { subnet: formatSubnet(subnet), gateway: family.format(chosen), range, auxiliary };
}

function checkRange<Address extends ip.Ip>(family: Family<Address>, text: string, subnet: SubnetLike<Address>): void {
  const range = family.parseSubnet(text);
  if (range.prefixLength >= subnet.prefixLength && family.contains(subnet, range.base)) return;
  throw new CodedError('invalid', `no matching subnet for range ${text}: it is not in ${family.formatSubnet(subnet)}`);
}

function checkInside<Address extends ip.Ip>(
  family: Family<Address>,
  subnet: SubnetLike<Address>,
  text: string,
  what: string,
): Address {
  const address = family.parse(text, what);
  if (family.contains(subnet, address)) return address;
  throw new CodedError(
    'invalid',
    `no matching subnet for ${what} ${text}: it is not in ${family.formatSubnet(subnet)}`,
  );
}
