// A container that swaps what another one's mounts are aimed at, while that one is being launched
// (CVE-2021-30465 and its kin): the host stays untouched, whoever wins.
import { strict as assert } from 'node:assert';
import { lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NativeMount, NativeRuntime } from '../../runtime/native/contract.ts';
import { Bench, end, runThrough, requireBench } from './native-support.ts';

const LAUNCHES = 60;
describe('races for mount points', function () {
  this.timeout(60_000);
  let bench: Bench;
  let runtime: NativeRuntime;

  let opened = false;
  before(async function () {
    requireBench(this);
    bench = new Bench();
    opened = true;
    runtime = await bench.open();
  });
  after(async () => {
    if (!opened) return;
    await runtime[Symbol.asyncDispose]();
    bench.dispose();
  });

  it('does nothing outside while a shared volume’s folder and a link to the host change places (CVE-2021-30465, CVE-2024-45310)', async () => {
    const canary = join(bench.directory, 'canary');
    const volume = join(bench.directory, 'volume');
    mkdirSync(join(canary, 'sub'), { recursive: true });
    writeFileSync(join(canary, 'file'), 'host');
    mkdirSync(volume);
    const before = snapshot(canary);

    const swap = `cd /vol; mkdir real; ln -s ${canary} link; i=0; while :; do
      mv real spot 2>/dev/null; mv spot real 2>/dev/null; mv -T link spot 2>/dev/null; mv -T spot link 2>/dev/null; done`;
    const attacker = bench.request(['sh', '-c', swap]);
    const shim = await runtime.launch({ ...attacker, mounts: [...attacker.mounts, mount('bind', volume, '/vol')] });
    await shim.start();

    let succeeded = 0;
    for (let i = 0; i < LAUNCHES; i++) {
      const request = bench.request(['true']);
      const mounts = [
        ...request.mounts,
        mount('bind', volume, '/vol'),
        mount('tmpfs', '', '/vol/spot/sub'),
        mount('bind', bench.lower, '/vol/spot/new/deep'),
        mount('bind', '/etc/hostname', '/vol/spot/file'),
      ];
      const maskedPaths = [...request.maskedPaths, '/vol/spot/file', '/vol/spot/sub'];
      const run = runThrough(runtime, bench, { ...request, mounts, maskedPaths });
      succeeded += await run.then(
        () => 1,
        () => 0,
      );
    }
    await end(shim, bench, attacker);
    assert.deepEqual(snapshot(canary), before, `after ${succeeded} of ${LAUNCHES} launches that went through`);
  });
});

function mount(type: 'bind' | 'tmpfs', source: string, target: string): NativeMount {
  return { type, source, target, readOnly: false, flags: [], propagation: 'rprivate', recursive: true, data: '' };
}

function snapshot(directory: string): string[] {
  return readdirSync(directory, { recursive: true })
    .map(
      (name) =>
        `${String(name)} ${lstatSync(join(directory, String(name))).mode} ${lstatSync(join(directory, String(name))).mtimeMs}`,
    )
    .sort();
}
