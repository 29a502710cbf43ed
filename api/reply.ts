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
      readonly run: (connection: HijackedConnection) => Promise<void>;
    }
  | { readonly kind: 'websocket'; readonly run: (connection: HijackedConnection) => Promise<void> };

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

export const webSocket = (run: (connection: HijackedConnection) => Promise<void>): Reply => ({
  kind: 'websocket',
  run,
});

export const hijack = (contentType: string, run: (connection: HijackedConnection) => Promise<void>): Reply => ({
  kind: 'hijack',
  contentType,
  run,
});
