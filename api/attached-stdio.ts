// Joins a client's hijacked connection with a process: output out, input in, until the process or the client ends.
import type { Clock } from '../base/clock.ts';
import { codeOf } from '../base/errors.ts';
import type { AttachedStdio } from '../runtime/container/contract.ts';
import { DetachScanner } from './detach-keys.ts';
import type { HijackedConnection, InputSink } from './hijack.ts';
import { frame } from './stdio-frames.ts';

export interface JoinOptions {
  readonly terminal: boolean; // detach keys are watched
  readonly raw: boolean; // bytes instead of frames
  readonly stdin: boolean;
  /** The client's end of input is the process's too; otherwise its stdin stays open for the next client. */
  readonly closesStdin: boolean;
  readonly detachKeys: Buffer;
  readonly clock: Clock;
}

/**
 * A client that has ended its input may be waiting for output or be gone: the system tells the difference only to who
 * writes. So a silent stream gets an empty frame now and then, which clients skip. A raw one can not have that.
 */
const SIGN_OF_LIFE_MS = 5_000;

export async function joinStdio(
  connection: HijackedConnection,
  stdio: AttachedStdio,
  options: JoinOptions,
): Promise<void> {
  const leave = (): void => stdio.detach();
  connection.closed.addEventListener('abort', leave, { once: true });
  if (connection.closed.aborted) leave();
  const over = new AbortController();
  const sink = stdinSink(stdio, options);
  connection.readInto({
    take: (bytes) => sink.take(bytes),
    async end() {
      await sink.end();
      if (!options.raw) await signsOfLife(connection, options.clock, over.signal);
    },
  });
  try {
    await pumpOutput(connection, stdio, options.raw);
  } finally {
    over.abort();
    connection.closed.removeEventListener('abort', leave);
    stdio.detach();
  }
}

async function signsOfLife(connection: HijackedConnection, clock: Clock, over: AbortSignal): Promise<void> {
  const abort = AbortSignal.any([over, connection.closed]);
  try {
    for (;;) {
      await clock.sleep(SIGN_OF_LIFE_MS, { abort });
      await connection.write(frame('stdout', Buffer.alloc(0)));
    }
  } catch (error) {
    if (codeOf(error) !== 'aborted') throw error;
  }
}

async function pumpOutput(connection: HijackedConnection, stdio: AttachedStdio, raw: boolean): Promise<void> {
  try {
    for await (const { stream, bytes } of stdio.output) await connection.write(raw ? bytes : frame(stream, bytes));
  } catch (error) {
    if (codeOf(error) !== 'aborted') throw error;
  }
}

/** Takes everything, also what the process no longer wants: unread input would reset the connection. */
function stdinSink(stdio: AttachedStdio, options: JoinOptions): InputSink {
  const scanner = options.terminal ? new DetachScanner(options.detachKeys) : undefined;
  let taking = options.stdin;
  return {
    async take(chunk) {
      if (!taking) return;
      const { pass, detached } = scanner?.feed(chunk) ?? { pass: chunk, detached: false };
      taking = (pass.length === 0 || (await wasTaken(stdio.write(pass)))) && !detached;
      if (detached) stdio.detach();
    },
    async end() {
      if (taking && options.closesStdin) await wasTaken(stdio.closeStdin());
    },
  };
}

/** False when the process no longer reads: not an error of the connection, its output still counts. */
async function wasTaken(work: Promise<void>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch {
    return false;
  }
}
