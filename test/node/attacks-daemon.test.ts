// Past escapes by the daemon itself: its folders, bodies, connections, and what it does not have.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { attackSuite } from '../support/attack-lab.ts';
import type { ClientLab } from '../support/client-lab.ts';
import { eventually } from '../support/runtime-lab.ts';

const ATTACHED_AT_A_TIME = 50;
const ROUNDS = 20;

describe('past escapes by the daemon', function () {
  let client: ClientLab;
  const ok = (...args: string[]): Promise<string> => client.ok(...args);

  attackSuite(this, (lab) => {
    client = lab.client;
  });

  it('data folder: another user of the machine reaches nothing in it (CVE-2021-41091, CVE-2024-25621)', async () => {
    await ok(
      'run',
      '--name',
      'box',
      '-v',
      'named:/v',
      'bb',
      'sh',
      '-c',
      'cp /bin/busybox /suid; chmod 4755 /suid; touch /v/f',
    );
    const upper = (await ok('inspect', '-f', '{{.GraphDriver.Data.UpperDir}}', 'box')).trim();
    const volume = (await ok('volume', 'inspect', '-f', '{{.Mountpoint}}', 'named')).trim();
    chmodSync(client.lab.root, 0o755);
    const nobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups'];
    for (const path of [join(upper, 'suid'), join(volume, 'f'), join(client.lab.root, 'data/image/images.json')]) {
      assert.ok(existsSync(path), path);
      assert.notEqual(spawnSync('setpriv', [...nobody, 'stat', path]).status, 0, path);
    }
  });

  it('oversize and endless bodies are refused (CVE-2024-41110, CVE-2026-34040)', async () => {
    const body = Buffer.concat([
      Buffer.from('{"Image":"bb","Env":["'),
      Buffer.alloc(9_000_000, 'x'),
      Buffer.from('"]}'),
    ]);
    const answer = await client.http('POST', '/containers/create', body, 'application/json');
    assert.equal(answer.status, 413);
    assert.match(answer.body.toString(), /larger than/);
  });

  it(`attach leak: ${ROUNDS * ATTACHED_AT_A_TIME} attached clients that vanish leave no descriptor (CVE-2025-64329)`, async function () {
    this.timeout(240_000);
    await ok('run', '-d', '--init', '--name', 'box', 'bb', 'sh', '-c', 'while :; do echo x; sleep 0.2; done');
    const count = (): number => readdirSync('/proc/self/fd').length;
    const before = count();
    const vanish = (): Promise<string> =>
      new Promise((resolve) => {
        const socket = createConnection({ path: join(client.lab.root, 'api.sock') });
        socket.write(
          'POST /containers/box/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n',
        );
        socket.once('data', (head: Buffer) => {
          socket.destroy();
          resolve(head.toString('latin1', 0, 12));
        });
        socket.once('error', () => resolve('error'));
      });
    for (let round = 0; round < ROUNDS; round += 1) {
      const heads = await Promise.all(Array.from({ length: ATTACHED_AT_A_TIME }, vanish));
      assert.deepEqual([...new Set(heads)], ['HTTP/1.1 101'], 'every one was attached');
      await eventually(() => count() <= before + 5, 20_000);
    }
    assert.equal(await ok('exec', 'box', 'echo', 'alive'), 'alive\n');
  });

  it('attach leak: who vanishes from a silent container is noticed, too (CVE-2025-64329)', async () => {
    await ok('run', '-d', '--init', '--name', 'box', 'bb', 'sleep', '1000');
    const count = (): number => readdirSync('/proc/self/fd').length;
    const before = count();
    const sockets = Array.from({ length: ATTACHED_AT_A_TIME }, () =>
      createConnection({ path: join(client.lab.root, 'api.sock') }),
    );
    await Promise.all(
      sockets.map((socket) => {
        socket.write(
          'POST /containers/box/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n',
        );
        return new Promise((resolve) => socket.once('data', () => resolve(socket.destroy())));
      }),
    );
    await eventually(() => count() <= before + 5, 20_000);
  });

  it('plugins and checkpoints: there are none, so nothing is granted or restored (CVE-2026-33997, CVE-2025-24965)', async () => {
    const privileges = JSON.stringify([{ Name: 'network', Value: ['host'] }]);
    for (const [method, path] of [
      ['GET', '/plugins/privileges?remote=evil'],
      ['POST', '/plugins/pull?remote=evil'],
      ['POST', '/containers/box/checkpoints'],
      ['POST', '/containers/box/start?checkpoint=c&checkpoint-dir=/tmp'],
    ] as const) {
      if (path.startsWith('/containers')) await client.run('create', '--name', 'box', 'bb', 'true');
      const body = path.includes('/start') ? undefined : Buffer.from(privileges);
      const answer = await client.http(method, path, body, 'application/json');
      assert.equal(answer.status, 501, `${method} ${path}: ${answer.body.toString()}`);
    }
  });

  it('annotations of a container change nothing (CVE-2024-3154)', async () => {
    const evil = [
      'org.systemd.property.ExecStartPre=/bin/touch /executed',
      'run.oci.keep_original_groups=1',
      'run.oci.hooks.stderr=/executed',
      'io.katacontainers.config.hypervisor.path=/executed',
    ].flatMap((text) => ['--annotation', text]);
    const looked = 'id -G; grep -E "Cap(Eff|Bnd)" /proc/self/status';
    assert.equal(await client.sh(looked, ...evil), await client.sh(looked));
    assert.ok(!existsSync('/executed'));
  });
});
