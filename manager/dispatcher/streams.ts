// Byte streams to agents. A manager never dials an agent: it asks over the session that the agent dial back, and knows
// the stream again by its id. The agent may send only as many bytes as it was given credit for.
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { Clock } from '../../base/clock.ts';
import { CodedError, fail } from '../../base/errors.ts';
import { newId } from '../../base/id.ts';
import type { Random } from '../../base/random.ts';
import { agreeOnProtocol } from '../../proto/assignment.ts';
import type { AgentBytes } from '../../proto/gen/shoal/dispatcher/v1/AgentBytes.ts';
import type { ManagerBytesInput } from '../../proto/gen/shoal/dispatcher/v1/ManagerBytes.ts';
import type { OpenStreamInput } from '../../proto/gen/shoal/dispatcher/v1/OpenStream.ts';
import type { Identity } from '../../proto/identity.ts';
import type { NodeId, TaskId } from '../../proto/objects.ts';
import { toStatus } from '../../proto/rpc.ts';

export type BytesStream = ServerDuplexStream<AgentBytes, ManagerBytesInput>;

export interface StreamRequest {
  readonly nodeId: NodeId;
  readonly kind: 'logs';
  readonly taskId: TaskId;
  readonly caller: string;
  readonly request: Buffer;
}

export interface StreamsDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** Control address of this manager, for the agent to dial. */
  readonly address: () => string;
  /** Brings the request to the agent over whichever session it has; false when no manager holds one. */
  readonly ask: (nodeId: NodeId, open: OpenStreamInput, abort: AbortSignal) => Promise<boolean>;
}

interface Waiting {
  readonly nodeId: NodeId;
  readonly accept: (stream: BytesStream) => void;
  readonly refuse: (error: CodedError) => void;
}

const OPEN_WITHIN_MS = 2_000;
const CREDIT_BYTES = 256 * 1024;
const WAITING_MAX = 10_000;

export class Streams {
  readonly #deps: StreamsDeps;
  readonly #waiting = new Map<string, Waiting>();

  constructor(deps: StreamsDeps) {
    this.#deps = deps;
  }

  /** Opens a stream from the node and yields what it sends. Code `unavailable` when the node does not answer in time. */
  async *open(request: StreamRequest, abort: AbortSignal): AsyncGenerator<Buffer, void, void> {
    const stream = await this.#opened(request, abort);
    const onAbort = (): void => void stream.emit('error', toStatus(new CodedError('aborted', 'the reader went away')));
    abort.addEventListener('abort', onAbort, { once: true });
    try {
      yield* receive(stream);
    } finally {
      abort.removeEventListener('abort', onAbort);
      stream.end();
    }
  }

  /** A stream that an agent opened. */
  accept(identity: Identity, stream: BytesStream): void {
    stream.once('data', (first: AgentBytes) => {
      try {
        const opened = first.opened ?? fail('invalid', 'a byte stream begins with its id');
        agreeOnProtocol(opened.protocol, 'the agent');
        const waiting = this.#waiting.get(opened.streamId);
        if (waiting?.nodeId !== identity.nodeId) fail('forbidden', 'nobody here asked this node for that stream');
        stream.pause();
        waiting.accept(stream);
      } catch (error) {
        stream.emit('error', toStatus(error));
      }
    });
  }

  refused(nodeId: NodeId, streamId: string, reason: string): void {
    const waiting = this.#waiting.get(streamId);
    if (waiting?.nodeId === nodeId) waiting.refuse(new CodedError('unavailable', reason));
  }

  async #opened(request: StreamRequest, abort: AbortSignal): Promise<BytesStream> {
    const { clock, random, address, ask } = this.#deps;
    if (this.#waiting.size >= WAITING_MAX) fail('exhausted', 'too many streams are being opened');
    const streamId = newId<'stream'>(random);
    const { nodeId, ...open } = request;
    using deadline = clock.deadline(abort, OPEN_WITHIN_MS);
    try {
      return await new Promise<BytesStream>((resolve, reject) => {
        this.#waiting.set(streamId, { nodeId, accept: resolve, refuse: reject });
        deadline.signal.addEventListener('abort', () => reject(new CodedError('unavailable', 'no answer in time')));
        ask(nodeId, { ...open, streamId, address: address() }, deadline.signal).then((asked) => {
          if (!asked) reject(new CodedError('unavailable', 'the node is not connected to any manager'));
        }, reject);
      });
    } finally {
      this.#waiting.delete(streamId);
    }
  }
}

/** Yields data as it comes and gives credit back as it is consumed, so a slow reader slows the sender. */
async function* receive(stream: BytesStream): AsyncGenerator<Buffer, void, void> {
  stream.write({ credit: CREDIT_BYTES });
  let owed = 0;
  let unread = 0;
  const inbox: AgentBytes[] = [];
  let wake: (() => void) | undefined;
  let over: { error?: Error } | undefined;
  const end = (error?: Error): void => {
    over ??= error ? { error } : {};
    wake?.();
  };
  stream.on('data', (message: AgentBytes) => {
    unread += message.data?.length ?? 0;
    if (unread > CREDIT_BYTES) return end(new CodedError('invalid', 'the agent sent more than it had credit for'));
    inbox.push(message);
    wake?.();
  });
  stream.once('end', () => end());
  stream.once('cancelled', () => end(new CodedError('unavailable', 'the node closed the stream')));
  stream.once('error', (error) => end(error));
  stream.resume();
  for (;;) {
    for (let message = inbox.shift(); message; message = inbox.shift()) {
      if (message.end) {
        if (message.end.error) throw new CodedError('unavailable', message.end.error);
        return;
      }
      if (!message.data) continue;
      yield message.data;
      unread -= message.data.length;
      owed += message.data.length;
      if (owed >= CREDIT_BYTES / 2) {
        stream.write({ credit: owed });
        owed = 0;
      }
    }
    if (over) {
      if (over.error) throw over.error;
      return;
    }
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
    wake = undefined;
  }
}
