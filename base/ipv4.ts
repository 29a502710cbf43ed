// IPv4 addresses as numbers, and subnets. Pure.
import { fail } from './errors.ts';

export interface Subnet {
  readonly base: number; // network address, host bits zero
  readonly prefixLength: number;
}

export function parseAddress(text: string, what = 'address'): number {
  return readAddress(text) ?? fail('invalid', `${what} '${text}' is not an IPv4 address`);
}

const [ZERO, NINE, DOT] = ['0'.charCodeAt(0), '9'.charCodeAt(0), '.'.charCodeAt(0)] as const;

/** By hand: a large network has tens of thousands of them at once. */
function readAddress(text: string): number | undefined {
  let [sum, part, digits, parts] = [0, 0, 0, 1];
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === DOT && digits > 0 && parts < 4) {
      [sum, part, digits, parts] = [sum * 256 + part, 0, 0, parts + 1];
    } else if (code >= ZERO && code <= NINE && digits < 3) {
      [part, digits] = [part * 10 + code - ZERO, digits + 1];
    } else return undefined;
    if (part > 255) return undefined;
  }
  return parts === 4 && digits > 0 ? sum * 256 + part : undefined;
}

export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

export function maskOf(prefixLength: number): number {
  return prefixLength === 0 ? 0 : (0xffff_ffff << (32 - prefixLength)) >>> 0;
}

export function subnetOf(address: number, prefixLength: number): Subnet {
  return { base: (address & maskOf(prefixLength)) >>> 0, prefixLength };
}

/** Reads `172.18.0.0/16`; host bits must be zero, as the text then says what it means. */
export function parseSubnet(text: string): Subnet {
  const [address = '', length = ''] = text.split('/');
  if (!/^\d{1,2}$/.test(length) || Number(length) > 32) fail('invalid', `invalid CIDR address: ${text}`);
  const subnet = subnetOf(parseAddress(address, 'subnet'), Number(length));
  if (subnet.base !== parseAddress(address)) {
    fail('invalid', `invalid network ${text}: the network address is ${formatSubnet(subnet)}`);
  }
  return subnet;
}

/** Docker's rule for containers: 02:42 and the IPv4 address, so that a reused address keeps its neighbours' caches right. */
export function macOfAddress(address: number): string {
  const bytes = [0x02, 0x42, ...[24, 16, 8, 0].map((shift) => (address >>> shift) & 255)];
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

export const formatSubnet = (subnet: Subnet): string => `${formatAddress(subnet.base)}/${subnet.prefixLength}`;

export function contains(subnet: Subnet, address: number): boolean {
  return (address & maskOf(subnet.prefixLength)) >>> 0 === subnet.base;
}

export function overlaps(a: Subnet, b: Subnet): boolean {
  return a.prefixLength <= b.prefixLength ? contains(a, b.base) : contains(b, a.base);
}
