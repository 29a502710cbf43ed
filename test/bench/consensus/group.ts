// Three members under test, whoever made them: where clients find them, and which one leads.
import { KvClient } from './kv-service.ts';

export interface Group extends AsyncDisposable {
  readonly name: string;
  readonly clientAddresses: readonly string[];
}

/** The position of the member that says of itself that it leads. */
export async function leaderOf({ clientAddresses }: Group, withinMs = 15_000): Promise<number> {
  const clients = clientAddresses.map((address) => new KvClient(address));
  const endMs = performance.now() + withinMs;
  try {
    while (performance.now() < endMs) {
      for (const [position, client] of clients.entries()) {
        const status = await client.status(300).catch(() => undefined);
        if (status && status.leader !== '0' && status.leader === status.header.member_id) return position;
      }
      await new Promise((resolve) => void setTimeout(resolve, 20));
    }
  } finally {
    for (const client of clients) client[Symbol.dispose]();
  }
  throw new Error(`no leader within ${withinMs} ms`);
}
