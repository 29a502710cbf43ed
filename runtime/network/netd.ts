// The daemon's end of netd: starts it, speaks to it, and starts it anew when it dies.
// Invariant: requests are done in the order they were sent, so a later one sees what an earlier one did; but for those
// that are done aside.
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { backoffMs } from '../../base/backoff.ts';
import type { Clock, Timer } from '../../base/clock.ts';
import { CodedError, sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import type { Ip } from './addresses.ts';
import {
  asideFrame,
  type Frame,
  FrameReader,
  type Hello,
  helloFrame,
  KIND,
  type LinkEvent,
  NETLINK_ROUTE,
  type NetlinkFailure,
  PROTOCOL,
  readHeard,
  readHello,
  readLinkEvent,
  readNetlinkResult,
  readResults,
  runFrame,
  type Step,
  type StepResult,
} from './netd-protocol.ts';

const ANSWER_TIMEOUT_MS = 30_000;
const READY_TIMEOUT_MS = 5_000;
const RESTART_BACKOFF = { baseMs: 20, maxMs: 5_000 };
const STABLE_AFTER_MS = 10_000;

export interface NetdOptions {
  /** The program and its arguments, for example `shoal-native netd`. */
  readonly command: string;
  readonly args: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The kernel's nf_tables rules changed, by the process `pid`. */
  readonly onGeneration: (pid: number) => void;
  /** A link or an address of the node changed or went away, by whomever. */
  readonly onLink: (event: LinkEvent) => void;
  /** The node with this address has answered a probe. */
  readonly onHeard: (address: Ip) => void;
  /** A new netd runs after one was lost: ports must be held again. */
  readonly onRestart: () => void;
}

interface Waiting {
  readonly resolve: (frame: Frame) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: Timer;
}

export class Netd {
  readonly #options: NetdOptions;
  readonly #waiting = new Map<number, Waiting>();
  readonly #onReady = new Set<() => void>();
  #child: ChildProcess | undefined;
  #hello: Hello | undefined;
  #nextId = 1;
  #failures = 0;
  #closed = false;
  #restart: Timer | undefined;

  private constructor(options: NetdOptions) {
    this.#options = options;
  }

  static async start(options: NetdOptions): Promise<Netd> {
    const netd = new Netd(options);
    try {
      await netd.#launch();
      return netd;
    } catch (cause) {
      await netd.close();
      throw new CodedError('internal', `starting the network helper ${options.command}`, { cause });
    }
  }

  get hello(): Hello {
    if (!this.#hello) throw new CodedError('unavailable', 'the network helper is restarting');
    return this.#hello;
  }

  /** One result for each step that was done. Throws when netd is gone, not when a step failed. */
  async run(steps: readonly Step[]): Promise<StepResult[]> {
    if (!this.#hello) await this.#untilReady();
    const frame = await this.#ask((id) => runFrame(id, steps));
    return readResults(frame.body);
  }

  /** All steps, or an error that says which failed and why. `doing` begins its sentence. */
  async do(doing: string, steps: readonly Step[]): Promise<StepResult[]> {
    const results = await this.run(steps);
    checkSteps(doing, steps, results);
    return results;
  }

  /** One step that may take long, without holding up others. Requests aside are done in their own order. */
  async doAside(doing: string, step: Step): Promise<void> {
    if (!this.#hello) await this.#untilReady();
    const frame = await this.#ask((id) => asideFrame(id, step));
    checkStep(doing, step, readResults(frame.body)[0]);
  }

  /** Sends messages to the kernel in the node's namespace and answers what came back. */
  async exchange(doing: string, family: number, messages: Uint8Array, where = ''): Promise<Buffer> {
    const [result] = await this.do(doing, [{ do: 'netlink', family, where, messages }]);
    return result ? readNetlinkResult(result.bytes).messages : Buffer.alloc(0);
  }

  dump(doing: string, messages: Uint8Array, where = ''): Promise<Buffer> {
    return this.exchange(doing, NETLINK_ROUTE, messages, where);
  }

  /** Ends netd; what it made in the kernel stays. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#restart?.cancel();
    const child = this.#child;
    if (!child) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.stdin?.end();
    await ended;
  }

  async #launch(): Promise<void> {
    const { command, args } = this.#options;
    const child = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { PATH: process.env['PATH'] ?? '' },
    });
    this.#child = child;
    const startedMs = this.#options.clock.monotonicMs();
    child.on('error', (error) => this.#lost(child, startedMs, error));
    child.on('exit', (code, signal) =>
      this.#lost(child, startedMs, new Error(`netd ended (${signal ?? `exit code ${code ?? '?'}`})`)),
    );
    child.stdin.on('error', () => undefined); // the exit event tells more
    const reader = new FrameReader();
    child.stdout.on('data', (chunk: Buffer) => this.#take(child, reader, chunk));
    const hello = readHello((await this.#ask(helloFrame)).body);
    if (hello.protocolMin > PROTOCOL.max || hello.protocolMax < PROTOCOL.min) {
      throw new CodedError(
        'internal',
        `netd speaks protocol ${hello.protocolMin}-${hello.protocolMax}, not ${PROTOCOL.max}`,
      );
    }
    this.#hello = hello;
    await this.do('watching nf_tables', [{ do: 'watch' }]);
    for (const resolve of this.#onReady) resolve();
    this.#onReady.clear();
  }

  async #untilReady(): Promise<void> {
    if (this.#closed) throw new CodedError('unavailable', 'the network helper has ended');
    using deadline = this.#options.clock.deadline(undefined, READY_TIMEOUT_MS);
    await new Promise<void>((resolve, reject) => {
      this.#onReady.add(resolve);
      deadline.signal.addEventListener('abort', () => {
        this.#onReady.delete(resolve);
        reject(new CodedError('unavailable', 'the network helper does not start'));
      });
    });
  }

  #ask(frameOf: (id: number) => Buffer): Promise<Frame> {
    const id = this.#nextId++;
    const frame = frameOf(id);
    return new Promise((resolve, reject) => {
      const timer = this.#options.clock.after(ANSWER_TIMEOUT_MS, () => {
        this.#waiting.delete(id);
        reject(new CodedError('deadline', `the network helper did not answer within ${ANSWER_TIMEOUT_MS / 1000} s`));
      });
      this.#waiting.set(id, { resolve, reject, timer });
      this.#send(frame);
    });
  }

  /** What one turn of ours asks goes in one write: each one wakes netd, which then takes our processor's turn. */
  #send(frame: Buffer): void {
    const stdin = this.#child?.stdin;
    if (!stdin) return;
    if (stdin.writableCorked === 0) {
      stdin.cork();
      process.nextTick(() => stdin.uncork());
    }
    stdin.write(frame);
  }

  #take(child: ChildProcess, reader: FrameReader, chunk: Buffer): void {
    if (child !== this.#child) return;
    for (const frame of reader.push(chunk)) {
      if (frame.kind === KIND.generation) {
        const pid = frame.body.readUInt32LE(4);
        if (pid !== this.#hello?.pid) this.#options.onGeneration(pid);
        continue;
      }
      if (frame.kind === KIND.link) {
        this.#options.onLink(readLinkEvent(frame.body));
        continue;
      }
      if (frame.kind === KIND.heard) {
        this.#options.onHeard(readHeard(frame.body));
        continue;
      }
      const waiting = this.#waiting.get(frame.id);
      this.#waiting.delete(frame.id);
      waiting?.timer.cancel();
      waiting?.resolve(frame);
    }
  }

  #lost(child: ChildProcess, startedMs: number, cause: Error): void {
    if (child !== this.#child) return;
    this.#child = undefined;
    this.#hello = undefined;
    for (const { reject, timer } of this.#waiting.values()) {
      timer.cancel();
      reject(new CodedError('unavailable', 'the network helper went away', { cause }));
    }
    this.#waiting.clear();
    if (this.#closed) return;
    const { clock, random, log } = this.#options;
    if (clock.monotonicMs() - startedMs > STABLE_AFTER_MS) this.#failures = 0;
    const waitMs = backoffMs(this.#failures, RESTART_BACKOFF, random);
    this.#failures += 1;
    log.warn('netd lost', { reason: cause.message, failures: this.#failures, restartInMs: Math.round(waitMs) });
    this.#restart = clock.after(waitMs, () => void this.#relaunch());
  }

  async #relaunch(): Promise<void> {
    try {
      await this.#launch();
      this.#options.onRestart();
    } catch (error) {
      // Its exit leads to the next try.
      this.#options.log.warn('netd did not start', { reason: sentenceOf(error) });
    }
  }
}

export function errnoName(errno: number): string {
  const found = Object.entries(constants.errno).find(([, value]) => value === errno);
  return found?.[0] ?? `errno ${errno}`;
}

/** Throws for the first that was to be done and was not. */
export function checkSteps(doing: string, steps: readonly Step[], results: readonly StepResult[]): void {
  for (const [index, step] of steps.entries()) checkStep(doing, step, results[index]);
}

function checkStep(doing: string, step: Step, result: StepResult | undefined): void {
  if (step.mayFail) return;
  if (!result) throw new CodedError('internal', `${doing}: the network helper stopped before '${step.do}'`);
  if (result.errno !== 0) throw new StepError(doing, result.errno, result.bytes.toString());
  if (step.do !== 'netlink') return;
  const [failure] = readNetlinkResult(result.bytes).failures;
  if (failure) throw new StepError(doing, failure.errno, failureText(failure));
}

export function failureText(failure: NetlinkFailure): string {
  const words = failure.text ? `${failure.text} ` : '';
  return `${words}(${errnoName(failure.errno)}, message ${failure.index + 1})`;
}

/** The kernel refused. `errno` for callers who know what a refusal means. */
export class StepError extends CodedError {
  readonly errno: number;

  constructor(doing: string, errno: number, reason: string) {
    super('internal', `${doing}: ${reason}`);
    this.errno = errno;
  }
}
