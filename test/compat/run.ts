// `npm run compat`: the stock docker client, and docker-py where it is installed, through the same scenarios on Docker
// Engine and on Shoal; prints what differs in exit code, text or JSON shape, and fails for what has no reason.
// `npm run compat fuzz 10000` and `npm run compat leaks 1000` are the long forms of two tests of npm test;
// `npm run compat attacks` shows that the tests of past escapes need the defences that they are about.
import { execFile, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { callEngine } from '../../deploy/engine.ts';
import { type BenchEngine, client, dockerAvailable, startDocker, startShoal } from '../bench/engines.ts';
import { DOCKER_PY, REASONS, SCENARIOS, SHAPES } from './scenarios.ts';
import { runUndefended } from './undefended.ts';

const LINE_MS = 60_000;
const API = '/v1.41'; // the newest that Debian's engine speaks

interface Outcome {
  readonly code: number;
  readonly text: string;
}

type Views = ReadonlyMap<string, Outcome>;

async function main(args: readonly string[]): Promise<number> {
  const [what = '', count = ''] = args;
  if (what === 'fuzz') return longForm('api/fuzz.test.js', { FUZZ_PER_ROUTE: count || '10000' });
  if (what === 'leaks') return longForm('node/leaks.test.js', { LEAK_RUNS: count || '1000' });
  if (what === 'attacks') return runUndefended(count) === 0 ? 0 : 1;
  const shoal = await viewsOf(await startShoal(1));
  if (!dockerAvailable()) {
    console.log('Docker Engine is not installed (Debian: apt install docker.io), so there is nothing to compare with.');
    return report(shoal, shoal);
  }
  return report(await viewsOf(await startDocker(1)), shoal);
}

function longForm(file: string, env: Readonly<Record<string, string>>): number {
  const mocha = join(import.meta.dirname, '../../../node_modules/mocha/bin/mocha.js');
  const args = [mocha, '--no-package', join(import.meta.dirname, '..', file)];
  return spawnSync(process.execPath, args, { stdio: 'inherit', env: { ...process.env, ...env } }).status ?? 1;
}

async function viewsOf(started: BenchEngine): Promise<Views> {
  await using engine = started;
  const socket = engine.sockets[0] ?? '';
  await importImage(socket);
  const views = new Map<string, Outcome>();
  for (const line of Object.values(SCENARIOS).flat()) views.set(line, await shell(socket, line));
  await client(socket, 'run', '-d', '--name', 'shape', '-p', '8080:80', '-v', 'shaped:/v', 'bb', 'sleep', '1000');
  for (const path of SHAPES) views.set(`GET ${path}`, await shapeOf(socket, path));
  await client(socket, 'rm', '-fv', 'shape');
  if (spawnSync('python3', ['-c', 'import docker']).status === 0) {
    const said = await command(socket, 'python3', ['-c', DOCKER_PY]);
    for (const [index, text] of said.text.split('\n').entries())
      views.set(`docker-py ${index}`, { code: said.code, text });
  }
  return views;
}

async function importImage(socket: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'compat-'));
  try {
    for (const name of ['bin', 'etc', 'tmp', 'root']) mkdirSync(join(folder, 'root', name), { recursive: true });
    const busybox = spawnSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).stdout.trim();
    cpSync(busybox, join(folder, 'root/bin/busybox'));
    const names = spawnSync(busybox, ['--list'], { encoding: 'utf8' }).stdout.split('\n').filter(Boolean);
    for (const name of names) if (name !== 'busybox') symlinkSync('busybox', join(folder, 'root/bin', name));
    writeFileSync(join(folder, 'root/etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
    writeFileSync(join(folder, 'root/etc/group'), 'root:x:0:\n');
    spawnSync('tar', [
      '-C',
      join(folder, 'root'),
      '-cf',
      join(folder, 'image.tar'),
      ...readdirSync(join(folder, 'root')),
    ]);
    await client(socket, 'import', '-c', 'CMD ["sh"]', join(folder, 'image.tar'), 'bb:latest');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const shell = (socket: string, line: string): Promise<Outcome> => command(socket, 'sh', ['-c', line]);

function command(socket: string, program: string, args: readonly string[]): Promise<Outcome> {
  const env = { ...process.env, DOCKER_HOST: `unix://${socket}`, DOCKER_CLI_HINTS: 'false' };
  return new Promise((resolve) => {
    execFile(program, args, { env, timeout: LINE_MS, maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
      const code = error ? (typeof error.code === 'number' ? error.code : 124) : 0;
      resolve({ code, text: normal(`${stdout}${stderr}`) });
    });
  });
}

/** What differs from run to run is cut out. */
function normal(text: string): string {
  return (
    text
      .replaceAll(/sha256:[0-9a-f]{64}/g, '<digest>')
      .replaceAll(/\b[0-9a-f]{64}\b/g, '<id>')
      .replaceAll(/\b[0-9a-f]{12}\b/g, '<short id>')
      .replaceAll(/\/tmp\/\S*/g, '<path>')
      // Newer engines begin their sentences small.
      .replaceAll(/(?<=from daemon: (?:[cC]annot kill container: \S+: )?)[A-Z]/g, (first) => first.toLowerCase())
      .replaceAll('Cannot kill container', 'cannot kill container')
      .replaceAll(/: Container (?=<id>)/g, ': container ')
      .trim()
  );
}

/** The keys of an answer with the types of their values, one a line; of a list, those of its first entry. */
async function shapeOf(socket: string, path: string): Promise<Outcome> {
  const reply = await callEngine(socket, 'GET', `${API}${path}`, { timeoutMs: LINE_MS });
  return { code: reply.status, text: [...new Set(shape(reply.body, ''))].sort().join('\n') };
}

function shape(value: unknown, at: string): string[] {
  if (Array.isArray(value)) return value.length === 0 ? [] : shape(value[0], `${at}[]`);
  if (typeof value !== 'object' || value === null) return value === null ? [] : [`${at} ${typeof value}`];
  // Keys that are names of things are not part of the shape.
  const isTable =
    /(Labels|Networks|Ports|Runtimes|Containers|Options|stats|Data|LayersData|IndexConfigs|Details)$/.test(at);
  return isTable ? [] : Object.entries(value).flatMap(([key, entry]) => shape(entry, `${at}.${key}`));
}

function report(docker: Views, shoal: Views): number {
  let equal = 0;
  let unexplained = 0;
  for (const [line, theirs] of docker) {
    const ours = shoal.get(line) ?? { code: -1, text: 'was not run' };
    if (isSame(line, theirs, ours)) {
      equal += 1;
      continue;
    }
    const reason = REASONS.find((entry) => entry.line.test(line))?.reason;
    if (reason === undefined) unexplained += 1;
    console.log(`${line}\n${shown('docker', theirs)}\n${shown('shoal ', ours)}\n    ${reason ?? 'NO REASON'}\n`);
  }
  console.log(`${equal} of ${docker.size} are equal, ${unexplained} differ without a reason`);
  return unexplained === 0 ? 0 : 1;
}

/** A newer engine may say more in an answer, never less. */
function isSame(line: string, theirs: Outcome, ours: Outcome): boolean {
  if (theirs.code !== ours.code) return false;
  if (!line.startsWith('GET ')) return theirs.text === ours.text;
  const said = new Set(ours.text.split('\n'));
  return theirs.text.split('\n').every((key) => said.has(key));
}

function shown(name: string, { code, text }: Outcome): string {
  const lines = text.split('\n');
  return lines
    .map((line, index) => `    ${index === 0 ? `${name} (${code})` : ' '.repeat(name.length + 4)} ${line}`)
    .join('\n');
}

process.exitCode = await main(process.argv.slice(2));
