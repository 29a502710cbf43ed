// The simulator by hand: npm run simulate -- [--seeds N] [--steps N] [--first-seed S] [--mode safety|liveness]
// One seed with everything that is known of it: --seeds 1 --first-seed S --trace [--without 3,4] [--fair dropRate]
import process from 'node:process';
import { parseArgs } from 'node:util';
import { fail, sentenceOf } from '../../base/errors.ts';
import { report, type SeedFigures, Tally } from './report.ts';
import { ordersOf, runSeeds } from './seed-pool.ts';
import type { SeedOrder } from './seed-worker.ts';
import { shrink } from './shrink.ts';
import { type Mode, simulate } from './simulate.ts';
import { type Hazard, HAZARDS } from './weather.ts';

const TRACE_LINES = 80;
/** Between two lines that say how far it is, where nobody watches a terminal. */
const PROGRESS_MS = 10_000;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '200' },
      steps: { type: 'string', default: '20000' },
      'first-seed': { type: 'string', default: '1' },
      mode: { type: 'string', default: 'safety' },
      trace: { type: 'boolean', default: false },
      without: { type: 'string', default: '' },
      fair: { type: 'string', default: '' },
    },
  });
  const steps = whole(values.steps, '--steps');
  const orders = ordersOf(
    whole(values['first-seed'], '--first-seed'),
    whole(values.seeds, '--seeds'),
    steps,
    modeOf(values.mode),
  );
  if (values.trace) return traceAll(orders, { without: numbersOf(values.without), fairIn: hazardsOf(values.fair) });
  const tally = new Tally();
  const progress = progressOf(tally, orders.length);
  await runSeeds(orders, (figures) => {
    const failure = tally.add(figures);
    if (failure !== undefined) print(failure);
    progress();
  });
  print(report(tally));
  const [first] = tally.failed;
  if (first) await explain(first, orders);
  const missed = tally.missed();
  if (missed.length > 0) print(`never met, so nothing is proved of it: ${missed.join(', ')}`);
  print(`${tally.seeds - tally.failed.length} passed, ${tally.failed.length} failed`);
  return tally.failed.length > 0 || missed.length > 0 ? 1 : 0;
}

function progressOf(tally: Tally, count: number): () => void {
  const isWatched = process.stderr.isTTY;
  let nextMs = PROGRESS_MS;
  return () => {
    const { seeds, failed, elapsedMs } = tally;
    if (!isWatched && elapsedMs < nextMs) return;
    nextMs = elapsedMs + PROGRESS_MS;
    const line = `${seeds} of ${count} seeds, ${failed.length} failed, ${Math.round(elapsedMs / 1_000)} s`;
    process.stderr.write(isWatched ? `\r${line} ` : `${line}\n`);
  };
}

/** A failing seed, made as small as it gets, and how to see it again. */
async function explain({ seed, failure }: SeedFigures, orders: readonly SeedOrder[]): Promise<void> {
  print(`\nseed ${seed} failed: ${failure}`);
  const order = orders.find((one) => one.seed === seed);
  if (!order) return;
  const again = await simulate(seed, order.steps, order.options);
  if (again.failure === undefined) return;
  const shrunk = await shrink(again, order.steps, order.options);
  const { without, fairIn, result } = shrunk;
  const left = result.acts - without.filter((act) => act <= result.acts).length;
  print(`shrunk in ${shrunk.runs} runs to ${left} of ${result.acts} acts, ${result.steps} steps:`);
  print(result.trace.slice(-TRACE_LINES).join('\n'));
  print(sentenceOf(result.failure));
  const flags = [
    `--seeds 1 --first-seed ${seed} --steps ${order.steps} --mode ${order.options.mode ?? 'safety'} --trace`,
  ];
  if (without.length > 0) flags.push(`--without ${without.join()}`);
  if (fairIn.length > 0) flags.push(`--fair ${fairIn.join()}`);
  print(`again: npm run simulate -- ${flags.join(' ')}\n`);
}

async function traceAll(
  orders: readonly SeedOrder[],
  left: { without: readonly number[]; fairIn: readonly Hazard[] },
): Promise<number> {
  let failed = 0;
  for (const { seed, steps, options } of orders) {
    const result = await simulate(seed, steps, { ...options, ...left });
    print(result.trace.slice(-TRACE_LINES).join('\n'));
    if (result.failure === undefined) continue;
    failed += 1;
    print(`seed ${seed} failed after ${result.steps} steps: ${sentenceOf(result.failure)}`);
    if (result.failure instanceof Error) print(result.failure.stack ?? '');
  }
  print(`${orders.length - failed} passed, ${failed} failed`);
  return failed > 0 ? 1 : 0;
}

function whole(text: string, flag: string): number {
  return /^\d{1,12}$/.test(text) ? Number(text) : fail('invalid', `${flag} '${text}' is not a whole number`);
}

function modeOf(text: string): Mode {
  return text === 'safety' || text === 'liveness'
    ? text
    : fail('invalid', `--mode '${text}' is neither safety nor liveness`);
}

const numbersOf = (text: string): number[] =>
  text === '' ? [] : text.split(',').map((part) => whole(part, '--without'));

function hazardsOf(text: string): Hazard[] {
  const wanted = text === '' ? [] : text.split(',');
  for (const one of wanted)
    if (!HAZARDS.some((hazard) => hazard === one)) fail('invalid', `--fair '${one}' is not known`);
  return HAZARDS.filter((hazard) => wanted.includes(hazard));
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

try {
  process.exitCode = await main();
} catch (error) {
  print(sentenceOf(error));
  process.exitCode = 2;
}
