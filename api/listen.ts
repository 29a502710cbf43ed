// Binding the server's addresses. A unix socket is never reachable with wider rights than its final ones.
import { chmod, chown, lstat, unlink } from 'node:fs/promises';
import { type AddressInfo, createConnection, type Server } from 'node:net';
import { CodedError, errnoOf, fail } from '../base/errors.ts';

export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
  readonly ca?: string;
  /** Only clients with a certificate of `ca` are let in. */
  readonly requestCert: boolean;
  readonly rejectUnauthorized: boolean;
}

export type ListenAddress =
  | { readonly kind: 'unix'; readonly path: string; readonly mode: number; readonly groupId?: number }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly tls?: TlsMaterial };

const UNIX_PATH_BYTES_MAX = 107; // sun_path without its NUL; longer ones are cut in silence by the system

export async function listenOn(server: Server, address: ListenAddress): Promise<number> {
  if (address.kind === 'tcp') {
    await bound(server, () => server.listen({ host: address.host, port: address.port }));
    return (server.address() as AddressInfo).port;
  }
  if (Buffer.byteLength(address.path) > UNIX_PATH_BYTES_MAX) {
    fail('invalid', `the socket path ${address.path} is longer than ${UNIX_PATH_BYTES_MAX} bytes`);
  }
  await removeStaleSocket(address.path);
  await bound(server, () => withUmask(0o177, () => server.listen({ path: address.path })));
  if (address.groupId !== undefined) await chown(address.path, -1, address.groupId);
  await chmod(address.path, address.mode);
  return 0;
}

/** Node binds a unix socket inside `listen`, so the mask holds for that instant only. */
function withUmask(mask: number, work: () => void): void {
  const before = process.umask(mask);
  try {
    work();
  } finally {
    process.umask(before);
  }
}

function bound(server: Server, listen: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: Error): void => reject(new CodedError('conflict', 'cannot listen', { cause }));
    server.once('error', onError);
    server.once('listening', () => {
      server.off('error', onError);
      resolve();
    });
    listen();
  });
}

async function removeStaleSocket(path: string): Promise<void> {
  try {
    if (!(await lstat(path)).isSocket()) fail('conflict', `${path} exists and is not a socket`);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw error;
  }
  if (await answers(path)) fail('conflict', `somebody is already listening on ${path}`);
  await unlink(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ path });
    const settle = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
}
