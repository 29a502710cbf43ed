// Which later mounts cross between the machine and a container, by the bind's propagation.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NativeMount, NativeRuntime } from '../../runtime/native/contract.ts';
import { defaultSeccomp, seccompArchitecture } from '../../runtime/native/default-seccomp.ts';
import { ALL_CAPABILITIES } from '../../runtime/native/defaults.ts';
import { Bench, collect, end, plainProcess, requireBench } from './native-support.ts';

describe('propagation of mounts', function () {
  this.timeout(60_000);
  let bench: Bench;
  let runtime: NativeRuntime;
  let shared: string;
  let opened = false;

  before(async function () {
    requireBench(this);
    bench = new Bench();
    opened = true;
    shared = join(bench.directory, 'shared-mount');
    mkdirSync(shared);
    execFileSync('mount', ['-t', 'tmpfs', 'shoal-test', shared]);
    execFileSync('mount', ['--make-shared', shared]);
    for (const name of ['host', 'container']) mkdirSync(join(shared, name));
    runtime = await bench.open();
  });
  after(async () => {
    if (!opened) return;
    await runtime[Symbol.asyncDispose]();
    execFileSync('umount', ['-R', shared]);
    bench.dispose();
  });

  for (const [propagation, seesHost, showsHost] of [
    ['rprivate', false, false],
    ['rslave', true, false],
    ['rshared', true, true],
  ] as const) {
    it(`${propagation}: ${seesHost ? 'sees' : 'does not see'} the machine’s, ${showsHost ? 'shows' : 'does not show'} its own`, async () => {
      const bind: NativeMount = {
        type: 'bind',
        source: shared,
        target: '/shared',
        readOnly: false,
        flags: [],
        propagation,
        recursive: true,
        data: '',
      };
      const seccomp = defaultSeccomp(ALL_CAPABILITIES, seccompArchitecture(process.arch) ?? 'x86_64');
      const spec = { capabilities: ALL_CAPABILITIES, seccomp };
      const plain = bench.request(['sleep', '100'], {}, spec);
      const request = { ...plain, mounts: [...plain.mounts, bind] };
      const shim = await runtime.launch(request);
      await shim.start();
      execFileSync('mount', ['-t', 'tmpfs', 'shoal-test', join(shared, 'host')]);
      try {
        writeFileSync(join(shared, 'host/file'), '');
        const script = 'mount -t tmpfs x /shared/container && touch /shared/container/file; ls /shared/host';
        const exec = await shim.exec({ ...plainProcess(['sh', '-c', script]), ...spec }, { stdin: false, execId: 'e' });
        const output = await collect((await exec.attach({ stdin: false, stdout: true, stderr: true })).output);
        assert.deepEqual(output, { stdout: seesHost ? 'file\n' : '', stderr: '' });
        assert.equal(existsSync(join(shared, 'container/file')), showsHost);
      } finally {
        execFileSync('umount', [join(shared, 'host')]);
        if (existsSync(join(shared, 'container/file'))) execFileSync('umount', [join(shared, 'container')]);
        await end(shim, bench, request);
      }
    });
  }
});
