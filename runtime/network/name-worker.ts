// The thread that answers names: a busy daemon must not look like a dead resolver. It has a process of its own that
// opens sockets inside containers' namespaces and hands them over; when that one dies it starts another.
import { type ChildProcess, spawn } from 'node:child_process';
import type { Server } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../base/clock.ts';
import { NameForwarder } from './name-forwarder.ts';
import type { FromNameWorker, NameWorkerData, ToNameWorker } from './name-protocol.ts';
import type { Scope } from './name-resolver.ts';
import { NameServer } from './name-server.ts';

interface Opening {
  readonly path: string;
  scope: Scope;
  datagrams?: { readonly handle: object; readonly port: number };
}

const { command, args } = workerData as NameWorkerData;
const server = new NameServer(new NameForwarder(systemClock));
const opening = new Map<number, Opening>();
let opener: ChildProcess | undefined;
let nextId = 1;

const say = (message: FromNameWorker): void => parentPort?.postMessage(message);

parentPort?.on('message', (message: ToNameWorker) => {
  switch (message.do) {
    case 'names':
      for (const change of message.changes) server.change(change);
      return;
    case 'upstreams':
      server.setUpstreams(message.upstreams);
      return;
    case 'serve':
      serve(message.path, message.scope);
      return;
    case 'stop':
      for (const [id, { path }] of opening) if (path === message.path) opening.delete(id);
      server.close(message.path);
      return;
    case 'end':
      end();
      return;
  }
});

function serve(path: string, scope: Scope): void {
  if (server.setScope(path, scope)) return;
  const already = [...opening.values()].find((entry) => entry.path === path);
  if (already) {
    already.scope = scope;
    return;
  }
  const id = nextId++;
  opening.set(id, { path, scope });
  opener ??= startOpener();
  opener.stdin?.write(`${id} ${path}\n`);
}

/** The thread goes when its opener has gone; one that is left at the end of its input ends by itself. */
function end(): void {
  const child = opener;
  opener = undefined;
  if (!child) process.exit();
  child.on('exit', () => process.exit());
  child.on('error', () => process.exit());
  child.stdin?.end();
}

function startOpener(): ChildProcess {
  const child = spawn(command, args, {
    stdio: ['pipe', 'ignore', 'inherit', 'ipc'],
    env: { PATH: process.env['PATH'] ?? '' },
  });
  child.stdin?.on('error', () => undefined); // the exit event tells more
  child.on('message', (message, handle) => onHandle(message as OpenerMessage, handle));
  child.on('error', (error) => onOpenerLost(child, error.message));
  child.on('exit', (code, signal) => onOpenerLost(child, `it ended (${signal ?? code ?? '?'})`));
  return child;
}

interface OpenerMessage {
  readonly id: number;
  readonly port?: number;
  readonly error?: string;
}

/** The datagram socket comes first, then the listening one. */
function onHandle({ id, port = 0, error }: OpenerMessage, handle: object | undefined): void {
  const entry = opening.get(id);
  if (error !== undefined) {
    opening.delete(id);
    if (entry) say({ say: 'refused', path: entry.path, reason: error });
    return;
  }
  if (!handle) return;
  if (!entry) {
    (handle as Partial<Server>).close?.(); // stopped meanwhile
    return;
  }
  if (!entry.datagrams) {
    entry.datagrams = { handle, port };
    return;
  }
  opening.delete(id);
  server.open(entry.path, entry.scope, entry.datagrams.handle, handle as Server);
  say({ say: 'serving', path: entry.path, port: entry.datagrams.port, streamPort: port });
}

/** Sockets that were handed over live on; who waits is told. */
function onOpenerLost(child: ChildProcess, reason: string): void {
  if (child !== opener) return;
  opener = undefined;
  for (const { path } of opening.values()) say({ say: 'refused', path, reason });
  opening.clear();
  say({ say: 'log', event: 'the process that opens resolver sockets was lost', fields: { reason } });
}
