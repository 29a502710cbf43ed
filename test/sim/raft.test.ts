// The simulator's gate: many seeds of the production code, all clean, and everything that matters met.
// Others: npm run simulate -- --first-seed S, or SHOAL_SIM_SEEDS=200000 npm test.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { sentenceOf } from '../../base/errors.ts';
import { report, Tally } from './report.ts';
import { ordersOf, runSeeds } from './seed-pool.ts';
import { type Mode, simulate } from './simulate.ts';

const SEEDS = Number(process.env['SHOAL_SIM_SEEDS'] ?? 1_000);
const FIRST_SEED = Number(process.env['SHOAL_SIM_FIRST_SEED'] ?? 1);
const LIVENESS_SEEDS = Math.ceil(SEEDS / 20);
const STEPS = 20_000;
const REGRESSIONS = resolve(import.meta.dirname, '../../../test/sim/regressions');

describe('raft under simulation', function () {
  this.timeout(60 * 60_000);

  async function passes(first: number, count: number, mode: Mode): Promise<void> {
    const tally = new Tally();
    await runSeeds(ordersOf(first, count, STEPS, mode), (figures) => {
      const failure = tally.add(figures);
      if (failure !== undefined) console.log(`      ${failure}`);
    });
    console.log(report(tally).replaceAll(/^/gm, '      '));
    const failed = tally.failed.map(({ seed, failure }) => `seed ${seed}: ${failure}`);
    assert.deepEqual(failed, [], `again: npm run simulate -- --mode ${mode} --seeds 1 --first-seed SEED --trace`);
    assert.deepEqual(tally.missed(), [], 'everything that matters was met');
  }

  it(`keeps its promises in ${SEEDS} seeds of ${STEPS} steps, faults all the time`, () =>
    passes(FIRST_SEED, SEEDS, 'safety'));

  it(`works again after every healing in ${LIVENESS_SEEDS} seeds`, () =>
    passes(FIRST_SEED + SEEDS, LIVENESS_SEEDS, 'liveness'));

  it('replays a seed exactly, whatever the clock on the wall says', async () => {
    const once = await simulate(7, 5_000);
    const { now } = Date;
    let jumps = 0;
    Date.now = () => now() + (jumps++ % 3) * 86_400_000 - 86_400_000;
    try {
      assert.deepEqual(await simulate(7, 5_000), once);
    } finally {
      Date.now = now;
    }
  });

  for (const name of readdirSync(REGRESSIONS).filter((file) => file.endsWith('.json'))) {
    const { seed, steps, mode, withStore, without, why } = JSON.parse(
      readFileSync(join(REGRESSIONS, name), 'utf8'),
    ) as {
      seed: number;
      steps: number;
      mode?: Mode;
      withStore?: boolean;
      without?: number[];
      why: string;
    };
    it(`has not forgotten: ${why}`, async () => {
      const { failure } = await simulate(seed, steps, { mode, withStore, without });
      assert.equal(failure === undefined ? undefined : sentenceOf(failure), undefined);
    });
  }
});
