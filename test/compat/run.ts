// `npm run compat`: the stock docker client, other clients and bare requests, through the same scenarios on Docker Engine
// and on Shoal; prints what differs, and fails for what has no reason in differences.ts, or has one and differs no more.
//   npm run compat requests     one part alone: requests, typed, dockerode, testcontainers, docker-py, compose
//   npm run compat fuzz 10000, npm run compat leaks 1000     the long forms of two tests of npm test
//   npm run compat described    the requests once more at API 1.51 on Shoal alone, beside the published description
//   npm run compat attacks      shows that the tests of past escapes need the defences that they are about
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { dockerAvailable } from '../bench/engines.ts';
import { Contract } from './contract.ts';
import { faultsOf } from './described.ts';
import { LISTED } from './differences.ts';
import { KINDS, touchedBy } from './kinds.ts';
import { type Place, withEngine } from './lab.ts';
import { PARTS, type Part, partsOf } from './parts.ts';
import type { Views } from './raw.ts';
import { compare, type Report } from './report.ts';
import { runUndefended } from './undefended.ts';

async function main(args: readonly string[]): Promise<number> {
  const [what = '', count = ''] = args;
  if (what === 'fuzz') return await longFuzz(count || '10000');
  if (what === 'leaks') return await longForm('node/leaks.test.js', { LEAK_RUNS: count || '1000' });
  if (what === 'described') return await printDescribed();
  if (what === 'attacks') return (await runUndefended(count)) === 0 ? 0 : 1;
  if (!dockerAvailable()) {
    console.log('Docker Engine is not installed (Debian: apt install docker.io), so there is nothing to compare with.');
    return 1;
  }
  const parts = partsOf(what);
  if (parts.length === 0) {
    console.log(
      `no part is called '${what}': ${PARTS.map(({ name }) => name).join(', ')}, described, fuzz, leaks, attacks`,
    );
    return 1;
  }
  const views = (engine: 'docker' | 'shoal') => withEngine(engine, (place) => viewsOf(parts, place));
  const [docker, shoal] = await Promise.all([views('docker'), views('shoal')]);
  const list = LISTED.filter((entry) => parts.some(({ name }) => name === (entry.part ?? 'requests')));
  return print(compare(docker, shoal, list));
}

async function printDescribed(): Promise<number> {
  const path = process.env['SHOAL_ENGINE_API'];
  if (path === undefined) {
    console.log('Set SHOAL_ENGINE_API to the published description.');
    return 1;
  }
  const { checked, faults } = await withEngine('shoal', ({ socketPath }) => faultsOf(socketPath, path));
  for (const fault of faults) console.log(fault);
  console.log(`${checked} answers were held against the description, ${faults.length} faults`);
  return faults.length === 0 ? 0 : 1;
}

/** Its two tests at once: each keeps one core busy for some minutes. */
async function longFuzz(perRoute: string): Promise<number> {
  const tests = ['outside of a swarm', 'on a manager'];
  const codes = await Promise.all(
    tests.map((test) => longForm('api/fuzz.test.js', { FUZZ_PER_ROUTE: perRoute }, ['--fgrep', test])),
  );
  return Math.max(...codes);
}

async function longForm(
  file: string,
  env: Readonly<Record<string, string>>,
  options: readonly string[] = [],
): Promise<number> {
  const mocha = join(import.meta.dirname, '../../../node_modules/mocha/bin/mocha.js');
  const args = ['--expose-gc', mocha, '--no-package', ...options, join(import.meta.dirname, '..', file)];
  const child = spawn(process.execPath, args, { stdio: 'inherit', env: { ...process.env, ...env } });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}

async function viewsOf(parts: readonly Part[], place: Place): Promise<Views> {
  const all = new Map<string, readonly string[]>();
  for (const part of parts) {
    for (const [request, facts] of await part.run(place)) all.set(`${part.name}: ${request}`, facts);
  }
  return all;
}

function print({ equal, listed, unlisted, unused }: Report): number {
  for (const { request, lines } of listed) {
    const reasons = [...new Set(lines.map(({ entry }) => entry.reason))];
    console.log(`${request}\n${shown(lines.map(({ line }) => line))}\n      (${reasons.join('; ')})\n`);
  }
  for (const { request, lines } of unlisted) console.log(`NOT LISTED: ${request}\n${shown(lines)}\n`);
  for (const { request, lines } of unused) console.log(`DIFFERS NO MORE: ${request} ${lines}`);
  const counts = `${equal} answers are equal, ${listed.length} differ as listed, ${unlisted.length} without a reason`;
  console.log(`${counts}; ${unused.length} of ${LISTED.length} reasons are not needed any more`);
  return unlisted.length + unused.length + printTouched(listed) === 0 ? 0 : 1;
}

/** How many of the listed differences touch what clients rely on, and by what each is proven; answers how many are not. */
function printTouched(listed: Report['listed']): number {
  const path = process.env['SHOAL_ENGINE_API'];
  if (path === undefined) {
    console.log('Set SHOAL_ENGINE_API to the published description to see which of them clients could notice.');
    return 0;
  }
  const contract = new Contract(path);
  const touched = listed.flatMap((each) => touchedBy(each, contract).map((touch) => ({ ...touch, ...each })));
  for (const kind of KINDS) {
    const ofKind = touched.filter((touch) => touch.kind === kind);
    const reasons = new Set(ofKind.map(({ because }) => because ?? 'NOTHING'));
    const counts = [...reasons].map(
      (reason) => `${ofKind.filter((touch) => (touch.because ?? 'NOTHING') === reason).length} by ${reason}`,
    );
    console.log(`${kind}: ${ofKind.length} listed${counts.length > 0 ? `, explained: ${counts.join(', ')}` : ''}`);
  }
  const open = touched.filter(({ because }) => because === undefined);
  for (const { request, kind, line } of open) console.log(`NOT PROVEN: ${request}\n    ${kind}: ${line}`);
  return open.length;
}

const SHOWN_MAX = 12;

function shown(lines: readonly string[]): string {
  const more = lines.length > SHOWN_MAX ? [`    and ${lines.length - SHOWN_MAX} more`] : [];
  return [...lines.slice(0, SHOWN_MAX).map((line) => `    ${line}`), ...more].join('\n');
}

process.exitCode = await main(process.argv.slice(2));
