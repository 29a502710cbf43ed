// The parts of the comparison: each drives one engine through one client and says what it saw.
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dockerode } from './dockerode.ts';
import { COMPOSE_LINES } from './compose/lines.ts';
import { normal } from './facts.ts';
import type { Place } from './lab.ts';
import { ROWS, type Views, viewsOf } from './raw.ts';
import { SCENARIOS } from './scenarios.ts';
import { TESTCONTAINERS, testcontainers } from './testcontainers/part.ts';

const LINE_MS = 120_000;
const COMPOSE = 'docker-compose'; // Debian's, which is compose 1
const SYSTEM_PYTHON = '/usr/bin/python3'; // the one that Debian's packages are for

export interface Part {
  readonly name: string;
  run(place: Place): Promise<Views>;
}

export const PARTS: readonly Part[] = [
  { name: 'requests', run: ({ socketPath }) => viewsOf(socketPath, ROWS) },
  { name: 'typed', run: typedLines },
  { name: 'dockerode', run: ({ socketPath }) => dockerode(socketPath) },
  { name: 'testcontainers', run: testcontainers },
  { name: 'docker-py', run: dockerPy },
  { name: 'compose', run: compose },
];

/** All of them, or the one that is called so. A client that is not installed is left out, and says so. */
export function partsOf(name: string): Part[] {
  const parts = PARTS.filter((part) => name === '' || part.name === name);
  return parts.filter((part) => isInstalled(part.name));
}

const NEEDS: Readonly<Record<string, readonly string[]>> = {
  compose: [COMPOSE, 'version'],
  'docker-py': [SYSTEM_PYTHON, '-c', 'import docker'],
  testcontainers: ['npm', 'view', TESTCONTAINERS, 'version'],
};

function isInstalled(name: string): boolean {
  const [program, ...args] = NEEDS[name] ?? [];
  if (program === undefined || spawnSync(program, args).status === 0) return true;
  console.log(`${name} is not installed, so it is left out\n`);
  return false;
}

function typedLines({ socketPath }: Place): Promise<Views> {
  return typed(socketPath, Object.values(SCENARIOS).flat(), factsOf);
}

/** What is done to several containers is done at once, so the order of its lines says nothing. */
function compose({ socketPath }: Place): Promise<Views> {
  const unordered = (outcome: Outcome) => [...new Set(factsOf(outcome).map((line) => line.trimEnd()))].sort();
  return typed(socketPath, COMPOSE_LINES, unordered);
}

async function typed(
  socketPath: string,
  lines: readonly string[],
  facts: (outcome: Outcome) => readonly string[],
): Promise<Views> {
  const folder = mkdtempSync(join(tmpdir(), 'compat-'));
  try {
    const views = new Map<string, readonly string[]>();
    for (const [index, line] of lines.entries()) {
      const outcome = await command(socketPath, 'sh', ['-c', line], { DIR: folder, ...COMPOSE_SETTINGS });
      views.set(`${index + 1} ${line}`, facts(outcome));
    }
    return views;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const COMPOSE_SETTINGS = {
  COMPOSE_PROJECT_NAME: 'comp',
  COMPOSE_ANSI: 'never',
  COMPOSE_FILE: join(import.meta.dirname, '../../../test/compat/compose/docker-compose.yml'),
};

const SOURCES = join(import.meta.dirname, '../../../test/compat');

async function dockerPy({ socketPath }: Place): Promise<Views> {
  const { code, text } = await command(socketPath, SYSTEM_PYTHON, [join(SOURCES, 'docker-py.py')]);
  const lines = text.split('\n').map((line): [string, string[]] => {
    const [step = '', said = ''] = line.split('\t');
    return [step, [said]];
  });
  return new Map([['exit', [`code ${code}`]], ...lines]);
}

interface Outcome {
  readonly code: number;
  readonly text: string;
}

function factsOf({ code, text }: Outcome): string[] {
  return [`code ${code}`, ...text.split('\n')];
}

function command(
  socketPath: string,
  program: string,
  args: readonly string[],
  more: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const env = { ...process.env, DOCKER_HOST: `unix://${socketPath}`, DOCKER_CLI_HINTS: 'false', ...more };
  return new Promise((resolve) => {
    execFile(program, args, { env, timeout: LINE_MS, maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
      const code = error ? (typeof error.code === 'number' ? error.code : 124) : 0;
      resolve({ code, text: normalOutput(`${stdout}${stderr}`) });
    });
  });
}

/** What differs from run to run is cut out, and how a sentence begins: newer engines begin theirs small. */
function normalOutput(text: string): string {
  return normal(text)
    .replaceAll(/\/tmp\/\S*/g, '<path>')
    .replaceAll(/(?<=from daemon: (?:[cC]annot kill container: \S+: )?)[A-Z]/g, (first) => first.toLowerCase())
    .replaceAll('Cannot kill container', 'cannot kill container')
    .replaceAll(/: Container (?=<id>)/g, ': container ')
    .trim();
}
