// An engine whose disk is full now and then: `full-disk-engine ROOT`, in a mount namespace of its own with a small tmpfs on
// ROOT. Does what needs room, first without and then with it, and prints what each came to.
import { readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { dockerArchive } from '../image/support.ts';
import { errnoOf } from '../../base/errors.ts';
import { archive, entry } from './attack-lab.ts';
import { ClientLab } from './client-lab.ts';
import { eventually } from './runtime-lab.ts';

export interface Attempt {
  readonly status: number;
  readonly said: string;
  /** Images, containers and volumes that the engine tells of. */
  readonly known: readonly number[];
  /** What lies in the folders of images and containers. */
  readonly files: readonly string[];
}

/** Of each piece of work: before, on the full disk, and when there is room again. */
export type Story = Readonly<Record<'before' | 'full' | 'again', Attempt>>;
export type Report = Readonly<Record<string, Story | readonly string[]>>;

const MEGABYTE = 1024 * 1024;
const [root = ''] = process.argv.slice(2);
const filler = join(root, 'filler');

function fill(leftBytes: number): void {
  const { bavail, bsize } = statfsSync(root);
  try {
    writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - leftBytes)));
    for (; leftBytes === 0; ) writeFileSync(filler, Buffer.alloc(4_096), { flag: 'a' });
  } catch (error) {
    if (errnoOf(error) !== 'ENOSPC') throw error;
  }
}

const makeRoom = (): void => rmSync(filler, { force: true });

await using client = await ClientLab.open(root);
const data = join(client.lab.root, 'data');
const report: Record<string, unknown> = {};

async function look(): Promise<Pick<Attempt, 'known' | 'files'>> {
  const count = async (...args: string[]): Promise<number> =>
    (await client.ok(...args)).split('\n').filter(Boolean).length;
  const folders = ['image/incoming', 'image/layer', 'image/blobs/sha256', 'containers', 'volumes'];
  const known = [await count('images', '-aq'), await count('ps', '-aq'), await count('volume', 'ls', '-q')];
  const files = folders.flatMap((folder) => readdirSync(join(data, folder)).map((name) => `${folder}/${name}`));
  return { known, files: files.sort() };
}

async function story(
  name: string,
  leftBytes: number,
  work: () => Promise<Pick<Attempt, 'status' | 'said'>>,
): Promise<void> {
  const before = { status: 0, said: '', ...(await look()) };
  fill(leftBytes);
  const outcome = await work();
  makeRoom();
  let full = await look();
  // What a cut-off helper leaves is removed in the background.
  await eventually(
    async () => JSON.stringify((full = await look()).files) === JSON.stringify(before.files),
    5_000,
  ).catch(() => undefined);
  const again = await work();
  report[name] = { before, full: { ...outcome, ...full }, again: { ...again, ...(await look()) } };
}

const asked = async (
  method: string,
  path: string,
  body?: Buffer,
  type?: string,
): Promise<{ status: number; said: string }> => {
  const answer = await client.http(method, path, body, type);
  return { status: answer.status, said: answer.body.toString() };
};

const noise = (bytes: number): string => Buffer.alloc(bytes, 'noise, as there is a lot of it. ').toString('latin1');
const layer = archive(entry({ name: 'large' }, noise(6 * MEGABYTE)));

const loadable = await dockerArchive({ tags: ['large:1'], layers: [layer] });
await story('load', 8 * MEGABYTE, () => asked('POST', '/images/load', loadable));
await client.run('rmi', '-f', 'large:1');
await story('import', 8 * MEGABYTE, () => asked('POST', '/images/create?fromSrc=-&repo=imported', layer));
await client.run('rmi', '-f', 'imported');

await client.ok('run', '--name', 'changed', 'bb', 'dd', 'if=/dev/zero', 'of=/large', 'bs=1M', 'count=5');
await story('commit', 3 * MEGABYTE, () =>
  asked('POST', '/commit?container=changed&repo=committed', Buffer.from('{}'), 'application/json'),
);
await client.run('rmi', '-f', 'committed');
await client.ok('rm', 'changed');

await client.ok('run', '-d', '--init', '--name', 'box', 'bb', 'sleep', '1000');
await story('put', 2 * MEGABYTE, async () => {
  const put = await asked('PUT', '/containers/box/archive?path=/root', layer);
  const found = await client.http('HEAD', '/containers/box/archive?path=/root/large');
  return { ...put, said: `${put.said} ${found.status}` };
});
await client.ok('rm', '-f', 'box');

const config = Buffer.from(JSON.stringify({ Image: 'bb', Cmd: ['true'] }));
await story('create', 0, () => asked('POST', '/containers/create', config, 'application/json'));
await client.removeAll();

for (const driver of ['json-file', 'local']) {
  const relay = 'mkfifo /p; while :; do cat /p; done';
  await client.ok('run', '-d', '--name', driver, '--log-driver', driver, 'bb', 'sh', '-c', relay);
  await eventually(async () => (await client.run('exec', driver, 'test', '-p', '/p')).code === 0, 10_000);
  const say = (words: string, times: number): Promise<string> =>
    client.ok('exec', driver, 'sh', '-c', `for i in $(seq ${times}); do echo "$i ${words} end"; done > /p`);
  await say('before', 3);
  fill(0);
  await say('x'.repeat(200), 2_000);
  makeRoom();
  await say('after', 3);
  await eventually(async () => (await client.ok('logs', driver)).includes('3 after end'), 20_000);
  report[`log ${driver}`] = (await client.ok('logs', driver)).trim().split('\n');
  await client.ok('rm', '-f', driver);
}

await client.ok('run', '-d', '--name', 'box', 'bb', 'sleep', '1000');
fill(0);
await client.ok('stop', '-t', '0', 'box');
const state = await client.ok('inspect', '-f', '{{.State.Status}} {{.State.ExitCode}}', 'box');
await client.ok('rm', 'box');
report['stopped'] = [state.trim(), (await client.ok('ps', '-aq')) === '' ? 'removed' : 'there'];
makeRoom();

process.stdout.write(`${JSON.stringify(report)}\n`);
