// A thread that runs seeds of the simulator on a copy of the production code until one fails.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { sentenceOf } from '../../base/errors.ts';
import type { Modules } from '../sim/modules.ts';
import { Violation } from '../sim/oracle.ts';
import { type Mode, simulate } from '../sim/simulate.ts';

export interface MutantOrder {
  readonly folder: string;
  readonly seeds: readonly number[];
  readonly steps: number;
  readonly mode: Mode;
}

export interface MutantResult {
  readonly tried: readonly number[];
  /** Only what the oracle saw counts as caught; code that merely falls over does not. */
  readonly violation: { readonly seed: number; readonly step: number; readonly text: string } | undefined;
  readonly other: string | undefined;
}

async function hunt({ folder, seeds, steps, mode }: MutantOrder): Promise<MutantResult> {
  const modules = await load(folder);
  const tried: number[] = [];
  let other: string | undefined;
  for (const seed of seeds) {
    tried.push(seed);
    const { failure, steps: step } = await simulate(seed, steps, { modules, mode });
    if (failure === undefined) continue;
    const text = sentenceOf(failure);
    if (failure instanceof Violation) return { tried, violation: { seed, step, text }, other };
    other ??= `seed ${seed}: ${text}`;
  }
  return { tried, violation: undefined, other };
}

async function load(folder: string): Promise<Modules> {
  const from = (file: string): Promise<Partial<Modules>> =>
    import(pathToFileURL(join(folder, 'manager/raft', file)).href) as Promise<Partial<Modules>>;
  const loaded = await Promise.all(
    ['core/raft.js', 'member.js', 'storage.js', 'judgement.js', 'inspect.js', 'take-over.js'].map(from),
  );
  return Object.assign({}, ...loaded) as Modules;
}

parentPort?.postMessage(await hunt(workerData as MutantOrder));
