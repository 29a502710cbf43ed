// Addresses, subnets, and what is derived from them: IPv4 as numbers, IPv6 as bigints. Pure.
import { fail } from '../../base/errors.ts';
import { formatAddress, overlaps, parseAddress, type Subnet, subnetOf } from '../../base/ipv4.ts';
import { addressBytes6, formatAddress6, parseAddress6 } from '../../base/ipv6.ts';

export {
  contains,
  formatAddress,
  formatSubnet,
  maskOf,
  overlaps,
  parseAddress,
  parseSubnet,
  type Subnet,
  subnetOf,
} from '../../base/ipv4.ts';
export {
  addressBytes6,
  contains6,
  formatAddress6,
  formatSubnet6,
  maskOf6,
  overlaps6,
  parseAddress6,
  parseSubnet6,
  sizeOf6,
  type Subnet6,
} from '../../base/ipv6.ts';

/** IPv4 as a number, IPv6 as a bigint: an address says itself of which family it is. */
export type Ip = number | bigint;

export const isSix = (address: Ip): address is bigint => typeof address === 'bigint';

export const isSixText = (text: string): boolean => text.includes(':');

export function parseIp(text: string, what = 'address'): Ip {
  return isSixText(text) ? parseAddress6(text, what) : parseAddress(text, what);
}

export const formatIp = (address: Ip): string => (isSix(address) ? formatAddress6(address) : formatAddress(address));

/** As it stands before a port: IPv6 in brackets. */
export const formatHost = (address: Ip): string => (isSix(address) ? `[${formatIp(address)}]` : formatIp(address));

/** Network order, as the kernel takes it: four bytes or sixteen. */
export const ipBytes = (address: Ip): Buffer => (isSix(address) ? addressBytes6(address) : addressBytes(address));

/** Network order, as the kernel takes it. */
export function addressBytes(address: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(address);
  return bytes;
}

export const sizeOf = (subnet: Subnet): number => 2 ** (32 - subnet.prefixLength);

export function macText(bytes: Iterable<number>): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

export function parseMac(text: string): Buffer {
  if (!/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text)) fail('invalid', `invalid MAC address: ${text}`);
  const bytes = Buffer.from(text.replace(/[:-]/g, ''), 'hex');
  if ((bytes[0] ?? 0) & 1) fail('invalid', `invalid MAC address: ${text} is a multicast address`);
  return bytes;
}

const POOLS: readonly Subnet[] = [
  ...Array.from({ length: 15 }, (_, index) => subnetOf(parseAddress(`172.${17 + index}.0.0`), 16)),
  ...Array.from({ length: 16 }, (_, index) => subnetOf(parseAddress(`192.168.${index * 16}.0`), 20)),
];

/** The first of Docker's default pools that meets none of `taken`. `first` is preferred when it is free. */
export function freeSubnet(taken: readonly Subnet[], first?: Subnet): Subnet {
  const candidates = first ? [first, ...POOLS] : POOLS;
  return (
    candidates.find((candidate) => !taken.some((other) => overlaps(candidate, other))) ??
    fail('exhausted', 'all predefined address pools have been fully subnetted: name a subnet')
  );
}
