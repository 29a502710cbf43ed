// The least of an Engine API client: requests over a node's socket.
import { request } from 'node:http';

export interface Reply {
  readonly status: number;
  readonly body: string;
}

export function callEngine(
  socketPath: string,
  method: string,
  path: string,
  options: { json?: unknown; body?: Uint8Array; timeoutMs?: number } = {},
): Promise<Reply> {
  const body = options.body ?? (options.json === undefined ? undefined : Buffer.from(JSON.stringify(options.json)));
  const type = options.body ? 'application/x-tar' : 'application/json';
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        socketPath,
        method,
        path,
        headers: body ? { 'Content-Type': type, 'Content-Length': body.length } : {},
        signal: AbortSignal.timeout(options.timeoutMs ?? 30_000),
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('error', reject);
        incoming.on('end', () =>
          resolve({ status: incoming.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** As `callEngine`, but a status of 400 and more rejects with the engine's sentence; resolves with the parsed body. */
export async function askEngine(
  socketPath: string,
  method: string,
  path: string,
  options: { json?: unknown; body?: Uint8Array; timeoutMs?: number } = {},
): Promise<unknown> {
  const reply = await callEngine(socketPath, method, path, options);
  if (reply.status < 400) return reply.body === '' ? undefined : parseOrText(reply.body);
  const parsed = parseOrText(reply.body);
  const message = typeof parsed === 'object' && parsed && 'message' in parsed ? String(parsed.message) : reply.body;
  throw new Error(message);
}

function parseOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
