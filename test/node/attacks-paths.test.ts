// Past escapes by paths: links and swaps where something is mounted, masked, made or copied. One test for each class, as
// somebody would try it through the stock client. At the level of the helper: native-security, native-race.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type AttackLab, attackSuite, entry } from '../support/attack-lab.ts';
import type { ClientLab } from '../support/client-lab.ts';

describe('past escapes by paths', function () {
  let attacks: AttackLab;
  let client: ClientLab;
  let host: string;
  const ok = (...args: string[]): Promise<string> => client.ok(...args);
  const untouched = (): void => attacks.assertUntouched();

  attackSuite(this, (lab) => {
    attacks = lab;
    client = lab.client;
    host = lab.outside;
  });

  /** A container that lets `/v/d` of the volume be a folder and a link to the host in turn. */
  const swapping = (volume: string): Promise<string> => {
    // Whatever the one that is attacked makes there meanwhile goes with it.
    const swap = `while :; do rm -rf /v/d; ln -s ${host} /v/d; rm -rf /v/d; mkdir /v/d; done`;
    return ok('run', '-d', '--init', '-v', `${volume}:/v`, 'bb', 'sh', '-c', swap);
  };

  it('mount destination swapped for a link to the host stays inside (CVE-2021-30465, CVE-2024-45310)', async () => {
    await swapping('shared');
    const aimed = ['-v', 'shared:/v', '--tmpfs', '/v/d/made', '-v', `${host}/canary:/v/d/file`, '-w', '/v/d/deep/er'];
    for (let round = 0; round < 30; round += 1) await client.run('run', '--rm', ...aimed, 'bb', 'true');
    untouched();
  });

  for (const [path, cves] of [
    ['proc', 'CVE-2019-19921, CVE-2023-27561, CVE-2023-28642'],
    ['sys', 'CVE-2023-27561'],
    ['dev', 'CVE-2026-41579'],
  ] as const) {
    it(`an image whose /${path} is a link is refused (${cves})`, async () => {
      const link = entry({ name: path, type: 'symlink', linkName: '/elsewhere' });
      const folders = ['bin/', 'elsewhere/'].map((name) => entry({ name, type: 'directory', mode: 0o755 }));
      await attacks.image(`linked-${path}:1`, link, ...folders);
      const busybox = ['-v', '/usr/bin/busybox:/bin/busybox:ro'];
      const run = await client.run('run', '--rm', ...busybox, `linked-${path}:1`, '/bin/busybox', 'true');
      assert.notEqual(run.code, 0);
      assert.match(run.stderr, /symbolic link/);
    });
  }

  it('masked paths stay masked, also for root inside (CVE-2025-31133)', async () => {
    const script =
      'for p in /proc/kcore /proc/keys /proc/timer_list; do test -e $p && wc -c < $p; done; umount /proc/kcore 2>&1; mount --bind /etc/passwd /proc/kcore 2>&1; ls /sys/firmware | wc -l';
    const said = await client.sh(script);
    assert.doesNotMatch(said, /^[1-9]\d*$/m);
    assert.match(said, /Operation not permitted|permission denied|must be superuser/i);
  });

  it('masks are no files of a volume that is mounted on /dev (CVE-2025-31133)', async () => {
    await ok('run', '--rm', '-v', 'devices:/d', 'bb', 'sh', '-c', 'echo planted > /d/planted; ln -s planted /d/null');
    const look = 'stat -c "%F" /proc/timer_list; cat /proc/timer_list; echo over > /proc/timer_list; cat /dev/planted';
    assert.equal(await client.sh(look, '-v', 'devices:/dev'), 'character special file\nplanted\n');
  });

  it('a terminal is not mounted where /dev/console of a volume leads (CVE-2025-52565)', async () => {
    const plant = 'mkdir /d/pts; touch /d/target; ln -s target /d/console';
    await ok('run', '--rm', '-v', 'console:/d', 'bb', 'sh', '-c', plant);
    const run = await client.run('run', '--rm', '-t', '-v', 'console:/dev', 'bb', 'stat', '-c', '%F', '/dev/target');
    assert.match(run.stdout, /^regular empty file/, run.stderr);
  });

  it('a sysctl is not written to what a volume put in its place (CVE-2025-52881)', async () => {
    await ok('run', '--rm', '-v', 'sysctls:/s', 'bb', 'sh', '-c', 'echo 7 > /s/ip_default_ttl');
    const options = ['--sysctl', 'net.ipv4.ip_default_ttl=99', '-v', 'sysctls:/proc/sys/net/ipv4'];
    await client.run('run', '--rm', ...options, 'bb', 'true');
    assert.equal(await client.sh('cat /s/ip_default_ttl', '-v', 'sysctls:/s'), '7\n');
  });

  it('a link in the image at a working directory is made inside (CVE-2024-45310)', async () => {
    await attacks.image('linked-w:1', entry({ name: 'w', type: 'symlink', linkName: host }));
    await client.run('run', '--rm', '-w', '/w/made/here', '-v', '/usr/bin/busybox:/b:ro', 'linked-w:1', '/b', 'true');
    await client.run(
      'run',
      '--rm',
      '--tmpfs',
      '/w/made/too',
      '-v',
      '/usr/bin/busybox:/b:ro',
      'linked-w:1',
      '/b',
      'true',
    );
    untouched();
  });

  it('volume part: a subpath that leads out by a link is refused (CVE-2017-1002101)', async () => {
    await ok('run', '--rm', '-v', 'parts:/p', 'bb', 'sh', '-c', `ln -s ${host} /p/out; ln -s ../../../../../../ /p/up`);
    for (const part of ['out', 'up', 'out/canary']) {
      const mount = `type=volume,source=parts,target=/m,volume-subpath=${part}`;
      const run = await client.run('run', '--rm', '--mount', mount, 'bb', 'ls', '/m');
      assert.notEqual(run.code, 0, run.stdout);
    }
  });

  it('docker cp into a stopped container makes no mount point outside (CVE-2026-41568, CVE-2026-42306)', async () => {
    const aimed = ['-v', 'copied:/v', '-v', 'other:/v/d/made', '-v', `${host}/canary:/v/d/file`];
    await ok('create', '--name', 'box', ...aimed, 'bb', 'true');
    const swapper = (await swapping('copied')).trim();
    for (let round = 0; round < 60; round += 1) await client.http('HEAD', '/containers/box/archive?path=/etc');
    untouched();
    await ok('rm', '-f', swapper);
    await ok('run', '--rm', '-v', 'copied:/v', 'bb', 'rm', '-rf', '/v/d');
    await ok('cp', 'box:/etc/hosts', join(client.lab.root, 'hosts')); // it is no refusal of everything
  });
});
