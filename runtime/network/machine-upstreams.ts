// Whom the machine itself asks for names: the servers of its resolv.conf. They are asked from the machine's own
// namespace, so that a resolver on its loopback (systemd's stub) will do.
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { errnoOf } from '../../base/errors.ts';
import type { Upstream } from './contract.ts';

const PORT = 53;
const PUBLIC_SERVERS = ['8.8.8.8', '8.8.4.4']; // as Docker, where the machine names none

export async function machineUpstreams(path = '/etc/resolv.conf'): Promise<readonly Upstream[]> {
  return upstreamsOf(await readOrEmpty(path));
}

export function upstreamsOf(text: string): Upstream[] {
  const words = text.split('\n').map((line) => line.trim().split(/\s+/));
  const servers = words.flatMap(([key, address = '']) => (key === 'nameserver' && isIP(address) ? [address] : []));
  return (servers.length > 0 ? servers : PUBLIC_SERVERS).map((address) => ({ address, port: PORT }));
}

async function readOrEmpty(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return '';
    throw error;
  }
}
