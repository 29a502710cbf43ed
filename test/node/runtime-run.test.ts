// Containers for real: what runs, how it ends, what it sees.
import { strict as assert } from 'node:assert';
import { requireRoot } from '../support/requirements.ts';
import { eventually, RuntimeLab } from '../support/runtime-lab.ts';

const never = new AbortController().signal;

describe('a container', () => {
  let lab: RuntimeLab;
  let opened = false;
  before(async function () {
    requireRoot(this);
    lab = await RuntimeLab.open();
    opened = true;
  });
  after(async () => {
    if (opened) await lab[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    if (opened) await lab.removeAll();
  });

  for (const [script, exitCode] of [
    ['exit 0', 0],
    ['exit 1', 1],
    ['exit 42', 42],
    ['kill -9 $$', 137],
    ['kill -15 $$; sleep 5', 143],
  ] as const) {
    it(`ends with ${exitCode} after '${script}'`, async () => {
      assert.equal((await lab.run(['sh', '-c', `sh -c '${script}'; exit $?`])).exitCode, exitCode);
    });
  }

  for (const [command, exitCode, reason] of [
    [['nope'], 127, /executable file not found in \$PATH/],
    [['/nope'], 127, /no such file or directory/],
    [['/etc/passwd'], 126, /permission denied/],
    [['/etc'], 126, /permission denied|is a directory/],
  ] as const) {
    it(`says why ${command[0]} does not start`, async () => {
      const id = await lab.create({ command });
      await assert.rejects(lab.runtime.containers.start(id), (error: Error) => reason.test(error.message));
      const info = lab.runtime.containers.get(id);
      assert.deepEqual([info.state, info.exitCode], ['created', exitCode]);
      assert.deepEqual(lab.cgroups(), []);
    });
  }

  it('writes to who is attached and to its log', async () => {
    const { id, output } = await lab.sh('echo out; echo err >&2; printf rest');
    for (const text of ['out\n', 'err\n', 'rest']) assert.ok(output.includes(text)); // two streams, in any order
    const lines: string[] = [];
    const all = { stdout: true, stderr: true, follow: false, tailLines: 'all', sinceMs: 0, untilMs: 0 } as const;
    for await (const { stream, bytes } of lab.runtime.containers.logs(id, all, never))
      lines.push(`${stream} ${bytes.toString()}`);
    assert.deepEqual(lines.sort(), ['stderr err\n', 'stdout out\n', 'stdout rest']);
  });

  it('gives the end of its log, and follows it to the end', async () => {
    const id = await lab.create({
      command: ['sh', '-c', 'for i in 1 2 3 4 5; do echo line $i; done; read x; echo last'],
      openStdin: true,
    });
    const stdio = await lab.runtime.containers.attach(id, { stdin: true, stdout: false, stderr: false });
    await lab.runtime.containers.start(id);
    const seen: string[] = [];
    const request = { stdout: true, stderr: true, follow: true, tailLines: 2, sinceMs: 0, untilMs: 0 } as const;
    await eventually(async () => (await lab.runtime.containers.stats(id)).pids > 0);
    await eventually(() => logLines(lab, id).then((lines) => lines.length === 5));
    for await (const entry of lab.runtime.containers.logs(id, request, never)) {
      seen.push(entry.bytes.toString().trim());
      if (seen.length === 2) await stdio.write(Buffer.from('go\n'));
    }
    assert.deepEqual(seen, ['line 4', 'line 5', 'last']);
  });

  it('reads what is sent to it, and its end', async () => {
    const id = await lab.create({ command: ['cat'], openStdin: true, stdinOnce: true });
    const stdio = await lab.runtime.containers.attach(id, { stdin: true, stdout: true, stderr: true });
    await lab.runtime.containers.start(id);
    const text = 'x'.repeat(300_000);
    const sent = stdio.write(Buffer.from(text)).then(() => stdio.closeStdin());
    let output = '';
    for await (const frame of stdio.output) output += frame.bytes.toString();
    await sent;
    assert.equal(output, text);
    await eventually(() => lab.runtime.containers.get(id).state === 'exited');
  });

  it('has a terminal of the asked size', async () => {
    const id = await lab.create({ command: ['sh', '-c', 'read x; stty size; tty'], terminal: true, openStdin: true });
    const stdio = await lab.runtime.containers.attach(id, { stdin: true, stdout: true, stderr: true });
    await lab.runtime.containers.start(id);
    await lab.runtime.containers.resize(id, { rows: 33, columns: 77 });
    await stdio.write(Buffer.from('\n'));
    let output = '';
    for await (const frame of stdio.output) output += frame.bytes.toString();
    assert.match(output, /33 77\r\n\/dev\/pts\/0\r\n/);
  });

  it('sees its own names, files, user and folders', async () => {
    const { id, output } = await lab.sh(
      'hostname; cat /etc/hostname; id -u; id -G; pwd; echo $HOME; echo $X; grep -c $(hostname) /etc/hosts; ls -d /proc/1; readlink /proc/1/exe',
      {
        user: 'user',
        groups: ['extra'],
        workingDirectory: '/tmp/made/here',
        env: ['X=1 2'],
      },
    );
    assert.deepEqual(output.trim().split('\n').slice(0, 9), [
      id.slice(0, 12),
      id.slice(0, 12),
      '1000',
      '1000 2000',
      '/tmp/made/here',
      '/home/user',
      '1 2',
      '1',
      '/proc/1',
    ]);
  });

  it('has the default privileges, devices and hidden paths', async () => {
    const { output } = await lab.sh(
      'grep -E "Cap|Seccomp:|NoNew" /proc/self/status; ls /dev | tr "\\n" " "; echo; wc -c < /proc/interrupts; (echo x > /proc/sys/kernel/hostname) 2>&1; mknod /tmp/sda b 8 0 && head -c1 /tmp/sda 2>&1; mount -t tmpfs x /tmp 2>&1; cat /sys/firmware/x 2>&1; touch /sys/x 2>&1',
    );
    assert.match(output, /CapInh:\t0+\n/);
    assert.match(output, /CapBnd:\t00000000a80425fb\n/);
    assert.match(output, /CapAmb:\t0+\n/);
    assert.match(output, /Seccomp:\t2\n/);
    assert.match(output, /(core )?fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero/);
    assert.match(output, /^0$/m);
    assert.match(output, /\/proc\/sys\/kernel\/hostname: Read-only file system/);
    assert.match(output, /\/tmp\/sda: Operation not permitted/);
    assert.match(output, /mount: .*(permission denied|Operation not permitted)/i);
    assert.match(output, /\/sys\/x: Read-only file system/);
  });

  it('is freed of them when privileged, and of some when asked', async () => {
    const script = 'grep -E "CapEff|Seccomp:|NoNew" /proc/self/status';
    const privileged = await lab.sh(script, { privileged: true });
    assert.match(privileged.output, /Seccomp:\t0/);
    assert.doesNotMatch(privileged.output, /CapEff:\t00000000a80425fb/);
    const bare = await lab.sh(script, {
      capabilityDrop: ['ALL'],
      securityOptions: ['no-new-privileges', 'seccomp=unconfined'],
    });
    assert.match(bare.output, /CapEff:\t0+\n/);
    assert.match(bare.output, /NoNewPrivs:\t1\n/);
    assert.match(bare.output, /Seccomp:\t0/);
  });

  it('writes nothing to a read-only root, but to its tmpfs', async () => {
    const { output } = await lab.sh(
      'touch /x 2>&1; touch /run/x && echo ok; grep -c noexec,.*size=1024k /proc/self/mounts',
      {
        readOnlyRoot: true,
        tmpfs: { '/run': 'size=1m' },
      },
    );
    assert.match(output, /touch: \/x: Read-only file system\nok\n1\n/);
  });

  it('runs with an init that reaps and passes signals on', async () => {
    const { output } = await lab.sh('echo $$; cat /proc/1/comm', { init: true });
    assert.notEqual(output.split('\n')[0], '1');
    const id = await lab.sleeper();
    await lab.runtime.containers.stop(id, {});
    assert.equal(lab.runtime.containers.get(id).exitCode, 143);
  });

  it('stops by its own handler, and by SIGKILL after the grace', async () => {
    const polite = await lab.create({ command: ['sh', '-c', 'trap "exit 7" TERM; while :; do sleep 0.02; done'] });
    await lab.runtime.containers.start(polite);
    await eventually(async () => (await lab.runtime.containers.top(polite, '')).processes.length > 1);
    await lab.runtime.containers.stop(polite, {});
    assert.equal(lab.runtime.containers.get(polite).exitCode, 7);
    const deaf = await lab.create({ command: ['sleep', '1000'] });
    await lab.runtime.containers.start(deaf);
    await lab.runtime.containers.stop(deaf, { graceMs: 50 });
    assert.equal(lab.runtime.containers.get(deaf).exitCode, 137);
  });

  it('pauses and goes on', async () => {
    const id = await lab.sleeper();
    await lab.runtime.containers.pause(id);
    assert.equal(lab.runtime.containers.get(id).state, 'paused');
    await lab.runtime.containers.unpause(id);
    assert.equal((await lab.exec(id, ['echo', 'back'])).output, 'back\n');
    await lab.runtime.containers.pause(id);
    await lab.runtime.containers.stop(id, {});
    assert.equal(lab.runtime.containers.get(id).exitCode, 143);
  });

  it('removes itself, with events in order', async () => {
    const { id, exitCode } = await lab.run(['true'], { autoRemove: true });
    assert.equal(exitCode, 0);
    assert.throws(() => lab.runtime.containers.get(id), { code: 'not-found' });
    assert.deepEqual(lab.actions(id), [
      'create',
      'attach',
      'network connect',
      'start',
      'die',
      'network disconnect',
      'destroy',
    ]);
  });

  it('comes back by its restart policy', async () => {
    const id = await lab.create({ command: ['false'], restart: { name: 'on-failure', attemptsMax: 2 } });
    await lab.runtime.containers.start(id);
    await eventually(() => lab.runtime.containers.get(id).state === 'exited');
    const { restartCount, exitCode } = lab.runtime.containers.get(id);
    assert.deepEqual([restartCount, exitCode], [2, 1]);
  });
});

async function logLines(lab: RuntimeLab, id: string): Promise<string[]> {
  const request = { stdout: true, stderr: true, follow: false, tailLines: 'all', sinceMs: 0, untilMs: 0 } as const;
  const lines: string[] = [];
  for await (const entry of lab.runtime.containers.logs(id, request, never)) lines.push(entry.bytes.toString());
  return lines;
}
