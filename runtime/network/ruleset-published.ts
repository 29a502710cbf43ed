// The packet rules of containers' published ports: the elements of the sets that say where each one leads. Pure.
import { formatHost, type Ip, ipBytes, isSix } from './addresses.ts';
import type { PortProtocol } from './netd-protocol.ts';
import { type Element, type NftBatch, type SetShape, typeOf } from './nft-messages.ts';
import { portBytes, protocolBytes } from './ruleset-parts.ts';
import { type Target, TARGET6_SHAPE, TARGET_SHAPE, targetBytes } from './ruleset-ingress.ts';
import { askedAddressOf, PUBLISHED6, PUBLISHED6_ON_ADDRESS } from './ruleset6.ts';

/** A container's published port, in one family. `hostAddress` 0 and 0n: any of the host's addresses. */
export interface PublishedPort {
  readonly protocol: PortProtocol;
  readonly hostAddress: Ip;
  readonly hostPort: number;
  readonly to: Target<Ip>;
}

/** By `publishedKey`. */
export type PublishedPorts = ReadonlyMap<string, PublishedPort>;

export const publishedKey = (port: Omit<PublishedPort, 'to'>): string =>
  `${port.protocol}/${formatHost(port.hostAddress)}/${port.hostPort}`;

export const PUBLISHED = 'published';
export const PUBLISHED_ON_ADDRESS = 'published_on_address';

export const PUBLISHED_SETS: Readonly<Record<string, SetShape>> = {
  [PUBLISHED]: { keyType: typeOf('protocol', 'port'), keyLength: 8, data: TARGET_SHAPE },
  [PUBLISHED_ON_ADDRESS]: { keyType: typeOf('address', 'protocol', 'port'), keyLength: 12, data: TARGET_SHAPE },
  [PUBLISHED6]: { keyType: typeOf('protocol', 'port'), keyLength: 8, data: TARGET6_SHAPE },
  [PUBLISHED6_ON_ADDRESS]: { keyType: typeOf('address6', 'protocol', 'port'), keyLength: 24, data: TARGET6_SHAPE },
};

export function publishedSet({ hostAddress, to }: PublishedPort): string {
  if (isSix(to.address)) return hostAddress === 0n ? PUBLISHED6 : PUBLISHED6_ON_ADDRESS;
  return hostAddress === 0 ? PUBLISHED : PUBLISHED_ON_ADDRESS;
}

export function publishedElement(port: PublishedPort): Element {
  const key = [protocolBytes(port.protocol), portBytes(port.hostPort)];
  const { hostAddress } = port;
  if (hostAddress !== 0 && hostAddress !== 0n) key.unshift(ipBytes(askedAddressOf(hostAddress)));
  return { key: Buffer.concat(key), data: targetBytes(port.to) };
}

/** Of the same key: only the target can differ. */
const samePort = (a: PublishedPort | undefined, b: PublishedPort): boolean =>
  a?.to.address === b.to.address && a.to.port === b.to.port;

export function changePublished(batch: NftBatch, from: PublishedPorts, to: PublishedPorts): void {
  if (from === to) return;
  const gone = [...from].filter(([key, port]) => !samePort(to.get(key), port)).map(([, port]) => port);
  const come = [...to].filter(([key, port]) => !samePort(from.get(key), port)).map(([, port]) => port);
  for (const set of [PUBLISHED, PUBLISHED_ON_ADDRESS, PUBLISHED6, PUBLISHED6_ON_ADDRESS]) {
    const inSet = (port: PublishedPort): boolean => publishedSet(port) === set;
    batch.deleteElements(set, gone.filter(inSet).map(publishedElement));
    batch.addElements(set, come.filter(inSet).map(publishedElement));
  }
}
