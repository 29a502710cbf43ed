// How much of manager/raft/core its unit tests and stories run, by V8's own counters: npm run core-coverage.
// A line counts as run when no part of it was skipped; a branch is a block that V8 counts by itself. Below the bound it fails.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const ROOT = resolve(import.meta.dirname, '../../..');
const CORE = join(ROOT, 'dist/manager/raft/core/');
const TESTS = ['core', 'joint', 'scenarios', 'core-edges'].map((name) => join(ROOT, `dist/test/raft/${name}.test.js`));
const BOUND = 95;

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}
interface FunctionCoverage {
  readonly ranges: readonly Range[];
}
interface ScriptCoverage {
  readonly url: string;
  readonly functions: readonly FunctionCoverage[];
}

interface Share {
  run: number;
  all: number;
}

const percent = ({ run, all }: Share): number => (all === 0 ? 100 : (run / all) * 100);

function main(): number {
  const folder = mkdtempSync(join(tmpdir(), 'core-coverage-'));
  try {
    const mocha = join(ROOT, 'node_modules/mocha/bin/mocha.js');
    const run = spawnSync(process.execPath, [mocha, '--no-package', '--reporter', 'dot', ...TESTS], {
      cwd: ROOT,
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, NODE_V8_COVERAGE: folder },
    });
    if (run.status !== 0) throw new Error('the tests failed');
    return report(readScripts(folder));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function readScripts(folder: string): ScriptCoverage[] {
  const files = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
  const scripts = files.flatMap((text) => (JSON.parse(text) as { result: ScriptCoverage[] }).result);
  return scripts.filter(({ url }) => url.startsWith('file:') && fileURLToPath(url).startsWith(CORE));
}

function report(scripts: readonly ScriptCoverage[]): number {
  const total = { lines: { run: 0, all: 0 }, branches: { run: 0, all: 0 } };
  for (const script of scripts) {
    const path = fileURLToPath(script.url);
    const { lines, branches, skipped } = judge(readFileSync(path, 'utf8'), script.functions);
    add(total.lines, lines);
    add(total.branches, branches);
    const where = skipped.length > 0 ? `  not run: ${skipped.join(', ')}` : '';
    print(`${basename(path).padEnd(24)} lines ${figure(lines)}  branches ${figure(branches)}${where}`);
  }
  print(`${'all'.padEnd(24)} lines ${figure(total.lines)}  branches ${figure(total.branches)}`);
  return Math.min(percent(total.lines), percent(total.branches)) < BOUND || scripts.length === 0 ? 1 : 0;
}

/** Lines are those of the compiled file, which differ from the source's by what types take away. */
function judge(source: string, functions: readonly FunctionCoverage[]) {
  const off = new Uint8Array(source.length);
  const ranges = functions.flatMap((one) => one.ranges);
  // Outer ranges first, so that inner ones have the last word.
  const ordered = [...ranges].sort((a, b) => a.startOffset - b.startOffset || b.endOffset - a.endOffset);
  for (const { startOffset, endOffset, count } of ordered) off.fill(count === 0 ? 1 : 0, startOffset, endOffset);
  const lines: Share = { run: 0, all: 0 };
  const skipped: number[] = [];
  let offset = 0;
  for (const [at, line] of source.split('\n').entries()) {
    const code = line.trim();
    if (code !== '' && !/^(\/\/|\*|\/\*|[{}()[\];,]+$)/.test(code)) {
      lines.all += 1;
      const from = offset + line.indexOf(code);
      if (off.subarray(from, from + code.length).includes(1)) skipped.push(at + 1);
      else lines.run += 1;
    }
    offset += line.length + 1;
  }
  const branches = { run: ranges.filter(({ count }) => count > 0).length, all: ranges.length };
  return { lines, branches, skipped };
}

function add(to: Share, { run, all }: Share): void {
  to.run += run;
  to.all += all;
}

const figure = (share: Share): string => `${percent(share).toFixed(1)} % (${share.run}/${share.all})`.padEnd(18);

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

process.exitCode = main();
