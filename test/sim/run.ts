// Runs seeds by hand: node dist/test/sim/run.js [--seeds 200] [--first 1] [--events 20000] [--store] [--trace]
import process from 'node:process';
import { parseArgs } from 'node:util';
import { sentenceOf } from '../../base/errors.ts';
import { report, Tally } from './report.ts';
import { simulate } from './simulate.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    first: { type: 'string', default: '1' },
    events: { type: 'string', default: '20000' },
    store: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
  },
});

const tally = new Tally();
const first = Number(values.first);
for (let seed = first; seed < first + Number(values.seeds); seed += 1) {
  const result = await simulate(seed, Number(values.events), { withStore: values.store });
  tally.add(result);
  if (result.failure === undefined) continue;
  process.stdout.write(`seed ${seed} failed after ${result.events} events: ${sentenceOf(result.failure)}\n`);
  if (result.failure instanceof Error) process.stdout.write(`${result.failure.stack}\n`);
  if (values.trace) process.stdout.write(`${result.trace.slice(-80).join('\n')}\n`);
}
process.stdout.write(`${report(tally)}\n`);
process.exitCode = tally.failed.length > 0 ? 1 : 0;
