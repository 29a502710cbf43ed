// `npm run crash-cycles [--cycles N] [--seed S]`: kills a process that writes a log on the real disk at counted operations,
// starts it again on what is left, over and over, and damages copies of what it left. Every start must find exactly what
// was acknowledged, with or without the one write that was under way; damage must be cut off at the end of the log and
// said, or refused with its place.
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { sentenceOf } from '../../base/errors.ts';
import { type Random, systemRandom } from '../../base/random.ts';
import { systemDisk } from '../../base/system-disk.ts';
import { Storage } from '../../manager/raft/storage.ts';
import { bitFlip, cuts, type Damaged, isolated, judgeDamage, zeros } from './damage.ts';
import type { Death } from './dying-disk.ts';
import { after, EMPTY, keyOf, NODE_KEYS, randomOf, type State, type Step } from './history.ts';
import type { Life } from './life.ts';

const LIVES_PER_DIRECTORY = 25;
const AT_ONCE = 2;
const OPERATIONS_MAX = 160;
const CUTS_TAKEN = 0.008;

class Tally {
  readonly #counts = new Map<string, number>();
  cycles = 0;

  add(what: string): void {
    this.cycles += 1;
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }

  lines(): string[] {
    return [...this.#counts].sort().map(([what, count]) => `  ${String(count).padStart(6)}  ${what}`);
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { cycles: { type: 'string' }, seed: { type: 'string' } } });
  const wanted = Number(values.cycles ?? 10_000);
  const seed = Number(values.seed ?? systemRandom.below(2 ** 31));
  process.stdout.write(`crash cycles on real files: ${wanted}, seed ${seed}\n`);
  const tally = new Tally();
  const startMs = performance.now();
  let directories = 0;
  const work = async (): Promise<void> => {
    while (tally.cycles < wanted) {
      directories += 1;
      await oneDirectory(seed + directories, tally, () => tally.cycles >= wanted);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(0);
  process.stdout.write(`${tally.lines().join('\n')}\n${tally.cycles} cycles in ${seconds} s, 0 lost\n`);
}

/** A directory through many lives; after each, copies of it are damaged, cheaply or, now and then, at every byte. */
async function oneDirectory(seed: number, tally: Tally, isEnough: () => boolean): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-crash-'));
  const random = randomOf(seed);
  try {
    await createIn(directory);
    let ended: Ended = { possible: [EMPTY], passed: [EMPTY], wasOpen: true };
    for (let life = 0; life < LIVES_PER_DIRECTORY && !isEnough(); life += 1) {
      const death = deathOf(random);
      ended = await live({ directory, seed: seed * 1_000 + life, death }, ended);
      tally.add(`killed ${death.moment} an operation${ended.wasOpen ? '' : ', while it recovered'}`);
      await damageCopies(directory, ended, { tally, random, thorough: life === LIVES_PER_DIRECTORY - 1 });
    }
  } catch (cause) {
    throw new Error(`seed ${seed}`, { cause });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const createIn = (directory: string): Promise<void> =>
  Storage.create(
    { disk: systemDisk(directory), random: systemRandom, clusterId: 'crash', nodeId: 'n1', nodeKeys: NODE_KEYS },
    undefined,
  );

/** Early deaths are drawn more often: recovery is among the first operations. */
function deathOf(random: Random): Death {
  const operation = 1 + Math.floor(random.fraction() ** 2 * OPERATIONS_MAX);
  return { operation, moment: (['before', 'within', 'after'] as const)[random.below(3)] ?? 'before' };
}

interface Ended {
  /** What the next start may find: what was acknowledged, and that with the write that was under way. */
  readonly possible: readonly State[];
  /** Every state that the log on disk has had, oldest first. */
  readonly passed: readonly State[];
  readonly wasOpen: boolean;
}

async function live(life: Life, before: Ended): Promise<Ended> {
  const child = spawn(process.execPath, [resolve(import.meta.dirname, 'life.js'), JSON.stringify(life)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text;
  });
  const closed = new Promise<NodeJS.Signals | null>((done) => child.on('close', (_code, signal) => done(signal)));
  const passed: State[] = [];
  let underWay: Step | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    const said = JSON.parse(line) as { found?: State; begun?: Step; acknowledged?: true };
    const now = passed.at(-1);
    if (said.found) passed.push(found(said.found, before.possible, life));
    if (said.begun) underWay = said.begun;
    if (!said.acknowledged || !underWay || !now) continue;
    passed.push(after(now, underWay));
    underWay = undefined;
  }
  const signal = await closed;
  if (signal !== 'SIGKILL' && complaint !== '') throw new Error(`life ${JSON.stringify(life)}: ${complaint}`);
  const last = passed.at(-1);
  if (!last) return { ...before, wasOpen: false }; // its log is still the one of the life before
  return { possible: underWay ? [last, after(last, underWay)] : [last], passed, wasOpen: true };
}

function found(state: State, expected: readonly State[], life: Life): State {
  const match = expected.find((one) => keyOf(one) === keyOf(state));
  if (match) return match;
  const wanted = expected.map(keyOf).join(' or ');
  throw new Error(`life ${JSON.stringify(life)} found ${keyOf(state)} instead of ${wanted}`);
}

async function damageCopies(
  directory: string,
  ended: Ended,
  { tally, random, thorough }: { tally: Tally; random: Random; thorough: boolean },
): Promise<void> {
  const segments = (await readdir(join(directory, 'log'))).filter((name) => name.endsWith('.wal')).sort();
  const lastSegment = `log/${segments.at(-1)}`;
  const files = [
    ...segments.map((name) => `log/${name}`),
    ...(await readdir(join(directory, 'snapshots')))
      .filter((name) => name.endsWith('.snap'))
      .map((n) => `snapshots/${n}`),
    'data-key',
    'owner',
    'format',
  ];
  // What the directory holds now is one of the possible states; which one, an undamaged start tells.
  const now = await isolated(directory, (copy) => stateIn(copy));
  const earlier = new Set([...ended.passed, ...ended.possible].map(keyOf));
  if (!ended.possible.some((state) => keyOf(state) === now))
    throw new Error(`found ${now} at rest instead of ${ended.possible.map(keyOf).join(' or ')}`);
  const judge = (damaged: Damaged): Promise<void> =>
    isolated(directory, async (copy) => {
      const outcome = await judgeDamage(copy, damaged, { now, earlier, lastSegment });
      tally.add(`${NAMES[damaged.how]}: ${outcome}`);
    });
  const anyFile = (): string =>
    random.fraction() < 0.6 ? lastSegment : (files[random.below(files.length)] ?? lastSegment);
  await judge(await bitFlip(directory, anyFile(), random));
  if (random.fraction() < 0.5) await judge(await zeros(directory, anyFile(), random));
  if (thorough) for await (const damaged of sample(cuts(directory, lastSegment), random)) await judge(damaged);
}

/** A segment has hundreds of bytes; over many directories each place comes up. */
async function* sample(all: AsyncGenerator<Damaged>, random: Random): AsyncGenerator<Damaged> {
  for await (const damaged of all) if (random.fraction() < CUTS_TAKEN) yield damaged;
}

const NAMES = { cut: 'cut at a byte', bit: 'one bit changed', zeros: 'sectors of zeros' } as const;

async function stateIn(copy: string): Promise<string> {
  const { stateOf } = await import('./history.ts');
  const { storage, initial } = await Storage.open({
    disk: systemDisk(copy),
    random: systemRandom,
    clusterId: 'crash',
    nodeId: 'n1',
    nodeKeys: NODE_KEYS,
  });
  await storage.close();
  return keyOf(stateOf(initial));
}

try {
  await main();
} catch (error) {
  process.stderr.write(`LOST: ${sentenceOf(error)}
`);
  process.exitCode = 1;
}
