// Which addresses a node listens on and tells others. The only place where one port follows from another: the records
// carry all of them from then on.
import { isIP } from 'node:net';
import os from 'node:os';
import { fail } from '../base/errors.ts';
import type { SwarmState } from './swarm-state.ts';

export interface AddressRequest {
  readonly listenAddress: string; // host[:port] or interface[:port], '' for the default
  readonly advertiseAddress: string; // the same, '' to choose
  readonly dataPathAddress: string; // address or interface, '' for the advertised one
  readonly dataPathPort: number; // 0 for the default
}

type Interfaces = NodeJS.Dict<os.NetworkInterfaceInfo[]>;

export const LISTEN_PORT = 2_377;
const DATA_PORT = 4_789;

export function swarmAddresses(
  request: AddressRequest,
  defaults: { advertise: string; interfaces?: Interfaces },
): Omit<SwarmState, 'managers'> {
  const interfaces = defaults.interfaces ?? os.networkInterfaces();
  const listen = splitAddress(request.listenAddress || '0.0.0.0', LISTEN_PORT, '--listen-addr');
  const listenHost = addressOf(listen.host, interfaces) ?? listen.host;
  const asked = request.advertiseAddress || defaults.advertise;
  const advertise = splitAddress(asked || chosenAddress(listenHost, interfaces), listen.port, '--advertise-addr');
  const host = addressOf(advertise.host, interfaces) ?? advertise.host;
  if (isWildcard(host)) fail('invalid', 'advertise address must be a non-zero IP address or network interface');
  const data = request.dataPathAddress;
  const dataAddress = data === '' ? host : (addressOf(data, interfaces) ?? data);
  if (isIP(dataAddress) === 0) {
    fail('invalid', `the data path address '${dataAddress}' must be an IP address or the name of an interface`);
  }
  const at = (base: string, port: number): string => `${base.includes(':') ? `[${base}]` : base}:${port}`;
  return {
    listen: {
      join: at(listenHost, listen.port),
      control: at(listenHost, listen.port + 1),
      raft: at(listenHost, listen.port + 2),
    },
    advertise: {
      joinAddress: at(host, advertise.port),
      controlAddress: at(host, advertise.port + 1),
      raftAddress: at(host, advertise.port + 2),
    },
    dataAddress,
    dataPort: request.dataPathPort || DATA_PORT,
  };
}

/** Adds the default port to addresses of a join command that have none. */
export const withPort = (address: string): string => {
  const { host, port } = splitAddress(address, LISTEN_PORT, 'remote address');
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
};

function splitAddress(text: string, port: number, what: string): { host: string; port: number } {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(text);
  const bare = /^[0-9a-fA-F:]+:[0-9a-fA-F:]*$/.test(text) && text.split(':').length > 2;
  if (bare) return { host: text, port };
  if (!match?.[1])
    return fail('invalid', `${what} '${text}' must be an address or an interface, with :port or without`);
  const given = match[2] === undefined ? port : Number(match[2]);
  // The two ports after it belong to it.
  if (given < 1 || given > 65_533) fail('invalid', `${what} '${text}': the port must be from 1 to 65533`);
  return { host: match[1].replace(/^\[|\]$/g, ''), port: given };
}

/** The address of an interface that is named; undefined for what is no interface's name. */
function addressOf(name: string, interfaces: Interfaces): string | undefined {
  const addresses = interfaces[name];
  if (!addresses) return undefined;
  const [only, ...more] = addresses.filter(isUsable);
  if (!only) return fail('invalid', `interface ${name} has no usable IPv4 address`);
  if (more.length > 0) return fail('invalid', `interface ${name} has more than one IPv4 address: name one of them`);
  return only.address;
}

function chosenAddress(listenHost: string, interfaces: Interfaces): string {
  if (!isWildcard(listenHost)) return listenHost;
  const candidates = Object.entries(interfaces).flatMap(([name, addresses]) =>
    isOurs(name) ? [] : (addresses ?? []).filter(isUsable).map(({ address }) => ({ name, address })),
  );
  const [only, ...more] = candidates;
  if (!only) return fail('invalid', "could not find the system's IP address - specify one with --advertise-addr");
  if (more.length > 0) {
    const list = candidates.map(({ name, address }) => `${address} on ${name}`).join(' and ');
    return fail(
      'invalid',
      'could not choose an IP address to advertise since this system has multiple addresses on different interfaces ' +
        `(${list}) - specify one with --advertise-addr`,
    );
  }
  return only.address;
}

const isUsable = (info: os.NetworkInterfaceInfo): boolean => info.family === 'IPv4' && !info.internal;
const isWildcard = (host: string): boolean => host === '0.0.0.0' || host === '::' || host === '';
/** Bridges of this daemon and of Docker carry containers, not nodes. */
const isOurs = (name: string): boolean => /^(docker|shoal|br-|veth)/.test(name);
