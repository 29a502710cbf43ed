// One request to an engine as bytes on its socket, and everything of the answer that a client can see.
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';

const ANSWER_MS = 25_000;

export interface WireRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | undefined;
  /** Bytes for a raw stream, sent after the head of the answer; then this side is closed. */
  readonly input: string | undefined;
}

export interface WireAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The stream was cut before its end. */
  readonly cut: boolean;
}

/** Never rejects for what an engine answers; rejects where it answers nothing in time. */
export function ask(socketPath: string, wanted: WireRequest): Promise<WireAnswer> {
  const { method, path, body, input } = wanted;
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'Content-Length': String(body.length) };
    const headers = { ...length, ...wanted.headers };
    const outgoing = request({ socketPath, method, path, headers, agent: false });
    const late = setTimeout(() => outgoing.destroy(new Error(`not within ${ANSWER_MS} ms`)), ANSWER_MS);
    const answered = (incoming: IncomingMessage, stream: Readable): void => {
      clearTimeout(late);
      if (input !== undefined) incoming.socket.end(input);
      void collect(stream).then((rest) => resolve({ ...headOf(incoming), ...rest }));
    };
    outgoing.on('error', (error) => {
      clearTimeout(late);
      reject(error);
    });
    outgoing.on('upgrade', (incoming: IncomingMessage, socket: Socket, head: Buffer) => {
      socket.unshift(head);
      answered(incoming, socket);
    });
    outgoing.on('response', (incoming) => answered(incoming, incoming));
    outgoing.end(body);
  });
}

const headOf = ({ statusCode, headers }: IncomingMessage) => ({ status: statusCode ?? 0, headers });

/** What came until the end, or until it was cut: by the engine, or by us when nothing more came in time. */
async function collect(stream: Readable): Promise<{ body: Buffer; cut: boolean }> {
  const chunks: Buffer[] = [];
  const late = setTimeout(() => stream.destroy(new Error('it does not end')), ANSWER_MS);
  try {
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    return { body: Buffer.concat(chunks), cut: false };
  } catch {
    return { body: Buffer.concat(chunks), cut: true }; // told by `cut`
  } finally {
    clearTimeout(late);
  }
}
