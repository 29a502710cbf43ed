// The daemon's end of the tunnel for encrypted networks: finds the one of an earlier daemon or starts one, tells it who is
// where and which keys hold, and starts it anew when it dies. While there is none, packets are lost, never sent in clear:
// the VXLAN links of encrypted networks live in a namespace that has no other way out.
import { spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { backoffMs } from '../../base/backoff.ts';
import type { Clock } from '../../base/clock.ts';
import { CodedError, errnoOf, fail, sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { Mutex } from '../../base/mutex.ts';
import type { Random } from '../../base/random.ts';
import { dumpLinks } from './link-messages.ts';
import type { Netd } from './netd.ts';
import { NETLINK_ROUTE } from './netd-protocol.ts';
import { readCounts, type TunnelCounts, tunnelLines, type TunnelPair } from './tunnel-pairs.ts';

export interface TunnelOptions {
  /** The program; its arguments are added. */
  readonly command: string;
  readonly args: readonly string[];
  readonly sourceHash: string;
  readonly socketPath: string;
  readonly namespacePath: string;
  readonly netd: () => Netd;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

const START_WITHIN_MS = 10_000;
const ANSWER_WITHIN_MS = 5_000;
const STABLE_AFTER_MS = 10_000;
const RESTART_BACKOFF = { baseMs: 50, maxMs: 5_000 };
const GREETING = /^tunnel 2 (\d+) (\d+) (\S*) (\d+)$/;

export class Tunnel {
  readonly #options: TunnelOptions;
  readonly #turn = new Mutex();
  #line: Line | undefined;
  #port: number | undefined; // undefined: there is to be none
  readonly #wanted = new Map<number, string>(); // lines, by the network's number
  readonly #told = new Map<number, string>();
  #failures = 0;
  #openedMs = 0;
  #closed = false;

  constructor(options: TunnelOptions) {
    this.#options = options;
  }

  get namespacePath(): string {
    return this.#options.namespacePath;
  }

  /** The namespace that VXLAN links of encrypted networks send in. */
  ensureNamespace(): Promise<void> {
    return this.#turn.run(() => this.#ensureNamespace());
  }

  /** Resolves when the tunnel has exactly these pairs of a network. */
  set(port: number, vni: number, pairs: readonly TunnelPair[]): Promise<void> {
    const lines = tunnelLines(vni, pairs);
    this.#port = port;
    this.#wanted.set(vni, lines);
    return this.#turn.run(async () => {
      const failures = await this.#bring();
      const isTold = this.#told.get(vni) === lines || this.#wanted.get(vni) !== lines;
      if (!isTold) throw failures.get(vni) ?? new CodedError('unavailable', 'the tunnel went away');
    });
  }

  /** The network is not there any more, others are. What can not be said now is said when the tunnel is there again. */
  forget(vni: number): Promise<void> {
    const nobody = tunnelLines(vni, []);
    this.#wanted.set(vni, nobody);
    return this.#turn.run(async () => {
      if (this.#port === undefined) await this.#tellEarlier(vni, nobody);
      else await this.#bring();
      if (this.#wanted.get(vni) !== nobody || this.#told.get(vni) !== nobody) return;
      this.#wanted.delete(vni);
      this.#told.delete(vni);
    });
  }

  /** The tunnel of an earlier daemon, of which nothing else is wanted yet. */
  async #tellEarlier(vni: number, lines: string): Promise<void> {
    const line = await this.#open();
    try {
      if (line) await tell(line, vni, lines);
      this.#told.set(vni, lines);
    } finally {
      line?.close();
    }
  }

  counts(): Promise<ReadonlyMap<string, TunnelCounts>> {
    return this.#turn.run(async () => {
      await this.#bring();
      return readCounts((await this.#line?.ask('counts\n')) ?? []);
    });
  }

  /** Whether there is one, of whichever daemon. */
  isThere(): boolean {
    return existsSync(this.#options.socketPath);
  }

  /** No encrypted network is left. */
  stop(): Promise<void> {
    this.#port = undefined;
    this.#wanted.clear();
    return this.#turn.run(async () => {
      const line = this.#line ?? (await this.#open());
      await line?.end();
      this.#line = undefined;
      this.#told.clear();
    });
  }

  /** The daemon ends, the tunnel goes on. */
  close(): void {
    this.#closed = true;
    this.#port = undefined;
    this.#line?.close();
  }

  /** Each network by itself: what is wrong with one does not keep the others from theirs. Answers why some failed. */
  async #bring(): Promise<ReadonlyMap<number, unknown>> {
    const failures = new Map<number, unknown>();
    if (this.#port === undefined) return failures;
    const line = await this.#ensure(this.#port);
    for (const [vni, lines] of this.#wanted) {
      if (lines === this.#told.get(vni)) continue;
      try {
        await tell(line, vni, lines);
        this.#told.set(vni, lines);
      } catch (error) {
        failures.set(vni, error);
        this.#options.log.warn('the tunnel does not take a network', { vni, error });
        if (line.isOpen) continue;
        this.#wanted.delete(vni); // the next time it comes last, behind those that do not break the line
        this.#wanted.set(vni, lines);
        break;
      }
    }
    return failures;
  }

  async #ensure(port: number): Promise<Line> {
    if (this.#line?.isOpen) return this.#line;
    this.#told.clear();
    await this.#ensureNamespace();
    const line = (await this.#find(port)) ?? (await this.#start(port));
    this.#line = line;
    this.#openedMs = this.#options.clock.monotonicMs();
    line.onClose = () => this.#lost(line);
    return line;
  }

  /** One that this daemon can speak to, at the right port and in the namespace that is there; another is ended. */
  async #find(port: number): Promise<Line | undefined> {
    const line = await this.#open();
    if (!line) return undefined;
    const { namespacePath, sourceHash, log } = this.#options;
    const [, , itsPort, itsHash, itsNamespace] = GREETING.exec(line.greeting) ?? [];
    const namespace = statSync(namespacePath).ino;
    if (Number(itsPort) === port && itsHash === sourceHash && Number(itsNamespace) === namespace) return line;
    log.info('the tunnel of another version, port or namespace is replaced', { greeting: line.greeting, namespace });
    await line.end();
    return undefined;
  }

  async #open(): Promise<Line | undefined> {
    try {
      return await Line.open(this.#options.socketPath, this.#options.clock);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ECONNREFUSED') return undefined;
      throw error;
    }
  }

  async #start(port: number): Promise<Line> {
    const { command, args, socketPath, namespacePath, sourceHash, clock, log } = this.#options;
    const child = spawn(command, [...args, socketPath, namespacePath, String(port), sourceHash], {
      detached: true,
      cwd: '/',
      env: { PATH: process.env['PATH'] ?? '' },
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
    using deadline = clock.deadline(undefined, START_WITHIN_MS);
    const text = await Promise.race([output, failed, aborted(deadline.signal)]);
    if (text !== 'ready\n') fail('not-implemented', `the tunnel for encrypted networks does not start: ${text.trim()}`);
    log.info('tunnel started', { pid: child.pid, port });
    return (await this.#open()) ?? fail('unavailable', 'the tunnel ended right after its start');
  }

  async #ensureNamespace(): Promise<void> {
    const { netd, namespacePath: path } = this.#options;
    if (existsSync(path)) {
      const look = { do: 'netlink', family: NETLINK_ROUTE, where: path, messages: dumpLinks() } as const;
      const [found] = await netd().run([look]);
      if (found?.errno === 0) return;
      await netd().doAside('removing a network namespace', { do: 'remove-namespace', path });
    }
    await netd().do('making the namespace of the tunnel', [{ do: 'create-namespace', path }]);
  }

  #lost(line: Line): void {
    if (line !== this.#line) return;
    this.#line = undefined;
    if (this.#options.clock.monotonicMs() - this.#openedMs > STABLE_AFTER_MS) this.#failures = 0;
    this.#retry('it ended');
  }

  #retry(reason: string): void {
    if (this.#closed || this.#port === undefined) return;
    const { clock, random, log } = this.#options;
    const waitMs = backoffMs(this.#failures, RESTART_BACKOFF, random);
    this.#failures += 1;
    log.warn('the tunnel of encrypted networks is started anew', { reason, inMs: Math.round(waitMs) });
    clock.after(waitMs, () => {
      this.#turn.run(() => this.#bring()).catch((error: unknown) => this.#retry(sentenceOf(error)));
    });
  }
}

/** A connection: lines out, lines and a last `ok` back. One question at a time. */
class Line {
  readonly greeting: string;
  readonly #socket: Socket;
  readonly #clock: Clock;
  #text = '';
  #waiting: { resolve: (lines: string[]) => void; reject: (error: unknown) => void } | undefined;
  onClose: () => void = () => {};
  isOpen = true;

  private constructor(socket: Socket, clock: Clock, greeting: string) {
    this.#socket = socket;
    this.#clock = clock;
    this.greeting = greeting;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', () => undefined); // its close says enough
    socket.on('close', () => this.#end());
  }

  static async open(path: string, clock: Clock): Promise<Line> {
    const socket = connect(path);
    using deadline = clock.deadline(undefined, ANSWER_WITHIN_MS);
    const greeted = new Promise<string>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('close', () => reject(new CodedError('unavailable', 'the tunnel does not answer')));
      let text = '';
      const take = (chunk: Buffer): void => {
        text += String(chunk);
        if (!text.endsWith('\n')) return;
        socket.off('data', take);
        resolve(text.trim());
      };
      socket.on('data', take);
    });
    try {
      const greeting = await Promise.race([greeted, aborted(deadline.signal)]);
      socket.unref();
      return new Line(socket, clock, greeting);
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  async ask(text: string): Promise<string[]> {
    if (!this.isOpen) fail('unavailable', 'the tunnel went away');
    const answered = new Promise<string[]>((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
    using deadline = this.#clock.deadline(undefined, ANSWER_WITHIN_MS);
    this.#socket.write(text);
    try {
      return await Promise.race([answered, aborted(deadline.signal)]);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Ends the tunnel itself. */
  async end(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
    await this.ask('end\n');
    await closed;
  }

  close(): void {
    this.isOpen = false;
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#text += String(chunk);
    if (this.#text !== 'ok\n' && !this.#text.endsWith('\nok\n')) return;
    const lines = this.#text.trimEnd().split('\n');
    this.#text = '';
    this.#waiting?.resolve(lines.slice(0, -1));
    this.#waiting = undefined;
  }

  #end(): void {
    this.isOpen = false;
    this.#waiting?.reject(new CodedError('unavailable', 'the tunnel went away'));
    this.#waiting = undefined;
    this.onClose();
  }
}

async function tell(line: Line, vni: number, lines: string): Promise<void> {
  const [answer] = await line.ask(lines);
  if (answer !== undefined) fail('invalid', `the tunnel does not understand the pairs of network ${vni}: ${answer}`);
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
