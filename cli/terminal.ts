// This terminal joined to a container's stream: raw mode, size, signals, and the end of either side.
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { readFrames } from './stdio-frames.ts';

export interface Joined {
  readonly stdin: boolean;
  readonly terminal: boolean;
  /** Tells the engine this terminal's size. */
  resize(size: { rows: number; columns: number }): Promise<void>;
}

/** Resolves when the container's side has ended and everything it wrote is out. */
export async function joinTerminal(stream: Duplex, options: Joined): Promise<void> {
  using _raw = options.terminal && options.stdin ? rawMode() : undefined;
  using _size = options.terminal ? followSize(options) : undefined;
  if (options.stdin) process.stdin.pipe(stream);
  if (options.terminal) await copyRaw(stream);
  else await copyFrames(stream);
  process.stdin.unpipe(stream);
  process.stdin.pause();
}

async function copyRaw(stream: Duplex): Promise<void> {
  for await (const chunk of stream) await write(process.stdout, chunk as Buffer);
}

async function copyFrames(stream: Duplex): Promise<void> {
  for await (const { stream: name, bytes } of readFrames(stream)) await write(process[name], bytes);
}

export async function write(out: NodeJS.WriteStream, bytes: Uint8Array | string): Promise<void> {
  if (!out.write(bytes)) await once(out, 'drain');
}

function rawMode(): Disposable {
  const { stdin } = process;
  if (!stdin.isTTY) return { [Symbol.dispose]() {} };
  stdin.setRawMode(true);
  return { [Symbol.dispose]: () => void stdin.setRawMode(false) };
}

function followSize(options: Joined): Disposable {
  const { stdout } = process;
  const send = (): void => {
    if (!stdout.isTTY) return;
    // The process may end at any moment; a size that came too late is no failure.
    options.resize({ rows: stdout.rows, columns: stdout.columns }).catch(() => undefined);
  };
  send();
  stdout.on('resize', send);
  return { [Symbol.dispose]: () => void stdout.off('resize', send) };
}
