// Ports of containers: `80/tcp`, ranges, bindings; and back for inspect and ps.
import { fail } from '../../base/errors.ts';
import { asArray, asObject, asString } from '../../base/parse.ts';
import type { Endpoint, PortPublish } from '../../runtime/network/contract.ts';
import type { PortBinding, PortMap, PortSummary } from '../types/container.ts';
import { Fields } from './fields.ts';

interface PortRange {
  readonly first: number;
  readonly last: number;
}

const PROTOCOLS = ['tcp', 'udp', 'sctp'] as const;
type Protocol = (typeof PROTOCOLS)[number];

/** `80`, `80/tcp`, `8000-8010/udp` as single ports in normal form. */
export function expandPorts(text: string): { port: number; protocol: Protocol }[] {
  const [ports = '', protocolText = 'tcp', ...rest] = text.split('/');
  const protocol = PROTOCOLS.find((candidate) => candidate === protocolText.toLowerCase());
  if (!protocol || rest.length > 0) fail('invalid', `invalid proto: ${text}`);
  const range = parseRange(ports, text);
  if (range.first === 0) fail('invalid', `invalid port specification: "${text}"`);
  return Array.from({ length: range.last - range.first + 1 }, (_, i) => ({ port: range.first + i, protocol }));
}

function parseRange(ports: string, whole: string): PortRange {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(ports);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (!match || last < first || last > 65_535) fail('invalid', `invalid port specification: "${whole}"`);
  return { first, last };
}

/** PortBindings: `{"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}`. */
export function parsePortBindings(host: Fields): PortPublish[] {
  const table = host.objectOrAbsent('PortBindings');
  if (!table) return [];
  return Object.entries(table.json).flatMap(([container, bindings]) => {
    const path = table.path(container);
    const list = bindings === null ? [] : asArray(bindings, path, (value, at) => new Fields(asObject(value, at), at));
    // Docker takes an empty list of bindings as: any host port.
    const wanted = list.length === 0 ? [new Fields({}, path)] : list;
    return wanted.flatMap((binding) => publishes(container, binding));
  });
}

function publishes(container: string, binding: Fields): PortPublish[] {
  const ports = expandPorts(container);
  const hostText = asString(binding.raw('HostPort') ?? '', binding.path('HostPort'));
  const hostAddress = binding.text('HostIp');
  const range = hostText === '' ? { first: 0, last: 0 } : parseRange(hostText, hostText);
  const length = range.last - range.first + 1;
  if (range.first !== 0 && ports.length > 1 && length !== ports.length) {
    fail('invalid', `invalid ranges specified for container and host ports: ${container} and ${hostText}`);
  }
  return ports.map(({ port, protocol }, i) => ({
    protocol,
    containerPort: port,
    hostAddress,
    hostPort: range.first === 0 ? 0 : range.first + i,
    // One port for the whole range: the first that is free.
    ...(ports.length === 1 && length > 1 && { hostPortLast: range.last }),
  }));
}

const keyOf = (publish: PortPublish): string => `${publish.containerPort}/${publish.protocol}`;

function hostPortText({ hostPort, hostPortLast }: PortPublish): string {
  if (hostPort === 0) return '';
  return hostPortLast === undefined ? String(hostPort) : `${hostPort}-${hostPortLast}`;
}

/** HostConfig.PortBindings from what was asked. */
export function bindingsOf(publish: readonly PortPublish[]): Record<string, PortBinding[]> {
  const map: Record<string, PortBinding[]> = {};
  for (const entry of publish) {
    const list = (map[keyOf(entry)] ??= []);
    list.push({ HostIp: entry.hostAddress, HostPort: hostPortText(entry) });
  }
  return map;
}

/** NetworkSettings.Ports: null for ports that are exposed only; empty once the container has no endpoint. */
export function portMapOf(endpoints: readonly Endpoint[], exposed: readonly string[]): PortMap {
  if (endpoints.length === 0) return {};
  const map: PortMap = {};
  for (const port of exposed) map[port.includes('/') ? port : `${port}/tcp`] = null;
  for (const { published, address6 = '' } of endpoints) {
    const everywhere = address6 === '' ? ['0.0.0.0'] : ['0.0.0.0', '::'];
    for (const entry of published) {
      const addresses = entry.hostAddress === '' ? everywhere : [entry.hostAddress];
      const bindings = addresses.map((HostIp) => ({ HostIp, HostPort: String(entry.hostPort) }));
      map[keyOf(entry)] = [...(map[keyOf(entry)] ?? []), ...bindings];
    }
  }
  return map;
}

/** The PORTS column: published ones with their address, the rest bare; none while there is no endpoint. */
export function portSummaries(endpoints: readonly Endpoint[], exposed: readonly string[]): PortSummary[] {
  return Object.entries(portMapOf(endpoints, exposed)).flatMap(([key, bindings]): PortSummary[] => {
    const [port = '', type = 'tcp'] = key.split('/');
    const bare = { PrivatePort: Number(port), Type: type };
    if (!bindings) return [bare];
    return bindings.map(({ HostIp, HostPort }) => ({ IP: HostIp, ...bare, PublicPort: Number(HostPort) }));
  });
}
