// Where a registry is to be found: mirrors before docker.io itself, and which hosts may be spoken to without TLS or with
// a certificate that nobody vouches for. As dockerd: loopback always is such a host.
import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import type { RegistrySettings } from './contract.ts';

export interface Endpoint {
  readonly host: string; // name[:port]
  readonly scheme: 'https' | 'http' | 'either'; // either: https without checks, then http
  readonly isMirror: boolean;
}

const DOCKER_IO = 'docker.io';
const DOCKER_IO_HOST = 'registry-1.docker.io';

export async function endpointsOf(domain: string, settings: RegistrySettings): Promise<Endpoint[]> {
  if (domain !== DOCKER_IO) {
    const scheme = (await isInsecure(domain, settings.insecure)) ? 'either' : 'https';
    return [{ host: domain, scheme, isMirror: false }];
  }
  const mirrors = settings.mirrors.map((text): Promise<Endpoint> => mirrorEndpoint(new URL(text), settings));
  return [...(await Promise.all(mirrors)), { host: DOCKER_IO_HOST, scheme: 'https', isMirror: false }];
}

async function mirrorEndpoint(url: URL, settings: RegistrySettings): Promise<Endpoint> {
  if (url.protocol === 'http:') return { host: url.host, scheme: 'http', isMirror: true };
  const scheme = (await isInsecure(url.host, settings.insecure)) ? 'either' : 'https';
  return { host: url.host, scheme, isMirror: true };
}

/** The registry that a login's server address means: a host, a URL, or '' for docker.io. */
export function domainOfServer(address: string): string {
  const host = address.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
  return host === '' || host === 'index.docker.io' || host === DOCKER_IO_HOST ? DOCKER_IO : host;
}

export async function isInsecure(host: string, insecure: readonly string[]): Promise<boolean> {
  if (insecure.includes(host)) return true;
  const name = host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  if (insecure.includes(name)) return true;
  const list = blockList(insecure);
  const addresses = isIP(name) ? [name] : await addressesOf(name);
  return addresses.some((address) => list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4'));
}

function blockList(insecure: readonly string[]): BlockList {
  const list = new BlockList();
  list.addSubnet('127.0.0.0', 8);
  list.addAddress('::1', 'ipv6');
  for (const entry of insecure) {
    const [address = '', bits = ''] = entry.split('/');
    const family = isIP(address);
    if (family !== 0 && bits !== '') list.addSubnet(address, Number(bits), family === 6 ? 'ipv6' : 'ipv4');
  }
  return list;
}

async function addressesOf(name: string): Promise<string[]> {
  try {
    return (await lookup(name, { all: true })).map(({ address }) => address);
  } catch {
    return []; // the request itself will say that the name is unknown
  }
}
