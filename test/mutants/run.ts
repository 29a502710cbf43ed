// npm run mutants -- [--only NAME,NAME] [--seeds N]: every planted bug must be caught by the simulator's oracle alone within
// the budget of seeds, and the unpatched copy, its assertions off as well, must pass the same seeds.
import process from 'node:process';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { sentenceOf } from '../../base/errors.ts';
import type { Mode } from '../sim/simulate.ts';
import type { MutantOrder, MutantResult } from './mutant-worker.ts';
import { type Mutant, readMutants } from './patch.ts';
import { Workshop } from './workshop.ts';

const STEPS = 20_000;
const THREADS = 2;
/** A bug that makes the code run in a circle is not caught by that. */
const TIMEOUT_MS = 240_000;
const MEMORY_MB = 1_024;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { only: { type: 'string' }, seeds: { type: 'string', default: '60' } },
  });
  const budget = Number(values.seeds);
  const only = values.only?.split(',');
  const mutants = readMutants().filter(({ name }) => !only || only.includes(name));
  await using workshop = await Workshop.open();
  print(`${mutants.length} planted bugs, each to be caught within ${budget} seeds of ${STEPS} steps`);
  const tried: Record<Mode, Set<number>> = { safety: new Set(), liveness: new Set() };
  const missed: string[] = [];
  await inParallel(mutants, async (mutant) => {
    const result = await hunt(await workshop.plant(mutant), seedsOf(mutant, budget), mutant.mode);
    for (const seed of result.tried) tried[mutant.mode].add(seed);
    if (!result.violation) missed.push(mutant.name);
    print(describe(mutant, result));
  });
  let falseAlarms = 0;
  for (const mode of ['safety', 'liveness'] as const) {
    const result = await hunt(
      workshop.unpatched,
      [...tried[mode]].sort((a, b) => a - b),
      mode,
    );
    const failure = result.violation?.text ?? result.other;
    if (failure !== undefined) falseAlarms += 1;
    print(`unpatched, ${result.tried.length} seeds of ${mode}: ${failure ?? 'passed'}`);
  }
  if (missed.length > 0) print(`missed: ${missed.sort().join(', ')}`);
  print(`${mutants.length - missed.length} caught, ${missed.length} missed`);
  return missed.length > 0 || falseAlarms > 0 ? 1 : 0;
}

function seedsOf({ seed }: Mutant, budget: number): number[] {
  const seeds = Array.from({ length: budget }, (_, at) => at + 1);
  return seed === undefined ? seeds : [seed, ...seeds.filter((other) => other !== seed).slice(0, budget - 1)];
}

function describe({ name, what, pit }: Mutant, { tried, violation, other }: MutantResult): string {
  const about = `${name} (${pit === undefined ? '' : `pit ${pit}; `}${what})`;
  if (violation) return `caught  ${about}: seed ${violation.seed}, step ${violation.step}: ${violation.text}`;
  return `MISSED  ${about}: ${tried.length} seeds${other === undefined ? '' : `; fell over in ${other}`}`;
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  await Promise.all(
    Array.from({ length: THREADS }, async () => {
      for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
    }),
  );
}

async function hunt(folder: string, seeds: readonly number[], mode: Mode): Promise<MutantResult> {
  const order: MutantOrder = { folder, seeds, steps: STEPS, mode };
  const worker = new Worker(new URL('./mutant-worker.js', import.meta.url), {
    workerData: order,
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB },
  });
  const timer = setTimeout(() => void worker.terminate(), TIMEOUT_MS);
  try {
    return await new Promise<MutantResult>((resolve) => {
      worker.once('message', resolve);
      worker.once('error', (error) => resolve({ tried: [], violation: undefined, other: sentenceOf(error) }));
      worker.once('exit', () => resolve({ tried: [], violation: undefined, other: 'it did not come to an end' }));
    });
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

process.exitCode = await main();
