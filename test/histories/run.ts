// Histories of three real daemons under faults, judged by the linearizability checker. Before, the checker is shown daemons
// that were built to read without asking, whose histories it must refuse. Ends with `N passed, N failed`.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { seededRandom } from '../../base/random.ts';
import { type Edit, makeVariant } from '../support/variant.ts';
import { oneHistory, type Outcome } from './history.ts';
import { HistoryLab } from './lab.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(randomBytes(4).readUInt32BE()) },
    first: { type: 'string', default: '0' },
    'skip-planted': { type: 'boolean', default: false },
  },
});
const COUNT = Number(values.count);
const SEED = Number(values.seed);
const FIRST = Number(values.first);
/** A stale read shows itself in one of so many histories. */
const PLANTED_TRIES = 10;

const SHIFTED_CLOCK: readonly Edit[] = [
  {
    file: 'daemon/shoald.js',
    find: "import process from 'node:process';",
    replace: "import '../test/histories/shifted-clock.js';\nimport process from 'node:process';",
  },
  {
    file: 'manager/raft/worker.js',
    find: "import { setPriority } from 'node:os';",
    replace: "import '../../test/histories/shifted-clock.js';\nimport { setPriority } from 'node:os';",
  },
];
const STALE_READS: Edit = { file: 'manager/forward.js', find: 'if (stale)', replace: 'if (true)' };

/** Told to end, it finishes the history it is at and takes the cluster down. */
let isStopping = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    isStopping = true;
  });
}

const write = (line: string): void => void process.stdout.write(`${line}\n`);
let directory: string | undefined;

/** Where histories that were refused are kept. */
function keep(number: number, outcome: Outcome): string {
  directory ??= mkdtempSync(join(tmpdir(), 'shoal-histories-'));
  const file = join(directory, `history-${number}.json`);
  writeFileSync(file, JSON.stringify(outcome, undefined, 1));
  return file;
}

async function planted(): Promise<boolean> {
  await using build = await makeVariant([...SHIFTED_CLOCK, STALE_READS]);
  await using lab = await HistoryLab.start(labName(), build.root);
  for (let number = 0; number < PLANTED_TRIES && !isStopping; number += 1) {
    const { complaint } = await oneHistory(lab, number + 2, seededRandom(SEED + number)); // +2: begins with partitions
    if (!complaint?.startsWith('no-order')) continue;
    write(`✔ stale reads are refused, in history ${number + 1}`);
    return true;
  }
  write(`✖ ${PLANTED_TRIES} histories with stale reads were all accepted`);
  return false;
}

async function real(): Promise<{ passed: number; failed: number }> {
  await using build = await makeVariant(SHIFTED_CLOCK);
  await using lab = await HistoryLab.start(labName(), build.root);
  const sum = { passed: 0, failed: 0, operations: 0, unknown: 0 };
  const startMs = performance.now();
  for (let number = FIRST; number < FIRST + COUNT && !isStopping; number += 1) {
    const outcome = await oneHistory(lab, number, seededRandom(SEED + number));
    const { history, unknown, complaint, faults, tookMs } = outcome;
    sum[complaint === undefined ? 'passed' : 'failed'] += 1;
    sum.operations += history.length;
    sum.unknown += unknown;
    const figures = `${history.length} operations, ${unknown} of unknown outcome, ${(tookMs / 1_000).toFixed(1)} s`;
    if (complaint === undefined) write(`✔ ${number} ${faults.join(', ')}: ${figures}`);
    else write(`✖ ${number} ${faults.join(', ')}: ${complaint}; ${figures}; ${keep(number, outcome)}`);
  }
  const seconds = (performance.now() - startMs) / 1_000;
  write(`${sum.operations} operations, ${sum.unknown} of unknown outcome, in ${seconds.toFixed(0)} s; seed ${SEED}`);
  return sum;
}

const labName = (): string => `h${randomBytes(2).toString('hex')}`;

if (process.getuid?.() !== 0) throw new Error('histories make network namespaces, which needs root');
const caught = values['skip-planted'] || (await planted());
const { passed, failed } = await real();
const plantedPassed = Number(caught && !values['skip-planted']);
write(`${passed + plantedPassed} passed, ${failed + Number(!caught)} failed`);
process.exitCode = failed === 0 && caught && !isStopping ? 0 : 1;
