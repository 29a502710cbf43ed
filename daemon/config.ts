// The daemon's settings: flags and the configuration file, with dockerd's names and meanings. Pure parsing.
// A setting given in both places is an error, as in dockerd: nobody should have to guess which one holds.
import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import { fail } from '../base/errors.ts';
import type { LogLevel } from '../base/log.ts';
import { asArray, asBoolean, asInteger, asObject, asString, type Json } from '../base/parse.ts';
import type { OciRuntime } from '../runtime/container/oci-runtimes.ts';
import type { RegistrySettings } from '../runtime/registry/contract.ts';
import { DEFAULT_SETTINGS } from '../runtime/registry/settings.ts';

export interface DaemonConfig {
  readonly hosts: readonly ListenAddress[];
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly pidFile: string;
  readonly logLevel: LogLevel;
  readonly group: string; // of unix sockets
  readonly cgroupParent: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly bridge: { readonly name: string; readonly address: string }; // '' : derived
  readonly tls: TlsFiles | undefined;
  readonly swarmAdvertiseAddress: string; // '' : found out
  readonly dashboard: string; // host:port, '' : none
  readonly registries: RegistrySettings;
  readonly ociRuntimes: Readonly<Record<string, OciRuntime>>;
}

export interface TlsFiles {
  readonly verify: boolean;
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

export type ListenAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** Flag → key of the configuration file (daemon.json's names). `many`: the flag may be repeated. */
const SETTINGS = {
  host: { key: 'hosts', many: true, short: 'H' },
  'data-root': { key: 'data-root' },
  'exec-root': { key: 'exec-root' },
  pidfile: { key: 'pidfile', short: 'p' },
  'log-level': { key: 'log-level', short: 'l' },
  group: { key: 'group', short: 'G' },
  'cgroup-parent': { key: 'cgroup-parent' },
  label: { key: 'labels', many: true },
  bridge: { key: 'bridge', short: 'b' },
  bip: { key: 'bip' },
  tlscacert: { key: 'tlscacert' },
  tlscert: { key: 'tlscert' },
  tlskey: { key: 'tlskey' },
  'swarm-default-advertise-addr': { key: 'swarm-default-advertise-addr' },
  dashboard: { key: 'dashboard' },
  'registry-mirror': { key: 'registry-mirrors', many: true },
  'insecure-registry': { key: 'insecure-registries', many: true },
  'add-runtime': { key: 'runtimes', many: true },
  'max-concurrent-downloads': { key: 'max-concurrent-downloads' },
  'max-concurrent-uploads': { key: 'max-concurrent-uploads' },
  'max-download-attempts': { key: 'max-download-attempts' },
  debug: { key: 'debug', short: 'D', boolean: true },
  tls: { key: 'tls', boolean: true },
  tlsverify: { key: 'tlsverify', boolean: true },
} as const;

type Flag = keyof typeof SETTINGS;
type Value = string | string[] | boolean;
interface Setting {
  readonly key: string;
  readonly many?: true;
  readonly short?: string;
  readonly boolean?: true;
}

export interface ParsedFlags {
  readonly values: ReadonlyMap<Flag, Value>;
  readonly configFile: string | undefined;
  readonly validateOnly: boolean;
}

/** The command line alone. Code `invalid` with a sentence for an unknown or incomplete flag. */
export function parseFlags(argv: readonly string[]): ParsedFlags {
  const entries = Object.entries(SETTINGS) as [Flag, Setting][];
  const options = Object.fromEntries(
    entries.map(([flag, { many, short, boolean }]) => [
      flag,
      {
        type: boolean ? ('boolean' as const) : ('string' as const),
        multiple: many ?? false,
        ...(short ? { short } : {}),
      },
    ]),
  );
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: { ...options, 'config-file': { type: 'string' }, validate: { type: 'boolean' } },
    });
    const given = entries.flatMap(([flag]) => {
      const value = (values as Readonly<Record<string, Value | undefined>>)[flag];
      return value === undefined ? [] : [[flag, value] as const];
    });
    const configFile = values['config-file'];
    return {
      values: new Map(given),
      configFile: typeof configFile === 'string' ? configFile : undefined,
      validateOnly: values['validate'] === true,
    };
  } catch (cause) {
    return fail('invalid', cause instanceof Error ? cause.message : String(cause));
  }
}

/** Joins flags and the parsed configuration file (undefined: none) and fills in defaults. */
export function daemonConfig(flags: ParsedFlags, file: unknown): DaemonConfig {
  const settings = merge(flags.values, file === undefined ? {} : asObject(file, 'the configuration file'));
  const text = (flag: Flag, fallback: string): string => asString(settings.get(flag) ?? fallback, `--${flag}`);
  const list = (flag: Flag): string[] => asArray(settings.get(flag) ?? [], `--${flag}`, asString);
  const truth = (flag: Flag): boolean => asBoolean(settings.get(flag) ?? false, `--${flag}`);

  const tls = tlsFiles(text, truth('tlsverify'), truth('tls'));
  const hosts = list('host').map(parseListenAddress);
  const config: DaemonConfig = {
    hosts: hosts.length > 0 ? hosts : [{ kind: 'unix', path: '/var/run/shoal.sock' }],
    dataRoot: absolute(text('data-root', '/var/lib/shoal'), '--data-root'),
    execRoot: absolute(text('exec-root', '/var/run/shoal'), '--exec-root'),
    pidFile: absolute(text('pidfile', '/var/run/shoald.pid'), '--pidfile'),
    logLevel: truth('debug') ? 'debug' : logLevel(text('log-level', 'info')),
    group: text('group', 'docker'),
    cgroupParent: absolute(text('cgroup-parent', '/shoal'), '--cgroup-parent'),
    labels: Object.fromEntries(list('label').map(parseLabel)),
    bridge: { name: text('bridge', ''), address: text('bip', '') },
    tls,
    swarmAdvertiseAddress: text('swarm-default-advertise-addr', ''),
    dashboard: text('dashboard', ''),
    registries: registrySettings(list, (flag) => settings.get(flag)),
    ociRuntimes: parseRuntimes(settings.get('add-runtime')),
  };
  refuseOpenTcp(config);
  refuseLongPaths(config);
  return config;
}

function merge(flags: ReadonlyMap<Flag, Value>, file: Json): ReadonlyMap<Flag, unknown> {
  const byKey = new Map((Object.entries(SETTINGS) as [Flag, Setting][]).map(([flag, { key }]) => [key, flag]));
  const merged = new Map<Flag, unknown>(flags);
  for (const [key, value] of Object.entries(file)) {
    const flag = byKey.get(key) ?? fail('invalid', `the configuration file has an unknown key '${key}'`);
    if (flags.has(flag))
      fail('invalid', `'${key}' is given both as a flag and in the configuration file: leave one out`);
    merged.set(flag, value);
  }
  return merged;
}

/** The flag gives NAME=PATH, the file an object as dockerd's. */
function parseRuntimes(given: unknown): Record<string, OciRuntime> {
  const entries = Array.isArray(given) ? given.map(parseAddedRuntime) : runtimesOfFile(given);
  for (const [name] of entries) {
    if (name === 'shoal') fail('invalid', "runtime name 'shoal' is reserved: it is the built-in one");
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)) fail('invalid', `'${name}' is not a name for a runtime`);
  }
  return Object.fromEntries(entries);
}

function parseAddedRuntime(text: unknown): [string, OciRuntime] {
  const [name = '', ...rest] = asString(text, '--add-runtime').split('=');
  const path = rest.join('=');
  if (path === '') fail('invalid', `--add-runtime '${name}' must be NAME=PATH`);
  return [name, { path, args: [] }];
}

function runtimesOfFile(given: unknown): [string, OciRuntime][] {
  if (given === undefined) return [];
  return Object.entries(asObject(given, 'runtimes')).map(([name, value]) => {
    const what = `runtimes.${name}`;
    const { path, runtimeArgs = [], ...rest } = asObject(value, what);
    const [unknown] = Object.keys(rest);
    if (unknown !== undefined) fail('invalid', `${what} has an unknown key '${unknown}'`);
    return [
      name,
      { path: asString(path, `${what}.path`), args: asArray(runtimeArgs, `${what}.runtimeArgs`, asString) },
    ];
  });
}

type RegistryCount = 'max-concurrent-downloads' | 'max-concurrent-uploads' | 'max-download-attempts';

function registrySettings(list: (flag: Flag) => string[], value: (flag: RegistryCount) => unknown): RegistrySettings {
  const { downloadsMax, uploadsMax, attemptsMax } = DEFAULT_SETTINGS;
  return {
    mirrors: list('registry-mirror').map(parseMirror),
    insecure: list('insecure-registry').map(parseInsecureRegistry),
    downloadsMax: count('max-concurrent-downloads', value, downloadsMax),
    uploadsMax: count('max-concurrent-uploads', value, uploadsMax),
    attemptsMax: count('max-download-attempts', value, attemptsMax),
  };
}

/** The file has a number, the flag its text. */
function count(flag: RegistryCount, value: (flag: RegistryCount) => unknown, fallback: number): number {
  const given = value(flag);
  if (given === undefined) return fallback;
  const number = typeof given === 'string' && /^\d+$/.test(given) ? Number(given) : given;
  return asInteger(number, `--${flag}`, { min: 1, max: 1_000 });
}

function parseMirror(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : fail('invalid', `invalid mirror: "${text}" is not a valid URI`);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    fail('invalid', `invalid mirror: unsupported scheme "${url.protocol.slice(0, -1)}" in "${text}"`);
  }
  if (url.username !== '' || url.password !== '')
    fail('invalid', 'invalid mirror: username/password not allowed in URI');
  if (url.search !== '' || url.hash !== '' || !['', '/'].includes(url.pathname)) {
    fail('invalid', `invalid mirror: path, query, or fragment at end of the URI "${text}"`);
  }
  return url.origin;
}

/** host, host:port or CIDR. */
function parseInsecureRegistry(text: string): string {
  if (/^https?:\/\//i.test(text)) fail('invalid', `insecure registry ${text} should not contain '://'`);
  const [address = '', bits] = text.split('/');
  const family = isIP(address);
  const isCidr = family !== 0 && bits !== undefined && /^\d+$/.test(bits) && Number(bits) <= (family === 6 ? 128 : 32);
  const isHost = bits === undefined && /^(\[[0-9a-fA-F:]+\]|[a-zA-Z0-9._-]+)(:\d{1,5})?$/.test(text);
  return isCidr || isHost
    ? text
    : fail('invalid', `insecure registry ${text} is not valid: give host[:port] or a CIDR`);
}

function tlsFiles(
  text: (flag: Flag, fallback: string) => string,
  verify: boolean,
  plain: boolean,
): TlsFiles | undefined {
  if (!verify && !plain) return undefined;
  return {
    verify,
    ca: text('tlscacert', '/etc/shoal/ca.pem'),
    certificate: text('tlscert', '/etc/shoal/cert.pem'),
    key: text('tlskey', '/etc/shoal/key.pem'),
  };
}

export function parseListenAddress(text: string): ListenAddress {
  const unix = /^unix:\/\/(\/.+)$/.exec(text);
  if (unix?.[1]) return { kind: 'unix', path: unix[1] };
  const tcp = /^tcp:\/\/(\[[0-9a-fA-F:]+\]|[^:/]+):(\d{1,5})$/.exec(text);
  const port = Number(tcp?.[2]);
  if (!tcp?.[1] || port > 65_535) fail('invalid', `-H '${text}' must be unix:///path or tcp://address:port`);
  return { kind: 'tcp', host: tcp[1].replace(/^\[|\]$/g, ''), port };
}

function parseLabel(text: string): [string, string] {
  const [key = '', ...rest] = text.split('=');
  if (key === '' || rest.length === 0) fail('invalid', `--label '${text}' must be key=value`);
  return [key, rest.join('=')];
}

function logLevel(text: string): LogLevel {
  if (text === 'fatal') return 'error';
  const level = (['debug', 'info', 'warn', 'error'] as const).find((name) => name === text);
  return level ?? fail('invalid', `--log-level '${text}' must be debug, info, warn, error or fatal`);
}

function absolute(path: string, what: string): string {
  if (!path.startsWith('/')) fail('invalid', `${what} '${path}' must be an absolute path`);
  return path.replace(/\/+$/, '') || '/';
}

/** Whoever reaches the API is root on this machine: over a network only with a client certificate. */
function refuseOpenTcp({ hosts, tls }: DaemonConfig): void {
  for (const host of hosts) {
    if (host.kind !== 'tcp' || tls?.verify || isLoopback(host.host)) continue;
    fail('invalid', `-H tcp://${host.host}:${host.port} would give root to anyone who reaches it: add --tlsverify`);
  }
}

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127(\.\d+){3}$/.test(host);

/** Bytes of a unix socket's path that the system keeps; the rest is cut in silence. */
export const SOCKET_PATH_BYTES_MAX = 107;
/** What the runtime appends to the exec root for its longest socket. */
const EXEC_ROOT_SUFFIX_BYTES = 40;

function refuseLongPaths({ hosts, execRoot }: DaemonConfig): void {
  for (const host of hosts) {
    if (host.kind === 'unix' && Buffer.byteLength(host.path) > SOCKET_PATH_BYTES_MAX) {
      fail(
        'invalid',
        `-H unix://${host.path} is longer than the ${SOCKET_PATH_BYTES_MAX} bytes that a socket's path may have`,
      );
    }
  }
  const left = SOCKET_PATH_BYTES_MAX - EXEC_ROOT_SUFFIX_BYTES;
  if (Buffer.byteLength(execRoot) > left) {
    fail(
      'invalid',
      `--exec-root '${execRoot}' is longer than ${left} bytes, which leaves no room for the sockets below it`,
    );
  }
}
