// What a route answers. The server knows how to send each kind.
import type { HijackedConnection } from './hijack.ts';

export type Chunk = Uint8Array | string;

type Headers = Readonly<Record<string, string>>;

export type Reply =
  | { readonly kind: 'bytes'; readonly status: number; readonly headers: Headers; readonly body: string }
  | { readonly kind: 'empty'; readonly status: number; readonly headers: Headers }
  | {
      readonly kind: 'stream';
      readonly status: number;
      readonly headers: Headers;
      readonly chunks: AsyncIterable<Chunk>;
    }
  | {
      readonly kind: 'hijack';
      readonly contentType: string;
      readonly run: Run;
      readonly leave: () => void;
    }
  | { readonly kind: 'websocket'; readonly run: Run; readonly leave: () => void };

/** Speaks with the client until one side ends. */
type Run = (connection: HijackedConnection) => Promise<void>;

export const json = (status: number, body: unknown, headers: Headers = {}): Reply => ({
  kind: 'bytes',
  status,
  headers: { 'Content-Type': 'application/json', ...headers },
  body: `${JSON.stringify(body)}\n`,
});

export const empty = (status: number, headers: Headers = {}): Reply => ({
  kind: 'empty',
  status,
  headers,
});

/** The head leaves at once; a failure of `chunks` cuts the connection, so that the client sees the end is missing. */
export const stream = (contentType: string, chunks: AsyncIterable<Chunk>, headers: Headers = {}): Reply => ({
  kind: 'stream',
  status: 200,
  headers: { 'Content-Type': contentType, ...headers },
  chunks,
});

/** `leave` lets go of what the handler took for `run`; it is called at the end, also where `run` never began. */
export const webSocket = (run: Run, leave: () => void): Reply => ({ kind: 'websocket', run, leave });

/** As `webSocket`, on the bare connection. */
export const hijack = (contentType: string, run: Run, leave: () => void): Reply => ({
  kind: 'hijack',
  contentType,
  run,
  leave,
});
