// What the rules of our table are made of: conditions, and values as the kernel writes them. Pure.
import { addressBytes, addressBytes6, maskOf, maskOf6, type Subnet, type Subnet6 } from './addresses.ts';
import { PROTOCOL_NUMBER, type PortProtocol } from './netd-protocol.ts';
import {
  compare,
  loadConntrack,
  loadDestinationType,
  loadMeta,
  loadPayload,
  lookup,
  mask,
  verdict,
} from './nft-expressions.ts';
import type { Expression } from './nft-messages.ts';

export type Rule = readonly [chain: string, rule: readonly Expression[]];

export const CONNECTION = { invalid: 0x1, known: 0x6, isNew: 0x8, destinationTranslated: 0x20 } as const;
const LOCAL_ADDRESS = u32(2);
const IPV4 = Buffer.from([2]);
const IPV6 = Buffer.from([10]);

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function portBytes(port: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16BE(port);
  return bytes;
}

export const protocolBytes = (protocol: PortProtocol): Buffer => Buffer.from([PROTOCOL_NUMBER[protocol], 0, 0, 0]);
export const onlyIpv4: readonly Expression[] = [loadMeta('nfproto'), compare('equal', IPV4)];
export const toThisHost: readonly Expression[] = [...onlyIpv4, loadDestinationType, compare('equal', LOCAL_ADDRESS)];

export const onlyIpv6: readonly Expression[] = [loadMeta('nfproto'), compare('equal', IPV6)];
export const toThisHost6: readonly Expression[] = [...onlyIpv6, loadDestinationType, compare('equal', LOCAL_ADDRESS)];
export const loadProtocolAndPort: readonly Expression[] = [loadMeta('l4proto'), loadPayload('destinationPort', 1)];
export const loadAddressProtocolPort: readonly Expression[] = [
  loadPayload('destinationAddress'),
  loadMeta('l4proto', 1),
  loadPayload('destinationPort', 2),
];

export function linkBytes(name: string): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.write(name);
  return bytes;
}

export function link(direction: 'iifname' | 'oifname', operator: 'equal' | 'not-equal', name: string): Expression[] {
  return [loadMeta(direction), compare(operator, linkBytes(name))];
}

export const linkIn = (direction: 'iifname' | 'oifname', set: string): Expression[] => [
  loadMeta(direction),
  lookup(set),
];

export function fromSubnet(subnet: Subnet): Expression[] {
  const bits = addressBytes(maskOf(subnet.prefixLength));
  return [...onlyIpv4, loadPayload('sourceAddress'), mask(bits), compare('equal', addressBytes(subnet.base))];
}

export function fromSubnet6(subnet: Subnet6): Expression[] {
  const bits = addressBytes6(maskOf6(subnet.prefixLength));
  return [...onlyIpv6, loadPayload('sourceAddress6'), mask(bits), compare('equal', addressBytes6(subnet.base))];
}

export function connection(key: 'state' | 'status', bits: number): Expression[] {
  return [loadConntrack(key), mask(u32(bits)), compare('not-equal', u32(0))];
}

export const accept = verdict({ kind: 'accept' });
export const drop = verdict({ kind: 'drop' });
