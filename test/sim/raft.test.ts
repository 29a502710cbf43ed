// The simulator's gate: some seeds of the production code, all clean, and every planted bug caught.
// More seeds: node dist/test/sim/run.js --seeds 200, or SHOAL_SIM_SEEDS=200 npm test.
import assert from 'node:assert/strict';
import process from 'node:process';
import { sentenceOf } from '../../base/errors.ts';
import { MUTANTS, mutate } from './mutants.ts';
import { report, Tally } from './report.ts';
import { simulate } from './simulate.ts';

const SEEDS = Number(process.env['SHOAL_SIM_SEEDS'] ?? 30);
const STORE_SEEDS = Math.ceil(SEEDS / 3);
const EVENTS = 20_000;
const MUTANT_SEEDS_MAX = 60;

/** A simulation that never meets these proves nothing about them. */
const MUST_BE_MET = [
  'acknowledged',
  'read',
  'crash',
  'torn end cut off',
  'flush failed',
  'log truncated',
  'append rejected',
  'snapshot made',
  'snapshot received',
  'snapshot restored',
  'membership changed',
  'transfer',
  'pre-vote held off',
  'removed refused',
  'removed member returns',
  'message lost',
  'message doubled',
  'majority counted on disks',
];

describe('raft under simulation', function () {
  this.timeout(600_000);

  it(`keeps its promises in ${SEEDS} seeds of ${EVENTS} events`, async () => {
    const tally = new Tally();
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const result = await simulate(seed, EVENTS);
      tally.add(result);
      assert.equal(result.failure, undefined, `seed ${seed}: ${sentenceOf(result.failure)}`);
    }
    console.log(report(tally).replaceAll(/^/gm, '      '));
    const missed = MUST_BE_MET.filter((what) => !tally.met.has(what));
    assert.deepEqual(missed, [], 'everything that matters was met');
  });

  it(`keeps them with the real store as state machine, in ${STORE_SEEDS} seeds`, async () => {
    const tally = new Tally();
    for (let seed = 1; seed <= STORE_SEEDS; seed += 1) {
      const result = await simulate(seed, EVENTS, { withStore: true });
      tally.add(result);
      assert.equal(result.failure, undefined, `seed ${seed}: ${sentenceOf(result.failure)}`);
    }
    for (const what of ['transaction acknowledged', 'snapshot restored']) assert.ok(tally.met.has(what), what);
    console.log(report(tally).split('\n').slice(0, 2).join('\n').replaceAll(/^/gm, '      '));
  });

  it('replays a seed exactly', async () => {
    const [once, again] = [await simulate(7, 5_000), await simulate(7, 5_000)];
    assert.deepEqual(again, once);
  });

  for (const mutant of MUTANTS) {
    it(`catches code that ${mutant.name}`, async () => {
      await using mutated = await mutate(mutant);
      const seeds = Array.from({ length: MUTANT_SEEDS_MAX }, (_, at) => at + 1);
      for (const seed of [...(mutant.caughtBySeed ? [mutant.caughtBySeed] : []), ...seeds]) {
        const { failure, events } = await simulate(seed, EVENTS, { modules: mutated.modules });
        if (failure === undefined) continue;
        console.log(`      seed ${seed}, event ${events}: ${sentenceOf(failure)}`);
        return;
      }
      assert.fail(`not caught by ${MUTANT_SEEDS_MAX} seeds`);
    });
  }
});
