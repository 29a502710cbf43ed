// The subnets that were asked for a network, checked against each other and against those of other networks. Pure.
import { CodedError } from '../../base/errors.ts';
import {
  contains,
  formatAddress,
  formatSubnet,
  overlaps,
  parseAddress,
  parseSubnet,
  type Subnet,
} from './addresses.ts';
import type { PoolRequest } from './contract.ts';
import type { PoolRecord } from './registry.ts';

const PREFIX = { min: 8, max: 30 } as const;
const POOLS_MAX = 32;

export interface Taken {
  readonly subnet: Subnet;
  readonly owner: string; // a network's name
}

export function checkedPools(asked: readonly PoolRequest[], taken: readonly Taken[]): PoolRecord[] {
  if (asked.length > POOLS_MAX) throw new CodedError('invalid', `a network has ${POOLS_MAX} subnets at most`);
  const own: Taken[] = [];
  return asked.map((pool) => {
    const record = checkedPool(pool, [...taken, ...own]);
    own.push({ subnet: parseSubnet(record.subnet), owner: 'the same request' });
    return record;
  });
}

function checkedPool(
  { subnet: text, gateway, range = '', auxiliary = {} }: PoolRequest,
  taken: readonly Taken[],
): PoolRecord {
  const subnet = parseSubnet(text);
  if (subnet.prefixLength < PREFIX.min || subnet.prefixLength > PREFIX.max) {
    throw new CodedError('invalid', `subnet ${text} must be between /${PREFIX.min} and /${PREFIX.max}`);
  }
  const other = taken.find((each) => overlaps(subnet, each.subnet));
  if (other) {
    const whose = `${text} overlaps with ${formatSubnet(other.subnet)} of network ${other.owner}`;
    throw new CodedError(
      'forbidden',
      `invalid pool request: Pool overlaps with other one on this address space: ${whose}`,
    );
  }
  if (range !== '') checkRange(range, subnet);
  for (const [name, address] of Object.entries(auxiliary)) checkInside(subnet, address, `auxiliary address ${name}`);
  const first = subnet.base + 1;
  const chosen = gateway === undefined || gateway === '' ? first : checkInside(subnet, gateway, 'gateway');
  return { subnet: formatSubnet(subnet), gateway: formatAddress(chosen), range, auxiliary };
}

function checkRange(text: string, subnet: Subnet): void {
  const range = parseSubnet(text);
  if (range.prefixLength >= subnet.prefixLength && contains(subnet, range.base)) return;
  throw new CodedError('invalid', `no matching subnet for range ${text}: it is not in ${formatSubnet(subnet)}`);
}

function checkInside(subnet: Subnet, text: string, what: string): number {
  const address = parseAddress(text, what);
  if (contains(subnet, address)) return address;
  throw new CodedError('invalid', `no matching subnet for ${what} ${text}: it is not in ${formatSubnet(subnet)}`);
}
