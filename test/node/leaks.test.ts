// Many runs leave nothing behind: no mount, cgroup, link, namespace, process, file, descriptor, and no memory to speak of.
// The same with many more: npm run compat leaks 1000
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { requireRoot, requireTool } from '../support/requirements.ts';
import { eventually, RuntimeLab } from '../support/runtime-lab.ts';

const RUNS = Number(process.env['LEAK_RUNS'] ?? 40);
const MS_EACH = 1_500;
const GROWTH_BYTES_MAX = 4 * 1024 * 1024;

describe(`${RUNS} runs`, () => {
  let lab: RuntimeLab | undefined;

  before(async function () {
    requireRoot(this);
    requireTool(this, '/usr/bin/busybox');
    this.timeout(120_000);
    lab = await RuntimeLab.open();
  });
  after(() => lab?.[Symbol.asyncDispose]());

  it('leave nothing behind', async function () {
    this.timeout(60_000 + RUNS * MS_EACH);
    const machine = lab ?? assert.fail('opened before');
    const round = async (count: number): Promise<void> => {
      for (let done = 0; done < count; done += 4) await Promise.all([0, 1, 2, 3].map((index) => one(machine, index)));
    };
    await round(RUNS >= 500 ? 200 : 20); // what is made once is made, and code is compiled
    const quiet = (): Promise<string[]> => settled(machine);
    const before = await quiet();
    const bytesBefore = memory(machine);
    await round(RUNS);
    assert.deepEqual(await quiet(), before);
    const grown = memory(machine) - bytesBefore;
    if (RUNS < 500) return;
    console.log(`      ${RUNS} runs: ${(grown / 1024).toFixed(0)} KB of reachable memory more`);
    assert.ok(grown < GROWTH_BYTES_MAX, `${grown} bytes more`);
  });
});

/** With a network, volume, exec, copy and log; one of four is killed. */
async function one(lab: RuntimeLab, index: number): Promise<void> {
  const { containers } = lab.runtime;
  if (index === 3) {
    const id = await lab.sleeper({ healthCheck: undefined });
    await lab.exec(id, ['true']);
    await containers.files.stat(id, '/etc');
    await containers.remove(id, { force: true, volumes: true });
    return;
  }
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

/** What is still reachable; the long form has the collector at hand. */
function memory(lab: RuntimeLab): number {
  lab.events.length = 0;
  global.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
