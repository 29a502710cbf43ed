// Load on published ports that counts every failure: new connections at a steady rate, and clients that keep theirs.
// A request fails when it does not answer 200 within its time; nothing is tried again.
import { Agent, get } from 'node:http';

export interface LoadResult {
  readonly requests: number;
  readonly failures: readonly string[];
  /** When the last request that failed was made, by performance.now(). */
  readonly lastFailureMs: number;
}

export interface Load {
  /** Ends the load, waits for what is under way, and tells. */
  stop(): Promise<LoadResult>;
}

const TIMEOUT_MS = 1_000;

export function startLoad(options: {
  urls: readonly string[];
  newConnectionsPerSecond: number;
  keepAliveClients: number;
}): Load {
  const failures: string[] = [];
  const underWay = new Set<Promise<void>>();
  let requests = 0;
  let lastFailureMs = 0;
  let stopped = false;
  let turn = 0;
  const url = (): string => options.urls[turn++ % options.urls.length] ?? '';

  const ask = (target: string, agent: Agent | false): Promise<void> => {
    requests += 1;
    const startMs = performance.now();
    const done = request(target, agent).catch((error: unknown) => {
      lastFailureMs = Math.max(lastFailureMs, startMs);
      const words = error instanceof Error ? error.message : String(error);
      failures.push(
        `${agent ? 'kept' : 'new'} ${target} after ${Math.round(performance.now() - startMs)} ms: ${words}`,
      );
    });
    const tracked = done.finally(() => underWay.delete(tracked));
    underWay.add(tracked);
    return tracked;
  };

  const timer = setInterval(() => void ask(url(), false), 1000 / options.newConnectionsPerSecond);
  const clients = Array.from({ length: options.keepAliveClients }, async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const target = url();
    while (!stopped) {
      await ask(target, agent);
      await new Promise((resolve) => setTimeout(resolve, 20)); // the client's own pace, 50 requests a second at most
    }
    agent.destroy();
  });

  return {
    async stop() {
      stopped = true;
      clearInterval(timer);
      await Promise.all([...clients, ...underWay]);
      return { requests, failures, lastFailureMs };
    },
  };
}

function request(target: string, agent: Agent | false): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = get(target, { agent, signal: AbortSignal.timeout(TIMEOUT_MS) }, (incoming) => {
      incoming.on('error', reject);
      incoming.on('end', () => {
        if (incoming.statusCode === 200) resolve();
        else reject(new Error(`status ${incoming.statusCode}`));
      });
      incoming.resume();
    });
    outgoing.on('error', reject);
  });
}
