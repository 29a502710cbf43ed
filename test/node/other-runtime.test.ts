// Containers that another installed OCI runtime brings into being: to whoever asks the engine they are as its own.
import { strict as assert } from 'node:assert';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerConfig } from '../../runtime/container/contract.ts';
import { LIMITS } from '../container/support.ts';
import { requireRoot, requireTool } from '../support/requirements.ts';
import { eventually, RuntimeLab } from '../support/runtime-lab.ts';

const INSTALLED = [
  ['runc', '/usr/sbin/runc'],
  ['crun', '/usr/bin/crun'],
] as const;
const HERE = INSTALLED.filter(([, path]) => existsSync(path));
const never = new AbortController().signal;

for (const [runtime, path] of HERE.length > 0 ? HERE : [INSTALLED[0]]) {
  describe(`a container of ${runtime}`, () => {
    let lab: RuntimeLab;
    let opened = false;
    const by = (change: Partial<ContainerConfig> = {}): Partial<ContainerConfig> => ({ runtime, ...change });
    before(async function () {
      requireRoot(this);
      requireTool(this, path);
      lab = await RuntimeLab.open();
      opened = true;
    });
    after(async () => {
      if (opened) await lab[Symbol.asyncDispose]();
    });
    afterEach(async () => {
      if (!opened) return;
      await lab.removeAll();
      await eventually(() => lab.cgroups().length === 0);
    });

    /** A container whose script has said that it is ready: before, it has set no trap. */
    const ready = async (script: string): Promise<string> => {
      const { containers } = lab.runtime;
      const id = await lab.create({ command: ['sh', '-c', script], ...by() });
      const stdio = await containers.attach(id, { stdin: false, stdout: true, stderr: true });
      await containers.start(id);
      for await (const frame of stdio.output) {
        assert.equal(frame.bytes.toString(), 'ready\n');
        break;
      }
      return id;
    };

    for (const [script, exitCode] of [
      ['exit 0', 0],
      ['exit 42', 42],
      ['kill -9 $$', 137],
    ] as const) {
      it(`ends with ${exitCode} after '${script}'`, async () => {
        assert.equal((await lab.run(['sh', '-c', `sh -c '${script}'; exit $?`], by())).exitCode, exitCode);
      });
    }

    for (const [command, exitCode, reason] of [
      [['nope'], 127, /executable file .*not found in \$PATH/],
      [['/nope'], 127, /no such file or directory/i],
      [['/etc/passwd'], 126, /permission denied/i],
    ] as const) {
      it(`says why ${command[0]} does not start, and leaves nothing`, async () => {
        const id = await lab.create({ command, ...by() });
        await assert.rejects(lab.runtime.containers.start(id), (error: Error) => reason.test(error.message));
        const info = lab.runtime.containers.get(id);
        assert.deepEqual([info.state, info.exitCode], ['created', exitCode]);
        assert.deepEqual(lab.cgroups(), []);
      });
    }

    it('is what that runtime made', async () => {
      const id = await lab.sleeper(by({ init: false, command: ['sleep', '1000'] }));
      const state = JSON.parse(
        readFileSync(
          join(lab.root, 'c', id.slice(0, 12), 'oci', id, runtime === 'runc' ? 'state.json' : 'status'),
          'utf8',
        ),
      ) as Record<string, unknown>;
      assert.equal(state['init_process_pid'] ?? state['pid'], lab.runtime.containers.get(id).pid);
    });

    it('writes to who is attached and to its log, and reads what is sent to it', async () => {
      const command = ['sh', '-c', 'echo err >&2; read x; echo got $x; cat | wc -c'];
      const id = await lab.create({ command, openStdin: true, stdinOnce: true, ...by() });
      const stdio = await lab.runtime.containers.attach(id, { stdin: true, stdout: true, stderr: true });
      await lab.runtime.containers.start(id);
      await stdio.write(Buffer.from(`word\n${'x'.repeat(100_000)}`));
      await stdio.closeStdin();
      let output = '';
      for await (const frame of stdio.output) output += `${frame.stream} ${frame.bytes.toString()}`;
      for (const text of ['stderr err', 'got word', '100000']) assert.ok(output.includes(text), output);
      await eventually(() => lab.runtime.containers.get(id).state === 'exited');
      const lines: string[] = [];
      const all = { stdout: true, stderr: true, follow: false, tailLines: 'all', sinceMs: 0, untilMs: 0 } as const;
      for await (const { bytes } of lab.runtime.containers.logs(id, all, never)) lines.push(bytes.toString());
      assert.deepEqual(lines.sort(), ['100000\n', 'err\n', 'got word\n']);
    });

    it('has a terminal of the asked size', async () => {
      const id = await lab.create({
        command: ['sh', '-c', 'read x; stty size; tty'],
        terminal: true,
        openStdin: true,
        ...by(),
      });
      const stdio = await lab.runtime.containers.attach(id, { stdin: true, stdout: true, stderr: true });
      await lab.runtime.containers.start(id);
      await lab.runtime.containers.resize(id, { rows: 33, columns: 77 });
      await stdio.write(Buffer.from('\n'));
      let output = '';
      for await (const frame of stdio.output) output += frame.bytes.toString();
      assert.match(output, /33 77\r\n\/dev\/(pts\/0|console)\r\n/);
    });

    it('sees its own names, user and folders', async () => {
      const script =
        'hostname; id -u; id -G; pwd; echo $HOME; echo $X; grep -c $(hostname) /etc/hosts; readlink /proc/1/exe';
      const change = { user: 'user', groups: ['extra'], workingDirectory: '/tmp', env: ['X=1 2'] };
      const { id, output } = await lab.sh(script, by(change));
      assert.deepEqual(output.trim().split('\n'), [
        id.slice(0, 12),
        '1000',
        '1000 2000',
        '/tmp',
        '/home/user',
        '1 2',
        '1',
        '/bin/busybox',
      ]);
    });

    it('has the default privileges, devices and hidden paths', async () => {
      const { output } = await lab.sh(
        'grep -E "Cap|Seccomp:" /proc/self/status; wc -c < /proc/interrupts; (echo x > /proc/sys/kernel/hostname) 2>&1; mknod /tmp/sda b 8 0 && head -c1 /tmp/sda 2>&1; mount -t tmpfs x /tmp 2>&1; touch /sys/x 2>&1',
        by(),
      );
      assert.match(output, /CapInh:\t0+\n/);
      assert.match(output, /CapBnd:\t00000000a80425fb\n/);
      assert.match(output, /Seccomp:\t2\n/);
      assert.match(output, /^0$/m);
      assert.match(output, /\/proc\/sys\/kernel\/hostname: Read-only file system/);
      assert.match(output, /\/tmp\/sda: Operation not permitted/);
      assert.match(output, /mount: .*(permission denied|Operation not permitted)/i);
      assert.match(output, /\/sys\/x: Read-only file system/);
    });

    it('has its limits, and is measured, listed, paused and ended for too much memory', async () => {
      const limits = { ...LIMITS, memoryBytes: 32 << 20, memorySwapBytes: 32 << 20, pids: 50, nanoCpus: 5e8 };
      const id = await lab.sleeper(by({ limits }));
      const { containers } = lab.runtime;
      const stats = await containers.stats(id);
      assert.equal(stats.memoryLimitBytes, 32 << 20);
      assert.equal(stats.pidsLimit, 50);
      // The init starts the command when it has begun itself, which is after `start` was answered.
      await eventually(async () => (await containers.stats(id)).pids >= 2);
      const listed = await containers.top(id, '');
      assert.ok(listed.processes.some((row) => row.at(-1)?.includes('sleep 1000')));
      await containers.pause(id);
      assert.equal(containers.get(id).state, 'paused');
      await containers.unpause(id);
      assert.equal((await lab.exec(id, ['echo', 'again'])).output, 'again\n');
      const hog = await lab.sh('tail /dev/zero', by({ limits }));
      assert.equal(hog.exitCode, 137);
      assert.equal(containers.get(hog.id).oomKilled, true);
    });

    it('takes execs, their input, exit codes and terminals', async () => {
      const id = await lab.sleeper(by({ user: 'user', env: ['A=1'] }));
      assert.deepEqual(await lab.exec(id, ['sh', '-c', 'echo $A; id -u; exit 7']), {
        output: '1\n1000\n',
        exitCode: 7,
      });
      assert.deepEqual(await lab.exec(id, ['id', '-u'], { user: 'root' }), { output: '0\n', exitCode: 0 });
      const missing = await lab.exec(id, ['nope']);
      assert.equal(missing.exitCode, 127);
      assert.match(missing.output, /^OCI runtime exec failed: exec failed: .*nope/);
      const { containers } = lab.runtime;
      const execId = await containers.execCreate(id, {
        args: ['sh', '-c', 'read x; echo got $x; stty size; exit 3'],
        env: [],
        workingDirectory: '',
        user: '',
        terminal: true,
        privileged: false,
        stdin: true,
        stdout: true,
        stderr: true,
        detachKeys: '',
      });
      const stdio = await containers.execStart(execId, { detach: false, consoleSize: { rows: 12, columns: 34 } });
      await stdio?.write(Buffer.from('word\n'));
      let output = '';
      for await (const frame of stdio?.output ?? []) output += frame.bytes.toString();
      assert.match(output, /got word\r\n12 34/);
      await eventually(() => containers.execGet(execId).exitCode === 3);
    });

    it('loses no exit code of many short execs at once', async () => {
      const id = await lab.sleeper(by());
      const codes = Array.from({ length: 12 }, (_, index) => index + 1);
      const ended = await Promise.all(codes.map((code) => lab.exec(id, ['sh', '-c', `exit ${code}`])));
      assert.deepEqual(
        ended.map(({ exitCode }) => exitCode),
        codes,
      );
    });

    it('says of each of many execs at once why it does not start', async () => {
      const id = await lab.sleeper(by());
      const names = Array.from({ length: 12 }, (_, index) => `missing-${index}-end`);
      const ended = await Promise.all(names.map((name) => lab.exec(id, [name])));
      ended.forEach(({ output, exitCode }, index) => {
        assert.equal(exitCode, 127);
        assert.ok(output.includes(names[index] ?? ''), `${names[index]}: ${output}`);
      });
      const [folder = ''] = readdirSync(join(lab.root, 'c')).filter((name) => id.startsWith(name));
      const left = readdirSync(join(lab.root, 'c', folder));
      assert.deepEqual(
        left.filter((name) => name.startsWith('oci.')),
        [],
      );
    });

    it('keeps execs within its limits from their first instruction on', async () => {
      const limits = { ...LIMITS, memoryBytes: 32 << 20, memorySwapBytes: 32 << 20, pids: 30 };
      const id = await lab.sleeper(by({ limits }));
      // One after the other: the threads of a runtime that is starting an exec count against the limit, too.
      for (let round = 0; round < 6; round += 1) {
        const { output } = await lab.exec(id, ['cat', '/proc/self/cgroup']);
        for (const line of output.trim().split('\n')) assert.ok(line.endsWith(`/${id}`), output);
      }
      assert.equal((await lab.exec(id, ['tail', '/dev/zero'])).exitCode, 137);
      const forks = await lab.exec(id, ['sh', '-c', 'for i in $(seq 40); do sleep 1 & done; wait']);
      assert.match(forks.output, /can't fork/);
    });

    it('is stopped by its signal, and killed after the grace', async () => {
      const { containers } = lab.runtime;
      const polite = await ready('trap "exit 9" TERM; echo ready; while :; do sleep 0.05; done');
      await containers.stop(polite, { graceMs: 10_000 });
      assert.ok([9, 143].includes(containers.get(polite).exitCode), String(containers.get(polite).exitCode));
      const deaf = await ready('trap "" TERM; echo ready; while :; do sleep 1; done');
      await containers.stop(deaf, { graceMs: 50 });
      assert.equal(containers.get(deaf).exitCode, 137);
    });

    it('starts again with the files of its last run', async () => {
      const { containers } = lab.runtime;
      const { id } = await lab.sh(
        'echo run >> /tmp/runs; cat /tmp/runs; wc -l < /tmp/runs > /tmp/count; exit $(cat /tmp/count)',
        by(),
      );
      assert.equal(containers.get(id).exitCode, 1);
      const again = containers.wait(id, 'next-exit', never);
      await containers.start(id);
      assert.equal((await again).exitCode, 2);
      await eventually(() => !existsSync(join(lab.root, 'c', id.slice(0, 12))));
    });

    it('sees volumes, binds and parts of them, and writes only where it may', async () => {
      const folder = join(lab.root, 'bound');
      mkdirSync(join(folder, 'part'), { recursive: true });
      const common = { propagation: '', tmpfsOptions: '', noCopy: false, createSource: false } as const;
      const { output } = await lab.sh(
        'echo x > /w/file; cat /r/file; echo y > /r/file; echo z > /v/file && cat /v/file; df /t | tail -1',
        {
          ...by(),
          mounts: [
            { ...common, type: 'bind', source: folder, target: '/w', readOnly: false },
            { ...common, type: 'bind', source: folder, target: '/r', readOnly: true },
            { ...common, type: 'volume', source: 'kept', target: '/v', readOnly: false },
          ],
          tmpfs: { '/t': 'size=1m' },
        },
      );
      assert.equal(readFileSync(join(folder, 'file'), 'utf8'), 'x\n');
      assert.match(output, /^x\n/m);
      assert.match(output, /\/r\/file: Read-only file system/);
      assert.match(output, /^z\n/m);
      assert.match(output, /tmpfs +1024 /);
    });

    it('shares the memory and the processes of another container', async () => {
      const first = await lab.sleeper(by({ ipcMode: 'shareable' }));
      await lab.exec(first, ['sh', '-c', 'echo shared > /dev/shm/note']);
      const { output } = await lab.sh(
        'cat /dev/shm/note; ps',
        by({ ipcMode: `container:${first}`, pidMode: `container:${first}` }),
      );
      assert.match(output, /^shared\n/);
      assert.match(output, /sleep 1000/);
    });

    it('is copied from and to like any other', async () => {
      const id = await lab.sleeper(by());
      await lab.exec(id, ['sh', '-c', 'echo inside > /tmp/file']);
      const { stat, archive } = await lab.runtime.containers.files.read(id, '/tmp/file');
      assert.equal(stat.sizeBytes, 7);
      let bytes = 0;
      for await (const chunk of archive) bytes += chunk.length;
      assert.ok(bytes > 512 + 7);
    });
  });
}
