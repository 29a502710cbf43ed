// Byte streams that a manager asked for: the agent dials the manager that wants one and sends what it may, never more
// bytes than it was given credit for.
import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import { CodedError, sentenceOf } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { PROTOCOL } from '../proto/assignment.ts';
import type { Credentials } from '../proto/credentials.ts';
import type { AgentBytesInput } from '../proto/gen/shoal/dispatcher/v1/AgentBytes.ts';
import type { ManagerBytes } from '../proto/gen/shoal/dispatcher/v1/ManagerBytes.ts';
import type { OpenStream } from '../proto/gen/shoal/dispatcher/v1/OpenStream.ts';
import { Channel, fromStatus } from '../proto/rpc.ts';
import { Dispatcher } from '../proto/services.ts';

/** Produces the bytes of one stream. */
export type StreamSource = (open: OpenStream, abort: AbortSignal) => AsyncIterable<Uint8Array>;

export interface StreamsDeps {
  readonly credentials: Credentials;
  readonly log: Log;
  readonly sources: Readonly<Record<string, StreamSource>>;
}

const CHUNK_BYTES_MAX = 64 * 1024;

/** Serves one stream until its source or its reader ends. Rejects only when the manager can not be reached. */
export async function serveStream(open: OpenStream, deps: StreamsDeps, abort: AbortSignal): Promise<void> {
  using channel = new Channel(open.address, deps.credentials.channelCredentials());
  const stream = channel.stream(Dispatcher.Bytes);
  const outlet = new Outlet(stream, open.address, abort);
  const protocol = { ...PROTOCOL, features: [...PROTOCOL.features] };
  stream.write({ opened: { protocol, streamId: open.streamId } });
  const source = deps.sources[open.kind];
  try {
    if (!source) throw new CodedError('not-implemented', `streams of kind ${open.kind} are not known to this node`);
    for await (const bytes of source(open, outlet.signal)) await outlet.send(bytes);
    await outlet.end('');
  } catch (error) {
    if (outlet.signal.aborted) return;
    deps.log.debug('a stream ended early', { kind: open.kind, taskId: open.taskId, error });
    await outlet.end(sentenceOf(error));
  }
}

class Outlet {
  readonly #stream: ClientDuplexStream<AgentBytesInput, ManagerBytes>;
  readonly #over = new AbortController();
  #credit = 0;
  #wake: (() => void) | undefined;

  constructor(stream: ClientDuplexStream<AgentBytesInput, ManagerBytes>, address: string, abort: AbortSignal) {
    this.#stream = stream;
    const close = (error: unknown): void => {
      this.#over.abort(error);
      this.#wake?.();
    };
    stream.on('data', (message: ManagerBytes) => {
      this.#credit += message.credit ?? 0;
      this.#wake?.();
    });
    stream.on('error', (error: ServiceError) => close(fromStatus(error, address)));
    stream.on('end', () => close(new CodedError('aborted', 'the reader went away')));
    abort.addEventListener('abort', () => stream.cancel(), { once: true });
  }

  get signal(): AbortSignal {
    return this.#over.signal;
  }

  async send(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      await this.#hasCredit();
      const length = Math.min(this.#credit, CHUNK_BYTES_MAX, bytes.length - at);
      this.#stream.write({ data: bytes.subarray(at, at + length) });
      this.#credit -= length;
      at += length;
    }
  }

  /** The last message; resolves when the manager has seen it. */
  async end(error: string): Promise<void> {
    this.#stream.write({ end: { error } });
    this.#stream.end();
    if (this.#over.signal.aborted) return;
    await new Promise<void>((resolve) => this.#over.signal.addEventListener('abort', () => resolve(), { once: true }));
  }

  async #hasCredit(): Promise<void> {
    while (this.#credit <= 0) {
      this.#over.signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#over.signal.throwIfAborted();
  }
}
