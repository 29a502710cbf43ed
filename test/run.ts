// The test runner: `check` is what every commit passes; `all` adds the simulation and, as root, real containers and
// clusters. Ends with one line of counts. As root a skipped test is a failure, unless its reason is a kernel feature
// named in test/missing-features.json.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { type Counts, parseCounts, type Skipped } from './support/counts.ts';
import { killAll, processTree } from './support/process-tree.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const DIST = join(ROOT, 'dist');
const BIN = join(ROOT, 'node_modules/.bin');

/**
 * Suites in the order they run: quickest first. `files` are globs below dist/test. `timeoutMs` is for one test,
 * `limitMinutes` for the suite, about four times what it takes on two shared cores: one that hangs is told of with its
 * processes and fails, rather than stand until somebody looks.
 */
const SUITES = {
  unit: {
    files: [
      '*.test.js',
      '{base,proto,store,control,raft,orchestrator,scheduler,allocator,dispatcher,ca,agent,manager}/**/*.test.js',
      '{image,registry,container,log,volume,network,native,api,cli,web,deploy,daemon}/**/*.test.js',
    ],
    timeoutMs: 20_000,
    limitMinutes: 6,
  },
  sim: {
    files: ['sim/**/*.test.js'],
    timeoutMs: 600_000,
    // A night's seeds take a night.
    limitMinutes: process.env['SHOAL_SIM_SEEDS'] ? 24 * 60 : 20,
  },
  node: { files: ['node/**/*.test.js', 'compat/**/*.test.js'], timeoutMs: 120_000, limitMinutes: 20 },
  cluster: { files: ['cluster/**/*.test.js'], timeoutMs: 300_000, limitMinutes: 25 },
} as const;

type Suite = keyof typeof SUITES;

const TOOLS: readonly (readonly [name: string, command: string, args: readonly string[]])[] = [
  ['format', 'biome', ['format', '.']],
  ['lint', 'oxlint', ['--type-aware', '--quiet']],
  ['unused code', 'knip', ['--no-progress']],
];

async function main(): Promise<number> {
  const [mode = 'check', ...args] = process.argv.slice(2);
  const only = args.find((arg) => arg.startsWith('--only='))?.slice('--only='.length);
  const suites: readonly Suite[] = mode === 'all' ? ['unit', 'sim', 'node', 'cluster'] : ['unit'];
  const tools = TOOLS.filter(([name]) => !(args.includes('--quick') && name === 'unused code'));
  if (!only && !tools.every(([name, command, toolArgs]) => runTool(name, command, toolArgs))) return 1;
  const counts: Counts[] = [];
  for (const suite of suites) if (!only || only.split(',').includes(suite)) counts.push(await runSuite(suite));
  return report(counts);
}

function runTool(name: string, command: string, args: readonly string[]): boolean {
  const startMs = performance.now();
  const result = spawnSync(join(BIN, command), args, { cwd: ROOT, encoding: 'utf8', maxBuffer: 64 << 20 });
  const passed = result.status === 0;
  console.log(`${passed ? '✔' : '✖'} ${name} (${((performance.now() - startMs) / 1000).toFixed(1)} s)`);
  if (!passed) console.log(`${result.stdout}${result.stderr}`);
  return passed;
}

async function runSuite(suite: Suite): Promise<Counts> {
  const folder = mkdtempSync(join(tmpdir(), 'counts-'));
  const file = join(folder, 'counts.json');
  console.log(`\n── ${suite} ──`);
  try {
    const passed = await runMocha(suite, file);
    const counts: Counts = existsSync(file)
      ? parseCounts(readFileSync(file, 'utf8'))
      : { passed: 0, failed: 0, skipped: [] };
    // A runner that died, hung or found no file has failed, whatever it counted.
    if (!passed && counts.failed === 0) return { ...counts, failed: 1 };
    return counts;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Whether mocha ended by itself, within the suite's limit, and with nothing failed. */
async function runMocha(suite: Suite, countsFile: string): Promise<boolean> {
  const { files, timeoutMs, limitMinutes } = SUITES[suite];
  const mocha = join(ROOT, 'node_modules/mocha/bin/mocha.js');
  const reporter = join(DIST, 'test/support/reporter.js');
  const globs = files.map((glob) => join(DIST, 'test', glob));
  const child = spawn(
    process.execPath,
    [mocha, '--reporter', reporter, '--timeout', String(timeoutMs), '--no-package', ...globs],
    { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, TEST_COUNTS_FILE: countsFile } },
  );
  const limit = setTimeout(() => {
    const processes = processTree(child.pid ?? 0);
    console.log(`✖ ${suite}: not done after ${limitMinutes} minutes; its processes:`);
    for (const { depth, pid, command, waitsIn } of processes) {
      console.log(`${'  '.repeat(depth + 1)}${pid} ${command} (waits in ${waitsIn})`);
    }
    killAll(processes.map(({ pid }) => pid));
  }, limitMinutes * 60_000);
  try {
    const [status] = (await once(child, 'exit')) as [number | null];
    return status === 0;
  } finally {
    clearTimeout(limit);
  }
}

function report(all: readonly Counts[]): number {
  const sum = (pick: (counts: Counts) => number): number => all.reduce((total, counts) => total + pick(counts), 0);
  const skipped = all.flatMap((counts) => counts.skipped);
  const asRoot = process.getuid?.() === 0;
  const excused = excusedFeatures();
  const unexcused = asRoot ? skipped.filter((skip) => !excused.some((name) => skip.reason.includes(name))) : [];
  for (const { title, reason } of skipped) console.log(`skipped: ${title}: ${reason}`);
  for (const { title } of unexcused) console.log(`✖ skipped as root without an excuse: ${title}`);
  const failed = sum((counts) => counts.failed) + unexcused.length;
  console.log(`\n${sum((counts) => counts.passed)} passed, ${failed} failed, ${skipped.length} skipped`);
  return failed === 0 ? 0 : 1;
}

function excusedFeatures(): string[] {
  const parsed = JSON.parse(readFileSync(join(ROOT, 'test/missing-features.json'), 'utf8')) as { features: string[] };
  return parsed.features;
}

export type { Skipped };
process.exitCode = await main();
