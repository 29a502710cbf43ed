import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TaskJson, TestCluster } from '../support/cluster.ts';
import { insideOf } from '../support/inside.ts';
import { requireRoot } from '../support/requirements.ts';

interface NetworkJson {
  readonly Id: string;
  readonly Scope: string;
  readonly IPAM: { readonly Config: readonly { readonly Subnet: string; readonly Gateway: string }[] };
  readonly Peers?: readonly { readonly Name: string; readonly IP: string }[];
  readonly Services?: Readonly<Record<string, { readonly VIP: string; readonly Tasks: readonly unknown[] }>>;
}

interface AttachedTask extends TaskJson {
  readonly NetworksAttachments?: readonly { readonly Addresses: readonly string[] }[];
}

const addressOf = (task: TaskJson): string =>
  ((task as AttachedTask).NetworksAttachments?.[0]?.Addresses[0] ?? '').replace(/\/.*/, '');

const inside = <T>(task: TaskJson, source: string): Promise<T> =>
  insideOf<T>(task.Status.ContainerStatus?.PID ?? 0, source);

describe('a network over three nodes', function () {
  this.timeout(120_000);
  const cluster = new TestCluster(`t${randomBytes(2).toString('hex')}`);
  const network = async (): Promise<NetworkJson> => await cluster.json<NetworkJson>(1, '/networks/back?verbose=1');

  const create = (name: string, replicas: number, more: object = {}) =>
    cluster.api(1, 'POST', '/services/create', {
      Name: name,
      TaskTemplate: {
        ContainerSpec: { Image: 'shoal-demo:v1', StopGracePeriod: 1e9, Env: ['TASK={{.Task.Name}}'] },
        RestartPolicy: { Condition: 'any', Delay: 0 },
        Networks: [{ Target: 'back', Aliases: [`${name}-alias`] }],
      },
      Mode: { Replicated: { Replicas: replicas } },
      ...more,
    });

  before(async function () {
    requireRoot(this);
    await cluster.start();
    await cluster.docker(2, 'network', 'create', '-d', 'overlay', '--subnet', '10.77.0.0/24', 'back');
    const ports = { EndpointSpec: { Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: 8099 }] } };
    assert.equal((await create('web', 3, ports)).status, 201);
    assert.equal((await create('rr', 3, { EndpointSpec: { Mode: 'dnsrr' } })).status, 201);
    await cluster.running(1, 'web', 3);
    await cluster.running(1, 'rr', 3);
  });

  after(async () => {
    await cluster.stop();
  });

  it('is shown with its subnet, its nodes, its services and their tasks', async () => {
    const shown = await network();
    assert.equal(shown.Scope, 'swarm');
    assert.deepEqual(shown.IPAM.Config, [{ Subnet: '10.77.0.0/24', Gateway: '10.77.0.1' }]);
    assert.equal(shown.Peers?.length, 3);
    assert.equal(shown.Services?.['web']?.Tasks.length, 3);
    assert.match(shown.Services?.['web']?.VIP ?? '', /^10\.77\.0\.\d+$/);
    assert.match(await cluster.docker(3, 'network', 'ls'), /back +overlay +swarm/);
    await assert.rejects(cluster.docker(1, 'network', 'rm', 'back'), /network back is in use by service (web|rr)/);
  });

  it('lets every task reach every other one by address and by name', async () => {
    const [web, rr] = [await cluster.running(1, 'web', 3), await cluster.running(1, 'rr', 3)];
    const addresses = [...web, ...rr].map(addressOf);
    assert.equal(new Set(addresses).size, 6);
    const vip = (await network()).Services?.['web']?.VIP ?? '';
    const [webAddresses, rrAddresses] = [web.map(addressOf).sort(), rr.map(addressOf).sort()];
    for (const from of [...web, ...rr]) {
      const seen = await inside<unknown>(
        from,
        `return {
          plain: await Promise.all(${JSON.stringify(addresses)}.map(ask)),
          names: await Promise.all(['web', 'web-alias', 'tasks.web', 'rr', 'tasks.rr', 'nobody.'].map(resolve)),
        }`,
      );
      const { plain, names } = seen as { plain: string[]; names: unknown[] };
      assert.ok(
        plain.every((text) => text !== 'TIMEOUT' && !/^E[A-Z]+$/.test(text)),
        JSON.stringify(plain),
      );
      assert.deepEqual(names.slice(0, 5), [[vip], [vip], webAddresses, rrAddresses, rrAddresses]);
    }
  });

  it('spreads connections to the virtual address over the tasks, and the published port still answers', async () => {
    const [client] = await cluster.running(1, 'rr', 3);
    const answers = await inside<string[]>(
      client ?? assert.fail('no client'),
      `const [vip] = await resolve('web'); const all = []; for (let n = 0; n < 24; n += 1) all.push(await ask(vip)); return all`,
    );
    assert.ok(
      answers.every((text) => !/^E[A-Z]+$|TIMEOUT/.test(text)),
      answers.join(),
    );
    for (const node of [1, 2, 3]) {
      const reply = await fetch(`http://${cluster.address(node)}:8099/plain`);
      assert.equal(reply.status, 200);
    }
  });

  it('keeps a client with one task while the service’s label asks for it, and replaces no task for that', async () => {
    const labelled = (value: string) => ({ Labels: { 'shoal.session-affinity': value } });
    const message = "label shoal.session-affinity is 'cookie': it takes client-address";
    const refused = await create('other', 1, labelled('cookie'));
    assert.deepEqual([refused.status, JSON.parse(refused.body)], [400, { message }]);
    const update = (...flags: string[]) => cluster.docker(1, 'service', 'update', '-q', '-d', ...flags, 'web');
    await assert.rejects(update('--label-add', 'shoal.session-affinity=cookie'), (error: Error) =>
      error.message.includes(message),
    );
    const before = await cluster.running(1, 'web', 3);
    const [client] = await cluster.running(1, 'rr', 3);
    /** The tasks that answer 24 connections of one client, by the virtual address and by a port. */
    const servers = async (): Promise<number[]> => {
      const byName = await inside<string[]>(
        client ?? assert.fail('no client'),
        `const [vip] = await resolve('web'); return await Promise.all(Array.from({ length: 24 }, () => ask(vip)))`,
      );
      const byPort = await Promise.all(
        Array.from({ length: 24 }, async () => {
          const reply = await fetch(`http://${cluster.address(1)}:8099/plain`, { headers: { connection: 'close' } });
          return await reply.text();
        }),
      );
      return [byName, byPort].map((answers) => {
        const tasks = answers.map((text) => /task=\S+/.exec(text)?.[0] ?? assert.fail(text));
        return new Set(tasks).size;
      });
    };
    await update('--label-add', 'shoal.session-affinity=client-address');
    await cluster.until(async () => (await servers()).join() === '1,1', { withinMs: 10_000, what: 'one task each' });
    for (let count = 0; count < 3; count += 1) assert.deepEqual(await servers(), [1, 1]);
    await update('--label-rm', 'shoal.session-affinity');
    await cluster.until(async () => (await servers())[0] === 3, { withinMs: 10_000, what: 'all tasks answer again' });
    const ids = (tasks: readonly TaskJson[]) => tasks.map(({ ID }) => ID).sort();
    assert.deepEqual(ids(await cluster.running(1, 'web', 3)), ids(before));
  });

  it('sends nobody to a node whose cable is pulled, and to all again when it is back', async () => {
    const nodes = await cluster.json<{ ID: string; Description: { Hostname: string } }[]>(1, '/nodes');
    const third =
      nodes.find(({ Description }) => Description.Hostname.endsWith('3'))?.ID ?? assert.fail('no third node');
    const web = await cluster.running(1, 'web', 3);
    const away = web.find(({ NodeID }) => NodeID === third) ?? assert.fail('no task on the third node');
    const client = web.find(({ NodeID }) => NodeID !== third) ?? assert.fail('no task elsewhere');
    cluster.inNode(3, 'ip', 'link', 'set', 'eth0', 'down');
    try {
      await cluster.until(
        async () => !(await inside<string[]>(client, `return await resolve('tasks.web')`)).includes(addressOf(away)),
        { withinMs: 15_000, what: 'the lost task is in no name' },
      );
      const answers = await inside<string[]>(
        client,
        `const all = []; for (let n = 0; n < 12; n += 1) all.push(await ask('${(await network()).Services?.['web']?.VIP}')); return all`,
      );
      assert.ok(
        answers.every((text) => !/^E[A-Z]+$|TIMEOUT/.test(text)),
        answers.join(),
      );
    } finally {
      cluster.inNode(3, 'ip', 'link', 'set', 'eth0', 'up');
      cluster.inNode(
        3,
        'ip',
        'route',
        'replace',
        'default',
        'via',
        cluster.inNode(1, 'sh', '-c', "ip route show default | sed 's/.*via \\([0-9.]*\\).*/\\1/'").trim(),
      );
    }
    await cluster.until(async () => (await cluster.tasks(1, 'web')).every((task) => task.Status.State === 'running'), {
      withinMs: 20_000,
      what: 'all tasks run',
    });
    let running = '';
    let names = '';
    const agree = async (): Promise<boolean> => {
      running = (await cluster.running(1, 'web', 3)).map(addressOf).sort().join();
      names = (await inside<string[]>(client, `return await resolve('tasks.web')`)).toString();
      return names === running;
    };
    await cluster.until(agree, { withinMs: 10_000, what: 'names and tasks are the same' }).catch((error: unknown) => {
      throw new Error(`the tasks are ${running}, the names say ${names}`, { cause: error });
    });
  });

  it('goes with its services, and its sandboxes with it', async () => {
    await cluster.docker(1, 'service', 'rm', 'web', 'rr');
    await cluster.until(() => cluster.docker(1, 'network', 'rm', 'back').then(() => true), {
      withinMs: 10_000,
      what: 'the network goes',
    });
    for (const node of [1, 2, 3]) {
      await cluster.until(async () => !(await cluster.docker(node, 'network', 'ls')).includes('back'), {
        withinMs: 20_000,
        what: `node ${node} has nothing of it`,
      });
    }
  });
});
