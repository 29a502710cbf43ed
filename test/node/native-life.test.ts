// The life of a container beyond plain runs: terminals, input, signals, limits, daemons that come and go, leftovers.
import { strict as assert } from 'node:assert';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AttachedStdio, LaunchRequest, NativeRuntime, OutputFrame, Shim } from '../../runtime/native/contract.ts';
import { readExitRecord } from '../../runtime/native/exit-record.ts';
import { requireKernel } from '../support/requirements.ts';
import { Bench, collect, end, logLines, plainProcess, runThrough, requireBench } from './native-support.ts';

describe('the life of a container', function () {
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

  async function started(request: LaunchRequest): Promise<Shim> {
    const shim = await runtime.launch(request);
    await shim.start();
    return shim;
  }

  describe('input and output', () => {
    it('passes input on and closes it by half', async () => {
      const request = bench.request(['sh', '-c', 'cat; echo done'], { stdin: 'open' });
      const shim = await runtime.launch(request);
      const stdio = await shim.attach({ stdin: true, stdout: true, stderr: true });
      await shim.start();
      await stdio.write(Buffer.from('x'.repeat(300_000)));
      await stdio.closeStdin();
      assert.equal((await collect(stdio.output)).stdout, `${'x'.repeat(300_000)}done\n`);
      await end(shim, bench, request);
    });

    it('gives end of file where input is not open', async () => {
      assert.equal((await runThrough(runtime, bench, bench.request(['cat']))).exitCode, 0);
    });

    it('runs on a terminal of the asked-for size and resizes it', async () => {
      const script =
        'stty size; tty; test -c /dev/console && echo console; trap "stty size; exit 0" WINCH; echo ready; while :; do sleep 0.05; done';
      const request = bench.request(
        ['sh', '-c', script],
        {},
        { terminal: true, consoleSize: { rows: 31, columns: 97 } },
      );
      const shim = await runtime.launch(request);
      const stdio = await shim.attach({ stdin: true, stdout: true, stderr: true });
      await shim.start();
      let text = '';
      for await (const { stream, bytes } of stdio.output) {
        assert.equal(stream, 'stdout');
        text += bytes.toString();
        if (text.includes('ready') && !text.includes('40 120')) await shim.resize({ rows: 40, columns: 120 });
      }
      assert.equal(text, '31 97\r\n/dev/pts/0\r\nconsole\r\nready\r\n40 120\r\n');
      assert.equal((await shim.exited).exitCode, 0);
      await end(shim, bench, request);
    });

    it('gives an exec a terminal of its own', async () => {
      const request = bench.request(['sleep', '100']);
      const shim = await started(request);
      const spec = { ...plainProcess(['sh', '-c', 'tty; read line; echo "got $line"; exit 4']), terminal: true };
      const exec = await shim.exec(spec, { stdin: true, execId: 't' });
      const stdio = await exec.attach({ stdin: true, stdout: true, stderr: true });
      const output = stdio.output[Symbol.asyncIterator]();
      assert.equal(((await output.next()).value as OutputFrame).bytes.toString(), '/dev/pts/0\r\n');
      await stdio.write(Buffer.from('hi\n'));
      assert.equal((await collect({ [Symbol.asyncIterator]: () => output })).stdout, 'hi\r\ngot hi\r\n');
      assert.equal((await exec.exited).exitCode, 4);
      await end(shim, bench, request);
    });

    it('serves several attached clients, and a late one gets only what comes then', async () => {
      const request = bench.request(['sh', '-c', 'echo early; read x; echo late'], { stdin: 'open' });
      const shim = await runtime.launch(request);
      const first = await shim.attach({ stdin: false, stdout: true, stderr: true });
      await shim.start();
      const firstOutput = first.output[Symbol.asyncIterator]();
      assert.equal((await firstOutput.next()).value?.bytes.toString(), 'early\n');
      const second = await shim.attach({ stdin: true, stdout: true, stderr: true });
      await second.write(Buffer.from('\n'));
      assert.equal((await collect(second.output)).stdout, 'late\n');
      assert.equal((await firstOutput.next()).value?.bytes.toString(), 'late\n');
      await end(shim, bench, request);
      assert.deepEqual(
        logLines(request).map(({ log }) => log),
        ['early\n', 'late\n'],
      );
    });

    it('splits long lines in the log as Docker does and survives bytes that are no text', async () => {
      const script = 'head -c 40000 /dev/zero | tr "\\0" a; echo; printf "\\377\\001\\"<\\n"';
      const request = bench.request(['sh', '-c', script]);
      await runThrough(runtime, bench, request);
      const lines = logLines(request).map(({ log }) => log);
      assert.deepEqual(
        lines.map((line) => line.length),
        [16384, 16384, 40001 - 32768, 5],
      );
      assert.equal(lines[3], '\ufffd\u0001"<\n');
    });

    it('rotates the log', async () => {
      const log = (request: LaunchRequest) => ({ path: request.log?.path ?? '', bytesMax: 20_000, filesMax: 3 });
      const plain = bench.request(['sh', '-c', 'i=0; while [ $i -lt 1500 ]; do echo "line $i"; i=$((i+1)); done']);
      const request = { ...plain, log: log(plain) };
      await runThrough(runtime, bench, request);
      const names = readdirSync(join(request.log.path, '..')).sort();
      assert.deepEqual(names, ['json.log', 'json.log.1', 'json.log.2']);
      for (const name of names) assert.ok(readFileSync(join(request.log.path, '..', name)).length < 21_000);
      assert.equal(logLines(request).at(-1)?.log, 'line 1499\n');
    });

    it('goes on logging when an attached client goes away', async () => {
      const request = bench.request([
        'sh',
        '-c',
        'i=0; while [ $i -lt 200 ]; do head -c 1000 /dev/zero | tr "\\0" b; echo; i=$((i+1)); done',
      ]);
      const shim = await runtime.launch(request);
      const stdio = await shim.attach({ stdin: false, stdout: true, stderr: true });
      await shim.start();
      for await (const _ of stdio.output) break;
      stdio.detach();
      await shim.exited;
      assert.equal(logLines(request).length, 200);
      await end(shim, bench, request);
    });
  });

  describe('signals and limits', () => {
    it('passes signals to PID 1', async () => {
      const request = bench.request(['sh', '-c', 'trap "exit 7" TERM; echo up; while :; do sleep 0.05; done']);
      const shim = await runtime.launch(request);
      const stdio = await shim.attach({ stdin: false, stdout: true, stderr: true });
      await shim.start();
      await firstOf(stdio);
      await shim.signal(15);
      assert.deepEqual(await codeOf(shim), [7, 0]);
      await end(shim, bench, request);
    });

    it('reports death by a signal', async () => {
      const request = bench.request(['sleep', '100']);
      const shim = await started(request);
      await shim.signal(9);
      assert.deepEqual(await codeOf(shim), [137, 9]);
      await assert.rejects(shim.signal(9), { code: 'not-found' });
      await end(shim, bench, request);
    });

    it('has an init that passes signals on and reaps orphans', async () => {
      const script = 'trap "exit 9" TERM; (cat /dev/null &); echo up; while :; do sleep 0.05; done';
      const request = bench.request(['sh', '-c', script], { useInit: true });
      const shim = await runtime.launch(request);
      const stdio = await shim.attach({ stdin: false, stdout: true, stderr: true });
      await shim.start();
      await firstOf(stdio);
      // The orphan is reaped when the init comes to it: as long as it is not, it is listed as a zombie.
      const look =
        'head -n 1 /proc/1/comm; for i in $(seq 100); do ps | grep -q "[[]cat]" || exec echo reaped; sleep 0.1; done; ps';
      const exec = await shim.exec(plainProcess(['sh', '-c', look]), { stdin: false, execId: 'ps' });
      const { stdout } = await collect((await exec.attach({ stdin: false, stdout: true, stderr: true })).output);
      assert.equal(stdout, 'shoal-init\nreaped\n');
      await shim.signal(15);
      assert.deepEqual(await codeOf(shim), [9, 0]);
      await end(shim, bench, request);
    });

    it('ends a paused container', async function () {
      const request = bench.request(['sleep', '100']);
      const files = request.cgroups.groups.map(({ version, path }) =>
        version === 2
          ? ([join(path, 'cgroup.freeze'), '1'] as const)
          : ([join(path, 'freezer.state'), 'FROZEN'] as const),
      );
      for (const [file, value] of files.filter(([file]) => /\/freezer\/|cgroup\.freeze$/.test(file))) {
        const shim = await started(request);
        writeFileSync(file, value);
        await end(shim, bench, request);
        assert.equal((await shim.exited).signal, 9);
      }
    });

    it('refuses a second launch in the same place and leaves the first alone', async () => {
      const request = bench.request(['sleep', '100']);
      const shim = await started(request);
      await assert.rejects(runtime.launch(request), { code: 'conflict', message: /already has a shim/ });
      await shim.signal(0);
      await end(shim, bench, request);
    });

    it('gives an exec the score it asks for when memory runs out', async () => {
      const request = bench.request(['sleep', '100'], {}, { oomScoreAdjustment: 200 });
      const shim = await started(request);
      const spec = {
        ...plainProcess(['cat', '/proc/1/oom_score_adj', '/proc/self/oom_score_adj']),
        oomScoreAdjustment: 300,
      };
      const exec = await shim.exec(spec, { stdin: false, execId: 'o' });
      const stdio = await exec.attach({ stdin: false, stdout: true, stderr: true });
      assert.equal((await collect(stdio.output)).stdout, '200\n300\n');
      await end(shim, bench, request);
    });

    it('sees that memory ran out', async function () {
      const request = bench.request(['sh', '-c', 'head -c 200m /dev/zero | tail']);
      const limited = bench.limit(request, { memoryBytes: 16 << 20 });
      requireKernel(this, 'memory cgroup', limited !== undefined);
      const result = await runThrough(runtime, bench, limited ?? request);
      assert.equal(result.oomKilled, true);
    });

    it('confines a fork bomb', async function () {
      const script = 'i=0; while [ $i -lt 100 ]; do sleep 100 & i=$((i+1)); done; echo never';
      const request = bench.request(['sh', '-c', script]);
      const limited = bench.limit(request, { pids: 20 });
      requireKernel(this, 'pids cgroup', limited !== undefined);
      const result = await runThrough(runtime, bench, limited ?? request);
      assert.match(result.stderr, /can't fork/);
      assert.doesNotMatch(result.stdout, /never/);
    });
  });

  describe('daemons that come and go', () => {
    it('adopts a running container and serves it as before', async () => {
      const request = bench.request(['sh', '-c', 'echo one; read x; echo "two $x"; exit 5'], { stdin: 'open' });
      const old = await bench.open();
      const before = await old.launch(request);
      await before.start();
      await old[Symbol.asyncDispose]();
      const shim = await runtime.adopt(request.containerId, request.runDirectory);
      assert.ok(shim);
      assert.deepEqual([shim.pid, shim.startTimeTicks, shim.state], [before.pid, before.startTimeTicks, 'running']);
      const stdio = await shim.attach({ stdin: true, stdout: true, stderr: true });
      await stdio.write(Buffer.from('three\n'));
      assert.equal((await collect(stdio.output)).stdout, 'two three\n');
      assert.deepEqual(await codeOf(shim), [5, 0]);
      await shim.acknowledgeExit();
      bench.removeCgroups(request);
      assert.deepEqual(
        logLines(request).map(({ log }) => log),
        ['one\n', 'two three\n'],
      );
      assert.equal(await runtime.adopt(request.containerId, request.runDirectory), undefined);
    });

    it('keeps the exit for a daemon that was not there, in the shim and on disk', async () => {
      const request = bench.request(['sh', '-c', 'sleep 0.2; exit 6']);
      const old = await bench.open();
      await (await old.launch(request)).start();
      await old[Symbol.asyncDispose]();
      const record = await waitFor(() => readExitRecord(request.stateDirectory, request.containerId));
      assert.equal(record.exitCode, 6);
      assert.equal(await readExitRecord(request.stateDirectory, 'another'), undefined);
      const shim = await runtime.adopt(request.containerId, request.runDirectory);
      assert.equal(shim?.state, 'exited');
      assert.deepEqual(await shim?.exited, record);
      await shim?.acknowledgeExit();
      bench.removeCgroups(request);
    });

    it('makes the run directory with the files it is sent, and takes it away at its end', async () => {
      const request = bench.request(['true'], { runFiles: [{ name: 'hosts', content: '127.0.0.1\tlocalhost\n' }] });
      rmSync(request.runDirectory, { recursive: true });
      const shim = await runtime.launch(request);
      assert.deepEqual(readdirSync(request.runDirectory).toSorted(), ['hosts', 'pid', 's']);
      assert.equal(readFileSync(join(request.runDirectory, 'hosts'), 'utf8'), '127.0.0.1\tlocalhost\n');
      assert.equal(statSync(request.runDirectory).mode & 0o777, 0o700);
      await shim.start();
      await shim.exited;
      await shim.acknowledgeExit();
      assert.equal(existsSync(request.runDirectory), false);
      bench.removeCgroups(request);
    });

    it('starts what an earlier daemon had prepared', async () => {
      const request = bench.request(['echo', 'hello']);
      const old = await bench.open();
      await old.launch(request);
      await old[Symbol.asyncDispose]();
      const shim = await runtime.adopt(request.containerId, request.runDirectory);
      assert.equal(shim?.state, 'prepared');
      const stdio = await shim?.attach({ stdin: false, stdout: true, stderr: true });
      await shim?.start();
      assert.equal((await collect(stdio?.output ?? empty())).stdout, 'hello\n');
      await assert.rejects(shim?.start() ?? Promise.resolve(), { code: 'conflict' });
      if (shim) await end(shim, bench, request);
    });

    it('writes a note before its command runs and before it leaves, or does neither', async () => {
      const request = bench.request(['true']);
      const note = { name: 'state.json', text: '{"é":1}' };
      const path = join(request.stateDirectory, note.name);
      const shim = await runtime.launch(request);
      assert.equal(shim.takesNotes, true);
      mkdirSync(join(request.stateDirectory, `.${note.name}`)); // in its way
      await assert.rejects(shim.start(note), /write state.json: is a directory/);
      await assert.rejects(shim.start({ ...note, name: '../state.json' }), { code: 'invalid' });
      rmdirSync(join(request.stateDirectory, `.${note.name}`));
      await assert.rejects(shim.acknowledgeExit(note), { code: 'conflict' });
      assert.equal(existsSync(path), false);
      await shim.start(note);
      assert.equal(readFileSync(path, 'utf8'), note.text);
      await shim.exited;
      await shim.acknowledgeExit({ ...note, text: 'shorter' });
      assert.equal(readFileSync(path, 'utf8'), 'shorter');
      assert.equal(existsSync(request.runDirectory), false);
      await assert.rejects(shim.acknowledgeExit(note), { code: 'unavailable' });
      bench.removeCgroups(request);
    });

    it('ends a container whose shim was killed', async () => {
      const request = bench.request(['sleep', '1000']);
      const shim = await started(request);
      const shimPid = Number(readFileSync(join(request.runDirectory, 'pid'), 'utf8').split(' ')[2]);
      process.kill(shimPid, 'SIGKILL');
      assert.ok((await shim.exited).exitCode > 0);
      await waitFor(async () => (existsSync(`/proc/${shim.pid}`) ? undefined : true));
      assert.equal(await runtime.adopt(request.containerId, request.runDirectory), undefined);
      await waitFor(async () => tryTo(() => bench.removeCgroups(request)));
    });

    it('leaves when its state directory is removed', async () => {
      const request = bench.request(['true']);
      const old = await bench.open();
      const shim = await old.launch(request);
      await shim.start();
      await shim.exited;
      await old[Symbol.asyncDispose]();
      rmSync(request.stateDirectory, { recursive: true });
      await waitFor(async () => (existsSync(join(request.runDirectory, 's')) ? undefined : true));
      bench.removeCgroups(request);
    });

    it('replaces a zygote of another version and starts one that is gone', async () => {
      const other = await bench.open();
      await other[Symbol.asyncDispose](); // stops the zygote that `runtime` uses too
      assert.equal((await runThrough(runtime, bench, bench.request(['true']))).exitCode, 0);
    });
  });

  it('says what is wrong with a request and leaves nothing behind', async () => {
    const before = traces(bench);
    for (const [changes, process, text] of [
      [{}, { user: 'nobody-here' }, /unable to find user nobody-here: no matching entries in passwd file/],
      [{}, { user: '4294967296' }, /uids and gids must be in range 0-2147483647/],
      [{}, { user: 'app:nogroup' }, /unable to find group nogroup: no matching entries in group file/],
      [{}, { capabilities: ['CAP_FLY'] }, /invalid capability: "CAP_FLY"/],
      [{}, { workingDirectory: 'relative' }, /needs to be an absolute path/],
      [{}, { rlimits: [{ name: 'wishes', soft: 3, hard: 3 }] }, /invalid ulimit type: wishes/],
      [{}, { args: [] }, /no command specified/],
      [{ sysctls: { 'net.no.such': '1' } }, {}, /sysctl net\.no\.such/],
      [{ hostname: 'h'.repeat(70) }, {}, /host name/],
      [{ rootfs: { lowers: [], upper: '/tmp/u', work: '/tmp/w', readOnly: false } }, {}, /has no layer/],
      [{ runDirectory: `/tmp/${'r'.repeat(120)}` }, {}, /too long/],
      [
        {
          mounts: [
            {
              type: 'bind',
              source: '/no/such/path',
              target: '/x',
              readOnly: false,
              flags: [],
              propagation: 'rprivate',
              recursive: true,
              data: '',
            },
          ],
        },
        {},
        /bind source path does not exist: \/no\/such\/path/,
      ],
    ] as const) {
      await assert.rejects(runtime.launch(bench.request(['true'], changes, process)), {
        code: 'invalid',
        message: text,
      });
    }
    await waitFor(async () => (bench.processes().length === 0 ? true : undefined)); // the last shim is just ending
    assert.deepEqual(traces(bench), before);
  });

  it('leaves nothing behind after 100 containers', async () => {
    const before = traces(bench);
    for (let round = 0; round < 25; round++) {
      const runs = await Promise.all([0, 1, 2, 3].map(() => runThrough(runtime, bench, bench.request(['true']))));
      assert.deepEqual(
        runs.map(({ exitCode }) => exitCode),
        [0, 0, 0, 0],
      );
    }
    assert.deepEqual(traces(bench), before);
  });
});

async function codeOf(shim: Shim): Promise<[number, number]> {
  const { exitCode, signal } = await shim.exited;
  return [exitCode, signal];
}

async function firstOf(stdio: AttachedStdio): Promise<OutputFrame | undefined> {
  const { value } = await stdio.output[Symbol.asyncIterator]().next();
  return value as OutputFrame | undefined;
}

async function* empty(): AsyncGenerator<OutputFrame> {}

function tryTo(work: () => void): true | undefined {
  try {
    work();
    return true;
  } catch {
    return undefined;
  }
}

async function waitFor<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (let i = 0; i < 500; i++) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('it did not happen within 5 s');
}

/** What the helper could leave behind of this bench: mounts, cgroups, processes; and descriptors of this process. */
function traces(bench: Bench) {
  const lines = (path: string): string[] => readFileSync(path, 'latin1').split('\n');
  return {
    mounts: lines('/proc/self/mountinfo').filter((line) => line.includes(bench.directory)),
    cgroups: bench.cgroupFolders(),
    processes: bench.processes(),
    descriptors: readdirSync('/proc/self/fd').length,
  };
}
