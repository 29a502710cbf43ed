// Many runs leave nothing behind: no mount, cgroup, link, namespace, process, file, descriptor, and no memory to speak of.
// The same with many more: npm run compat leaks 1000
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { tarOf } from '../image/support.ts';
import { FakeRegistry } from '../support/fake-registry.ts';
import { requireRoot, requireTool } from '../support/requirements.ts';
import { eventually, RuntimeLab } from '../support/runtime-lab.ts';

const RUNS = Number(process.env['LEAK_RUNS'] ?? 40);
const MS_EACH = 1_500;
const IMAGE = 'app:1';
const GROWTH_BYTES_MAX = 4 * 1024 * 1024;
const COLLECTIONS = 10;

interface Machine {
  readonly lab: RuntimeLab;
  readonly registry: FakeRegistry;
}

describe(`${RUNS} runs`, () => {
  let machine: Machine | undefined;

  before(async function () {
    requireRoot(this);
    requireTool(this, '/usr/bin/busybox');
    this.timeout(120_000);
    const registry = await FakeRegistry.start();
    registry.addImage('app', '1', { layers: [{ tar: await tarOf([['file', 'content']]) }] });
    machine = { lab: await RuntimeLab.open(), registry };
  });
  after(async () => {
    await machine?.lab[Symbol.asyncDispose]();
    await machine?.registry[Symbol.asyncDispose]();
  });

  it('leave nothing behind', async function () {
    this.timeout(60_000 + RUNS * MS_EACH);
    const here = machine ?? assert.fail('opened before');
    const { lab } = here;
    const round = async (count: number): Promise<void> => {
      for (let done = 0; done < count; done += 4) await Promise.all([0, 1, 2, 3].map((index) => one(here, index)));
    };
    await round(RUNS >= 500 ? 200 : 20); // what is made once is made, and code is compiled
    const quiet = (): Promise<string[]> => settled(lab);
    const before = await quiet();
    const bytesBefore = await memory(lab);
    await round(RUNS);
    assert.deepEqual(await quiet(), before);
    const grown = (await memory(lab)) - bytesBefore;
    if (RUNS < 500) return;
    console.log(`      ${RUNS} runs: ${(grown / 1024).toFixed(0)} KB of reachable memory more`);
    assert.ok(grown < GROWTH_BYTES_MAX, `${grown} bytes more`);
  });
});

/** With a network, volume and log; one of four lives longer, is looked into in every way, and is killed. */
async function one({ lab, registry }: Machine, index: number): Promise<void> {
  if (index === 3) return await livelyOne(lab);
  if (index === 2) await pullAndForget(lab, registry);
  const mounts = [
    {
      type: 'volume',
      source: '',
      target: '/data',
      readOnly: false,
      propagation: '',
      tmpfsOptions: '',
      noCopy: false,
      createSource: false,
    },
  ] as const;
  await lab.run(['echo', 'x'], { autoRemove: true, mounts, ...(index === 2 ? { network: 'none' } : {}) });
}

/** Execs that end and one that is left running, copies in and out, who attaches and goes, who follows the log and goes. */
async function livelyOne(lab: RuntimeLab): Promise<void> {
  const { containers } = lab.runtime;
  const id = await lab.sleeper({
    healthCheck: undefined,
    command: ['sh', '-c', 'while :; do echo x; sleep 0.02; done'],
  });
  await lab.exec(id, ['true']);
  await execLeft(lab, id);
  await containers.files.stat(id, '/etc');
  const { archive } = await containers.files.read(id, '/etc');
  const parts: Buffer[] = [];
  for await (const bytes of archive) parts.push(Buffer.from(bytes));
  const never = new AbortController();
  const options = { keepsKind: false, asUser: false, abort: never.signal };
  await containers.files.write(id, '/tmp', Readable.from(parts), options);
  await firstOf((await containers.files.read(id, '/bin')).archive); // its reader goes away in the middle
  const stdio = await containers.attach(id, { stdin: false, stdout: true, stderr: true });
  await firstOf(stdio.output);
  stdio.detach();
  const gone = new AbortController();
  const request = { stdout: true, stderr: true, follow: true, tailLines: 'all', sinceMs: 0, untilMs: 0 } as const;
  await firstOf(containers.logs(id, request, gone.signal));
  gone.abort();
  await containers.remove(id, { force: true, volumes: true });
}

async function execLeft(lab: RuntimeLab, id: string): Promise<void> {
  const { containers } = lab.runtime;
  const streams = { terminal: true, stdin: true, stdout: true, stderr: true, detachKeys: '' };
  const of = { args: ['sh', '-c', 'echo here; cat'], env: [], workingDirectory: '', user: '', privileged: false };
  const stdio = await containers.execStart(await containers.execCreate(id, { ...of, ...streams }), { detach: false });
  await firstOf(stdio?.output ?? assert.fail('it is attached'));
  stdio?.detach();
}

async function pullAndForget(lab: RuntimeLab, registry: FakeRegistry): Promise<void> {
  const name = `${registry.host}/${IMAGE}`;
  await lab.runtime.registries.pull(name, { report: () => undefined });
  await lab.runtime.images.remove(name, { force: true });
  registry.requests.length = registry.authorizations.length = 0; // they count as memory
}

/** Leaves after the first piece, as somebody who closes the terminal. */
async function firstOf(pieces: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of pieces) return;
  assert.fail('there was nothing');
}

/** Waits for what is deleted in the background, then lists everything. */
async function settled(lab: RuntimeLab): Promise<string[]> {
  await eventually(() => readdirSync(`${lab.root}/data/containers`).every((name) => name === 'format'), 20_000);
  let last: string[] = [];
  await eventually(() => {
    const now = everything(lab);
    const same = JSON.stringify(now) === JSON.stringify(last);
    last = now;
    return same;
  }, 20_000);
  return last;
}

function everything(lab: RuntimeLab): string[] {
  const lines = (command: string, ...args: string[]): string[] =>
    execFileSync(command, args, { encoding: 'utf8' }).split('\n').filter(Boolean);
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const sockets = readFileSync('/proc/net/unix', 'utf8').split('\n'); // each shim listens on one
  return [
    ...mounts.filter((line) => line.includes(lab.root)).map((line) => `mount ${line}`),
    ...lab.cgroups().map((name) => `cgroup ${name}`),
    ...lines('find', lab.root, '-not', '-name', '*.json').map((path) => `file ${path}`),
    ...sockets.filter((line) => line.includes(lab.root)).map((line) => `socket ${line.split(' ').at(-1)}`),
    `descriptors ${readdirSync('/proc/self/fd').length}`,
  ].sort();
}

/** What is still reachable; the long form has the collector at hand. What is let go at one collection is free after the next. */
async function memory(lab: RuntimeLab): Promise<number> {
  lab.events.length = 0;
  let least = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < COLLECTIONS; turn += 1) {
    global.gc?.();
    const { heapUsed, external } = process.memoryUsage();
    least = Math.min(least, heapUsed + external);
    await nextTurn();
  }
  return least;
}
