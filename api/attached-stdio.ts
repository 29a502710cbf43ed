// Joins a client's hijacked connection with a process: output out, input in, until the process or the client ends.
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
}

export async function joinStdio(
  connection: HijackedConnection,
  stdio: AttachedStdio,
  options: JoinOptions,
): Promise<void> {
  const leave = (): void => stdio.detach();
  connection.closed.addEventListener('abort', leave, { once: true });
  if (connection.closed.aborted) leave();
  connection.readInto(stdinSink(stdio, options));
  try {
    await pumpOutput(connection, stdio, options.raw);
  } finally {
    connection.closed.removeEventListener('abort', leave);
    stdio.detach();
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
