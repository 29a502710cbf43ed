// IPv6 addresses as bigints, and subnets. Pure.
import { isIPv6 } from 'node:net';
import { fail } from './errors.ts';
import { parseAddress } from './ipv4.ts';

export interface Subnet6 {
  readonly base: bigint;
  readonly prefixLength: number;
}

export function parseAddress6(text: string, what = 'address'): bigint {
  if (!isIPv6(text) || text.includes('%')) return fail('invalid', `${what} '${text}' is not an IPv6 address`);
  const [, head = '', four] = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text) ?? [undefined, text];
  const last =
    four === undefined
      ? ''
      : parseAddress(four)
          .toString(16)
          .padStart(8, '0')
          .replace(/^(.{4})/, '$1:');
  const [left = '', right] = `${head}${last}`.split('::');
  const groupsOf = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const [front, back] = [groupsOf(left), groupsOf(right ?? '')];
  const middle = Array.from({ length: 8 - front.length - back.length }, () => '0');
  return [...front, ...middle, ...back].reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}

/** As RFC 5952 wants it: short, the longest run of zeros left out. */
export function formatAddress6(address: bigint): string {
  const groups = Array.from({ length: 8 }, (_, index) => Number((address >> BigInt(112 - index * 16)) & 0xffffn));
  let [start, length] = [-1, 1]; // a single zero stays
  for (let at = 0; at < 8; at += 1) {
    let end = at;
    while (end < 8 && groups[end] === 0) end += 1;
    if (end - at > length) [start, length] = [at, end - at];
  }
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  return start < 0 ? text(groups) : `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

export function addressBytes6(address: bigint): Buffer {
  return Buffer.from(address.toString(16).padStart(32, '0'), 'hex');
}

const ALL_SIX = (1n << 128n) - 1n;

export const maskOf6 = (prefixLength: number): bigint => (ALL_SIX << BigInt(128 - prefixLength)) & ALL_SIX;

/** Reads `fd00:1::/64`; host bits must be zero, as in `parseSubnet`. */
export function parseSubnet6(text: string): Subnet6 {
  const [address = '', length = ''] = text.split('/');
  if (!/^\d{1,3}$/.test(length) || Number(length) > 128) fail('invalid', `invalid CIDR address: ${text}`);
  const prefixLength = Number(length);
  const asked = parseAddress6(address, 'subnet');
  const subnet = { base: asked & maskOf6(prefixLength), prefixLength };
  if (subnet.base !== asked)
    fail('invalid', `invalid network ${text}: the network address is ${formatSubnet6(subnet)}`);
  return subnet;
}

export const formatSubnet6 = (subnet: Subnet6): string => `${formatAddress6(subnet.base)}/${subnet.prefixLength}`;

export const sizeOf6 = ({ prefixLength }: Subnet6): bigint => 1n << BigInt(128 - prefixLength);

export const contains6 = (subnet: Subnet6, address: bigint): boolean =>
  (address & maskOf6(subnet.prefixLength)) === subnet.base;

export function overlaps6(a: Subnet6, b: Subnet6): boolean {
  return a.prefixLength <= b.prefixLength ? contains6(a, b.base) : contains6(b, a.base);
}
