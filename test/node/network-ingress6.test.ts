// Services' published ports by IPv6, on machines of which some have a task.
import assert from 'node:assert/strict';
import type { Endpoint, IngressPort } from '../../runtime/network/contract.ts';
import type { MachineNetworks } from '../../runtime/network/networks.ts';
import { joinContainer, type LabMachine, NetworkLab } from '../support/network-lab.ts';
import { until } from '../support/until.ts';
import { requireRoot } from '../support/requirements.ts';

const PORT = 8080;
const WAY = 4789;

type Protocol = 'tcp' | 'udp';

const here = (tasks: readonly Endpoint[], protocol: Protocol = 'tcp'): IngressPort => ({
  protocol,
  publishedPort: PORT,
  local: tasks.map(({ address, address6 = '', containerId }) => ({ taskId: containerId, address, address6, port: 80 })),
  remote: [],
});

const there = (machines: readonly LabMachine[], protocol: Protocol = 'tcp'): IngressPort => ({
  protocol,
  publishedPort: PORT,
  local: [],
  remote: machines.map(({ address }) => ({ address, port: PORT, wayPort: WAY })),
});

async function task(lab: NetworkLab, networks: MachineNetworks, name: string, on = '::'): Promise<Endpoint> {
  const endpoint = await joinContainer(networks, { reachedBySix: true });
  await lab.serve(endpoint.sandboxPath, 80, name, on);
  return endpoint;
}

type Node = readonly [LabMachine, MachineNetworks];

/** Nodes that know each other. */
async function nodes(lab: NetworkLab, count: number): Promise<Node[]> {
  const all: Node[] = [];
  for (let at = 0; at < count; at += 1) {
    const machine = await lab.machine();
    const networks = await machine.networks({ probePeriodMs: 50 });
    assert.ok(await networks.openWays(WAY));
    all.push([machine, networks]);
  }
  for (const [, networks] of all) await networks.knowNodes(all.map(([{ address }]) => address));
  return all;
}

/** A node's address on the link between nodes. */
const onLink = ({ address }: LabMachine): string =>
  `fd53:6e6f:6465:12b5::c000:2${Number(address.split('.')[3]).toString(16).padStart(2, '0')}`;

describe('ingress by IPv6', function () {
  this.timeout(90_000);
  before(function () {
    requireRoot(this);
  });

  it('moby#24379: leads to the tasks of this node, from everywhere, and keeps the client’s address', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    const tasks = [await task(lab, networks, 'a'), await task(lab, networks, 'b')];
    const plain = await joinContainer(networks);
    assert.equal(plain.address6, undefined, 'other containers of the bridge have no IPv6');
    assert.equal(networks.get('bridge').ipv6, false);
    await networks.applyIngress(1, [here(tasks)]);
    const answers = new Set<string>();
    for (let count = 0; count < 12; count++) answers.add(await lab.ask(outside.namespace, machine.address6, PORT));
    assert.deepEqual([...answers].sort(), [`a ${outside.address6}`, `b ${outside.address6}`]);
    assert.match(await lab.ask(outside.namespace, machine.address, PORT), /^[ab] ::ffff:192\.0\.2\.2$/);
    const [first] = tasks;
    for (const [from, address] of [
      [machine.namespace, '::1'],
      [machine.namespace, machine.address6],
      [first?.sandboxPath ?? '', machine.address6],
      [first?.sandboxPath ?? '', first?.gateway6 ?? ''],
    ] as const) {
      for (let count = 0; count < 3; count++) assert.match(await lab.ask(from, address, PORT), /^[ab] /, address);
    }
    await networks.applyIngress(2, [here([])]);
    assert.equal(await lab.ask(outside.namespace, machine.address6, PORT), 'ECONNREFUSED');
    assert.equal(await lab.ask(machine.namespace, '::1', PORT), 'ECONNREFUSED');
    assert.deepEqual((await networks.report()).differences, []);
  });

  it('is refused by a task that serves IPv4 alone, so that clients ask again by that', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    await networks.applyIngress(1, [here([await task(lab, networks, 'old', '0.0.0.0')])]);
    assert.equal(await lab.ask(outside.namespace, machine.address6, PORT), 'ECONNREFUSED');
    assert.equal(await lab.ask(outside.namespace, machine.address, PORT), `old ${outside.address}`);
  });

  it('moby#25526: a task sees its clients’ own addresses through each node', async () => {
    await using lab = await NetworkLab.open();
    const [[one, first], [two, second], [three, third]] = (await nodes(lab, 3)) as [Node, Node, Node];
    const outside = await lab.machine();
    const web = await task(lab, third, 'web');
    await third.applyIngress(1, [here([web])]);
    for (const networks of [first, second]) await networks.applyIngress(1, [there([three])]);
    for (const machine of [one, two, three]) {
      assert.equal(await lab.ask(outside.namespace, machine.address6, PORT), `web ${outside.address6}`);
    }
    // Nodes are known by their own addresses, too, where those are not hidden by the way there and back.
    assert.equal(await lab.ask(one.namespace, one.address6, PORT), `web ${one.address6}`);
    assert.equal(await lab.ask(one.namespace, '::1', PORT), `web ${onLink(one)}`);
    assert.equal(await lab.ask(two.namespace, one.address6, PORT), `web ${two.address6}`);
    assert.equal(await lab.ask(three.namespace, one.address6, PORT), `web ${web.gateway6}`);
    assert.match(await lab.ask(three.namespace, '::1', PORT), /^web /);
    const neighbour = await joinContainer(first, { reachedBySix: true });
    assert.equal(await lab.ask(neighbour.sandboxPath, one.address6, PORT), `web ${onLink(one)}`);
    for (const networks of [first, second, third]) assert.deepEqual((await networks.report()).differences, []);
  });

  it('is the only way to a task: routes to its address lead nowhere, from outside and from other networks', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    const web = await task(lab, networks, 'web');
    await lab.serve(web.sandboxPath, 81, 'private', '::');
    await networks.applyIngress(1, [here([web])]);
    await networks.create({
      name: 'six',
      driver: 'bridge',
      labels: {},
      options: {},
      internal: false,
      attachable: false,
      ipv6: true,
    });
    const other = await joinContainer(networks, { network: 'six' });
    await outside.run('ip', '-6', 'route', 'add', 'fd53:7461::/32', 'via', machine.address6);
    assert.equal(await lab.ask(outside.namespace, machine.address6, PORT), `web ${outside.address6}`);
    for (const from of [outside.namespace, other.sandboxPath])
      for (const port of [80, 81])
        assert.equal(await lab.ask(from, web.address6 ?? '', port), 'TIMEOUT', `${from} ${port}`);
    assert.match(await lab.ask(machine.namespace, web.address6 ?? '', 81), /^private /);
  });

  it('hides nobody who comes with an address that is no one’s', async () => {
    await using lab = await NetworkLab.open();
    const [[machine, networks], [, others]] = (await nodes(lab, 2)) as [Node, Node];
    const outside = await lab.machine();
    const web = await task(lab, networks, 'web');
    await networks.applyIngress(1, [here([web])]);
    await others.applyIngress(1, [there([machine])]);
    assert.equal(await lab.ask(outside.namespace, machine.address6, PORT), `web ${outside.address6}`);
    for (const address of ['6001:db8::66', 'a001:db8::66']) {
      await outside.run('ip', '-6', 'address', 'add', `${address}/128`, 'dev', 'uplink', 'nodad');
      await machine.run('ip', '-6', 'route', 'add', `${address}/128`, 'via', outside.address6);
      assert.equal(await lab.ask(outside.namespace, machine.address6, PORT, { from: address }), 'TIMEOUT');
    }
  });

  it('answers clients whose address is their link’s only, also for a task on another node', async () => {
    await using lab = await NetworkLab.open();
    const [[one, first], [two, second]] = (await nodes(lab, 2)) as [Node, Node];
    const outside = await lab.machine();
    const web = await task(lab, second, 'two');
    await second.applyIngress(1, [here([web])]);
    const linkLocal = async (from: LabMachine): Promise<string> =>
      /fe80::[0-9a-f:]+(?=\/64 scope link\s)/.exec(
        await from.run('ip', '-6', '-o', 'address', 'show', 'dev', 'uplink', 'scope', 'link', '-tentative'),
      )?.[0] ?? '';
    for (const machine of [one, outside]) await until('its own address', async () => (await linkLocal(machine)) !== '');
    await outside.run('ip', '-6', 'address', 'del', `${outside.address6}/64`, 'dev', 'uplink');
    await first.audit();
    await first.applyIngress(1, [there([two])]);
    assert.match(await lab.ask(outside.namespace, `${await linkLocal(one)}%uplink`, PORT), /^two fd53:6e6f:6465:/);
    const own = await task(lab, first, 'one');
    await first.applyIngress(2, [here([own])]);
    assert.match(await lab.ask(outside.namespace, `${await linkLocal(one)}%uplink`, PORT), /^one fd53:7461:/);
  });

  it('carries much in both directions', async () => {
    await using lab = await NetworkLab.open();
    const [[one, first], [two, second]] = (await nodes(lab, 2)) as [Node, Node];
    const outside = await lab.machine();
    const endpoint = await joinContainer(second, { reachedBySix: true });
    await lab.script(
      endpoint.sandboxPath,
      `require('net').createServer((c) => { c.on('error', () => {}); c.pipe(c) }).listen(80, '::', () => console.log('ready'))`,
    );
    await second.applyIngress(1, [here([endpoint])]);
    await first.applyIngress(1, [there([two])]);
    const size = 2_000_000;
    const heard = await lab.evaluate(
      outside.namespace,
      `const c = require('net').connect(${PORT}, '${one.address6}'); let got = 0; c.end(Buffer.alloc(${size}, 7));
       c.on('data', (d) => { got += d.length }); c.on('error', (e) => console.log(e.code)); c.on('end', () => { console.log(got); process.exit() })`,
    );
    assert.equal(heard, String(size));
  });

  it('leads over two nodes, and no further', async () => {
    await using lab = await NetworkLab.open();
    const [[one, first], [two, second], [three, third]] = (await nodes(lab, 3)) as [Node, Node, Node];
    const outside = await lab.machine();
    await third.applyIngress(1, [here([await task(lab, third, 'web')])]);
    await first.applyIngress(1, [there([two])]);
    await second.applyIngress(1, [there([three])]);
    assert.equal(await lab.ask(outside.namespace, one.address6, PORT), `web ${outside.address6}`);
    await second.applyIngress(2, [there([one])]);
    assert.equal(await lab.ask(outside.namespace, one.address6, PORT), 'ECONNREFUSED');
  });

  it('answers datagrams', async () => {
    await using lab = await NetworkLab.open();
    const [[one, first], [two, second]] = (await nodes(lab, 2)) as [Node, Node];
    const outside = await lab.machine();
    const endpoint = await joinContainer(second, { reachedBySix: true });
    await lab.serveDatagrams(endpoint.sandboxPath, 80, 'far', 'udp6');
    await second.applyIngress(1, [here([endpoint], 'udp')]);
    await first.applyIngress(1, [there([two], 'udp')]);
    for (const machine of [two, one]) {
      const heard = await lab.askDatagram(outside.namespace, machine.address6, PORT, 5353);
      assert.equal(heard, `far ${outside.address6}`, machine.address6);
    }
    // The node gets a task of its own: the same client's datagrams go there.
    const near = await joinContainer(first, { reachedBySix: true });
    await lab.serveDatagrams(near.sandboxPath, 80, 'near', 'udp6');
    await first.applyIngress(2, [here([near], 'udp')]);
    assert.match(await lab.askDatagram(outside.namespace, one.address6, PORT, 5353), /^near /);
  });

  it('is refused where the other node does not hear this one, and comes back', async () => {
    await using lab = await NetworkLab.open();
    const [[one, first], [two, second]] = (await nodes(lab, 2)) as [Node, Node];
    const outside = await lab.machine();
    await two.run('nft', 'add table inet wall; add chain inet wall in { type filter hook input priority -10; }');
    const wall = 'add rule inet wall in iifname "sw*" meta l4proto ipv6-icmp drop';
    await two.run('nft', wall);
    await second.applyIngress(1, [here([await task(lab, second, 'far')])]);
    await first.applyIngress(1, [there([two])]);
    const sentences = async (): Promise<string> =>
      (await first.report()).differences.map(({ sentence }) => sentence).join();
    assert.equal(await lab.ask(outside.namespace, one.address6, PORT), 'ECONNREFUSED');
    assert.match(await lab.ask(outside.namespace, one.address, PORT), /^far /);
    assert.match(await sentences(), /node 192\.0\.2\.2 does not answer by IPv6 at UDP 4789: .* by IPv4 only/);
    await two.run('nft', 'delete', 'table', 'inet', 'wall');
    await until('it answers', async () => (await sentences()) === '');
    await until('it leads there', async () => {
      return (await lab.ask(outside.namespace, one.address6, PORT)) === `far ${outside.address6}`;
    });
  });

  it('lets connections live through a new daemon, and puts back what somebody took away', async () => {
    await using lab = await NetworkLab.open();
    const [[one, first], [two, second]] = (await nodes(lab, 2)) as [Node, Node];
    const outside = await lab.machine();
    const far = await task(lab, second, 'far');
    await second.applyIngress(1, [here([far])]);
    await first.applyIngress(1, [there([two])]);
    const client = await lab.script(
      outside.namespace,
      `const c = require('net').connect(${PORT}, '${one.address6}'); c.on('data', (d) => console.log(String(d)));
       c.on('error', (e) => { console.log(e.code); process.exit() }); process.stdin.on('data', (d) => c.write(d))`,
    );
    const hears = async (): Promise<string> => {
      const heard = new Promise<string>((resolve) => client.stdout?.once('data', (text) => resolve(String(text))));
      client.stdin?.write('there?');
      return await heard;
    };
    assert.match(await hears(), /far there/);
    await Promise.all([first.shutdown({ keep: true }), second.shutdown({ keep: true })]);
    assert.match(await hears(), /far there/);
    const [next, other] = [await one.networks(), await two.networks()];
    await next.adopt([]);
    await other.adopt([far]);
    assert.match(await hears(), /far there/);
    for (const networks of [next, other]) {
      assert.ok(await networks.openWays(WAY));
      await networks.knowNodes([one.address, two.address]);
      assert.deepEqual(await networks.audit(), { repairs: [], failures: [] });
    }
    await next.applyIngress(2, [there([two])]);
    const link = /(sw[0-9a-f]{8})/.exec(await one.run('ip', '-o', 'link'))?.[1] ?? '';
    const table = /^23040:.* lookup (\d+)/m.exec(await one.run('ip', '-6', 'rule'))?.[1] ?? '';
    for (const damage of [
      ['ip', 'link', 'delete', link],
      ['ip', '-6', 'rule', 'delete', 'table', table],
      ['ip', '-6', 'route', 'flush', 'table', table],
      ['ip', '-6', 'route', 'delete', 'fd53:6e6f:6465:12b5::/64'],
      ['ip', 'address', 'delete', `${onLink(one)}/128`, 'dev', link],
      ['nft', 'flush', 'ruleset'],
    ]) {
      await one.run(damage[0] ?? '', ...damage.slice(1));
      await next.audit();
      const answer = await lab.ask(outside.namespace, one.address6, PORT);
      assert.equal(answer, `far ${outside.address6}`, damage.join(' '));
    }
    await next.clearIngress();
    assert.doesNotMatch(await one.run('ip', '-6', 'rule'), /23040/);
    assert.doesNotMatch(await one.run('ip', '-6', 'route'), /fd53:6e6f/);
  });
});
