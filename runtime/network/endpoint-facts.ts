// What follows from an endpoint, or from what was asked for one: its ports as rules, what is refused, names. Pure.
import { CodedError } from '../../base/errors.ts';
import { formatAddress, isSix, parseIp } from './addresses.ts';
import type { Bridge } from './bridges.ts';
import type { Endpoint, EndpointRequest, PortPublish } from './contract.ts';
import { leadsToSix } from './endpoint-addresses.ts';
import type { ConnectionFilter } from './netd-protocol.ts';
import { isPredefined, type NetworkState } from './network-table.ts';
import { hostAddressesOf } from './ports.ts';
import type { PublishedPort } from './ruleset-published.ts';
import { askedAddressOf } from './ruleset6.ts';

/** The published ports of an endpoint as rules: one for each family that a port is published in. */
export function publishedPorts(endpoint: Endpoint): PublishedPort[] {
  const [four, six] = [endpoint.address, endpoint.address6 ?? ''];
  return endpoint.published.flatMap((publish) =>
    hostAddressesOf(publish, familiesOf(endpoint)).map((hostAddress) => ({
      protocol: publish.protocol,
      hostAddress,
      hostPort: publish.hostPort,
      to: { address: parseIp(isSix(hostAddress) ? six : four), port: publish.containerPort },
    })),
  );
}

export const familiesOf = ({ address6 = '' }: Endpoint): { readonly six: boolean } => ({ six: address6 !== '' });

/** Clients that sent before the rule was there, or to the port's owner before, are remembered with a wrong target. */
export function datagramsTo(port: PublishedPort): ConnectionFilter {
  const { protocol, hostAddress, hostPort: askedPort } = port;
  const family = isSix(hostAddress) ? 6 : 4;
  const isAny = hostAddress === 0 || hostAddress === 0n;
  return { family, protocol, askedPort, ...(!isAny && { askedAddress: askedAddressOf(hostAddress) }) };
}

export function checkPublishable(network: NetworkState, request: EndpointRequest): void {
  if (network.record.lan || network.overlay) return;
  const families = { six: leadsToSix(network, request) };
  for (const publish of request.publish) {
    hostAddressesOf(publish, families);
    const inRange = (port: number, min: number): boolean => Number.isInteger(port) && port >= min && port <= 65_535;
    const { containerPort, hostPort, hostPortLast = hostPort } = publish;
    if (inRange(containerPort, 1) && inRange(hostPort, 0) && inRange(hostPortLast, hostPort)) continue;
    throw new CodedError(
      'invalid',
      `invalid port mapping ${publish.hostPort}:${publish.containerPort}/${publish.protocol}`,
    );
  }
  if (network.record.internal && request.publish.length > 0) {
    throw new CodedError('invalid', `network ${network.record.name} is internal: ports can not be published on it`);
  }
}

/** The network may say on which address ports are published that name none. */
export function withHostAddress(publish: PortPublish, { publishOn }: Bridge): PortPublish {
  return publish.hostAddress === '' && publishOn !== 0
    ? { ...publish, hostAddress: formatAddress(publishOn) }
    : publish;
}

export function withChosenPort({ protocol, containerPort, hostAddress }: PortPublish, hostPort: number): PortPublish {
  return { protocol, containerPort, hostAddress, hostPort };
}

export const nameOf = (request: EndpointRequest, id: string): string =>
  `${request.containerName ?? request.containerId.slice(0, 12)} (${id.slice(0, 12)})`;

export function placeOf(
  network: NetworkState,
  { containerId, containerName, aliases, links, gatewayPriority, upstreams }: EndpointRequest,
): Pick<
  Endpoint,
  'networkId' | 'networkName' | 'containerId' | 'names' | 'resolver' | 'links' | 'gatewayPriority' | 'upstreams'
> {
  const names = [...new Set([...(containerName ? [containerName] : []), ...aliases, containerId.slice(0, 12)])];
  return {
    networkId: network.record.id,
    networkName: network.record.name,
    containerId,
    ...(isPredefined(network.record.name) ? {} : { names, resolver: true }),
    ...(links && links.length > 0 ? { links } : {}),
    ...(gatewayPriority ? { gatewayPriority } : {}),
    ...(upstreams && upstreams.length > 0 ? { upstreams } : {}),
  };
}

export const macTextOf = (mac: Uint8Array): string =>
  [...mac].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
