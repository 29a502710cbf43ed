// Containers through the C helper: launch, start, exit, attach, log, exec.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NativeRuntime } from '../../runtime/native/contract.ts';
import { Bench, collect, end, logLines, plainProcess, runThrough, requireBench } from './native-support.ts';

describe('containers of the native runtime', function () {
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

  for (const [command, code] of [
    ['true', 0],
    ['false', 1],
    ['exit 42', 42],
    ['kill -9 $$', 137],
  ] as const) {
    it(`reports exit code ${code} of '${command}'`, async () => {
      // A PID 1 can not kill itself, so the signal goes to a shell below it whose status is passed on.
      const args = ['sh', '-c', command.startsWith('kill') ? `sh -c '${command}'; exit $?` : command];
      assert.equal((await runThrough(runtime, bench, bench.request(args))).exitCode, code);
    });
  }

  it('delivers both streams from the first byte and logs them', async () => {
    const request = bench.request(['sh', '-c', 'echo out; echo err >&2; printf rest']);
    const result = await runThrough(runtime, bench, request);
    assert.deepEqual([result.stdout, result.stderr], ['out\nrest', 'err\n']);
    assert.deepEqual(
      logLines(request)
        .map(({ log, stream }) => [log, stream])
        .sort(),
      [
        ['err\n', 'stderr'],
        ['out\n', 'stdout'],
        ['rest', 'stdout'],
      ],
    );
    assert.match(logLines(request)[0]?.time ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
  });

  it('says in Docker’s words why a command can not be run', async () => {
    for (const [command, text] of [
      ['nosuch', /exec: "nosuch": executable file not found in \$PATH/],
      ['/nosuch', /exec: "\/nosuch": stat \/nosuch: no such file or directory/],
      ['/etc/passwd', /exec: "\/etc\/passwd": permission denied/],
      ['/etc', /exec: "\/etc": is a directory/],
    ] as const) {
      const request = bench.request([command]);
      const shim = await runtime.launch(request);
      await assert.rejects(shim.start(), { code: 'invalid', message: text });
      await end(shim, bench, request);
    }
  });

  it('runs further processes in a container', async () => {
    const request = bench.request(['sleep', '100']);
    const shim = await runtime.launch(request);
    await shim.start();
    const exec = await shim.exec(plainProcess(['sh', '-c', 'cat; echo $$; exit 3']), { stdin: true, execId: 'e1' });
    const stdio = await exec.attach({ stdin: true, stdout: true, stderr: true });
    await stdio.write(Buffer.from('hello\n'));
    await stdio.closeStdin();
    assert.match((await collect(stdio.output)).stdout, /^hello\n\d+\n$/);
    assert.equal((await exec.exited).exitCode, 3);
    await assert.rejects(shim.exec(plainProcess(['nosuch']), { stdin: false, execId: 'e2' }), /not found in \$PATH/);
    await end(shim, bench, request);
    assert.equal((await shim.exited).exitCode, 137);
  });

  for (const [what, count, length] of [
    ['of 200 layers', 200, 10],
    ['with paths too long for the newer mount call', 3, 250],
  ] as const) {
    it(`mounts a root file system ${what}`, async () => {
      const lowers = Array.from({ length: count }, (_, i) => {
        const lower = join(bench.directory, `layers-${length}`, `${i}`.padEnd(length, 'x'));
        mkdirSync(lower, { recursive: true });
        writeFileSync(join(lower, `from-${i}`), '');
        return lower;
      });
      const request = bench.request(['sh', '-c', 'ls / | grep -c from-']);
      const rootfs = { ...request.rootfs, lowers: [...lowers, bench.lower] };
      assert.equal((await runThrough(runtime, bench, { ...request, rootfs })).stdout, `${count}\n`);
    });
  }

  it('lets the upper layers hide what lower ones have, and keeps writes above', async () => {
    const lower = join(bench.directory, 'hiding');
    mkdirSync(lower);
    execFileSync('mknod', [join(lower, 'root'), 'c', '0', '0']);
    const request = bench.request(['sh', '-c', 'ls -d /root; echo new >/tmp/written; rm /etc/group']);
    const result = await runThrough(runtime, bench, {
      ...request,
      rootfs: { ...request.rootfs, lowers: [lower, bench.lower] },
    });
    assert.match(result.stderr, /\/root: No such file/);
    assert.equal(readFileSync(join(request.rootfs.upper, 'tmp/written'), 'utf8'), 'new\n');
    assert.ok(lstatSync(join(request.rootfs.upper, 'etc/group')).isCharacterDevice());
    assert.ok(existsSync(join(bench.lower, 'etc/group')));
  });
});
