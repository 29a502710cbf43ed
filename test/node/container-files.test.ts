// docker cp, diff, export and commit on real containers, running and stopped.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readlinkSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { ClientLab } from '../support/client-lab.ts';
import { requireRoot, requireTool } from '../support/requirements.ts';

interface PathStat {
  name: string;
  size: number;
  mode: number;
  linkTarget: string;
}

describe('files of containers', () => {
  let client: ClientLab;
  let at: string;
  const ok = (...args: string[]): Promise<string> => client.ok(...args);

  before(async function () {
    requireRoot(this);
    requireTool(this, '/usr/bin/busybox');
    this.timeout(120_000); // the helper may have to be compiled
    client = await ClientLab.open();
    at = join(client.lab.root, 'host');
    mkdirSync(at);
  });
  afterEach(async () => client?.removeAll());
  after(async () => client?.[Symbol.asyncDispose]());

  const names = (tar: Buffer): string[] =>
    execFileSync('tar', ['-tf', '-'], { input: tar, encoding: 'utf8' }).split('\n').filter(Boolean);
  const pathStat = async (id: string, path: string): Promise<PathStat | number> => {
    const { status, headers } = await client.http('HEAD', `/containers/${id}/archive?path=${encodeURIComponent(path)}`);
    const header = headers['x-docker-container-path-stat'];
    return status === 200 ? (JSON.parse(Buffer.from(String(header), 'base64').toString()) as PathStat) : status;
  };

  for (const state of ['running', 'stopped', 'created'] as const) {
    it(`are copied out of and into a ${state} container`, async () => {
      const script =
        'mkdir -p /x/y; echo hi > /x/y/f; ln -s y/f /x/l; ln /x/y/f /x/h; chmod 600 /x/y/f; exec sleep 1000';
      if (state === 'created') await ok('create', '--name', 'box', '-v', 'named:/vol', 'bb', 'true');
      else await ok('run', '-d', '--init', '--name', 'box', '-v', 'named:/vol', 'bb', 'sh', '-c', script);
      if (state === 'created') execFileSync('mkdir', ['-p', join(at, 'x/y')]);
      else await ok('exec', 'box', 'sh', '-c', 'until test -e /x/h; do :; done');
      if (state === 'stopped') await ok('stop', 'box');
      writeFileSync(join(at, 'in'), `into ${state}\n`);
      await ok('cp', join(at, 'in'), 'box:/tmp/in');
      await ok('cp', join(at, 'in'), 'box:/vol/named');
      await ok('cp', 'box:/tmp/in', join(at, `out-${state}`));
      assert.equal(readFileSync(join(at, `out-${state}`), 'utf8'), `into ${state}\n`);
      assert.equal(await ok('cp', 'box:/vol/named', '-').then((tar) => tar.includes(`into ${state}`)), true);
      assert.equal(readFileSync(join(client.lab.root, 'data/volumes/named/_data/named'), 'utf8'), `into ${state}\n`);
      if (state === 'created') return;
      await ok('cp', 'box:/x', join(at, state));
      assert.equal(readFileSync(join(at, state, 'y/f'), 'utf8'), 'hi\n');
      assert.equal(readlinkSync(join(at, state, 'l')), 'y/f');
      assert.equal(statSync(join(at, state, 'h')).ino, statSync(join(at, state, 'y/f')).ino);
      assert.equal(statSync(join(at, state, 'y/f')).mode & 0o777, 0o600);
    });
  }

  it('are told about in the words that clients look for', async () => {
    await ok('run', '-d', '--init', '--name', 'box', 'bb', 'sleep', '1000');
    await ok('exec', 'box', 'sh', '-c', 'ln -s /etc/../etc/passwd /l; ln -s /nowhere/x /broken; ln -s loop /loop');
    const stat = (await pathStat('box', '/l')) as PathStat;
    assert.deepEqual([stat.name, stat.linkTarget, stat.mode], ['l', '/etc/passwd', 2 ** 27 + 0o777]);
    assert.equal(((await pathStat('box', '/broken')) as PathStat).linkTarget, '/nowhere/x');
    assert.equal(((await pathStat('box', '/loop')) as PathStat).mode, 2 ** 27 + 0o777);
    assert.equal(((await pathStat('box', '/tmp')) as PathStat).mode, 2 ** 31 + 0o755);
    assert.equal(await pathStat('box', '/nope'), 404);
    assert.equal(await pathStat('nobody', '/'), 404);
    assert.equal(await pathStat('box', '/proc/1/environ'), 404);
    const missing = await client.run('cp', 'box:/nope', at);
    assert.match(missing.stderr, /Could not find the file \/nope in container box/);
    const tar = execFileSync('tar', ['-C', at, '-c', '.']);
    const put = async (path: string, more = '') =>
      await client.http('PUT', `/containers/box/archive?path=${path}${more}`, tar);
    assert.equal((await put('/nope')).status, 404);
    const onFile = await put('/etc/passwd');
    assert.deepEqual(
      [onFile.status, onFile.body.toString()],
      [400, '{"message":"extraction point is not a directory"}\n'],
    );
    assert.equal((await client.http('GET', '/containers/box/archive')).status, 400);
  });

  it('are put by gzip, with the kinds kept when asked, and given to the user', async () => {
    await ok('run', '-d', '--init', '--name', 'box', '-u', 'user', 'bb', 'sleep', '1000');
    mkdirSync(join(at, 'kinds/data'), { recursive: true });
    writeFileSync(join(at, 'kinds/data/f'), 'new');
    const tar = execFileSync('tar', ['-C', join(at, 'kinds'), '-c', 'data']);
    assert.equal(
      (await client.http('PUT', '/containers/box/archive?path=/home/user&copyUIDGID=1', gzipSync(tar))).status,
      200,
    );
    assert.equal(await ok('exec', 'box', 'stat', '-c', '%u:%g', '/home/user/data/f'), '1000:1000\n');
    await ok('exec', '-u', '0', 'box', 'sh', '-c', 'rm -r /home/user/data; touch /home/user/data');
    const kept = await client.http('PUT', '/containers/box/archive?path=/home/user&noOverwriteDirNonDir=true', tar);
    assert.match(kept.body.toString(), /cannot overwrite non-directory .* with directory/);
    assert.equal(kept.status, 400);
    assert.equal((await client.http('PUT', '/containers/box/archive?path=/home/user', tar)).status, 200);
    assert.equal(await ok('exec', 'box', 'cat', '/home/user/data/f'), 'new');
  });

  it('are not put on what is read-only', async () => {
    await ok(
      'run',
      '-d',
      '--init',
      '--read-only',
      '--tmpfs',
      '/t',
      '-v',
      'ro:/ro:ro',
      '--name',
      'box',
      'bb',
      'sleep',
      '1000',
    );
    const tar = execFileSync('tar', ['-C', at, '-c', '.']);
    for (const state of ['running', 'stopped']) {
      const root = await client.http('PUT', '/containers/box/archive?path=/tmp', tar);
      assert.deepEqual(
        [root.status, root.body.toString()],
        [403, '{"message":"container rootfs is marked read-only"}\n'],
      );
      const volume = await client.http('PUT', '/containers/box/archive?path=/ro', tar);
      assert.deepEqual(
        [volume.status, volume.body.toString()],
        [403, '{"message":"mounted volume is marked read-only"}\n'],
      );
      if (state === 'running') await ok('stop', 'box');
    }
  });

  it('reach what an absolute link inside the container leads to, and nothing outside', async () => {
    await ok('run', '-d', '--init', '--name', 'box', 'bb', 'sleep', '1000');
    writeFileSync(join(at, 'canary'), 'host');
    await ok(
      'exec',
      'box',
      'sh',
      '-c',
      `mkdir -p /run/d; mkdir /var; ln -s /run /var/run; ln -s ${at} /out; ln -s / /up`,
    );
    await ok('cp', join(at, 'canary'), 'box:/var/run/d/f');
    assert.equal(await ok('exec', 'box', 'cat', '/run/d/f'), 'host');
    assert.notEqual((await client.run('cp', 'box:/out/canary', join(at, 'stolen'))).code, 0);
    assert.notEqual((await client.run('cp', join(at, 'canary'), 'box:/out/planted')).code, 0);
    assert.ok(!existsSync(join(at, 'planted')) && !existsSync(join(at, 'stolen')));
    const up = await client.http(
      'GET',
      `/containers/box/archive?path=${encodeURIComponent('/up/../../../etc/passwd')}`,
    );
    assert.deepEqual(names(up.body), ['passwd']);
  });

  it('are exported without what is mounted', async () => {
    await ok(
      'run',
      '-d',
      '--init',
      '--name',
      'box',
      '-v',
      'named:/vol',
      'bb',
      'sh',
      '-c',
      'echo v > /vol/v; echo r > /r; exec sleep 1000',
    );
    await ok('exec', 'box', 'sh', '-c', 'until test -e /r; do :; done');
    for (const state of ['running', 'stopped']) {
      const tar = await client.http('GET', '/containers/box/export');
      const listed = names(tar.body);
      for (const name of ['r', 'bin/busybox', 'etc/passwd', 'vol/', 'proc/']) assert.ok(listed.includes(name), name);
      assert.deepEqual(
        listed.filter((name) => /^(vol|proc|sys)\/./.test(name)),
        [],
      );
      if (state === 'running') await ok('stop', 'box');
    }
    const tar = await client.client.run(['export', 'box']);
    assert.equal(tar.code, 0);
  });

  it('are compared with the image', async () => {
    const script =
      'echo x > /new; rm /data/from-image; mkdir /etc/d; echo >> /etc/passwd; rm -r /home/user; mkdir /home/user';
    await ok('run', '--name', 'box', 'bb', 'sh', '-c', script);
    const changes = (await ok('diff', 'box')).trim().split('\n');
    assert.deepEqual(changes, [
      'C /data',
      'D /data/from-image',
      'C /etc',
      'A /etc/d',
      'C /etc/passwd',
      'C /home',
      'C /home/user',
      'A /new',
    ]);
    await ok('create', '--name', 'same', 'bb', 'true');
    assert.equal(await ok('diff', 'same'), '');
  });

  it('become an image, with what the request changes', async () => {
    const script =
      'echo x > /new; rm /data/from-image; rm -r /home/user; mkdir /home/user; ln /new /hard; chown 5:6 /new; exec sleep 1000';
    await ok('run', '-d', '--init', '--name', 'box', '-e', 'A=1', '-l', 'k=v', 'bb', 'sh', '-c', script);
    await ok('exec', 'box', 'sh', '-c', 'until test "$(stat -c %u /new)" = 5; do :; done');
    const id = (
      await ok('commit', '-m', 'why', '-a', 'who', '-c', 'CMD ["cat", "/new"]', '-c', 'ENV B=2', 'box', 'mine:1')
    ).trim();
    assert.equal((await ok('inspect', '-f', '{{.State.Status}}', 'box')).trim(), 'running');
    assert.equal(await ok('run', '--rm', 'mine:1'), 'x\n');
    const seen = await ok(
      'run',
      '--rm',
      'mine:1',
      'sh',
      '-c',
      'ls /data /home/user; stat -c "%u:%g %h" /hard; echo $A$B',
    );
    assert.deepEqual(
      seen
        .trim()
        .split('\n')
        .filter((line) => !line.endsWith(':') && line !== ''),
      ['5:6 2', '12'],
    );
    const shown = await ok(
      'inspect',
      '-f',
      '{{.Id}} {{.Comment}} {{.Author}} {{.Config.Cmd}} {{len .RootFS.Layers}} {{.Config.Labels}}',
      'mine:1',
    );
    assert.equal(shown.trim(), `${id} why who [cat /new] 2 map[k:v]`);
    assert.match(await ok('history', 'mine:1'), /why/);
    await ok('rm', '-f', 'box');
    await ok('save', '-o', join(at, 'saved.tar'), 'mine:1');
    const saved = names(readFileSync(join(at, 'saved.tar'))).join('\n');
    assert.match(saved, /manifest\.json/);
    await ok('rmi', 'mine:1');
    assert.equal(await ok('run', '--rm', 'bb', 'cat', '/data/from-image'), 'image');
  });

  it('that nobody changed become an image without a layer of their own', async () => {
    await ok('create', '--name', 'box', 'bb', 'true');
    await ok('commit', 'box', 'same:1');
    assert.equal((await ok('inspect', '-f', '{{len .RootFS.Layers}}', 'same:1')).trim(), '1');
    await ok('rmi', 'same:1');
  });

  it('can not be swapped for a link to the host while they are copied (CVE-2018-15664)', async function () {
    this.timeout(120_000); // the helper may have to be compiled
    const host = join(client.lab.root, 'outside');
    mkdirSync(host);
    writeFileSync(join(host, 'secret'), 'host canary');
    symlinkSync(host, join(at, 'to-host'));
    const swap = `mkdir -p /d; echo inside > /d/secret; ln -s ${host} /l; while :; do mv /d /k; mv /l /d; mv /d /l; mv /k /d; done`;
    await ok('run', '-d', '--init', '--name', 'box', 'bb', 'sh', '-c', swap);
    writeFileSync(join(at, 'canary'), 'planted by a test');
    const tar = execFileSync('tar', ['-C', join(at), '--transform', 's/canary/planted/', '-c', 'canary']);
    for (let round = 0; round < 150; round += 1) {
      const got = await client.http('GET', '/containers/box/archive?path=/d/secret');
      assert.ok(!got.body.includes('host canary'));
      await client.http('PUT', '/containers/box/archive?path=/d', tar);
    }
    assert.ok(!existsSync(join(host, 'planted')));
  });
});
