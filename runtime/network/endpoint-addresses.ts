// The addresses of endpoints: taken from their network's pools, or claimed there, and where they belong.
import { CodedError } from '../../base/errors.ts';
import { formatAddress6, type Ip, isSix, parseAddress, parseAddress6 } from './addresses.ts';
import type { Bridge } from './bridges.ts';
import type { Endpoint, EndpointRequest } from './contract.ts';
import { isPredefined, type NetworkState } from './network-table.ts';
import { sixOf, sixOfBridge } from './overlay-ruleset.ts';
import type { SubnetGateway } from './network-addresses.ts';
import type { Wiring } from './wiring.ts';

export function takeAddress(network: NetworkState, asked: string | undefined, nowMs: number): number {
  const { addresses, record } = network;
  if (!addresses) throw new CodedError('invalid', `network ${record.name} has no addresses`);
  if (!asked) return addresses.take(nowMs);
  if (isPredefined(record.name)) {
    throw new CodedError('invalid', 'user specified IP address is supported on user defined networks only');
  }
  const address = parseAddress(asked, 'address');
  addresses.claim(address);
  return address;
}

/** On the default bridge those have IPv6 who ask for it. */
export const leadsToSix = ({ addresses6, record }: NetworkState, { reachedBySix }: EndpointRequest): boolean =>
  addresses6 !== undefined && (!isPredefined(record.name) || reachedBySix === true);

export function takeAddress6(
  network: NetworkState,
  request: EndpointRequest,
  asked: string | undefined,
  offset: number,
  nowMs: number,
): bigint | undefined {
  const { addresses6, record } = network;
  if (!asked) return leadsToSix(network, request) ? addresses6?.take(nowMs, offset) : undefined;
  if (isPredefined(record.name)) {
    throw new CodedError('invalid', 'user specified IP address is supported on user defined networks only');
  }
  if (!addresses6) {
    const why = `network ${record.name} has no IPv6 (docker network create --ipv6)`;
    throw new CodedError('invalid', `no configured subnet contains IP address ${asked}: ${why}`);
  }
  const address = parseAddress6(asked);
  addresses6.claim(address);
  return address;
}

interface OwnAddress {
  readonly address: Ip;
  readonly prefixLength: number;
}

export function addressesIn({ address, prefixLength, address6 = '', prefixLength6 = 0 }: Endpoint): OwnAddress[] {
  return [
    ...(address === '' ? [] : [{ address: parseAddress(address), prefixLength }]),
    ...(address6 === '' ? [] : [{ address: parseAddress6(address6), prefixLength: prefixLength6 }]),
  ];
}

export function claimIn({ addresses, addresses6 }: NetworkState, address: Ip): void {
  if (isSix(address)) addresses6?.claim(address);
  else addresses?.claim(address);
}

/** On networks between nodes it follows from the other one, as nobody else could tell it. */
export function asked6(
  { bridge, overlay }: NetworkState,
  { address6 }: EndpointRequest,
  address: number,
): string | undefined {
  const six = bridge && sixOfBridge(bridge);
  return overlay && six ? formatAddress6(sixOf(six, address)) : address6;
}

export const placeIn = ({ addresses }: NetworkState, bridge: Bridge, address: number): SubnetGateway =>
  addresses?.placeOf(address) ?? bridge;

export function sixIn(
  { addresses6 }: NetworkState,
  address: bigint | undefined,
): Pick<Required<Wiring>, 'six'> | undefined {
  if (address === undefined || !addresses6) return undefined;
  return { six: { address, place: addresses6.placeOf(address) } };
}
