// A service's task sees who its clients are, whichever node they have asked.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { TestCluster } from '../support/cluster.ts';
import { requireRoot } from '../support/requirements.ts';

const PORT = 8096;
const QUESTION = `require('node:http').get(URL, { agent: false }, (reply) => { let text = ''; reply.on('data', (d) => { text += d });
  reply.on('end', () => console.log(/client=(\\S+)/.exec(text)?.[1] ?? text)) }).on('error', (e) => console.log(e.code))`;

const question = (host: string): string => QUESTION.replace('URL', `'http://${host}:${PORT}/plain'`);

const OUTSIDE6 = '2001:db8:7::99';
const sixOf = (node: number): string => `2001:db8:7::${node}`;
/** A node by one of its addresses, or as the task's node knows itself. */
const SEEN6 = /^(2001:db8:7::[123]|fd53:[0-9a-f:]+)$/;

describe('the clients of a service on one of three nodes', function () {
  this.timeout(120_000);
  const cluster = new TestCluster(`t${randomBytes(2).toString('hex')}`);

  const clientOf = async (address: string): Promise<string> => {
    const reply = await fetch(`http://${address}:${PORT}/plain`, { signal: AbortSignal.timeout(3_000) });
    return /client=(\S+)/.exec(await reply.text())?.[1] ?? '';
  };
  const askedIn = (node: number, address: string): string =>
    cluster.inNode(node, process.execPath, '-e', question(address)).trim();

  before(async function () {
    requireRoot(this);
    await cluster.start();
    const { status, body } = await cluster.api(1, 'POST', '/services/create', {
      Name: 'web',
      TaskTemplate: {
        ContainerSpec: { Image: 'shoal-demo:v1', StopGracePeriod: 1e9 },
        RestartPolicy: { Condition: 'any', Delay: 0 },
        Networks: [{ Target: 'bridge' }],
      },
      Mode: { Replicated: { Replicas: 1 } },
      EndpointSpec: { Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: PORT }] },
    });
    assert.equal(status, 201, body);
    await cluster.running(1, 'web', 1);
  });

  after(async () => {
    await cluster.stop();
  });

  const eachNodeKeeps = async (): Promise<void> => {
    // This machine is outside the cluster: the nodes have it as their gateway.
    const own = cluster.inNode(1, 'sh', '-c', "ip route show default | sed 's/.*via \\([0-9.]*\\).*/\\1/'").trim();
    for (const node of [1, 2, 3]) assert.equal(await clientOf(cluster.address(node)), own, `through node ${node}`);
  };

  it('moby#25526, #27143, cli#5587: are seen by their own addresses through every node', eachNodeKeeps);

  it('are so through managers that are drained', async () => {
    const nodes = await cluster.json<{ ID: string }[]>(1, '/nodes');
    const [task] = await cluster.running(1, 'web', 1);
    for (const { ID } of nodes.filter((node) => node.ID !== task?.NodeID)) {
      await cluster.docker(1, 'node', 'update', '--availability', 'drain', ID);
    }
    await eachNodeKeeps();
    for (const { ID } of nodes) await cluster.docker(1, 'node', 'update', '--availability', 'active', ID);
  });

  it('moby#24379: are so by IPv6, and from the nodes themselves', async () => {
    for (const node of [1, 2, 3]) {
      cluster.inNode(node, 'ip', 'address', 'add', `${sixOf(node)}/64`, 'dev', 'eth0', 'nodad');
    }
    cluster.inSwitch('ip', 'address', 'add', `${OUTSIDE6}/64`, 'dev', 'switch', 'nodad');
    const askedOutside = (node: number): string =>
      cluster.inSwitch(process.execPath, '-e', question(`[${sixOf(node)}]`)).trim();
    const eachNodeKeeps6 = async (): Promise<void> => {
      for (const node of [1, 2, 3]) {
        await cluster.until(async () => askedOutside(node) === OUTSIDE6, {
          withinMs: 10_000,
          what: `node ${node} shows the client’s address`,
        });
      }
    };
    await eachNodeKeeps6();
    for (const node of [1, 2, 3]) {
      for (const other of [1, 2, 3]) assert.match(askedIn(node, `[${sixOf(other)}]`), SEEN6, `${node} by ${other}`);
      assert.match(askedIn(node, '[::1]'), SEEN6);
    }
    const nodes = await cluster.json<{ ID: string }[]>(1, '/nodes');
    const [task] = await cluster.running(1, 'web', 1);
    for (const { ID } of nodes.filter((node) => node.ID !== task?.NodeID)) {
      await cluster.docker(1, 'node', 'update', '--availability', 'drain', ID);
    }
    await eachNodeKeeps6();
    for (const { ID } of nodes) await cluster.docker(1, 'node', 'update', '--availability', 'active', ID);
    await cluster.docker(1, 'service', 'update', '-q', '-d', '--force', 'web');
    await cluster.running(1, 'web', 1);
    await eachNodeKeeps6();
  });

  it('are seen by their node’s address when they are on a node', () => {
    for (const node of [1, 2, 3]) {
      const own = cluster.address(node);
      for (const other of [1, 2, 3]) {
        const seen = askedIn(node, cluster.address(other));
        // The task's own node is known to it by its bridge; asked through another one, by that one.
        const isKnown = seen === own || seen === cluster.address(other) || seen.startsWith('172.');
        assert.ok(isKnown, `node ${node} through node ${other}: ${seen}`);
      }
      assert.doesNotMatch(askedIn(node, '127.0.0.1'), /E[A-Z]+|^127/);
    }
  });

  it('go on being seen when the task moves', async () => {
    await cluster.docker(1, 'service', 'update', '-q', '-d', '--force', 'web');
    await cluster.running(1, 'web', 1);
    await cluster.until(() => eachNodeKeeps().then(() => true), { withinMs: 5_000, what: 'all nodes lead there' });
  });
});
