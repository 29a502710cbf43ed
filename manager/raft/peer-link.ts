// Our side of the connection to one other member: dials, says hello, sends batches of messages, dials again.
// What can not be sent now is dropped: consensus repeats what matters, and old messages are worth nothing.
import { connect } from 'node:net';
import { type ClientDuplexStream, Client, type ServiceDefinition } from '@grpc/grpc-js';
import { backoffMs } from '../../base/backoff.ts';
import type { Clock } from '../../base/clock.ts';
import { CodedError, codeOf, errnoOf, fail, sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { asInteger, asObject } from '../../base/parse.ts';
import type { Random } from '../../base/random.ts';
import type { SnapshotChunk } from './contract.ts';
import type { MemberId, Message, SnapshotMessage } from './core/types.ts';
import type { PeerCredentials } from './credentials.ts';
import { bodyOf, type Hello, helloFromWire, messageToWire, PROTOCOL, PROTOCOL_MIN, snapshotToWire } from './wire.ts';

export interface LinkDeps {
  readonly id: MemberId;
  readonly hello: () => Hello;
  readonly service: ServiceDefinition;
  readonly credentials: PeerCredentials;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly addressOf: () => string | undefined;
  readonly onUp: () => void;
  /** `refused`: nothing listens there any more. */
  readonly onDown: (how: 'refused' | 'lost') => void;
  /** The peer says that we are not a member any more, by the membership at this index. */
  readonly onRemoved: (membershipIndex: number) => void;
}

const HELLO_TIMEOUT_MS = 1_500;
const SNAPSHOT_STALL_MS = 30_000;
const BACKOFF = { baseMs: 50, maxMs: 500 };
/** Batches that wait for the connection; the core's window keeps what they hold small. */
const BATCHES_WAITING_MAX = 1_024;
const CHANNEL_OPTIONS = {
  'grpc.keepalive_time_ms': 1_000,
  'grpc.keepalive_timeout_ms': 1_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_retries': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.max_send_message_length': -1,
  'grpc.max_receive_message_length': 64 * 1024,
};

type Stream = ClientDuplexStream<object, unknown>;

export class PeerLink {
  readonly #deps: LinkDeps;
  readonly #controller = new AbortController();
  #stream: Stream | undefined;
  #redial = new AbortController();
  readonly #done: Promise<void>;

  constructor(deps: LinkDeps) {
    this.#deps = deps;
    this.#done = this.#run();
  }

  get isUp(): boolean {
    return this.#stream !== undefined;
  }

  /** False if they were dropped. */
  send(messages: readonly Exclude<Message, SnapshotMessage>[]): boolean {
    const stream = this.#stream;
    if (!stream || stream.writableLength > BATCHES_WAITING_MAX) return false;
    stream.write({ batch: { messages: messages.map(messageToWire) } });
    return true;
  }

  /** Sends a snapshot on a connection of its own. Resolves when the peer has it durable. */
  async sendSnapshot(message: SnapshotMessage, chunks: readonly SnapshotChunk[]): Promise<void> {
    using client = this.#client();
    const stream = open(client.value, this.#deps.service, 'InstallSnapshot');
    using answers = new Answers(stream, this.#deps.clock, this.#controller.signal);
    try {
      stream.write({ hello: this.#deps.hello() });
      await answers.expect('hello', HELLO_TIMEOUT_MS);
      await write(stream, { begin: snapshotToWire(message) }, answers);
      for (const chunk of chunks) await write(stream, { chunk }, answers);
      await write(stream, { end: { chunks: chunks.length } }, answers);
      stream.end();
      await answers.expect('receipt', SNAPSHOT_STALL_MS);
    } finally {
      stream.cancel();
    }
  }

  /** There is reason to believe that dialling works now, or that it should be done with other means. */
  redial(options: { evenIfUp: boolean } = { evenIfUp: false }): void {
    if (options.evenIfUp) this.#stream?.cancel();
    this.#redial.abort();
  }

  async stop(): Promise<void> {
    this.#controller.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    const abort = this.#controller.signal;
    for (let attempt = 0; !abort.aborted; attempt += 1) {
      const wasUp = await this.#connection();
      if (wasUp) attempt = 0;
      if (abort.aborted) return;
      await this.#pause(backoffMs(attempt, BACKOFF, this.#deps.random));
    }
  }

  /** One connection from dialling to its end; true if it had come up. Never throws. */
  async #connection(): Promise<boolean> {
    const { log, service, clock } = this.#deps;
    let wasUp = false;
    try {
      using client = this.#client();
      const stream = open(client.value, service, 'Exchange');
      using answers = new Answers(stream, clock, this.#controller.signal);
      try {
        stream.write({ hello: this.#deps.hello() });
        helloFromWire(await answers.expect('hello', HELLO_TIMEOUT_MS));
        wasUp = true;
        this.#stream = stream;
        this.#deps.onUp();
        await answers.untilEnd();
      } finally {
        this.#stream = undefined;
        stream.cancel();
      }
    } catch (error) {
      if (this.#controller.signal.aborted) return wasUp;
      if (error instanceof RemovedError) this.#deps.onRemoved(error.membershipIndex);
      else log.debug('connection to manager ended', { peer: this.#deps.id, reason: sentenceOf(error) });
    }
    if (this.#controller.signal.aborted) return wasUp;
    if (wasUp) this.#deps.onDown((await this.#isRefused()) ? 'refused' : 'lost');
    return wasUp;
  }

  /** Whether the peer's machine is there but nobody listens: its manager is gone, not the way to it. */
  #isRefused(): Promise<boolean> {
    const address = splitAddress(this.#deps.addressOf());
    if (!address) return Promise.resolve(false);
    return new Promise((resolve) => {
      const socket = connect(address);
      const answer = (refused: boolean): void => {
        timer.cancel();
        socket.destroy();
        resolve(refused);
      };
      const timer = this.#deps.clock.after(200, () => answer(false));
      socket.once('connect', () => answer(false));
      socket.once('error', (error) => answer(errnoOf(error) === 'ECONNREFUSED'));
    });
  }

  async #pause(ms: number): Promise<void> {
    this.#redial = new AbortController();
    const abort = AbortSignal.any([this.#controller.signal, this.#redial.signal]);
    try {
      await this.#deps.clock.sleep(ms, { abort });
    } catch (error) {
      if (codeOf(error) !== 'aborted') throw error;
    }
  }

  #client(): { value: Client } & Disposable {
    const address =
      this.#deps.addressOf() ?? fail('unavailable', `the address of manager ${this.#deps.id} is not known`);
    const value = new Client(address, this.#deps.credentials.forPeer(this.#deps.id), {
      ...CHANNEL_OPTIONS,
      // The certificate names the node, not its address; TLS wants some host name to ask for.
      'grpc.ssl_target_name_override': this.#deps.id,
    });
    return { value, [Symbol.dispose]: () => value.close() };
  }
}

class RemovedError extends CodedError {
  readonly membershipIndex: number;

  constructor(message: string, membershipIndex: number) {
    super('forbidden', message);
    this.membershipIndex = membershipIndex;
  }
}

function open(client: Client, service: ServiceDefinition, method: 'Exchange' | 'InstallSnapshot'): Stream {
  const { path, requestSerialize, responseDeserialize } = service[method] ?? fail('internal', `no method ${method}`);
  return client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize as (bytes: Buffer) => unknown);
}

/** Waits for the stream to take more when its buffer is full. */
async function write(stream: Stream, message: object, answers: Answers): Promise<void> {
  if (!stream.write(message))
    await answers.whileWaitingFor((resolve) => stream.once('drain', resolve), SNAPSHOT_STALL_MS);
}

/** What comes back on a stream: one answer at a time, and its end. */
class Answers implements Disposable {
  readonly #clock: Clock;
  readonly #abort: AbortSignal;
  readonly #onAbort = (): void => this.#end(new CodedError('aborted', 'the link was stopped'));
  readonly #waiting: unknown[] = [];
  #ended: { error: unknown } | undefined;
  #wake: (() => void) | undefined;
  #onEnd: (() => void) | undefined;

  constructor(stream: Stream, clock: Clock, abort: AbortSignal) {
    this.#clock = clock;
    stream.on('data', (value: unknown) => {
      this.#waiting.push(value);
      this.#wake?.();
    });
    stream.on('error', (error) => this.#end(error));
    stream.on('end', () => this.#end(new CodedError('unavailable', 'the peer closed the stream')));
    this.#abort = abort;
    abort.addEventListener('abort', this.#onAbort, { once: true });
    if (abort.aborted) this.#onAbort();
  }

  [Symbol.dispose](): void {
    this.#abort.removeEventListener('abort', this.#onAbort);
  }

  async expect(name: 'hello' | 'receipt', timeoutMs: number): Promise<unknown> {
    while (this.#waiting.length === 0) {
      await this.whileWaitingFor((resolve) => {
        this.#wake = resolve;
      }, timeoutMs);
    }
    return this.#bodyOf(this.#waiting.shift(), name);
  }

  async untilEnd(): Promise<never> {
    for (;;) {
      while (this.#waiting.length > 0) this.#bodyOf(this.#waiting.shift(), 'hello');
      await this.whileWaitingFor((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Throws when the stream ends or time runs out before `arrange` is answered. */
  async whileWaitingFor(arrange: (resolve: () => void) => void, timeoutMs?: number): Promise<void> {
    if (this.#ended) throw this.#ended.error;
    await new Promise<void>((resolve, reject) => {
      const timer =
        timeoutMs === undefined
          ? undefined
          : this.#clock.after(timeoutMs, () => reject(new CodedError('deadline', `no answer within ${timeoutMs} ms`)));
      const done = (): void => {
        timer?.cancel();
        resolve();
      };
      arrange(done);
      this.#onEnd = done;
    });
    this.#throwIfOver();
  }

  #throwIfOver(): void {
    if (this.#ended && this.#waiting.length === 0) throw this.#ended.error;
  }

  #end(error: unknown): void {
    this.#ended ??= { error };
    this.#onEnd?.();
  }

  #bodyOf(value: unknown, wanted: 'hello' | 'receipt'): unknown {
    const { name, body } = bodyOf(value);
    if (name === wanted) return body;
    if (name !== 'goodbye') fail('invalid', `the peer answered '${name}' instead of '${wanted}'`);
    const { reason, message, membership_index: index } = asObject(body, 'goodbye');
    if (reason === 'removed') throw new RemovedError(String(message), asInteger(index, 'membership_index'));
    return fail('forbidden', `the peer refused: ${String(message)}`);
  }
}

function splitAddress(address: string | undefined): { host: string; port: number } | undefined {
  const at = address?.lastIndexOf(':') ?? -1;
  if (!address || at < 0) return undefined;
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(address.slice(at + 1)) };
}

export function helloOf(
  self: { clusterId: string; nodeId: MemberId; raftAddress: string },
  to: MemberId,
  { membershipIndex, epoch }: { membershipIndex: number; epoch: number },
): Hello {
  return {
    protocol_min: PROTOCOL_MIN,
    protocol_max: PROTOCOL,
    features: [],
    cluster_id: self.clusterId,
    from: self.nodeId,
    to,
    raft_address: self.raftAddress,
    membership_index: membershipIndex,
    epoch,
  };
}
