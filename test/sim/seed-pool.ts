// Many seeds on two threads: which thread runs a seed makes no difference to it.
import { Worker } from 'node:worker_threads';
import type { SeedFigures } from './report.ts';
import type { SeedOrder } from './seed-worker.ts';

const THREADS = 2;
/** What a seed makes is garbage soon: with room for it, less is copied. */
const YOUNG_GENERATION_MB = 192;

/** Runs all orders; `onResult` is told in the order of finishing. */
export async function runSeeds(orders: readonly SeedOrder[], onResult: (figures: SeedFigures) => void): Promise<void> {
  const waiting = [...orders];
  await Promise.all(Array.from({ length: Math.min(THREADS, orders.length) }, () => runThread(waiting, onResult)));
}

async function runThread(waiting: SeedOrder[], onResult: (figures: SeedFigures) => void): Promise<void> {
  const worker = new Worker(new URL('./seed-worker.js', import.meta.url), {
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
  });
  try {
    await new Promise<void>((resolve, reject) => {
      const next = (): void => {
        const order = waiting.shift();
        if (order) worker.postMessage(order);
        else resolve();
      };
      worker.on('error', reject);
      worker.on('message', (figures: SeedFigures) => {
        onResult(figures);
        next();
      });
      next();
    });
  } finally {
    await worker.terminate();
  }
}

/** Every fourth seed has the real store as state machine. */
export function ordersOf(
  firstSeed: number,
  count: number,
  steps: number,
  mode: SeedOrder['options']['mode'],
): SeedOrder[] {
  return Array.from({ length: count }, (_, at) => ({
    seed: firstSeed + at,
    steps,
    options: { mode, withStore: (firstSeed + at) % 4 === 0 },
  }));
}
