// The zygote as a daemon sees it: found alive from an earlier daemon, or started; asked for one connection per request.
import { spawn } from 'node:child_process';
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { CodedError, codeOf, errnoOf, fail } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { NativeBinary } from './binary.ts';
import { Connection, within } from './connection.ts';
import { encodePlain } from './messages.ts';
import { FRAME } from './wire.ts';

const START_MS_MAX = 15_000;
const STOP_MS_MAX = 5_000;

export interface ZygoteOptions {
  /** Made 0700 if missing; holds the socket `zygote`. */
  readonly runDirectory: string;
  readonly binary: NativeBinary;
  readonly clock: Clock;
  readonly log: Log;
}

export class Zygote {
  readonly #options: ZygoteOptions;
  readonly #socketPath: string;
  #starting: Promise<void> | undefined;
  /** One of our own sources has answered here: the next request goes to it along with the hello. */
  #isOurs = false;

  constructor(options: ZygoteOptions) {
    this.#options = options;
    this.#socketPath = join(options.runDirectory, 'zygote');
  }

  /** Makes sure that a zygote of this daemon's own sources answers. */
  async open(): Promise<void> {
    (await this.#connect()).close();
  }

  /** A connection to a zygote of this daemon's own sources, started if need be, that was sent this request. */
  async ask(request: Uint8Array): Promise<Connection> {
    const sentAlong = this.#isOurs;
    const connection = await this.#connect(sentAlong ? request : undefined);
    try {
      if (!sentAlong) await connection.send(request);
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  async #connect(request?: Uint8Array): Promise<Connection> {
    const found = await this.#find(request);
    if (found !== undefined) return found;
    this.#starting ??= this.#start().finally(() => {
      this.#starting = undefined;
    });
    await this.#starting;
    return (await this.#find(request)) ?? fail('unavailable', 'the zygote ended right after its start');
  }

  /** Ends the zygote, if there is one. Shims live on. */
  async stop(): Promise<void> {
    const connection = await this.#open();
    this.#isOurs = false;
    if (connection !== undefined) await this.#end(connection.connection);
  }

  async #find(request?: Uint8Array): Promise<Connection | undefined> {
    const opened = await this.#open(request);
    if (opened === undefined) return undefined;
    this.#isOurs = opened.sourceHash === this.#options.binary.sourceHash;
    if (this.#isOurs) return opened.connection;
    if (request !== undefined) {
      opened.connection.close();
      fail('unavailable', 'a zygote of another version came in between');
    }
    this.#options.log.info('zygote of another version is replaced', { sourceHash: opened.sourceHash });
    await this.#end(opened.connection);
    return undefined;
  }

  async #open(request?: Uint8Array): Promise<{ connection: Connection; sourceHash: string } | undefined> {
    const { binary, clock } = this.#options;
    const path = this.#socketPath;
    try {
      const along = request === undefined ? {} : { request };
      return await Connection.open({ path, sourceHash: binary.sourceHash, clock, ...along });
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ECONNREFUSED') return undefined;
      if (codeOf(error) === 'unavailable') return undefined; // it speaks another protocol or was ending
      throw error;
    }
  }

  async #end(connection: Connection): Promise<void> {
    try {
      await connection.send(encodePlain(FRAME.stop, 1));
      await within(this.#options.clock, STOP_MS_MAX, 'stopping the zygote', connection.expect(FRAME.ok));
    } finally {
      connection.close();
    }
  }

  async #start(): Promise<void> {
    const { runDirectory, binary, clock, log } = this.#options;
    await mkdir(runDirectory, { recursive: true, mode: 0o700 });
    await chmod(runDirectory, 0o700);
    const child = spawn(binary.path, ['zygote', this.#socketPath, binary.sourceHash], {
      detached: true,
      cwd: '/',
      env: {},
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.unref();
    const output = (async () => {
      let text = '';
      for await (const bytes of child.stdout) text += String(bytes);
      for await (const bytes of child.stderr) text += String(bytes);
      return text;
    })();
    const failed = new Promise<never>((_, reject) => child.once('error', reject));
    const text = await within(clock, START_MS_MAX, 'starting the zygote', Promise.race([output, failed]));
    if (text !== 'ready\n') throw new CodedError('internal', `the zygote did not start: ${text.trim()}`);
    log.info('zygote started', { pid: child.pid, sourceHash: binary.sourceHash });
  }
}
