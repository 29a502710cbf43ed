// A thread that runs the seeds which it is given, one after the other.
import { parentPort } from 'node:worker_threads';
import { sentenceOf } from '../../base/errors.ts';
import { simulate, type SimulateOptions } from './simulate.ts';
import type { SeedFigures } from './report.ts';

export interface SeedOrder {
  readonly seed: number;
  readonly steps: number;
  readonly options: Pick<SimulateOptions, 'mode' | 'withStore'>;
}

parentPort?.on('message', (order: SeedOrder) => void carryOut(order));

async function carryOut({ seed, steps, options }: SeedOrder): Promise<void> {
  const { trace: _, failure, ...rest } = await simulate(seed, steps, options);
  const figures: SeedFigures = { ...rest, failure: failure === undefined ? undefined : sentenceOf(failure) };
  parentPort?.postMessage(figures);
}
