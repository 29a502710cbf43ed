// What a container can not do, and what it is given: the black-box side of the helper's security.
import { strict as assert } from 'node:assert';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { LaunchRequest, NativeMount, NativeRuntime, ProcessSpec } from '../../runtime/native/contract.ts';
import { defaultSeccomp, seccompArchitecture } from '../../runtime/native/default-seccomp.ts';
import {
  ALL_CAPABILITIES,
  DEFAULT_CAPABILITIES,
  DEFAULT_DEVICE_RULES,
  defaultMounts,
} from '../../runtime/native/defaults.ts';
import { requireKernel } from '../support/requirements.ts';
import { Bench, collect, end, plainProcess, runThrough, requireBench } from './native-support.ts';

const seccomp = defaultSeccomp(DEFAULT_CAPABILITIES, seccompArchitecture(process.arch) ?? 'x86_64');

describe('a container’s confinement', function () {
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

  async function says(
    script: string,
    changes: Partial<LaunchRequest> = {},
    spec: Partial<ProcessSpec> = {},
  ): Promise<string> {
    const { stdout, stderr } = await runThrough(
      runtime,
      bench,
      bench.request(['sh', '-c', script], changes, { seccomp, ...spec }),
    );
    return (stdout + stderr).trim();
  }

  describe('who it is', () => {
    it('has Docker’s capabilities and no more', async () => {
      const status = await says('grep Cap /proc/self/status');
      assert.match(
        status,
        /CapInh:\s+0{16}\nCapPrm:\s+00000000a80425fb\nCapEff:\s+00000000a80425fb\nCapBnd:\s+00000000a80425fb\nCapAmb:\s+0{16}/,
      );
    });

    it('has no capability as another user, and keeps the bounding set', async () => {
      const status = await says('grep Cap /proc/self/status', {}, { user: 'app' });
      assert.match(status, /CapPrm:\s+0{16}\nCapEff:\s+0{16}\nCapBnd:\s+00000000a80425fb\nCapAmb:\s+0{16}/);
    });

    for (const [user, groups, expected] of [
      ['', [], 'uid=0(root) gid=0(root) groups=0(root),10(wheel)'],
      ['app', [], 'uid=1000(app) gid=1001(app) groups=1001(app),2000(extra)'],
      ['1000', [], 'uid=1000(app) gid=1001(app) groups=1001(app),2000(extra)'],
      ['app:wheel', [], 'uid=1000(app) gid=10(wheel) groups=10(wheel)'],
      ['4242', [], 'uid=4242 gid=0(root) groups=0(root)'],
      ['4242:4343', ['extra', '7777'], 'uid=4242 gid=4343 groups=2000(extra),4343,7777'],
    ] as const) {
      it(`is '${expected}' for user '${user}'`, async () => {
        assert.equal(await says('id', {}, { user, groups }), expected);
      });
    }

    it('finds its home in the container’s own passwd', async () => {
      assert.equal(await says('echo $HOME', {}, { user: 'app' }), '/home/app');
      assert.equal(await says('echo $HOME', {}, { env: ['PATH=/bin', 'HOME=/x'] }), '/x');
    });

    it('can not gain privileges when told so', async () => {
      assert.match(await says('grep NoNewPrivs /proc/self/status'), /0$/);
      assert.match(await says('grep NoNewPrivs /proc/self/status', {}, { noNewPrivileges: true }), /1$/);
    });

    it('is an own session with only its three streams', async () => {
      const text = await says('ls /proc/self/fd; cut -d" " -f6 /proc/$$/stat');
      assert.equal(text.replace(/\s+/g, ' '), '0 1 2 3 1'); // 3 is ls' own
    });
  });

  it('is given a profile of AppArmor by the kernel, not by what it put at its /proc (CVE-2025-52881)', async () => {
    const refused = /apply the AppArmor profile 'mine': (this kernel has no AppArmor|it is not loaded)/;
    const plain = bench.request(['true'], {}, { appArmorProfile: 'mine' });
    await assert.rejects(runtime.launch(plain), { code: 'invalid', message: refused });
    const init = bench.request(['true'], { useInit: true }, { appArmorProfile: 'mine' });
    const initShim = await runtime.launch(init);
    await assert.rejects(initShim.start(), { code: 'invalid', message: refused });
    await end(initShim, bench, init);
    const files = 'mkdir -p /proc/$n/attr/apparmor; : > /proc/$n/attr/exec; : > /proc/$n/attr/apparmor/exec';
    const script = `mount -t tmpfs none /proc; n=0; while [ $n -lt 99 ]; do ${files}; n=$((n+1)); done; echo faked; exec sleep 1000`;
    const request = bench.request(['sh', '-c', script], {}, { capabilities: ALL_CAPABILITIES });
    const shim = await runtime.launch(request);
    const stdio = await shim.attach({ stdin: false, stdout: true, stderr: true });
    await shim.start();
    for await (const { bytes } of stdio.output) if (bytes.toString().includes('faked')) break;
    const [spec, quiet] = [plainProcess(['true']), { stdin: false, detached: true }];
    const confined = { ...spec, appArmorProfile: 'mine' };
    await assert.rejects(shim.exec(confined, { ...quiet, execId: 'a' }), { message: /\/proc is no proc file system/ });
    assert.equal((await (await shim.exec(spec, { ...quiet, execId: 'b' })).exited).exitCode, 0);
    await end(shim, bench, request);
  });

  describe('what it sees', () => {
    it('has its own namespaces', async () => {
      const inside = (await says('for n in cgroup ipc mnt net pid uts; do readlink /proc/self/ns/$n; done')).split(
        '\n',
      );
      for (const link of inside) assert.ok(!hostNamespaces().includes(link), link);
      assert.equal(
        await says('hostname; echo $$; ip link | grep -c "^[0-9]"; cat /proc/self/cgroup | cut -d: -f3 | sort -u'),
        'box\n1\n1\n/',
      );
    });

    it('shares what it is told to share', async () => {
      const host = { kind: 'host' } as const;
      const mounts = defaultMounts({ shmBytes: 0, privileged: false, ownIpc: false });
      const namespaces = { network: host, pid: host, ipc: host, uts: host, cgroup: host };
      const inside = (
        await says('for n in cgroup ipc net pid uts; do readlink /proc/self/ns/$n; done', { namespaces, mounts })
      ).split('\n');
      for (const link of inside) assert.ok(hostNamespaces().includes(link), link);
    });

    it('joins another container’s namespaces', async () => {
      const request = bench.request(['sleep', '100']);
      const shim = await runtime.launch(request);
      await shim.start();
      const of = (name: string) => ({ kind: 'path', path: `/proc/${shim.pid}/ns/${name}` }) as const;
      const namespaces = { ...request.namespaces, network: of('net'), pid: of('pid'), ipc: of('ipc') };
      const text = await says(
        'readlink /proc/self/ns/net; readlink /proc/self/ns/pid; cat /proc/1/cmdline; echo; ps | grep -c "sleep 100$"',
        { namespaces },
      );
      assert.equal(text, `${link(shim.pid, 'net')}\n${link(shim.pid, 'pid')}\nsleep\x00100\x00\n1`);
      assert.ok(existsSync(`/proc/${shim.pid}`), 'the other container goes on');
      await end(shim, bench, request);
    });

    it('ends its leftovers when it shared a pid namespace', async () => {
      const request = bench.request(['sh', '-c', 'sleep 1234 & echo $!']);
      const shared = { ...request, namespaces: { ...request.namespaces, pid: { kind: 'host' } as const } };
      const { stdout } = await runThrough(runtime, bench, shared);
      assert.equal(existsSync(`/proc/${stdout.trim()}`), false);
    });

    it('has Docker’s mounts with Docker’s flags', async () => {
      const lines = (await says('cut -d" " -f5,6 /proc/self/mountinfo')).split('\n');
      const flags = new Map(lines.map((line) => line.split(' ') as [string, string]));
      for (const [path, wanted] of [
        ['/', 'rw'],
        ['/proc', 'rw,nosuid,nodev,noexec'],
        ['/dev', 'rw,nosuid'],
        ['/dev/pts', 'rw,nosuid,noexec'],
        ['/dev/mqueue', 'rw,nosuid,nodev,noexec'],
        ['/dev/shm', 'rw,nosuid,nodev,noexec'],
        ['/sys', 'ro,nosuid,nodev,noexec'],
        ['/sys/fs/cgroup', 'ro,nosuid,nodev,noexec'],
        ['/proc/sys', 'ro,nosuid,nodev,noexec'],
        ['/proc/timer_list', 'rw,nosuid,noexec'],
      ] as const) {
        assert.ok(flags.get(path)?.startsWith(wanted), `${path}: ${flags.get(path)}`);
      }
      assert.ok(
        lines.every((line) => !line.includes(bench.directory)),
        'nothing of the host is left',
      );
    });

    it('has masked and read-only paths', async () => {
      assert.equal(
        await says(
          'cat /proc/interrupts /proc/keys /proc/timer_list | wc -c; ls /sys/firmware /proc/acpi 2>/dev/null | grep -v : | grep -c .',
        ),
        '0\n0',
      );
      assert.match(await says('echo 1 >/proc/sys/kernel/panic'), /Read-only file system/);
      assert.match(await says('mkdir /sys/fs/cgroup/x'), /Read-only file system/);
    });

    it('has devices, and only those', async () => {
      const text = await says(
        'cd /dev; echo *; for l in core fd stdin ptmx; do readlink $l; done; stat -c "%t:%T %a" null tty; stat -c %a shm',
      );
      const [core, target] = existsSync('/proc/kcore') ? ['core ', '/proc/kcore '] : ['', '']; // the kernel may lack it
      assert.equal(
        text.replace(/\s+/g, ' '),
        `${core}fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero ${target}/proc/self/fd /proc/self/fd/0 pts/ptmx 1:3 666 5:0 666 1777`,
      );
    });

    it('can not use devices that its rules do not name', async function () {
      const request = bench.request(['true']);
      requireKernel(
        this,
        'cgroup2',
        request.cgroups.groups.some(({ version }) => version === 2),
      );
      // Anybody may read zeros, so nothing but the rules refuses them.
      const devices = DEFAULT_DEVICE_RULES.filter(({ major, minor }) => major !== 1 || minor !== 5);
      const script = 'mknod /tmp/u c 1 9; head -c 3 /tmp/u | wc -c; mknod /tmp/z c 1 5; head -c 1 /tmp/z';
      const text = await says(script, { cgroups: { ...request.cgroups, devices } });
      assert.match(text, /^3\n.*Operation not permitted$/);
    });

    it('makes the devices it was asked for', async () => {
      const device = { path: '/dev/sub/loop', type: 'b', major: 7, minor: 0, mode: 0o640, uid: 0, gid: 6 } as const;
      assert.equal(
        await says('stat -c "%F %t:%T %a %g" /dev/sub/loop', { devices: [device] }),
        'block special file 7:0 640 6',
      );
    });

    it('sees a read-only root when asked, with writable mounts in it', async () => {
      const request = bench.request(['true']);
      const tmp: NativeMount = {
        type: 'tmpfs',
        source: '',
        target: '/tmp',
        readOnly: false,
        flags: ['nosuid'],
        propagation: 'rprivate',
        recursive: false,
        data: 'size=1m',
      };
      const text = await says('touch /x; touch /tmp/y && echo fine', {
        rootfs: { ...request.rootfs, readOnly: true },
        mounts: [...request.mounts, tmp],
      });
      assert.match(text, /^fine\n.*\/x: Read-only file system$/);
    });

    it('runs with the sysctls, limits and directory that were asked for', async () => {
      const text = await says(
        'cat /proc/sys/net/ipv4/ip_default_ttl; ulimit -n; ulimit -Hn; pwd; cat /proc/self/oom_score_adj',
        { sysctls: { 'net.ipv4.ip_default_ttl': '99' } },
        {
          rlimits: [{ name: 'nofile', soft: 100, hard: 200 }],
          workingDirectory: '/new/deep/place',
          oomScoreAdjustment: 321,
        },
      );
      assert.equal(text, '99\n100\n200\n/new/deep/place\n321');
    });

    it('lowers a limit that the machine does not allow, and says so', async () => {
      const request = bench.request(
        ['sh', '-c', 'ulimit -Hn'],
        {},
        { rlimits: [{ name: 'nofile', soft: 64, hard: 2 ** 30 }] },
      );
      const shim = await runtime.launch(request);
      const stdio = await shim.attach({ stdin: false, stdout: true, stderr: true });
      await shim.start();
      const given = (await collect(stdio.output)).stdout.trim();
      if (given !== String(2 ** 30))
        assert.deepEqual(shim.warnings, [
          `ulimit nofile: ${2 ** 30} is above what this machine allows; using ${given}`,
        ]);
      await end(shim, bench, request);
    });
  });

  describe('binds', () => {
    const bind = (source: string, target: string, changes: Partial<NativeMount> = {}): NativeMount => ({
      type: 'bind',
      source,
      target,
      readOnly: false,
      flags: [],
      propagation: 'rprivate',
      recursive: true,
      data: '',
      ...changes,
    });

    it('shows files and folders, writable or not, at places that did not exist', async () => {
      const host = join(bench.directory, 'shared');
      mkdirSync(host);
      writeFileSync(join(host, 'file'), 'content');
      const request = bench.request(['true']);
      const mounts = [
        ...request.mounts,
        bind(host, '/a/b'),
        bind(host, '/ro', { readOnly: true }),
        bind(join(host, 'file'), '/etc/hosts'),
      ];
      const text = await says('cat /a/b/file /etc/hosts; echo new >/a/b/new; touch /ro/x', { mounts });
      assert.match(text, /^contentcontent\n?.*\/ro\/x: Read-only file system/s);
      assert.equal(readFileSync(join(host, 'new'), 'utf8'), 'new\n');
    });

    it('refuses a file onto a folder in Docker’s words', async () => {
      const request = bench.request(['true']);
      const mounts = [...request.mounts, bind('/etc/hostname', '/tmp')];
      await assert.rejects(runtime.launch({ ...request, mounts }), {
        code: 'invalid',
        message: /are you trying to mount a directory onto a file/,
      });
    });

    it('does not follow the image’s links out of its root', async () => {
      const canary = join(bench.directory, 'canary');
      mkdirSync(canary);
      const lower = layer(bench, 'links', (root) => {
        symlinkSync(canary, join(root, 'abs'));
        symlinkSync('../../../../..', join(root, 'up'));
      });
      const request = bench.request(['true']);
      const mounts = [...request.mounts, bind(bench.lower, '/abs/x'), bind(bench.lower, '/up/y')];
      const lowers = [lower, bench.lower];
      const refused = says('true', { mounts, rootfs: { ...request.rootfs, lowers } });
      await assert.rejects(refused, { message: /make mount point \/abs\/x/ });
      assert.deepEqual(readdirSync(canary), []);
      const second = [...request.mounts, bind(bench.lower, '/up/y')];
      assert.equal(
        await says('test -d /y/bin && echo inside', {
          mounts: second,
          rootfs: { ...bench.request(['true']).rootfs, lowers },
        }),
        'inside',
      );
    });

    for (const path of ['proc', 'sys', 'dev']) {
      it(`refuses an image whose /${path} is a link`, async () => {
        const target = join(bench.directory, `target-${path}`);
        mkdirSync(target);
        const lower = layer(bench, `link-${path}`, (root) => {
          mkdirSync(join(root, 'elsewhere'));
          symlinkSync('/elsewhere', join(root, path));
        });
        const bare = join(bench.directory, `bare-${path}`);
        mkdirSync(bare);
        const request = bench.request(['true']);
        const rootfs = { ...request.rootfs, lowers: [lower, bare] };
        await assert.rejects(runtime.launch({ ...request, rootfs }), { code: 'invalid', message: /symbolic link/ });
        assert.deepEqual(readdirSync(target), []);
      });
    }
  });

  describe('what it may call', () => {
    for (const [what, script] of [
      ['mount', 'mount -t tmpfs x /tmp'],
      ['make namespaces', 'unshare -m true'],
      ['enter namespaces', 'nsenter -t 1 -m true'],
      ['set the clock', 'date -s 2020-01-01'],
      ['set the host name', 'hostname other'],
      ['swap', 'swapoff /x'],
      ['pivot its root', 'pivot_root / /tmp'],
    ] as const) {
      it(`may not ${what}`, async () => {
        assert.match(await says(script), /not permitted|Permission denied|can't/i);
      });
    }

    it('may with the capability, through a filter that was made for it', async () => {
      const capabilities = ALL_CAPABILITIES;
      const wide = defaultSeccomp(capabilities, seccompArchitecture(process.arch) ?? 'x86_64');
      assert.equal(
        await says('mount -t tmpfs x /tmp && hostname other && hostname', {}, { capabilities, seccomp: wide }),
        'other',
      );
    });

    it('has the filter in every process, exec included', async () => {
      const request = bench.request(['sleep', '100'], {}, { seccomp });
      const shim = await runtime.launch(request);
      await shim.start();
      const exec = await shim.exec(
        { ...plainProcess(['sh', '-c', 'grep Seccomp: /proc/1/status /proc/self/status; unshare -m true']), seccomp },
        { stdin: false, execId: 's' },
      );
      const { stdout, stderr } = await collect(
        (await exec.attach({ stdin: false, stdout: true, stderr: true })).output,
      );
      assert.deepEqual(stdout.match(/\d$/gm), ['2', '2']);
      assert.match(stderr, /not permitted/);
      await end(shim, bench, request);
    });

    it('is killed by a filter that says so', async () => {
      const policy = {
        ...seccomp,
        rules: [{ names: ['getcwd'], action: { kind: 'kill-process' } as const, arguments: [] }, ...seccomp.rules],
      };
      assert.equal(
        (
          await runThrough(
            runtime,
            bench,
            bench.request(['sh', '-c', 'pwd -P; /bin/pwd; exit 0'], {}, { seccomp: policy }),
          )
        ).exitCode >= 128,
        true,
      );
    });
  });

  describe('known ways out', () => {
    it('can not change what later containers are started from (CVE-2019-5736)', async () => {
      const request = bench.request(['/proc/self/exe', 'true']);
      const shim = await runtime.launch(request);
      const text = await shim.start().then(() => 'started', String);
      assert.match(text, /started|permission denied|not permitted|no such file/);
      await end(shim, bench, request);
      const script = 'for p in /proc/[0-9]*; do echo x 2>&1 >$p/exe; done; echo; ls -l /proc/1/exe';
      assert.doesNotMatch(await says(script, {}, { capabilities: ALL_CAPABILITIES }), /shoal/);
      assert.equal((await runThrough(runtime, bench, bench.request(['true']))).exitCode, 0);
    });

    for (let fd = 3; fd < 12; fd++) {
      it(`finds nothing behind descriptor ${fd} (CVE-2024-21626)`, async () => {
        const request = bench.request(['true'], {}, { workingDirectory: `/proc/self/fd/${fd}` });
        await assert.rejects(runtime.launch(request), { code: 'invalid' });
        const running = bench.request(['sleep', '100']);
        const shim = await runtime.launch(running);
        await shim.start();
        const spec = { ...plainProcess(['pwd']), workingDirectory: `/proc/self/fd/${fd}` };
        await assert.rejects(shim.exec(spec, { stdin: false, execId: 'e' }), {
          code: 'invalid',
          message: /cwd|working directory/,
        });
        await end(shim, bench, running);
      });
    }

    it('keeps the helper’s processes out of reach of a tracing container (CVE-2016-9962)', async () => {
      const request = bench.request(
        ['sh', '-c', 'while :; do for p in /proc/[0-9]*; do ls -l $p/fd $p/cwd $p/root 2>/dev/null; done; done'],
        {},
        { capabilities: [...DEFAULT_CAPABILITIES, 'CAP_SYS_PTRACE'] },
      );
      const shim = await runtime.launch(request);
      const stdio = await shim.attach({ stdin: false, stdout: true, stderr: true });
      await shim.start();
      const output = collect(stdio.output);
      for (let i = 0; i < 8; i++) {
        const exec = await shim.exec(plainProcess(['true']), { stdin: false, execId: `e${i}`, detached: true });
        await exec.exited;
      }
      await shim.kill();
      const { stdout } = await output;
      bench.removeCgroups(request);
      assert.ok(stdout.length > 100);
      for (const foreign of [bench.directory, '/sys/fs/cgroup', 'json.log', 'memfd:'])
        assert.ok(!stdout.includes(foreign), foreign);
    });

    it('reads a passwd file that is a pipe or a link without hanging or leaving', async () => {
      const lower = layer(bench, 'passwd', (root) => {
        mkdirSync(join(root, 'etc'));
        symlinkSync('/proc/self/environ', join(root, 'etc/passwd'));
      });
      const request = bench.request(['true'], {}, { user: 'x' });
      await assert.rejects(
        runtime.launch({ ...request, rootfs: { ...request.rootfs, lowers: [lower, bench.lower] } }),
        /unable to find user x|not a usable file/,
      );
    });

    it('keeps the sockets and directories of the helper to root', () => {
      const request = bench.request(['true']);
      for (const path of [join(bench.directory, 'run'), request.runDirectory])
        assert.equal(lstatSync(path).mode & 0o077, 0);
      assert.equal(lstatSync(join(bench.directory, 'run/zygote')).mode & 0o077, 0);
    });
  });
});

const link = (pid: number | 'self', name: string): string => {
  const path = `/proc/${pid}/ns/${name}`;
  return readlinkSync(path);
};

function hostNamespaces(): string[] {
  return readdirSync('/proc/self/ns').map((name) => link('self', name));
}

function layer(bench: Bench, name: string, fill: (root: string) => void): string {
  const root = join(bench.directory, name);
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root);
  chmodSync(root, 0o755);
  fill(root);
  return root;
}
