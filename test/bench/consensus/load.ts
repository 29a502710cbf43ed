// A closed loop of clients against the leader: each writes, waits for the answer, and writes again.
import { type Group, leaderOf } from './group.ts';
import { KvClient } from './kv-service.ts';

export interface Result {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const CONNECTIONS_MAX = 16;
const WITHIN_MS = 10_000;
const KEYS = 1_000;

export async function load(
  group: Group,
  { clients, bytes, forMs, warmUpMs }: { clients: number; bytes: number; forMs: number; warmUpMs: number },
): Promise<Result> {
  const address = group.clientAddresses[await leaderOf(group)] ?? '';
  const connections = Array.from({ length: Math.min(clients, CONNECTIONS_MAX) }, () => new KvClient(address));
  const value = Buffer.alloc(bytes, 'x');
  const latenciesMs: number[] = [];
  const fromMs = performance.now() + warmUpMs;
  const endMs = fromMs + forMs;
  let next = 0;
  const client = async (number: number): Promise<void> => {
    const connection = connections[number % connections.length];
    while (performance.now() < endMs) {
      next += 1;
      const startMs = performance.now();
      await connection?.put(`key${next % KEYS}`, value, WITHIN_MS);
      const nowMs = performance.now();
      if (startMs >= fromMs && nowMs <= endMs) latenciesMs.push(nowMs - startMs);
    }
  };
  try {
    await Promise.all(Array.from({ length: clients }, (_, number) => client(number)));
  } finally {
    for (const connection of connections) connection[Symbol.dispose]();
  }
  return {
    perSecond: (latenciesMs.length / forMs) * 1_000,
    p50Ms: quantile(latenciesMs, 0.5),
    p99Ms: quantile(latenciesMs, 0.99),
  };
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);
