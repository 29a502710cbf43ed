import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { type Log, silentLog } from '../../base/log.ts';
import type { Endpoint, IngressPort } from '../../runtime/network/contract.ts';
import type { MachineNetworks } from '../../runtime/network/networks.ts';
import { joinContainer, type LabMachine, NetworkLab } from '../support/network-lab.ts';
import { until } from '../support/until.ts';
import { requireRoot } from '../support/requirements.ts';

const PORT = 8080;

const to = (
  local: readonly Endpoint[],
  remote: readonly LabMachine[] = [],
  protocol: 'tcp' | 'udp' = 'tcp',
): IngressPort => ({
  protocol,
  publishedPort: PORT,
  local: local.map(({ address, containerId }) => ({ taskId: containerId, address, port: 80 })),
  remote: remote.map(({ address }) => ({ address, port: PORT })),
});

async function task(lab: NetworkLab, networks: MachineNetworks, name: string): Promise<Endpoint> {
  const endpoint = await joinContainer(networks);
  await lab.serve(endpoint.sandboxPath, 80, name);
  return endpoint;
}

/** Connects again and again until its standard input ends; then answers how many were made and failed. */
function connectLoop(address: string, port: number): string {
  return `const net = require('net'); let made = 0, failed = 0, stop = false;
    const once = () => new Promise((done) => { const c = net.connect({ host: '${address}', port: ${port} });
      const end = (ok) => { ok ? made++ : failed++; c.destroy(); done(); };
      c.setTimeout(1000, () => end(false)); c.on('error', () => end(false)); c.once('data', () => end(true)); });
    const loop = async () => { while (!stop) await once(); };
    console.log('ready'); process.stdin.on('end', () => { stop = true; }); process.stdin.resume();
    Promise.all([loop(), loop(), loop(), loop()]).then(() => { console.log(JSON.stringify({ made, failed })); process.exit(); });`;
}

async function finish(loop: ChildProcess): Promise<{ made: number; failed: number }> {
  const line = new Promise<string>((resolve) => loop.stdout?.once('data', (text) => resolve(String(text))));
  loop.stdin?.end();
  return JSON.parse(await line) as { made: number; failed: number };
}

describe('ingress', function () {
  this.timeout(90_000);
  before(function () {
    requireRoot(this);
  });

  it('spreads connections from everywhere over the tasks of this node, and keeps the client address', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    const tasks = [await task(lab, networks, 'a'), await task(lab, networks, 'b')];
    const neighbour = await joinContainer(networks);
    await networks.applyIngress(1, [to(tasks)]);
    const answers = new Set<string>();
    for (let count = 0; count < 12; count++) answers.add(await lab.ask(outside.namespace, machine.address, PORT));
    assert.deepEqual([...answers].sort(), [`a ${outside.address}`, `b ${outside.address}`]);
    const [first] = tasks;
    for (const [from, address] of [
      [machine.namespace, '127.0.0.1'],
      [machine.namespace, machine.address],
      [neighbour.sandboxPath, machine.address],
      [neighbour.sandboxPath, neighbour.gateway],
      [first?.sandboxPath ?? '', machine.address],
    ] as const) {
      for (let count = 0; count < 3; count++) assert.match(await lab.ask(from, address, PORT), /^[ab] /);
    }
  });

  it('leads to another node when there is no task here, also over two nodes', async () => {
    await using lab = await NetworkLab.open();
    const [one, two, three, outside] = [
      await lab.machine(),
      await lab.machine(),
      await lab.machine(),
      await lab.machine(),
    ];
    const [first, second, third] = [await one.networks(), await two.networks(), await three.networks()];
    const web = await task(lab, third, 'web');
    const neighbour = await joinContainer(first);
    await third.applyIngress(1, [to([web])]);
    await first.applyIngress(1, [to([], [three])]);
    assert.equal(await lab.ask(outside.namespace, one.address, PORT), `web ${one.address}`);
    assert.equal(await lab.ask(one.namespace, '127.0.0.1', PORT), `web ${one.address}`);
    assert.equal(await lab.ask(one.namespace, one.address, PORT), `web ${one.address}`);
    assert.equal(await lab.ask(neighbour.sandboxPath, one.address, PORT), `web ${one.address}`);
    // Node one still believes that node two has a task; node two knows that only node three has.
    await first.applyIngress(2, [to([], [two])]);
    await second.applyIngress(2, [to([], [three])]);
    assert.equal(await lab.ask(outside.namespace, one.address, PORT), `web ${two.address}`);
    assert.equal(await lab.ask(one.namespace, '127.0.0.1', PORT), `web ${two.address}`);
  });

  describe('where nodes have ways to each other', () => {
    const WAY = 4789;
    const kept = (machine: LabMachine) => ({ address: machine.address, port: PORT, wayPort: WAY });
    const passed = (...machines: LabMachine[]): IngressPort => ({ ...to([]), remote: machines.map(kept) });

    async function nodes(lab: NetworkLab, count: number): Promise<[LabMachine, MachineNetworks][]> {
      const all: [LabMachine, MachineNetworks][] = [];
      for (let at = 0; at < count; at += 1) {
        const machine = await lab.machine();
        const networks = await machine.networks();
        assert.ok(await networks.openWays(WAY));
        all.push([machine, networks]);
      }
      return all;
    }

    it('moby#25526, #27143, cli#5587: a task sees its clients’ own addresses through each node', async () => {
      await using lab = await NetworkLab.open();
      const [[one, first], [two, second], [three, third]] = (await nodes(lab, 3)) as [
        [LabMachine, MachineNetworks],
        [LabMachine, MachineNetworks],
        [LabMachine, MachineNetworks],
      ];
      const outside = await lab.machine();
      await third.applyIngress(1, [to([await task(lab, third, 'web')])]);
      for (const networks of [first, second]) await networks.applyIngress(1, [passed(three)]);
      for (const machine of [one, two, three]) {
        assert.equal(await lab.ask(outside.namespace, machine.address, PORT), `web ${outside.address}`);
      }
      // A node, and a container on it, are known by the node's address; so is the node of the task itself.
      const neighbour = await joinContainer(first);
      assert.equal(await lab.ask(one.namespace, '127.0.0.1', PORT), `web ${one.address}`);
      assert.equal(await lab.ask(one.namespace, one.address, PORT), `web ${one.address}`);
      assert.equal(await lab.ask(neighbour.sandboxPath, one.address, PORT), `web ${one.address}`);
      assert.equal(await lab.ask(two.namespace, one.address, PORT), `web ${two.address}`);
      assert.equal(await lab.ask(three.namespace, one.address, PORT), `web ${one.address}`);
      assert.deepEqual((await first.report()).differences, []);
    });

    it('keeps each client with one task, through whichever node it comes, while that is there', async () => {
      await using lab = await NetworkLab.open();
      const all = await nodes(lab, 4);
      const [one, two, three, four] = all.map(([machine]) => machine) as [
        LabMachine,
        LabMachine,
        LabMachine,
        LabMachine,
      ];
      const [first, second, third, fourth] = all.map(([, networks]) => networks) as [
        MachineNetworks,
        MachineNetworks,
        MachineNetworks,
        MachineNetworks,
      ];
      const outside = await lab.machine();
      const clients = Array.from({ length: 8 }, (_, index) => `192.0.2.${101 + index}`);
      for (const client of clients) await outside.run('ip', 'address', 'add', `${client}/24`, 'dev', 'uplink');
      const affinity = 'client-address' as const;
      const tasks = {
        three: [await task(lab, third, 'a'), await task(lab, third, 'b')],
        four: [await task(lab, fourth, 'c'), await task(lab, fourth, 'd')],
      };
      await third.applyIngress(1, [{ ...to(tasks.three), affinity }]);
      await fourth.applyIngress(1, [{ ...to(tasks.four), affinity }]);
      const pass = async (index: number, ...told: LabMachine[]) => {
        await first.applyIngress(index, [{ ...passed(...told), affinity }]);
        await second.applyIngress(index, [{ ...passed(...told.toReversed()), affinity }]);
      };
      await pass(1, three, four);
      /** Who answered each of the clients, with what it saw of them. */
      const answers = async (through: LabMachine, count: number): Promise<string[]> => {
        const script = `const net = require('net');
          const ask = (localAddress) => new Promise((done) => {
            const c = net.connect({ host: '${through.address}', port: ${PORT}, localAddress });
            c.setTimeout(3000, () => { c.destroy(); done('TIMEOUT'); }); c.on('error', (e) => done(e.code));
            c.once('data', (d) => { c.destroy(); done(String(d).trim()); }); });
          const all = async (client) => {
            const said = await Promise.all(Array.from({ length: ${count} }, () => ask(client)));
            return [...new Set(said)].sort().join(); };
          Promise.all(${JSON.stringify(clients)}.map(all)).then((each) => console.log(JSON.stringify(each)));`;
        return JSON.parse(await lab.evaluate(outside.namespace, script)) as string[];
      };
      const kept = await answers(one, 20);
      for (const [at, answer] of kept.entries()) assert.match(answer, new RegExp(`^[abcd] ${clients[at]}$`));
      const servers = (said: readonly string[]) => new Set(said.map((answer) => answer[0]));
      assert.ok(servers(kept).size > 2, kept.join());
      assert.deepEqual(await answers(two, 5), kept, 'the other node says the same');
      await pass(2, four);
      const without = await answers(one, 20);
      for (const [at, answer] of without.entries()) {
        if (/^[cd]/.test(kept[at] ?? '')) assert.equal(answer, kept[at], 'nobody else moves');
        else assert.match(answer, /^[cd] [0-9.]+$/);
      }
      await pass(3, three, four);
      assert.deepEqual(await answers(two, 5), kept, 'it returned');
      assert.deepEqual(await fourth.audit(), { repairs: [], failures: [] });
    });

    it('keeps connections apart that look alike and come through two nodes', async () => {
      await using lab = await NetworkLab.open();
      const [[one, first], [two, second], [three, third]] = (await nodes(lab, 3)) as [
        [LabMachine, MachineNetworks],
        [LabMachine, MachineNetworks],
        [LabMachine, MachineNetworks],
      ];
      const outside = await lab.machine();
      await third.applyIngress(1, [to([await task(lab, third, 'web')])]);
      for (const networks of [first, second]) await networks.applyIngress(1, [passed(three)]);
      const said = await lab.evaluate(
        outside.namespace,
        `const all = ['${one.address}', '${two.address}', '${three.address}'].map((host) => new Promise((done) => {
           const c = require('net').connect({ host, port: ${PORT}, localPort: 45454 }); let heard = '';
           c.on('data', (d) => { heard += d; if (!heard.includes('hello')) c.write('hello'); else done(heard) });
           c.on('error', (e) => done(e.code)); setTimeout(() => done('TIMEOUT'), 1000) }));
         Promise.all(all).then((texts) => { console.log(texts.filter((t) => t.includes('web hello')).length); process.exit() })`,
      );
      assert.equal(said, '3');
    });

    it('lets an open connection finish after the map has changed, and after a daemon took over', async () => {
      await using lab = await NetworkLab.open();
      const [[one, first], [two, second]] = (await nodes(lab, 2)) as [
        [LabMachine, MachineNetworks],
        [LabMachine, MachineNetworks],
      ];
      const outside = await lab.machine();
      await second.applyIngress(1, [to([await task(lab, second, 'far')])]);
      await first.applyIngress(1, [passed(two)]);
      const client = await lab.script(
        outside.namespace,
        `const c = require('net').connect(${PORT}, '${one.address}'); c.on('data', (d) => console.log(String(d)));
         c.on('error', (e) => { console.log(e.code); process.exit() }); process.stdin.on('data', (d) => c.write(d))`,
      );
      const hears = async (): Promise<string> => {
        const heard = new Promise<string>((resolve) => client.stdout?.once('data', (text) => resolve(String(text))));
        client.stdin?.write('there?');
        return await heard;
      };
      assert.match(await hears(), /far there/);
      await first.applyIngress(2, [to([await task(lab, first, 'near')])]);
      assert.match(await lab.ask(outside.namespace, one.address, PORT), /^near /);
      assert.match(await hears(), /far there/);
      const endpoints = first.get('bridge').endpoints;
      await first.shutdown({ keep: true });
      const next = await one.networks();
      await next.adopt(endpoints);
      assert.match(await hears(), /far there/);
      await next.applyIngress(3, [passed(two)]);
      assert.equal(await lab.ask(outside.namespace, one.address, PORT), `far ${outside.address}`);
      assert.deepEqual(await next.audit(), { repairs: [], failures: [] });
    });

    it('puts back what somebody took away, and leaves nothing when it goes', async () => {
      await using lab = await NetworkLab.open();
      const [[one, first], [two, second]] = (await nodes(lab, 2)) as [
        [LabMachine, MachineNetworks],
        [LabMachine, MachineNetworks],
      ];
      const outside = await lab.machine();
      await second.applyIngress(1, [to([await task(lab, second, 'far')])]);
      await joinContainer(first);
      await first.applyIngress(1, [passed(two)]);
      const link = /(sw[0-9a-f]{8})/.exec(await one.run('ip', '-o', 'link'))?.[1] ?? '';
      const table = /^23040:.* lookup (\d+)/m.exec(await one.run('ip', 'rule'))?.[1] ?? '';
      for (const damage of [
        ['ip', 'link', 'delete', link],
        ['ip', 'rule', 'delete', 'table', table],
        ['ip', 'route', 'flush', 'table', table],
        ['bridge', 'fdb', 'del', `02:5a:c0:00:02:02`, 'dev', link, 'dst', two.address, 'self'],
        ['nft', 'flush', 'ruleset'],
      ]) {
        await one.run(damage[0] ?? '', ...damage.slice(1));
        await first.audit();
        assert.equal(await lab.ask(outside.namespace, one.address, PORT), `far ${outside.address}`, damage.join(' '));
      }
      await first.clearIngress();
      assert.doesNotMatch(await one.run('ip', '-o', 'link'), /sw[0-9a-f]{8}/);
      assert.doesNotMatch(await one.run('ip', 'rule'), /23040/);
    });

    it('leaves those of another daemon on the machine alone, and says who has the port', async () => {
      await using lab = await NetworkLab.open();
      const [[one, first], [two, second]] = (await nodes(lab, 2)) as [
        [LabMachine, MachineNetworks],
        [LabMachine, MachineNetworks],
      ];
      const outside = await lab.machine();
      const warnings: string[] = [];
      const log: Log = { ...silentLog, warn: (_, fields) => void warnings.push(String(fields?.['reason'])) };
      const other = await one.networks({ ...lab.directories(one, 'other'), log });
      await second.applyIngress(1, [to([await task(lab, second, 'far')])]);
      await first.applyIngress(1, [passed(two)]);
      assert.equal(await other.openWays(WAY), false);
      assert.match(warnings.join(), /link sw[0-9a-f]{8} of another daemon on this machine has UDP port 4789/);
      assert.equal(await other.openWays(WAY + 100), true);
      const asked = async (): Promise<string> => await lab.ask(outside.namespace, one.address, PORT);
      assert.equal(await asked(), `far ${outside.address}`);
      assert.deepEqual([(await first.report()).differences, (await other.report()).differences], [[], []]);
      await other.clearIngress();
      assert.equal(await asked(), `far ${outside.address}`);
      assert.deepEqual((await first.report()).differences, []);
    });

    it('gives them up when the kernel is told to drop what comes from elsewhere, and takes them up again', async () => {
      await using lab = await NetworkLab.open();
      const [machine] = [await lab.machine()];
      const networks = await machine.networks();
      assert.equal(await networks.openWays(WAY), true);
      await networks.shutdown({ keep: true });
      await machine.run('sysctl', '-w', 'net.ipv4.conf.all.rp_filter=1');
      const next = await machine.networks();
      assert.equal(await next.openWays(WAY), false);
      assert.doesNotMatch(await machine.run('ip', '-o', 'link'), /sw[0-9a-f]{8}/);
      assert.deepEqual(await next.audit(), { repairs: [], failures: [] }, 'nothing of it is wanted any more');
      assert.doesNotMatch(await machine.run('nft', 'list', 'ruleset'), /sw[0-9a-f]{8}/);
      await machine.run('sysctl', '-w', 'net.ipv4.conf.all.rp_filter=0');
      assert.equal(await next.openWays(WAY), true);
      await machine.run('sysctl', '-w', 'net.ipv4.conf.all.rp_filter=1');
      assert.match((await next.report()).differences.map(({ sentence }) => sentence).join(), /rp_filter is 1/);
    });

    it('answers a client whose network is one of the task’s node, too, under an address of that node', async () => {
      await using lab = await NetworkLab.open();
      const [one, two, outside] = [await lab.machine(), await lab.machine(), await lab.machine()];
      const [first, second] = [await one.networks({ bridge: { subnet: '172.30.0.0/16' } }), await two.networks()];
      assert.ok((await first.openWays(WAY)) && (await second.openWays(WAY)));
      const far = await task(lab, second, 'far');
      const client = far.gateway.replace(/\d+\.\d+$/, '200.9');
      await outside.run('ip', 'address', 'add', `${client}/32`, 'dev', 'lo');
      await one.run('ip', 'route', 'add', `${client}/32`, 'via', outside.address);
      await second.applyIngress(1, [to([far])]);
      await first.applyIngress(1, [passed(two)]);
      assert.equal(await lab.ask(outside.namespace, one.address, PORT, { from: client }), `far ${far.gateway}`);
      // So is one whose network is another of that node's.
      await second.create({
        name: 'red',
        driver: 'bridge',
        labels: {},
        options: {},
        internal: false,
        attachable: false,
        subnet: '172.29.0.0/16',
      });
      await outside.run('ip', 'address', 'add', '172.29.200.9/32', 'dev', 'lo');
      await one.run('ip', 'route', 'add', '172.29.200.9/32', 'via', outside.address);
      assert.equal(await lab.ask(outside.namespace, one.address, PORT, { from: '172.29.200.9' }), `far ${far.gateway}`);
    });

    it('hides the client from a node that does not hear this one, and only while it does not', async () => {
      await using lab = await NetworkLab.open();
      const [one, two, outside] = [await lab.machine(), await lab.machine(), await lab.machine()];
      const [first, second] = [await one.networks({ probePeriodMs: 50 }), await two.networks()];
      assert.ok((await first.openWays(WAY)) && (await second.openWays(WAY)));
      const wall = (verb: string): Promise<string> =>
        two.run(
          'sh',
          '-c',
          `nft ${verb} table inet wall && [ ${verb} = delete ] || nft -f - <<'END'
          table inet wall { chain in { type filter hook input priority -10; udp dport ${WAY} drop; }; }
END`,
        );
      await wall('add');
      await second.applyIngress(1, [to([await task(lab, second, 'far')])]);
      await first.applyIngress(1, [passed(two)]);
      const asked = async (): Promise<string> => await lab.ask(outside.namespace, one.address, PORT);
      const sentences = async (): Promise<string> =>
        (await first.report()).differences.map(({ sentence }) => sentence).join();
      assert.equal(await asked(), `far ${one.address}`, 'a wall from the beginning');
      assert.match(await sentences(), /node 192\.0\.2\.2 does not answer at UDP 4789/);
      const there = () => first.ingress().nodes.map(({ address, keepsClient }) => ({ address, keepsClient }));
      assert.deepEqual(there(), [{ address: two.address, keepsClient: false }]);
      await wall('delete');
      await until('it answers', async () => (await asked()) === `far ${outside.address}`);
      assert.equal(await sentences(), '');
      assert.deepEqual(there(), [{ address: two.address, keepsClient: true }]);
      await wall('add');
      await until('it is found silent', async () => (await sentences()) !== '');
      assert.equal(await asked(), `far ${one.address}`, 'a wall that came later');
      await wall('delete');
      await until('it answers again', async () => (await asked()) === `far ${outside.address}`);
      assert.deepEqual(await first.audit(), { repairs: [], failures: [] });
    });

    it('hides the client where the kernel would drop what comes from elsewhere', async () => {
      await using lab = await NetworkLab.open();
      const machine = await lab.machine();
      await machine.run('sysctl', '-w', 'net.ipv4.conf.all.rp_filter=1');
      const networks = await machine.networks();
      assert.equal(await networks.openWays(WAY), false);
      assert.doesNotMatch(await machine.run('ip', '-o', 'link'), /sw[0-9a-f]{8}/);
      assert.match(networks.ingress().hidden ?? '', /rp_filter is 1/);
      const { differences } = await networks.report();
      assert.match(
        differences.map(({ sentence }) => sentence).join(),
        /this node as their client everywhere: .*rp_filter/,
      );
      assert.deepEqual(await networks.audit(), { repairs: [], failures: [] });
      assert.notEqual(networks.ingress().hidden, undefined);
      await machine.run('sysctl', '-w', 'net.ipv4.conf.all.rp_filter=2');
      await networks.audit();
      assert.equal(networks.ingress().hidden, undefined, 'nobody has to start anything anew');
      assert.match(await machine.run('ip', '-o', 'link'), /sw[0-9a-f]{8}/);
      assert.deepEqual((await networks.report()).differences, []);
    });
  });

  it('ends a connection that two nodes would send to each other for ever', async () => {
    await using lab = await NetworkLab.open();
    const [one, two, three, outside] = [
      await lab.machine(),
      await lab.machine(),
      await lab.machine(),
      await lab.machine(),
    ];
    const [first, second, third] = [await one.networks(), await two.networks(), await three.networks()];
    await first.applyIngress(1, [to([], [two])]);
    await second.applyIngress(1, [to([], [one])]);
    assert.equal(await lab.ask(outside.namespace, one.address, PORT), 'ECONNREFUSED');
    assert.equal(await lab.ask(one.namespace, '127.0.0.1', PORT), 'ECONNREFUSED');
    const tracked = (await one.run('conntrack', '-L')).split('\n').filter((line) => line.includes(`dport=${PORT}`));
    assert.ok(tracked.length <= 4, tracked.join('\n'));
    // Passed on twice is enough to arrive, and three times is not tried.
    await second.applyIngress(2, [to([], [three])]);
    await third.applyIngress(2, [to([], [outside])]);
    const away = await outside.networks();
    await away.applyIngress(2, [to([await task(lab, away, 'far')])]);
    assert.equal(await lab.ask(one.namespace, '127.0.0.1', PORT), 'ECONNREFUSED');
    assert.match(await lab.ask(two.namespace, '127.0.0.1', PORT), /^far /);
  });

  it('refuses connections while nobody has a task', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    await networks.applyIngress(1, [to([])]);
    assert.equal(await lab.ask(outside.namespace, machine.address, PORT), 'ECONNREFUSED');
    await networks.applyIngress(2, [to([await task(lab, networks, 'a')])]);
    assert.equal(await lab.ask(outside.namespace, machine.address, PORT), `a ${outside.address}`);
    await networks.applyIngress(3, []);
    assert.equal(await lab.ask(outside.namespace, machine.address, PORT), 'ECONNREFUSED');
  });

  it('never lets a lower index overwrite a higher one, until the node leaves its swarm', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    const [a, b] = [await task(lab, networks, 'a'), await task(lab, networks, 'b')];
    await Promise.all([networks.applyIngress(20, [to([a])]), networks.applyIngress(19, [to([b])])]);
    assert.match(await lab.ask(outside.namespace, machine.address, PORT), /^a /);
    await networks.clearIngress();
    await networks.applyIngress(1, [to([b])]);
    assert.match(await lab.ask(outside.namespace, machine.address, PORT), /^b /);
  });

  it('loses no connection over 1000 replacements, among tasks here and on other nodes', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    const tasks = [await task(lab, networks, 'a'), await task(lab, networks, 'b'), await task(lab, networks, 'c')];
    const nodes = [await lab.machine(), await lab.machine()];
    for (const node of nodes) {
      const far = await node.networks();
      await far.applyIngress(1, [to([await task(lab, far, 'far')])]);
    }
    const replace = async (from: number, ports: (index: number) => IngressPort): Promise<void> => {
      for (let index = from; index < from + 500; index++) {
        await networks.applyIngress(index, [ports(index)]);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    };
    await networks.applyIngress(1, [to(tasks)]);
    const loops = [
      await lab.script(outside.namespace, connectLoop(machine.address, PORT)),
      await lab.script(machine.namespace, connectLoop('127.0.0.1', PORT)),
    ];
    await replace(2, (index) => to(tasks.filter((_, at) => at !== index % 4)));
    await replace(502, (index) => to([], [nodes[index % 2] ?? machine]));
    for (const loop of loops) {
      const { made, failed } = await finish(loop);
      assert.equal(failed, 0);
      assert.ok(made > 200, `only ${made} connections were made`);
    }
  });

  it('lets an open connection finish after its task left the map', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    const [a, b] = [await task(lab, networks, 'a'), await task(lab, networks, 'b')];
    await networks.applyIngress(1, [to([a])]);
    const client = await lab.script(
      outside.namespace,
      `const c = require('net').connect(${PORT}, '${machine.address}'); let all = '';
       c.on('data', (d) => { if (!all) console.log('open'); all += d; }); c.on('error', (e) => { all += e.code; });
       c.on('close', () => { console.log('closed ' + all); process.exit(); });
       process.stdin.once('data', () => c.end('still there'));`,
    );
    await networks.applyIngress(2, [to([b])]);
    assert.match(await lab.ask(outside.namespace, machine.address, PORT), /^b /);
    const closed = new Promise<string>((resolve) => client.stdout?.once('data', (text) => resolve(String(text))));
    client.stdin?.write('go');
    assert.match(await closed, /^closed a .*a still there/s);
  });

  it('tells clients at once when the machine they are connected to died', async () => {
    await using lab = await NetworkLab.open();
    const [one, two, outside] = [await lab.machine(), await lab.machine(), await lab.machine()];
    const [first, second] = [await one.networks(), await two.networks()];
    await second.applyIngress(1, [to([await task(lab, second, 'far')])]);
    await first.applyIngress(1, [to([], [two])]);
    const near = await task(lab, first, 'near');
    const client = await lab.script(
      outside.namespace,
      `const c = require('net').connect(${PORT}, '${one.address}'); c.once('data', () => console.log('open'));
       c.on('error', (e) => { console.log(e.code); process.exit(); }); process.stdin.once('data', () => c.write('hello'));`,
    );
    await two.run('ip', 'link', 'set', 'uplink', 'down');
    await first.applyIngress(2, [to([near])]);
    await first.breakConnections([two.address]);
    const said = new Promise<string>((resolve) => client.stdout?.once('data', (text) => resolve(String(text).trim())));
    client.stdin?.write('go');
    assert.match(await said, /ECONNRESET|EPIPE/);
  });

  it('moves datagrams of a client with a fixed port to the task that is there now', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    const [a, b] = [await joinContainer(networks), await joinContainer(networks)];
    await lab.serveDatagrams(a.sandboxPath, 80, 'a');
    await lab.serveDatagrams(b.sandboxPath, 80, 'b');
    assert.notEqual(await lab.askDatagram(outside.namespace, machine.address, PORT, 5353), 'a');
    await networks.applyIngress(1, [to([a], [], 'udp')]);
    assert.match(await lab.askDatagram(outside.namespace, machine.address, PORT, 5353), /^a /);
    await networks.applyIngress(2, [to([b], [], 'udp')]);
    assert.match(await lab.askDatagram(outside.namespace, machine.address, PORT, 5353), /^b /);
  });

  it('holds its ports against processes of the machine and against containers', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    const networks = await machine.networks();
    await networks.applyIngress(1, [to([await task(lab, networks, 'a')])]);
    const bind = `const s = require('net').createServer(); s.on('error', (e) => console.log(e.code)); s.listen(${PORT}, '0.0.0.0', () => { console.log('bound'); s.close(); })`;
    const attempt = async (): Promise<string> => (await machine.run(process.execPath, '-e', bind)).trim();
    for (let tries = 0; tries < 50 && (await attempt()) === 'bound'; tries++);
    assert.equal(await attempt(), 'EADDRINUSE');
    const publish = [{ protocol: 'tcp', containerPort: 80, hostAddress: '', hostPort: PORT }] as const;
    await assert.rejects(joinContainer(networks, { publish }), {
      code: 'conflict',
      message: /Bind for 0\.0\.0\.0:8080 failed: port is already allocated/,
    });
  });
});
