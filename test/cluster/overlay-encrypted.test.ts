// A service on an encrypted network of three nodes: what the containers see is as always, and the wire shows nothing.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TaskJson, TestCluster } from '../support/cluster.ts';
import { insideOf } from '../support/inside.ts';
import { requireRoot } from '../support/requirements.ts';
import { clientIn } from '../support/steady-client.ts';
import { tapWire } from '../support/wire-tap.ts';

interface NetworkJson {
  readonly Options: Readonly<Record<string, string>>;
  readonly Peers: readonly {
    readonly Name: string;
    readonly Encryption?: { readonly Means: string; readonly Open: boolean; readonly Sent: number };
  }[];
  readonly Services: Readonly<Record<string, { readonly VIP: string }>>;
}

const TUNNEL_PORT = 4790;
const PATTERN = 'GET /plain HTTP'; // what every client sends, in clear within the network

describe('an encrypted network over three nodes', function () {
  this.timeout(120_000);
  const cluster = new TestCluster(`t${randomBytes(2).toString('hex')}`);
  let directory = '';

  const create = (name: string, replicas: number) =>
    cluster.api(2, 'POST', '/services/create', {
      Name: name,
      TaskTemplate: {
        ContainerSpec: { Image: 'shoal-demo:v1', StopGracePeriod: 1e9 },
        RestartPolicy: { Condition: 'any', Delay: 0 },
        Networks: [{ Target: 'secret' }],
      },
      Mode: { Replicated: { Replicas: replicas } },
    });
  const inspect = (node: number) => cluster.json<NetworkJson>(node, '/networks/secret?verbose=1');
  const inside = <T>(task: TaskJson, source: string): Promise<T> =>
    insideOf<T>(task.Status.ContainerStatus?.PID ?? 0, source);

  before(async function () {
    requireRoot(this);
    directory = mkdtempSync(join(tmpdir(), 'shoal-tap-'));
    await cluster.start();
    const options = ['--opt', 'encrypted', '--opt', 'shoal.key-period=5s'];
    await cluster.docker(1, 'network', 'create', '-d', 'overlay', '--ipv6', ...options, 'secret');
    for (const name of ['web', 'client']) assert.equal((await create(name, 3)).status, 201);
    await cluster.running(1, 'web', 3);
    await cluster.running(1, 'client', 3);
  });

  after(async () => {
    await cluster.stop();
    if (directory) rmSync(directory, { recursive: true, force: true });
  });

  it('answers by name and by virtual address from every node', async () => {
    const { VIP } = (await inspect(1)).Services['web'] ?? assert.fail('no service');
    for (const task of await cluster.running(1, 'client', 3)) {
      const seen = await inside<{ names: unknown; answers: string[] }>(
        task,
        `const answers = []; for (let n = 0; n < 9; n += 1) answers.push(await ask('${VIP}'));
         return { names: await resolve('web'), answers }`,
      );
      assert.deepEqual(seen.names, [VIP]);
      assert.ok(
        seen.answers.every((text) => !/^E[A-Z]+$|TIMEOUT/.test(text)),
        seen.answers.join(),
      );
    }
  });

  it('does so with IPv6 too, and shows the subnet', async () => {
    const { EnableIPv6, IPAM } = await cluster.json<{ EnableIPv6: boolean; IPAM: { Config: { Subnet: string }[] } }>(
      2,
      '/networks/secret',
    );
    assert.equal(EnableIPv6, true);
    assert.match(IPAM.Config[1]?.Subnet ?? '', /^fd53:6f.*::\/64$/);
    for (const task of await cluster.running(1, 'client', 3)) {
      const { address, answers } = await inside<{ address: string; answers: string[] }>(
        task,
        `const [address] = await dns.resolve6('web'); const answers = [];
         for (let n = 0; n < 9; n += 1) answers.push(await ask(address)); return { address, answers }`,
      );
      assert.match(address, /^fd53:6f.*::2$/);
      assert.ok(
        answers.every((text) => !/^E[A-Z]+$|TIMEOUT/.test(text)),
        answers.join(),
      );
    }
  });

  it('loses no request while its keys change every 5 s, and shows no byte of them on the wire', async () => {
    const clients = (await cluster.running(1, 'client', 3)).map(clientIn);
    await Promise.all(clients.map(({ begun }) => begun));
    const [task] = await cluster.running(1, 'client', 3);
    const options = { pattern: PATTERN, port: TUNNEL_PORT, mode: 'listen', directory } as const;
    const inner = `/proc/${task?.Status.ContainerStatus?.PID}/ns/net`;
    const control = await tapWire({ ...options, namespace: inner, link: 'eth1' });
    const taps = await Promise.all(
      [1, 2].map((node) => tapWire({ ...options, namespace: `/run/netns/${cluster.name}-node${node}`, link: 'eth0' })),
    );
    await new Promise((resolve) => setTimeout(resolve, 11_000)); // two changes of keys
    assert.ok((await control.stop()).matches > 100, 'the pattern is sent');
    for (const tap of taps) {
      const { sealed, clear, matches } = await tap.stop();
      assert.ok(sealed > 100, `${sealed} sealed datagrams`);
      assert.deepEqual([clear, matches], [0, 0]);
    }
    for (const client of clients) {
      const { versions, failures } = await client.stop();
      assert.deepEqual(failures, []);
      assert.ok((versions['v1'] ?? 0) > 1_000, JSON.stringify(versions));
    }
  });

  it('shows by which means it reaches each node, and no key anywhere', async () => {
    const shown = await inspect(1);
    assert.equal(Object.hasOwn(shown.Options, 'encrypted'), true);
    const others = shown.Peers.flatMap(({ Encryption }) => Encryption ?? []);
    assert.equal(others.length, 2);
    assert.ok(
      others.every(({ Means, Open, Sent }) => ['esp', 'tunnel'].includes(Means) && Open && Sent > 0),
      JSON.stringify(others),
    );
    assert.doesNotMatch(JSON.stringify(shown), /"(keys|secret|sendId)":/i);
    const found = spawnSync('grep', ['-rlE', '"sendId"|"secret" ?: ?"[0-9a-f]{64}"', cluster.runDirectory]);
    assert.equal(found.stdout.toString(), '', 'no log and no file has a key');
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      const line = commandLine(pid);
      if (line.includes(cluster.name) && line.includes('tunnel')) assert.doesNotMatch(line, /[0-9a-f]{64}/);
    }
  });
});

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return ''; // it has ended
  }
}
