// Complaints about networks of swarms that others have had for years, each by its number at moby/moby: three nodes, one
// of which is cut off, killed or drained while others use the services.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { type TaskJson, TestCluster } from '../support/cluster.ts';
import { insideOf } from '../support/inside.ts';
import { startLoad } from '../support/load.ts';
import { requireRoot } from '../support/requirements.ts';

interface AttachedTask extends TaskJson {
  readonly NetworksAttachments?: readonly { readonly Addresses: readonly string[] }[];
}

interface NodeJson {
  readonly ID: string;
  readonly Description: { readonly Hostname: string };
}

const addressOf = (task: TaskJson): string =>
  ((task as AttachedTask).NetworksAttachments?.[0]?.Addresses[0] ?? '').replace(/\/.*/, '');

const inside = <T>(task: TaskJson, source: string): Promise<T> =>
  insideOf<T>(task.Status.ContainerStatus?.PID ?? 0, source);

const isFailure = (answer: string): boolean => /^E[A-Z]+$|TIMEOUT/.test(answer);
const PORT = 8097;

describe('complaints that a swarm can have', function () {
  this.timeout(150_000);
  const cluster = new TestCluster(`t${randomBytes(2).toString('hex')}`);
  let networkId = '';
  let nodes: readonly string[] = []; // their ids, node 1 first

  const create = async (name: string, replicas: number, more: object = {}): Promise<void> => {
    const { status, body } = await cluster.api(1, 'POST', '/services/create', {
      Name: name,
      TaskTemplate: {
        ContainerSpec: {
          Image: 'shoal-demo:v1',
          StopGracePeriod: 3e9,
          Healthcheck: { Test: ['CMD', '/server', '--health'], Interval: 5e9, StartPeriod: 10e9, StartInterval: 1e8 },
        },
        RestartPolicy: { Condition: 'any', Delay: 0 },
        Networks: [{ Target: 'back' }],
      },
      Mode: { Replicated: { Replicas: replicas } },
      ...more,
    });
    assert.equal(status, 201, body);
  };

  const virtualAddress = async (service: string): Promise<string> => {
    const shown = await cluster.json<{ Services: Record<string, { VIP: string }> }>(1, '/networks/back?verbose=1');
    return shown.Services[service]?.VIP ?? assert.fail(`no virtual address of ${service}`);
  };

  /** What every running task of the service is answered for a name, each on its node. */
  const answersEverywhere = async (service: string, name: string): Promise<string[]> => {
    const tasks = (await cluster.tasks(1, service)).filter(({ Status }) => Status.State === 'running');
    return await Promise.all(
      tasks.map(async (task) => (await inside<string[]>(task, `return await resolve('${name}')`)).toString()),
    );
  };

  const namesAreRight = async (service: string): Promise<boolean> => {
    const tasks = await cluster.tasks(1, service);
    if (tasks.some(({ Status }) => Status.State !== 'running')) return false;
    const wanted = tasks.map(addressOf).sort().join();
    return (await answersEverywhere(service, `tasks.${service}`)).every((answer) => answer === wanted);
  };

  const differencesOn = async (node: number): Promise<unknown[]> => {
    const report = await cluster.json<{ differences: unknown[] }>(node, '/shoal/networks/report');
    return report.differences;
  };

  /** Behind a virtual address, and elsewhere: as the node's kernel has it. */
  const kernelOf = (node: number, vip: string): { targets: string; elsewhere: string } => {
    const bytes = vip.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
    const chain = ['nft', 'list', 'chain', 'inet', 'shoal_overlay', `service_${bytes.join('')}`] as const;
    const [choice = ''] = /map \{.*\}/.exec(cluster.inSandbox(node, networkId, ...chain)) ?? [];
    const rows = cluster.inSandbox(node, networkId, 'ip', '-o', 'neigh', 'show', 'dev', 'vxlan0');
    return {
      targets: [...choice.matchAll(/: ([\d.]+)/g)]
        .map(([, address]) => address)
        .sort()
        .join(),
      elsewhere: [...rows.matchAll(/^([\d.]+) /gm)]
        .map(([, address]) => address)
        .sort()
        .join(),
    };
  };

  /** And as it is to be by what the managers have. */
  const storeFor = async (node: number): Promise<ReturnType<typeof kernelOf>> => {
    const tasks = await cluster.tasks(1, 'web');
    return {
      targets: tasks.map(addressOf).sort().join(),
      elsewhere: tasks
        .filter(({ NodeID }) => NodeID !== nodes[node - 1])
        .map(addressOf)
        .sort()
        .join(),
    };
  };

  before(async function () {
    requireRoot(this);
    await cluster.start();
    const list = await cluster.json<NodeJson[]>(1, '/nodes');
    nodes = [1, 2, 3].map(
      (node) => list.find(({ Description }) => Description.Hostname.endsWith(`${node}`))?.ID ?? assert.fail('no node'),
    );
    await cluster.docker(1, 'network', 'create', '-d', 'overlay', 'back');
    networkId = (await cluster.json<{ Id: string }>(1, '/networks/back')).Id;
    await create('web', 6, { EndpointSpec: { Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: PORT }] } });
    await cluster.running(1, 'web', 6);
  });

  after(async () => {
    await cluster.stop();
  });

  it('moby#30321, #31174, #26672, #26772: an update under load through every node loses no request', async () => {
    const urls = [1, 2, 3].map((node) => `http://${cluster.address(node)}:${PORT}/plain`);
    const load = startLoad({ urls, newConnectionsPerSecond: 200, keepAliveClients: 10 });
    const words = ['service', 'update', '-q', '-d', '--no-resolve-image', '--update-parallelism', '2'];
    await cluster.docker(1, ...words, '--update-monitor', '100ms', '--image', 'shoal-demo:v2', 'web');
    await cluster.running(1, 'web', 6, { image: 'shoal-demo:v2' });
    await cluster.until(
      async () => (await cluster.tasks(1, 'web', 'shutdown')).every(({ Status }) => Status.State === 'shutdown'),
      { withinMs: 20_000, what: 'the old tasks are over' },
    );
    const { requests, failures } = await load.stop();
    assert.deepEqual(failures, []);
    assert.ok(requests > 200, `only ${requests} requests were made`);
  });

  it('moby#26772: a drained manager goes on answering for tasks elsewhere, and none of its requests is lost', async () => {
    const urls = [1, 2, 3].map((node) => `http://${cluster.address(node)}:${PORT}/plain`);
    const load = startLoad({ urls, newConnectionsPerSecond: 100, keepAliveClients: 6 });
    await cluster.docker(1, 'node', 'update', '--availability', 'drain', nodes[2] ?? '');
    await cluster.until(
      async () => {
        const tasks = await cluster.tasks(1, 'web');
        return (
          tasks.length === 6 && tasks.every(({ NodeID, Status }) => Status.State === 'running' && NodeID !== nodes[2])
        );
      },
      { withinMs: 30_000, what: 'all tasks run on two nodes' },
    );
    await cluster.until(
      async () => (await cluster.tasks(1, 'web', 'shutdown')).every(({ Status }) => Status.State === 'shutdown'),
      { withinMs: 20_000, what: 'the drained tasks are over' },
    );
    const { failures } = await load.stop();
    assert.deepEqual(failures, []);
    assert.equal((await fetch(`${urls[2]}`)).status, 200);
    await cluster.docker(1, 'node', 'update', '--availability', 'active', nodes[2] ?? '');
  });

  it('moby#41668: managers that start again, one after the other, change neither addresses, names nor ways', async () => {
    // The end of the update before writes the service, too, perhaps between the client's question and its change.
    const takesScale = async (): Promise<boolean> => {
      try {
        await cluster.docker(1, 'service', 'scale', '-d', 'web=9');
        return true;
      } catch (error) {
        if (String(error).includes('update out of sequence')) return false;
        throw error;
      }
    };
    await cluster.until(takesScale, { withinMs: 10_000, what: 'the service takes its scale' });
    const idsOf = (tasks: readonly TaskJson[]): string =>
      tasks
        .map(({ ID }) => ID)
        .toSorted()
        .join();
    const before = idsOf(await cluster.running(1, 'web', 9));
    const vip = await virtualAddress('web');
    const asked = startLoad({
      urls: [2, 3].map((node) => `http://${cluster.address(node)}:${PORT}/plain`),
      newConnectionsPerSecond: 50,
      keepAliveClients: 4,
    });
    for (const node of [1, 2, 3]) {
      process.kill(cluster.pid(node), 'SIGKILL');
      await cluster.start();
      await cluster.until(async () => (await cluster.docker(node, 'node', 'ls')).split('\n').length === 4, {
        withinMs: 20_000,
        what: `node ${node} is back`,
      });
    }
    const { failures } = await asked.stop();
    // Who takes longer to start than a node may be silent has its tasks moved, and connections to them reset.
    if (idsOf(await cluster.running(1, 'web', 9)) === before) assert.deepEqual(failures, []);
    assert.equal(await virtualAddress('web'), vip);
    const isOnTheNetwork = new Set((await cluster.tasks(1, 'web')).map(({ NodeID }) => NodeID));
    for (const [at, id] of nodes.entries()) {
      if (!isOnTheNetwork.has(id)) continue; // a slow start has moved its tasks
      const isEqual = async (): Promise<boolean> => isDeepStrictEqual(kernelOf(at + 1, vip), await storeFor(at + 1));
      await cluster
        .until(isEqual, { withinMs: 5_000, what: 'kernel and store are equal' })
        .catch(async () => assert.deepEqual(kernelOf(at + 1, vip), await storeFor(at + 1), `on node ${at + 1}`));
    }
    for (const node of [1, 2, 3]) assert.deepEqual(await differencesOn(node), []);
  });

  it('moby#43052, #37864, swarmkit#2800: tasks on a full network say so by its name, and start when there is room', async () => {
    await cluster.docker(1, 'network', 'create', '-d', 'overlay', '--subnet', '10.88.0.0/29', 'tiny');
    const onTiny = (replicas: number): object => ({
      TaskTemplate: {
        ContainerSpec: { Image: 'shoal-demo:v1', StopGracePeriod: 1e9 },
        RestartPolicy: { Condition: 'any', Delay: 0 },
        Networks: [{ Target: 'tiny' }],
      },
      Mode: { Replicated: { Replicas: replicas } },
      EndpointSpec: { Mode: 'dnsrr' },
    });
    await create('first', 1, onTiny(1));
    await cluster.running(1, 'first', 1);
    await create('others', 5, onTiny(5));
    const waiting = await cluster.until(
      async () => {
        const tasks = await cluster.tasks(1, 'others');
        const [late, ...more] = tasks.filter(({ Status }) => Status.State !== 'running');
        return tasks.length === 5 && more.length === 0 && late?.Status.Err;
      },
      { withinMs: 10_000, what: 'four tasks run and one waits' },
    );
    assert.match(waiting, /network tiny has no free address: 6 of 6 in 10\.88\.0\.0\/29 are taken/);
    await cluster.docker(1, 'service', 'rm', 'first');
    await cluster.running(1, 'others', 5);
    await cluster.docker(1, 'service', 'rm', 'others');
    await cluster.until(() => cluster.docker(1, 'network', 'rm', 'tiny').then(() => true), {
      withinMs: 10_000,
      what: 'the network goes',
    });
  });

  it('moby#37338, swarmkit#2800: a network has room in its second subnet, and its tasks reach each other in both', async () => {
    const config = [
      { Subnet: '10.88.0.0/29', IPRange: '10.88.0.4/30', AuxiliaryAddresses: { printer: '10.88.0.4' } },
      { Subnet: '10.89.0.0/28', Gateway: '10.89.0.9' },
    ];
    const words = ['--subnet', '10.88.0.0/29', '--ip-range', '10.88.0.4/30', '--aux-address', 'printer=10.88.0.4'];
    const more = ['--subnet', '10.89.0.0/28', '--gateway', '10.89.0.9'];
    await cluster.docker(1, 'network', 'create', '-d', 'overlay', ...words, ...more, 'wide');
    const shown = await cluster.json<{ IPAM: { Config: object[] } }>(2, '/networks/wide');
    assert.deepEqual(shown.IPAM.Config, [{ ...config[0], Gateway: '10.88.0.1' }, config[1]]);
    await create('many', 6, {
      TaskTemplate: {
        ContainerSpec: { Image: 'shoal-demo:v1', StopGracePeriod: 1e9 },
        RestartPolicy: { Condition: 'any', Delay: 0 },
        Networks: [{ Target: 'wide' }],
      },
    });
    const tasks = await cluster.running(1, 'many', 6);
    const addresses = tasks.map(addressOf);
    assert.equal(addresses.filter((address) => /^10\.88\.0\.[56]$/.test(address)).length, 1, addresses.join());
    assert.equal(addresses.filter((address) => address.startsWith('10.89.0.')).length, 5, addresses.join());
    const answers = await Promise.all(
      tasks.map((task) =>
        inside<string[]>(
          task,
          `return await Promise.all([...${JSON.stringify(addresses)}, ...await resolve('many')].map((at) => ask(at)))`,
        ),
      ),
    );
    assert.deepEqual(answers.flat().filter(isFailure), []);
    assert.equal(answers.flat().length, 6 * 7);
    await cluster.docker(1, 'service', 'rm', 'many');
    await cluster.until(() => cluster.docker(1, 'network', 'rm', 'wide').then(() => true), {
      withinMs: 10_000,
      what: 'the network goes',
    });
  });

  for (const seconds of [3, 12, 31]) {
    it(`moby#42833, #30134, #30487, #24800, #28843, #53141, for-linux#944: after ${seconds} s without cable all names are right`, async () => {
      await cluster.running(1, 'web', 9);
      const gateway = cluster
        .inNode(1, 'sh', '-c', "ip route show default | sed 's/.*via \\([0-9.]*\\).*/\\1/'")
        .trim();
      cluster.inNode(3, 'ip', 'link', 'set', 'eth0', 'down');
      await new Promise((resolve) => setTimeout(resolve, seconds * 1_000)); // this is the fault itself, no waiting
      cluster.inNode(3, 'ip', 'link', 'set', 'eth0', 'up');
      cluster.inNode(3, 'ip', 'route', 'replace', 'default', 'via', gateway);
      await cluster.until(
        async () => (await cluster.docker(1, 'node', 'ls', '--format', '{{.Status}}')) === 'Ready\nReady\nReady',
        { withinMs: 15_000, what: 'the node is back' },
      );
      await cluster.running(1, 'web', 9);
      await cluster.until(() => namesAreRight('web'), { withinMs: 3_000, what: 'every name on every node is right' });
      // Whether a node is heard again over its link is asked every two seconds.
      for (const node of [1, 2, 3]) {
        await cluster.until(async () => (await differencesOn(node)).length === 0, {
          withinMs: 5_000,
          what: `node ${node} finds no difference`,
        });
      }
    });
  }

  it('moby#35548, #25219, #28564: a killed node is in no virtual address and no published port after 4 s', async () => {
    // The longest cut has moved the third node's tasks: they come back by being replaced.
    await cluster.docker(1, 'service', 'update', '-q', '-d', '--force', '--update-parallelism', '0', 'web');
    await cluster.until(
      async () => (await cluster.tasks(1, 'web')).filter(({ NodeID }) => NodeID === nodes[2]).length === 3,
      { withinMs: 20_000, what: 'a third of the tasks is on the third node' },
    );
    const [client] = (await cluster.running(1, 'web', 9)).filter(({ NodeID }) => NodeID === nodes[0]);
    const vip = await virtualAddress('web');
    const load = startLoad({
      urls: [1, 2].map((node) => `http://${cluster.address(node)}:${PORT}/plain`),
      newConnectionsPerSecond: 300,
      keepAliveClients: 0,
    });
    cluster.inNode(3, 'ip', 'link', 'set', 'eth0', 'down');
    process.kill(cluster.pid(3), 'SIGKILL');
    const killedMs = performance.now();
    const third = nodes[2];
    await cluster.until(
      async () => {
        const answers = await inside<string[]>(
          client ?? assert.fail('no client'),
          `return await Promise.all(Array.from({ length: 24 }, () => ask('${vip}')))`,
        );
        return !answers.some(isFailure);
      },
      { withinMs: 10_000, what: 'no connection to the virtual address fails' },
    );
    const lateMs = performance.now() - killedMs;
    assert.ok(lateMs < 5_500, `connections failed for ${lateMs} ms`); // each of the last look's may have taken 1.5 s
    await cluster.until(async () => (await cluster.running(1, 'web', 9)).every(({ NodeID }) => NodeID !== third), {
      withinMs: 20_000,
      what: 'all tasks run elsewhere',
    });
    await cluster.until(() => namesAreRight('web'), { withinMs: 3_000, what: 'names are right on both nodes' });
    const { requests, lastFailureMs } = await load.stop();
    assert.ok(requests > 200, `only ${requests} requests were made`);
    assert.ok(
      lastFailureMs - killedMs < 4_500,
      `a request failed that was made ${lastFailureMs - killedMs} ms after the node was killed`,
    );
    for (const node of [1, 2]) {
      // Ways to the tasks that were on the dead node stay until those are given up: the node might have come back.
      assert.equal(kernelOf(node, vip).targets, (await storeFor(node)).targets, `on node ${node}`);
      assert.deepEqual(await differencesOn(node), []);
    }
  });
});
