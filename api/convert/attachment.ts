// A network that a container is to be in: EndpointSettings as clients send them, and as inspect and ps show them.
import { isIPv4, isIPv6 } from 'node:net';
import { fail } from '../../base/errors.ts';
import type { ContainerInfo, NetworkAttachment } from '../../runtime/container/contract.ts';
import type { Endpoint } from '../../runtime/network/contract.ts';
import type { EndpointSettings } from '../types/container.ts';
import { isBefore } from '../versions.ts';
import { Fields } from './fields.ts';

export function parseAttachment(network: string, endpoint: Fields): NetworkAttachment {
  endpoint.refuse('DriverOpts', 'driver options of an endpoint are');
  const ipam = endpoint.object('IPAMConfig');
  ipam.refuse('LinkLocalIPs', "link-local addresses of one's own are");
  return {
    network,
    aliases: endpoint.texts('Aliases'),
    links: endpoint.texts('Links').map(parseLink),
    macAddress: checkedMac(endpoint.text('MacAddress')),
    address: checkedAddress(ipam.text('IPv4Address'), isIPv4, 'IPv4'),
    address6: checkedAddress(ipam.text('IPv6Address'), isIPv6, 'IPv6'),
    gatewayPriority: endpoint.integer('GwPriority', { min: -2_147_483_648, max: 2_147_483_647 }),
  };
}

/** `container` or `container:alias`; what inspect shows (`/container:/own/alias`) is taken as well. */
export function parseLink(text: string): { to: string; alias: string } {
  const [, to = '', alias = to] = /^\/?([^:]+)(?::(?:.*\/)?([^:/]+))?$/.exec(text) ?? [];
  if (to === '') fail('invalid', `bad format for links: ${text}`);
  return { to, alias };
}

export function checkedMac(address: string): string {
  if (address !== '' && !/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(address))
    fail('invalid', `invalid MAC address: ${address}`);
  return address;
}

function checkedAddress(address: string, isValid: (text: string) => boolean, family: string): string {
  if (address !== '' && !isValid(address)) fail('invalid', `invalid ${family} address: ${address}`);
  return address;
}

export interface NetworkFacts {
  /** By its name; what has run once stays known by it. */
  readonly networkId: (name: string) => string | undefined;
  /** Of the API. Until 1.45 the short id was among the aliases, where compose 1 looks for it. */
  readonly version: string;
}

/** Every network of the container by its name, with its place in it while it runs. */
export function networksOf(info: ContainerInfo, facts: NetworkFacts): Record<string, EndpointSettings> {
  const settings = info.attachments.map((attachment): [string, EndpointSettings] => {
    const endpoint = info.endpoints.find((each) => isOf(each, attachment.network));
    return [endpoint?.networkName ?? attachment.network, endpointSettings(attachment, endpoint, info, facts)];
  });
  return Object.fromEntries(settings);
}

const isOf = ({ networkName, networkId }: Endpoint, reference: string): boolean =>
  networkName === reference || networkId.startsWith(reference);

function endpointSettings(
  { aliases, links, network, address, address6, gatewayPriority }: NetworkAttachment,
  endpoint: Endpoint | undefined,
  info: ContainerInfo,
  { networkId, version }: NetworkFacts,
): EndpointSettings {
  const known = info.state === 'created' ? undefined : networkId(network);
  const asked = {
    ...(address === '' ? {} : { IPv4Address: address }),
    ...(address6 === '' ? {} : { IPv6Address: address6 }),
  };
  const isPlain = ['bridge', 'host', 'none'].includes(network);
  const shown = isPlain || !isBefore(version, '1.45') ? [...aliases] : [...new Set([...aliases, info.id.slice(0, 12)])];
  return {
    IPAMConfig: Object.keys(asked).length > 0 ? asked : null,
    Links: !isPlain && links.length > 0 ? links.map(({ to, alias }) => `${to}:${alias}`) : null,
    Aliases: shown.length > 0 ? shown : null,
    MacAddress: endpoint?.macAddress ?? '',
    DriverOpts: null,
    GwPriority: gatewayPriority,
    NetworkID: endpoint?.networkId ?? known ?? '',
    EndpointID: endpoint?.id ?? '',
    Gateway: endpoint?.gateway ?? '',
    IPAddress: endpoint?.address ?? '',
    IPPrefixLen: endpoint?.prefixLength ?? 0,
    IPv6Gateway: endpoint?.gateway6 ?? '',
    GlobalIPv6Address: endpoint?.address6 ?? '',
    GlobalIPv6PrefixLen: endpoint?.prefixLength6 ?? 0,
    DNSNames: isPlain ? null : [...new Set([info.name, ...aliases, info.id.slice(0, 12)])],
  };
}
