// A cable between two workers breaks while each of them still reaches the manager: nobody is down, yet what is on the other
// one gets no new connections, until the way is there again.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type TaskJson, TestCluster } from '../support/cluster.ts';
import { insideOf } from '../support/inside.ts';
import { requireRoot } from '../support/requirements.ts';

interface Report {
  readonly paths: readonly { readonly address: string; readonly state: string }[];
}

const PORT = 8098;
const isFailure = (answer: string): boolean => /^E[A-Z]+$|TIMEOUT/.test(answer);

describe('two workers without a way to each other', function () {
  this.timeout(150_000);
  const cluster = new TestCluster(`t${randomBytes(2).toString('hex')}`);
  let networkId = '';
  let nodes: readonly string[] = [];

  const create = async (name: string, replicas: number, more: object, constraints: string[] = []): Promise<void> => {
    const { status, body } = await cluster.api(1, 'POST', '/services/create', {
      Name: name,
      TaskTemplate: {
        ContainerSpec: { Image: 'shoal-demo:v1', StopGracePeriod: 1e9 },
        RestartPolicy: { Condition: 'any', Delay: 0 },
        Placement: { Constraints: constraints },
        Networks: [{ Target: 'back' }],
      },
      Mode: { Replicated: { Replicas: replicas } },
      ...more,
    });
    assert.equal(status, 201, body);
  };

  /** At the switch: what stands at isolated ports reaches everybody but each other. */
  const isolate = (node: number, isolated: 'on' | 'off'): void => {
    const port = ['bridge', 'link', 'set', 'dev', `port${node}`, 'isolated', isolated];
    execFileSync('nsenter', [`--net=/run/netns/${cluster.name}-switch`, ...port]);
  };
  const cut = (isolated: 'on' | 'off'): void => {
    for (const node of [2, 3]) isolate(node, isolated);
  };

  const pathTo = async (from: number, to: number): Promise<string | undefined> => {
    const { paths } = await cluster.json<Report>(from, '/shoal/networks/report');
    return paths.find(({ address }) => address === cluster.address(to))?.state;
  };

  const targetsOn = (node: number, vip: string): string => {
    const bytes = vip.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
    const chain = ['nft', 'list', 'chain', 'inet', 'shoal_overlay', `service_${bytes.join('')}`] as const;
    const text = cluster.inSandbox(node, networkId, ...chain);
    return [...new Set([...text.matchAll(/(?:: |dnat ip to )(\d[\d.]+)/g)].map(([, target]) => target))].sort().join();
  };

  const addressOf = (task: TaskJson & { NetworksAttachments?: { Addresses: string[] }[] }): string =>
    (task.NetworksAttachments?.[0]?.Addresses[0] ?? '').replace(/\/.*/, '');

  before(async function () {
    requireRoot(this);
    await cluster.start();
    const list = await cluster.json<{ ID: string; Description: { Hostname: string } }[]>(1, '/nodes');
    nodes = [1, 2, 3].map(
      (node) => list.find(({ Description }) => Description.Hostname.endsWith(`${node}`))?.ID ?? assert.fail('no node'),
    );
    for (const node of [3, 2]) {
      await cluster.docker(1, 'node', 'demote', nodes[node - 1] ?? '');
      await cluster.until(async () => (await cluster.docker(1, 'node', 'ls')).split('\n').length === 4, {
        withinMs: 15_000,
        what: 'the manager answers',
      });
    }
    await cluster.docker(1, 'network', 'create', '-d', 'overlay', 'back');
    networkId = (await cluster.json<{ Id: string }>(1, '/networks/back')).Id;
    await create('web', 6, {});
    const ports = { EndpointSpec: { Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: PORT }] } };
    await create('front', 4, ports, [`node.id!=${nodes[1]}`]);
    await cluster.running(1, 'web', 6);
    await cluster.running(1, 'front', 4);
  });

  after(async () => {
    await cluster.stop();
  });

  it('send new connections to tasks that they reach within 2 s, and to all again within 1 s of its return', async () => {
    for (const [from, to] of [
      [2, 3],
      [3, 2],
      [2, 1],
    ] as const) {
      await cluster.until(async () => (await pathTo(from, to)) === 'reached', {
        withinMs: 10_000,
        what: 'paths are known',
      });
    }
    const tasks = await cluster.tasks(1, 'web');
    const client = tasks.find(({ NodeID }) => NodeID === nodes[1]) ?? assert.fail('no task on node 2');
    const shown = await cluster.json<{ Services: Record<string, { VIP: string }> }>(1, '/networks/back?verbose=1');
    const vip = shown.Services['web']?.VIP ?? assert.fail('no virtual address');
    const all = tasks.map(addressOf).toSorted().join();
    const reached = tasks.filter(({ NodeID }) => NodeID !== nodes[2]).map(addressOf);
    assert.equal(targetsOn(2, vip), all);
    cut('on');
    await new Promise((resolve) => setTimeout(resolve, 2_000)); // the promise: by now connections go elsewhere
    const ask = `return await Promise.all(Array.from({ length: 24 }, () => ask('${vip}')))`;
    const answers = await insideOf<string[]>(client.Status.ContainerStatus?.PID ?? 0, ask);
    assert.deepEqual(answers.filter(isFailure), []);
    for (let count = 0; count < 12; count += 1) {
      assert.equal((await fetch(`http://${cluster.address(2)}:${PORT}/plain`)).status, 200);
    }
    assert.equal(targetsOn(2, vip), reached.toSorted().join());
    assert.equal(targetsOn(1, vip), all, 'who reaches everybody goes on as before');
    assert.equal(await pathTo(2, 3), 'suspected');
    assert.equal(await pathTo(2, 1), 'reached');
    assert.equal(await cluster.docker(1, 'node', 'ls', '--format', '{{.Status}}'), 'Ready\nReady\nReady');
    const main = join(import.meta.dirname, '../../cli/main.js');
    const doctor = spawnSync(process.execPath, [main, '-H', `unix://${cluster.socket(2)}`, 'network', 'doctor']);
    assert.equal(doctor.status, 1, doctor.stderr.toString());
    assert.match(doctor.stdout.toString(), new RegExp(`${cluster.address(3).replaceAll('.', '\\.')} +not reached`));
    cut('off');
    const returnedMs = performance.now();
    await cluster.until(async () => targetsOn(2, vip) === all && targetsOn(3, vip) === all, {
      withinMs: 5_000,
      what: 'every task is asked again',
    });
    const tookMs = performance.now() - returnedMs;
    assert.ok(tookMs < 1_500, `it took ${tookMs} ms`); // of which each look at the kernel takes some
  });
});
