// Past escapes from container engines, tried from outside as somebody would: one test for each class of them. The same at
// the level of the helper: native-security, native-race, native-unpack. docs/security.md has the table.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { TAR_END, type TarEntry, tarHeader, tarPadding } from '../../runtime/image/tar-writer.ts';
import { ClientLab } from '../support/client-lab.ts';
import { requireRoot, requireTool } from '../support/requirements.ts';
import { eventually } from '../support/runtime-lab.ts';

describe('past escapes', () => {
  let client: ClientLab;
  let host: string; // a folder outside, with a canary in it
  const ok = (...args: string[]): Promise<string> => client.ok(...args);

  before(async function () {
    requireRoot(this);
    requireTool(this, '/usr/bin/busybox');
    this.timeout(120_000);
    client = await ClientLab.open();
    host = join(client.lab.root, 'outside');
    mkdirSync(host);
    writeFileSync(join(host, 'canary'), 'host canary');
  });
  afterEach(async () => client?.removeAll());
  after(async () => client?.[Symbol.asyncDispose]());

  const entry = (fields: Partial<TarEntry> & { name: string }, content = ''): Buffer => {
    const header = tarHeader({ type: 'file', mode: 0o644, sizeBytes: content.length, ...fields });
    return Buffer.concat([header, Buffer.from(content), tarPadding(content.length)]);
  };
  const archive = (...entries: Buffer[]): Buffer => Buffer.concat([...entries, TAR_END]);
  const untouched = (): void => {
    assert.deepEqual(readdirSync(host), ['canary']);
    assert.equal(readFileSync(join(host, 'canary'), 'utf8'), 'host canary');
  };

  it('runtime binary overwrite: nothing that runs in a container can write what runs it (CVE-2019-5736)', async () => {
    const helper = execFileSync('sh', [
      '-c',
      `ls ${join(import.meta.dirname, '../../native')}/shoal-native-* | head -1`,
    ]);
    const before = execFileSync('sha256sum', [String(helper).trim()], { encoding: 'utf8' });
    const script =
      'for p in /proc/[0-9]*; do (echo x > $p/exe) 2>/dev/null && echo overwrote $p; done; ln -s /proc/self/exe /e; echo done';
    assert.equal(await client.sh(script), 'done\n');
    await ok('run', '-d', '--init', '--name', 'box', 'bb', 'sleep', '1000');
    await ok('exec', 'box', 'sh', '-c', 'printf "#!/proc/self/exe\\n" > /x; chmod +x /x');
    assert.notEqual((await client.run('exec', 'box', '/x')).code, 0);
    assert.equal(execFileSync('sha256sum', [String(helper).trim()], { encoding: 'utf8' }), before);
  });

  it('leaked descriptor as working directory is refused, by run and exec (CVE-2024-21626)', async () => {
    await ok('run', '-d', '--init', '--name', 'box', 'bb', 'sleep', '1000');
    for (let fd = 3; fd <= 12; fd += 1) {
      const run = await client.run('run', '--rm', '-w', `/proc/self/fd/${fd}`, 'bb', 'ls');
      const exec = await client.run('exec', '-w', `/proc/self/fd/${fd}`, 'box', 'ls');
      assert.ok(run.code !== 0 && exec.code !== 0, `descriptor ${fd}`);
    }
    assert.equal(await ok('exec', 'box', 'sh', '-c', 'ls /proc/self/fd | tr "\\n" " "'), '0 1 2 3 '); // 3 is ls itself reading
  });

  it('mount destination swapped for a link to the host stays inside (CVE-2021-30465)', async function () {
    this.timeout(60_000);
    const swap = `mkdir /v/d; ln -s ${host} /v/l; while :; do mv /v/d /v/k; mv /v/l /v/d; mv /v/d /v/l; mv /v/k /v/d; done`;
    await ok('run', '-d', '--init', '-v', 'shared:/v', 'bb', 'sh', '-c', swap);
    for (let round = 0; round < 30; round += 1) {
      await client.run(
        'run',
        '--rm',
        '-v',
        'shared:/v',
        '--tmpfs',
        '/v/d/made',
        '-v',
        `${host}/canary:/v/d/file`,
        'bb',
        'true',
      );
    }
    untouched();
  });

  it('an image with links for /proc, /sys and /dev is refused or harmless (CVE-2019-19921, CVE-2025-31133, CVE-2025-52565)', async () => {
    for (const name of ['proc', 'sys', 'dev']) {
      const tar = archive(
        entry({ name, type: 'symlink', linkName: host }),
        entry({ name: 'bin/', type: 'directory', mode: 0o755 }),
      );
      const imported = await client.client.run(['import', '-', `linked-${name}:1`], tar);
      assert.equal(imported.code, 0, imported.stderr);
      const run = await client.run(
        'run',
        '--rm',
        '-v',
        '/usr/bin/busybox:/bin/busybox:ro',
        `linked-${name}:1`,
        '/bin/busybox',
        'true',
      );
      assert.notEqual(run.code, 0);
      assert.match(run.stderr, /symbolic link/);
    }
    untouched();
  });

  it('masked paths stay masked, also for root inside (CVE-2025-31133)', async () => {
    const script =
      'for p in /proc/kcore /proc/keys /proc/timer_list; do test -e $p && wc -c < $p; done; umount /proc/kcore 2>&1; mount --bind /etc/passwd /proc/kcore 2>&1; ls /sys/firmware | wc -l';
    const said = await client.sh(script);
    assert.doesNotMatch(said, /^[1-9]\d*$/m);
    assert.match(said, /Operation not permitted|permission denied|must be superuser/i);
  });

  it('docker cp runs nothing of the container’s (CVE-2019-14271, xz)', async () => {
    const fake = '#!/bin/sh\ntouch /executed\n';
    await ok('run', '-d', '--init', '--name', 'box', 'bb', 'sleep', '1000');
    const traps = [
      'bin/xz',
      'bin/unpigz',
      'bin/gzip',
      'bin/tar',
      'usr/bin/xz',
      'lib/libnss_files.so.2',
      'lib64/libnss_compat.so.2',
    ];
    const tar = archive(
      ...traps.map((name) => entry({ name, mode: 0o755 }, fake)),
      entry({ name: 'etc/nsswitch.conf' }, 'passwd: compat\n'),
    );
    assert.equal((await client.http('PUT', '/containers/box/archive?path=/', tar)).status, 200);
    await client.http(
      'PUT',
      '/containers/box/archive?path=/tmp&copyUIDGID=1',
      gzipSync(archive(entry({ name: 'f' }, 'x'))),
    );
    await client.http('PUT', '/containers/box/archive?path=/tmp', Buffer.from('fd377a585a000004', 'hex'));
    await client.http('GET', '/containers/box/archive?path=/etc');
    assert.equal((await client.http('HEAD', '/containers/box/archive?path=/executed')).status, 404);
  });

  const hostile: readonly (readonly [what: string, tar: () => Buffer])[] = [
    ['a name that climbs', () => archive(entry({ name: '../../../../tmp/shoal-escaped' }, 'x'))],
    ['an absolute name', () => archive(entry({ name: '/../tmp/shoal-escaped' }, 'x'))],
    ['a name that climbs in the middle', () => archive(entry({ name: 'a/../../b' }, 'x'))],
    ['a folder that climbs', () => archive(entry({ name: '../x/', type: 'directory' }))],
    [
      'a link and a file through it',
      () => archive(entry({ name: 'l', type: 'symlink', linkName: host }), entry({ name: 'l/made' }, 'x')),
    ],
    [
      'a climbing link and a file through it',
      () =>
        archive(
          entry({ name: 'l', type: 'symlink', linkName: '../../../../../../..' + host }),
          entry({ name: 'l/made' }, 'x'),
        ),
    ],
    [
      'a chain of links',
      () =>
        archive(
          entry({ name: 'a', type: 'symlink', linkName: 'b' }),
          entry({ name: 'b', type: 'symlink', linkName: host }),
          entry({ name: 'a/made' }, 'x'),
        ),
    ],
    [
      'a hard link to the host',
      () => archive(entry({ name: 'h', type: 'link', linkName: `../../../../../../..${host}/canary` })),
    ],
    [
      'an absolute hard link',
      () => archive(entry({ name: 'h', type: 'link', linkName: `${host}/canary` }), entry({ name: 'h' }, 'changed')),
    ],
    [
      'a hard link through a link',
      () =>
        archive(
          entry({ name: 'l', type: 'symlink', linkName: host }),
          entry({ name: 'h', type: 'link', linkName: 'l/canary' }),
        ),
    ],
    [
      'a mode changed through a link',
      () =>
        archive(
          entry({ name: 'l', type: 'symlink', linkName: join(host, 'canary') }),
          entry({ name: 'l', type: 'symlink', linkName: join(host, 'canary'), mode: 0o777 }),
        ),
    ],
    [
      'a folder over a link',
      () =>
        archive(
          entry({ name: 'l', type: 'symlink', linkName: host }),
          entry({ name: 'l/', type: 'directory', mode: 0o777 }),
          entry({ name: 'l/made' }, 'x'),
        ),
    ],
    [
      'a loop of links',
      () => archive(entry({ name: 'a', type: 'symlink', linkName: 'a' }), entry({ name: 'a/made' }, 'x')),
    ],
    ['a long name', () => archive(entry({ name: 'n'.repeat(5_000) }, 'x'))],
    ['a deep name', () => archive(entry({ name: `${'d/'.repeat(2_500)}f` }, 'x'))],
    ['a size that lies', () => archive(tarHeader({ name: 'f', type: 'file', mode: 0o644, sizeBytes: 8 ** 11 - 1 }))],
    ['a whiteout that climbs', () => archive(entry({ name: '.wh...' }))],
    ['a whiteout of the folder itself', () => archive(entry({ name: '.wh..' }))],
    [
      'an overlay attribute',
      () => archive(entry({ name: 'dir/', type: 'directory' }), entry({ name: 'dir/.wh..wh..opq' })),
    ],
    ['a cut header', () => archive(entry({ name: 'f' }, 'x')).subarray(0, 300)],
    ['nonsense', () => Buffer.alloc(4096, 0x55)],
  ];
  for (const [what, tar] of hostile) {
    it(`hostile archive: ${what} changes nothing outside, by import, load and put`, async () => {
      await ok('create', '--name', 'box', 'bb', 'true');
      const put = await client.http('PUT', '/containers/box/archive?path=/tmp', tar());
      assert.ok([200, 400, 404].includes(put.status), put.body.toString());
      const imported = await client.client.run(['import', '-', 'hostile:1'], tar());
      await client.client.run(['load'], tar());
      if (imported.code === 0) {
        await client.run('run', '--rm', 'hostile:1', '/none');
        await client.run('rmi', '-f', 'hostile:1');
      }
      untouched();
      assert.ok(!existsSync('/tmp/shoal-escaped'));
    });
  }

  it('layer store traversal: names and digests of a manifest are never paths (CVE-2014-9358)', async () => {
    for (const layer of ['../../../../outside/canary', '/etc/passwd', '..']) {
      const manifest = JSON.stringify([{ Config: 'c.json', RepoTags: ['evil:1'], Layers: [layer] }]);
      const config = JSON.stringify({ rootfs: { type: 'layers', diff_ids: [`sha256:${'a'.repeat(64)}`] } });
      const tar = archive(entry({ name: 'manifest.json' }, manifest), entry({ name: 'c.json' }, config));
      assert.notEqual((await client.client.run(['load'], tar)).code, 0);
    }
    assert.notEqual((await client.run('image', 'inspect', 'evil:1')).code, 0);
    untouched();
  });

  it('abstract socket: a container in the host’s network finds no socket of the engine (CVE-2020-15257)', async () => {
    await ok('run', '-d', '--init', '--name', 'box', 'bb', 'sleep', '1000');
    const sockets = await client.sh('cat /proc/net/unix', '--network', 'host');
    assert.doesNotMatch(sockets, /@.*(shim|zygote|api\.sock)/);
  });

  it('cgroup release agent: no namespace and no cgroup mount of one’s own (CVE-2022-0492)', async () => {
    const script =
      'unshare -Ur true 2>&1; mkdir /c; mount -t cgroup -o memory x /c 2>&1; echo x > /sys/fs/cgroup/x 2>&1; find /sys/fs/cgroup -name release_agent | wc -l';
    const said = await client.sh(`(${script}) 2>&1`);
    assert.match(said, /unshare.*Operation not permitted/);
    assert.match(said, /mount: .*(permission denied|Operation not permitted)/i);
    assert.doesNotMatch(said, /^[1-9]\d*$/m);
  });

  it('supplementary groups: the primary group is always among them; ids stay in range (CVE-2022-36109, CVE-2024-40635)', async () => {
    assert.equal(await client.sh('id -G', '-u', '5:6'), '6\n');
    assert.match(await client.sh('grep Groups: /proc/self/status', '-u', '5:6'), /^Groups:\s6\s*$/);
    for (const user of ['4294967296', '4294967295', '-1', '1:4294967296', '99999999999999999999']) {
      const run = await client.run('run', '--rm', '-u', user, 'bb', 'id');
      assert.notEqual(run.code, 0, `${user}: ${run.stdout}`);
    }
  });

  it('data folder: another user of the machine reaches nothing in it (CVE-2021-41091)', async () => {
    await ok('run', '--name', 'box', 'bb', 'sh', '-c', 'cp /bin/busybox /suid; chmod 4755 /suid');
    const upper = (await ok('inspect', '-f', '{{.GraphDriver.Data.UpperDir}}', 'box')).trim();
    assert.ok(existsSync(join(upper, 'suid')));
    chmodSync(client.lab.root, 0o755);
    const seen = spawnSync('setpriv', [
      '--reuid',
      '65534',
      '--regid',
      '65534',
      '--clear-groups',
      'stat',
      join(upper, 'suid'),
    ]);
    assert.notEqual(seen.status, 0);
  });

  it('inheritable capabilities are empty (CVE-2022-24769)', async () => {
    assert.match(await client.sh('grep -E "CapInh|CapAmb" /proc/self/status'), /CapInh:\t0+\nCapAmb:\t0+\n/);
  });

  it('oversize and endless bodies are refused (CVE-2024-41110)', async () => {
    const body = Buffer.concat([
      Buffer.from('{"Image":"bb","Env":["'),
      Buffer.alloc(9_000_000, 'x'),
      Buffer.from('"]}'),
    ]);
    const answer = await client.http('POST', '/containers/create', body, 'application/json');
    assert.equal(answer.status, 413);
    assert.match(answer.body.toString(), /larger than/);
  });

  it('attach leak: attached clients that vanish leave no descriptor, again and again (CVE-2025-64329)', async function () {
    this.timeout(60_000);
    await ok('run', '-d', '--init', '--name', 'box', 'bb', 'sleep', '1000');
    const count = (): number => readdirSync('/proc/self/fd').length;
    const before = count();
    const vanish = (): Promise<void> =>
      new Promise((resolve) => {
        const socket = createConnection({ path: join(client.lab.root, 'api.sock') });
        socket.write(
          'POST /containers/box/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n',
        );
        socket.once('data', () => socket.destroy());
        socket.once('close', () => resolve());
      });
    // More than a container takes at a time, in all.
    for (let round = 0; round < 2; round += 1) {
      await Promise.all(Array.from({ length: 50 }, vanish));
      await eventually(() => count() <= before + 5, 20_000);
    }
    assert.equal(await ok('exec', 'box', 'echo', 'alive'), 'alive\n');
  });

  it('volume part: a subpath that leads out by a link is refused (CVE-2017-1002101)', async () => {
    await ok('run', '--rm', '-v', 'parts:/p', 'bb', 'sh', '-c', `ln -s ${host} /p/out; ln -s ../../../../../../ /p/up`);
    for (const part of ['out', 'up', 'out/canary']) {
      const run = await client.run(
        'run',
        '--rm',
        '--mount',
        `type=volume,source=parts,target=/m,volume-subpath=${part}`,
        'bb',
        'ls',
        '/m',
      );
      assert.notEqual(run.code, 0, run.stdout);
    }
  });

  it('a link in the image at a working directory is made inside (CVE-2024-45310)', async () => {
    const tar = archive(entry({ name: 'w', type: 'symlink', linkName: host }));
    await client.client.run(['import', '-', 'linked-w:1'], tar);
    await client.run('run', '--rm', '-w', '/w/made/here', '-v', '/usr/bin/busybox:/b:ro', 'linked-w:1', '/b', 'true');
    untouched();
  });
});
