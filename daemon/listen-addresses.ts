// The configured addresses as the API server takes them: rights of sockets, files of TLS.
import { readFileSync } from 'node:fs';
import type { ListenAddress as ApiAddress, TlsMaterial } from '../api/listen.ts';
import { fail, sentenceOf } from '../base/errors.ts';
import type { DaemonConfig, ListenAddress, TlsFiles } from './config.ts';
import { groupId } from './system-facts.ts';

const SOCKET_MODE_WITH_GROUP = 0o660;
const SOCKET_MODE_ALONE = 0o600;

export function apiAddresses(config: DaemonConfig): ApiAddress[] {
  const group = groupId(config.group);
  const tls = config.tls && readTls(config.tls);
  return config.hosts.map((host) => apiAddress(host, group, tls));
}

function apiAddress(host: ListenAddress, group: number | undefined, tls: TlsMaterial | undefined): ApiAddress {
  if (host.kind === 'tcp') return { ...host, ...(tls ? { tls } : {}) };
  if (group === undefined) return { ...host, mode: SOCKET_MODE_ALONE };
  return { ...host, mode: SOCKET_MODE_WITH_GROUP, groupId: group };
}

function readTls({ verify, ca, certificate, key }: TlsFiles): TlsMaterial {
  const read = (flag: string, path: string): string => {
    try {
      return readFileSync(path, 'utf8');
    } catch (cause) {
      return fail('invalid', `${flag} ${path} cannot be read: ${sentenceOf(cause)}`);
    }
  };
  return {
    cert: read('--tlscert', certificate),
    key: read('--tlskey', key),
    ...(verify ? { ca: read('--tlscacert', ca) } : {}),
    requestCert: verify,
    rejectUnauthorized: verify,
  };
}
