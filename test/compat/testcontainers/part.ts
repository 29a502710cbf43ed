// The part of the comparison that testcontainers drives: fetched from npm for the time of the run, as it is no dependency
// of ours, with a compose for it where Debian's is installed, and somebody to clear up as ryuk does.
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { client } from '../../bench/engines.ts';
import { until } from '../../support/until.ts';
import { normal } from '../facts.ts';
import type { Place } from '../lab.ts';
import type { Views } from '../raw.ts';
import { importRyuk, RYUK_IMAGE } from './ryuk.ts';

const run = promisify(execFile);
/** The newest that runs on the oldest Node that this project runs on. */
export const TESTCONTAINERS = 'testcontainers@11.14.0';
const STEPS = join(import.meta.dirname, 'steps.js');
const STEPS_MS = 280_000;
const CLEARED_MS = 30_000;

export async function testcontainers(place: Place): Promise<Views> {
  const folder = mkdtempSync(join(tmpdir(), 'compat-'));
  try {
    await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', folder, TESTCONTAINERS]);
    const env = environment(folder, place.socketPath);
    await importRyuk(place.socketPath);
    const said = await steps(place, folder, { ...env, TESTCONTAINERS_RYUK_DISABLED: 'true' });
    const views = said.trim().split('\n').map(viewOf);
    if (views.at(-1)?.[0] !== 'the end') throw new Error(`testcontainers ended after ${views.at(-1)?.[0]}`);
    return new Map([...views, ['what ryuk clears up', await cleared(place, folder, env)]]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const viewOf = (line: string): [string, string[]] => {
  const [name, said] = JSON.parse(line) as [string, string];
  return [name, [plain(said)]];
};

/** Without names that the library makes up, ports that the machine gives, and dockerode's own word for each status. */
const plain = (text: string): string =>
  normal(text)
    .replaceAll(/(?<=\(HTTP code \d+\)) [a-z ]+ -(?= )/g, '')
    .replaceAll(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, '<name>')
    .replaceAll(/(?<=\blocalhost:|\b127\.0\.0\.1:)\d{5}\b/g, '<port>');

/** Nothing of the user's own settings: the library looks for them at home, and for registries in those of `docker`. */
function environment(folder: string, socketPath: string): NodeJS.ProcessEnv {
  const settings = join(folder, 'docker');
  mkdirSync(join(settings, 'cli-plugins'), { recursive: true });
  mkdirSync(join(folder, 'tmp'));
  const plugin = join(settings, 'cli-plugins/docker-compose');
  writeFileSync(plugin, COMPOSE_PLUGIN);
  chmodSync(plugin, 0o755);
  const own = { HOME: folder, TMPDIR: join(folder, 'tmp'), DOCKER_CONFIG: settings };
  return { ...process.env, ...own, DOCKER_HOST: `unix://${socketPath}`, RYUK_CONTAINER_IMAGE: RYUK_IMAGE };
}

/** The library calls `docker compose`; Debian's is `docker-compose`. */
const COMPOSE_PLUGIN = `#!/bin/sh
if [ "$1" = docker-cli-plugin-metadata ]; then
  echo '{"SchemaVersion":"0.1.0","Vendor":"test","Version":"1","ShortDescription":"compose"}'
  exit
fi
shift
exec docker-compose "$@"
`;

async function steps(
  { inside: [program, ...words] }: Place,
  folder: string,
  env: NodeJS.ProcessEnv,
  mode = 'steps',
): Promise<string> {
  const { stdout } = await run(program, [...words, process.execPath, STEPS, folder, mode], {
    env,
    timeout: STEPS_MS,
    maxBuffer: 16 << 20,
  });
  return stdout;
}

/** A program that ends without a word to what it started: nothing of it stays, nor the one who clears up. */
async function cleared(place: Place, folder: string, env: NodeJS.ProcessEnv): Promise<string[]> {
  const session = JSON.parse(await steps(place, folder, env, 'abandon')) as string;
  const left = async (): Promise<string[]> => {
    const filter = ['-q', '--filter', `label=org.testcontainers.session-id=${session}`];
    const lists = [['ps', '-a'], ['network', 'ls'], ['volume', 'ls'], ['images']];
    const found = await Promise.all(lists.map((words) => client(place.socketPath, ...words, ...filter)));
    return found.flatMap(({ stdout }) => stdout.split('\n').filter(Boolean));
  };
  try {
    await until('nothing is left', async () => (await left()).length === 0, { withinMs: CLEARED_MS });
    return ['all'];
  } catch {
    return ['not all'];
  }
}
