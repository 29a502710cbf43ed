// /etc/hostname, /etc/hosts and /etc/resolv.conf of a container. The texts are pure; `HostFiles` reads the machine's.
import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { errnoOf } from '../../base/errors.ts';
import type { ContainerConfig } from './contract.ts';

const LOCAL = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`;
const RESOLVER = '127.0.0.11';
const PUBLIC_SERVERS = ['8.8.8.8', '8.8.4.4']; // as Docker, when the host names only itself

export interface HostsFacts {
  readonly base: string | undefined; // the machine's own file, with its network
  readonly hostname: string;
  readonly domainName: string;
  readonly addresses: readonly string[];
  readonly gateway: string; // what host-gateway means
  readonly extraHosts: readonly string[];
}

export function hostsText(facts: HostsFacts): string {
  const extra = facts.extraHosts.map((entry) => {
    const [, name = '', address = ''] = /^([^:=]+)[:=](.+)$/.exec(entry) ?? [];
    const plain = address.replace(/^\[(.*)\]$/, '$1');
    return `${plain === 'host-gateway' ? facts.gateway : plain}\t${name}\n`;
  });
  const full = facts.domainName === '' ? '' : `${facts.hostname}.${facts.domainName} `;
  const own = facts.addresses.map((address) => `${address}\t${full}${facts.hostname}\n`);
  return (facts.base ?? LOCAL) + extra.join('') + own.join('');
}

/** `resolver`: one answers at 127.0.0.11, and asks the others itself. */
export function resolvText(
  host: string,
  dns: ContainerConfig['dns'],
  options: { ownNetwork: boolean; resolver?: boolean },
): string {
  const lines = host.split('\n').map((line) => line.trim().split(/\s+/));
  const valuesOf = (key: string): string[] => lines.filter(([word]) => word === key).flatMap(([, ...rest]) => rest);
  const usable = valuesOf('nameserver').filter((server) => !options.ownNetwork || !isLoopback(server));
  const outside = dns.servers.length > 0 ? dns.servers : usable.length > 0 ? usable : PUBLIC_SERVERS;
  const servers = options.resolver ? [RESOLVER] : outside;
  const search = dns.search.length > 0 ? dns.search.filter((domain) => domain !== '.') : valuesOf('search');
  const asked = dns.options.length > 0 ? dns.options : valuesOf('options');
  // Names without a dot are those of containers: they are asked for as they are before any domain is tried.
  const hasDots = asked.some((option) => option.startsWith('ndots:'));
  const choices = options.resolver && !hasDots ? ['ndots:0', ...asked] : asked;
  const text = servers.map((server) => `nameserver ${server}\n`);
  if (search.length > 0) text.push(`search ${search.join(' ')}\n`);
  if (choices.length > 0) text.push(`options ${choices.join(' ')}\n`);
  return text.join('');
}

const isLoopback = (server: string): boolean => /^(127\.|::1$|0?:0?:0?:0?:0?:0?:0?:1$)/.test(server);

/** The machine's files, read again only when they changed. */
export class HostFiles {
  readonly #cache = new Map<string, { mtimeMs: number; text: string }>();

  hosts(): Promise<string> {
    return this.#read('/etc/hosts');
  }

  hostname(): string {
    return hostname();
  }

  async resolvConf(options: { ownNetwork: boolean }): Promise<string> {
    const text = await this.#read('/etc/resolv.conf');
    // systemd's stub listens on the machine's loopback only; it keeps the real servers beside it.
    const isStub = /^\s*nameserver\s+127\.0\.0\.53\s*$/m.test(text);
    const real = isStub && options.ownNetwork ? await this.#read('/run/systemd/resolve/resolv.conf') : '';
    return real === '' ? text : real;
  }

  async #read(path: string): Promise<string> {
    try {
      const { mtimeMs } = statSync(path); // sooner done than handed to the thread pool
      const known = this.#cache.get(path);
      if (known?.mtimeMs === mtimeMs) return known.text;
      const text = await readFile(path, 'utf8');
      this.#cache.set(path, { mtimeMs, text });
      return text;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return '';
      throw error;
    }
  }
}
