// Past escapes by what a process inside has or reaches: the runtime's program, descriptors, system calls, cgroups, users.
// At the level of the helper: native-security, native-seccomp.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { attackSuite } from '../support/attack-lab.ts';
import type { ClientLab } from '../support/client-lab.ts';
import { NATIVE_CACHE } from '../support/runtime-lab.ts';

describe('past escapes from inside', function () {
  let client: ClientLab;
  const ok = (...args: string[]): Promise<string> => client.ok(...args);
  const box = (...options: string[]): Promise<string> =>
    ok('run', '-d', '--init', '--name', 'box', ...options, 'bb', 'sleep', '1000');

  attackSuite(this, (lab) => {
    client = lab.client;
  });

  it('runtime binary overwrite: nothing that runs in a container can change what runs it (CVE-2019-5736)', async () => {
    const before = programs();
    const script =
      'for p in /proc/[0-9]*; do (echo x > $p/exe) 2>/dev/null && echo overwrote $p; done; ln -s /proc/self/exe /e; echo done';
    assert.equal(await client.sh(script), 'done\n');
    // The runtime's own program as the command, kept alive by its input; the attacker beside it holds it by /proc.
    await client.client.run(['import', '-c', 'CMD ["/x"]', '-', 'itself:1'], await itself());
    await ok('run', '-d', '-i', '--name', 'victim', 'itself:1');
    await client.run('exec', 'victim', 'sh', '-c', 'chmod 4777 /proc/1/exe; echo x > /proc/1/exe');
    assert.deepEqual(programs(), before);
    assert.equal(await client.sh('echo still'), 'still\n');
  });

  /** The tree of the image with `#!/proc/self/exe netd` as /x. */
  async function itself(): Promise<Buffer> {
    const made = await client.sh('printf "#!/proc/self/exe netd\\n" > /x; chmod +x /x; tar -c -C / bin x | base64');
    return Buffer.from(made, 'base64');
  }

  const programs = (): string[] =>
    readdirSync(NATIVE_CACHE).map((name) => {
      const path = join(NATIVE_CACHE, name);
      const hash = createHash('sha256').update(readFileSync(path)).digest('hex');
      return `${name} ${statSync(path).mode.toString(8)} ${hash}`;
    });

  it('leaked descriptor as working directory is refused, by run and exec (CVE-2024-21626)', async () => {
    await box();
    for (let fd = 3; fd <= 12; fd += 1) {
      const run = await client.run('run', '--rm', '-w', `/proc/self/fd/${fd}`, 'bb', 'ls');
      const exec = await client.run('exec', '-w', `/proc/self/fd/${fd}`, 'box', 'ls');
      assert.ok(run.code !== 0 && exec.code !== 0, `descriptor ${fd}`);
    }
    assert.equal(await ok('exec', 'box', 'sh', '-c', 'ls /proc/self/fd | tr "\\n" " "'), '0 1 2 3 '); // 3 is ls itself reading
  });

  it('abstract socket: a container in the host’s network finds no socket of the engine (CVE-2020-15257)', async () => {
    await box();
    const sockets = await client.sh('cat /proc/net/unix', '--network', 'host');
    assert.doesNotMatch(sockets, /@.*(shim|zygote|api\.sock)/);
    assert.ok(!sockets.split('\n').some((line) => line.includes('@') && line.includes(client.lab.root)), sockets);
  });

  it('cgroup release agent: no namespace and no cgroup mount of one’s own (CVE-2022-0492, CVE-2022-0185)', async () => {
    const script =
      'unshare -Ur true 2>&1; mkdir /c; mount -t cgroup -o memory x /c 2>&1; find /sys/fs/cgroup -name release_agent | wc -l';
    const said = await client.sh(`(${script}) 2>&1`);
    assert.match(said, /unshare.*Operation not permitted/);
    assert.match(said, /mount: .*(permission denied|Operation not permitted)/i);
    assert.doesNotMatch(said, /^[1-9]\d*$/m);
  });

  it('cgroups are shown but not given: root inside changes no limit of its own (CVE-2023-25809)', async () => {
    const write =
      'for f in $(find /sys/fs/cgroup -name cgroup.procs); do (echo $$ > $f) 2>/dev/null && echo wrote $f; done';
    assert.equal(await client.sh(`${write}; echo done`), 'done\n');
  });

  it('supplementary groups: the primary group is always among them; ids stay in range (CVE-2022-36109, CVE-2023-25173, CVE-2024-40635)', async () => {
    assert.equal(await client.sh('id -G', '-u', '5:6'), '6\n');
    assert.match(await client.sh('grep Groups: /proc/self/status', '-u', '5:6'), /^Groups:\s6\s*$/);
    for (const user of ['4294967296', '4294967295', '-1', '1:4294967296', '99999999999999999999']) {
      const run = await client.run('run', '--rm', '-u', user, 'bb', 'id');
      assert.notEqual(run.code, 0, `${user}: ${run.stdout}`);
    }
  });

  it('inheritable capabilities are empty (CVE-2022-24769)', async () => {
    assert.match(await client.sh('grep -E "CapInh|CapAmb" /proc/self/status'), /CapInh:\t0+\nCapAmb:\t0+\n/);
  });
});
