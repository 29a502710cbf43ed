// A connection that this side has dialled: what comes back on it, one answer at a time, and its end.
import { once } from 'node:events';
import { connect } from 'node:tls';
import type { Clock } from '../../base/clock.ts';
import { CodedError, fail } from '../../base/errors.ts';
import { asInteger, asObject } from '../../base/parse.ts';
import type { MemberId } from './core/types.ts';
import type { PeerCredentials } from './credentials.ts';
import { PeerStream } from './peer-stream.ts';
import { type Frame, type Hello, helloFromWire } from './wire.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

export function splitAddress(address: string | undefined): Address | undefined {
  const at = address?.lastIndexOf(':') ?? -1;
  if (!address || at < 0) return undefined;
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(address.slice(at + 1)) };
}

export interface DialDeps {
  readonly credentials: PeerCredentials;
  readonly clock: Clock;
  readonly abort: AbortSignal;
}

const CONNECT_TIMEOUT_MS = 1_500;
const HELLO_TIMEOUT_MS = 1_500;

/** The peer says that we are not a member any more. */
export class RemovedError extends CodedError {
  readonly membershipIndex: number;

  constructor(message: string, membershipIndex: number) {
    super('forbidden', message);
    this.membershipIndex = membershipIndex;
  }
}

/** Connects, knows who answers, and says hello. Rejects with the peer's own sentence where it refuses. */
export async function dial(id: MemberId, address: Address, hello: Hello, deps: DialDeps): Promise<Dialled> {
  const { clock, credentials } = deps;
  using deadline = clock.deadline(deps.abort, CONNECT_TIMEOUT_MS);
  const socket = connect({ ...address, ...credentials.forPeer(id) });
  try {
    await once(socket, 'secureConnect', { signal: deadline.signal });
  } catch (error) {
    socket.destroy();
    throw deadline.signal.aborted ? deadline.signal.reason : error;
  }
  const dialled = new Dialled(deps, (handlers) => new PeerStream(socket, { clock, ...handlers }));
  try {
    dialled.stream.send({ hello });
    helloFromWire(await dialled.expect('hello', HELLO_TIMEOUT_MS));
    return dialled;
  } catch (error) {
    dialled[Symbol.dispose]();
    throw error;
  }
}

interface Handlers {
  onFrame(frame: Frame): void;
  onBroken(error: unknown): void;
  onOver(error: unknown): void;
}

export class Dialled implements Disposable {
  readonly stream: PeerStream;
  readonly #clock: Clock;
  readonly #abort: AbortSignal;
  readonly #onAbort = (): void => this.#end(new CodedError('aborted', 'the link was stopped'));
  readonly #waiting: Frame[] = [];
  #ended: { error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor({ clock, abort }: DialDeps, open: (handlers: Handlers) => PeerStream) {
    this.#clock = clock;
    this.#abort = abort;
    this.stream = open({
      onFrame: (frame) => {
        this.#waiting.push(frame);
        this.#wake?.();
      },
      onBroken: (error) => this.#end(error),
      onOver: (error) => this.#end(error),
    });
    abort.addEventListener('abort', this.#onAbort, { once: true });
    if (abort.aborted) this.#onAbort();
  }

  [Symbol.dispose](): void {
    this.#abort.removeEventListener('abort', this.#onAbort);
    this.stream.destroy();
  }

  async expect(name: 'hello' | 'receipt', timeoutMs: number): Promise<unknown> {
    while (this.#waiting.length === 0) {
      await this.#whileWaitingFor((resolve) => {
        this.#wake = resolve;
      }, timeoutMs);
    }
    return this.#bodyOf(this.#waiting.shift(), name);
  }

  /** Rejects with the reason for which the connection ended. */
  async untilEnd(): Promise<never> {
    for (;;) {
      while (this.#waiting.length > 0) this.#bodyOf(this.#waiting.shift(), 'hello');
      await this.#whileWaitingFor((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Sends it and, where more waits than should, waits for the system to take it. */
  async send(frame: object, timeoutMs: number): Promise<void> {
    if (this.stream.send(frame)) return;
    await this.#whileWaitingFor((resolve) => this.stream.whenDrained(resolve), timeoutMs);
  }

  /** Throws when the connection ends or time runs out before `arrange` is answered. */
  async #whileWaitingFor(arrange: (resolve: () => void) => void, timeoutMs?: number): Promise<void> {
    this.#throwIfOver();
    await new Promise<void>((resolve, reject) => {
      const late = (): void => reject(new CodedError('deadline', `no answer within ${timeoutMs} ms`));
      const timer = timeoutMs === undefined ? undefined : this.#clock.after(timeoutMs, late);
      const done = (): void => {
        timer?.cancel();
        resolve();
      };
      this.#wake = done; // also when it ends
      arrange(done);
    });
    this.#throwIfOver();
  }

  #throwIfOver(): void {
    if (this.#ended && this.#waiting.length === 0) throw this.#ended.error;
  }

  #end(error: unknown): void {
    this.#ended ??= { error };
    this.#wake?.();
  }

  #bodyOf(frame: Frame | undefined, wanted: 'hello' | 'receipt'): unknown {
    if (!frame || frame.name === wanted) return frame?.body;
    if (frame.name !== 'goodbye') fail('invalid', `the peer answered '${frame.name}' instead of '${wanted}'`);
    const { reason, message, membership_index: index } = asObject(frame.body, 'goodbye');
    if (reason === 'removed') throw new RemovedError(String(message), asInteger(index, 'membership_index'));
    return fail('forbidden', `the peer refused: ${String(message)}`);
  }
}
