// Complaints about networks between nodes that others have had for years, each by its number at moby/moby. The machines
// are namespaces on one switch; who is where is handed in. Those that need a whole swarm are in test/cluster.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Endpoint } from '../../runtime/network/contract.ts';
import { joinContainer, type LabMachine, type NetworkLab } from '../support/network-lab.ts';
import { NETWORK, OverlayLab, type Place } from '../support/overlay-lab.ts';
import { requireRoot } from '../support/requirements.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);
const VIP = '10.0.9.2';
const PORT = 8080;
const PLACES: readonly Place[] = [
  { address: '10.0.9.3', on: 0 },
  { address: '10.0.9.4', on: 1 },
];
const MEGABYTE = 1_000_000;

const inside = async (endpoint: Endpoint, ...command: string[]): Promise<string> =>
  (await run('nsenter', [`--net=${endpoint.sandboxPath}`, ...command])).stdout;

/** Sends a megabyte to whoever connects. */
const serveMegabyte = (lab: NetworkLab, namespace: string): Promise<unknown> =>
  lab.script(
    namespace,
    `require('net').createServer((c) => c.end(Buffer.alloc(${MEGABYTE}))).listen(80, () => console.log('ready'))`,
  );

const countBytes = (lab: NetworkLab, namespace: string, address: string, port: number): Promise<string> =>
  lab.evaluate(
    namespace,
    `let n = 0; const c = require('net').connect(${port}, '${address}'); c.on('data', (d) => { n += d.length });
     c.on('close', () => console.log(n)); c.on('error', (e) => console.log(e.code)); c.setTimeout(4000, () => c.destroy())`,
  );

/** The largest datagram that fits, which must not be taken apart on the way: the kernel forbids it (DF). */
const echoDatagram = (lab: NetworkLab, namespace: string, address: string, bytes: number): Promise<string> =>
  lab.evaluate(
    namespace,
    `const s = require('dgram').createSocket('udp4'); const out = (t) => { console.log(t); process.exit() };
     s.on('message', (m) => out(m.length)); s.on('error', (e) => out(e.code)); setTimeout(() => out('TIMEOUT'), 1500);
     s.send(Buffer.alloc(${bytes}), 7, '${address}')`,
  );

const serveEcho = (lab: NetworkLab, namespace: string): Promise<unknown> =>
  lab.script(
    namespace,
    `const s = require('dgram').createSocket('udp4'); s.on('message', (m, r) => s.send(m, r.port, r.address)); s.bind(7, () => console.log('ready'))`,
  );

async function linkMtu(lab: NetworkLab, machine: LabMachine, mtu: number): Promise<void> {
  const plug = `p${machine.address.split('.')[3]}`;
  await run('nsenter', [`--net=${lab.path('switch')}`, 'ip', 'link', 'set', plug, 'mtu', String(mtu)]);
  await machine.run('ip', 'link', 'set', 'uplink', 'mtu', String(mtu));
}

describe('complaints that machines with a network between them can have', function () {
  this.timeout(90_000);
  before(function () {
    requireRoot(this);
  });

  for (const mtu of [1280, 1420, 1500, 9000]) {
    it(`moby#43673, #24906, for-linux#594, libnetwork#2661: nothing gets lost where links carry ${mtu} bytes`, async () => {
      await using swarm = await OverlayLab.open(2, {
        networks: { bridge: { mtu } },
      });
      const { lab, machines } = swarm;
      for (const machine of machines) await linkMtu(lab, machine, mtu);
      await swarm.tell(PLACES, [{ virtualAddress: VIP, targets: ['10.0.9.4'] }]);
      const client = await swarm.container(0, '10.0.9.3');
      const server = await swarm.container(1, '10.0.9.4');
      assert.match(await inside(client, 'ip', 'link', 'show', client.interfaceName), new RegExp(` mtu ${mtu - 50} `));
      await serveMegabyte(lab, server.sandboxPath);
      await serveEcho(lab, server.sandboxPath);
      const headers = 28;
      assert.equal(
        await echoDatagram(lab, client.sandboxPath, server.address, mtu - 50 - headers),
        `${mtu - 50 - headers}`,
      );
      assert.equal(await countBytes(lab, client.sandboxPath, VIP, 80), `${MEGABYTE}`);
      const [bridged] = swarm.networks[1]?.get('bridge').endpoints ?? [];
      const target = { taskId: 'web', address: bridged?.address ?? '', port: 80 };
      await swarm.networks[1]?.applyIngress(1, [{ protocol: 'tcp', publishedPort: PORT, local: [target], remote: [] }]);
      const there = { address: machines[1]?.address ?? '', port: PORT };
      await swarm.networks[0]?.applyIngress(1, [{ protocol: 'tcp', publishedPort: PORT, local: [], remote: [there] }]);
      assert.equal(await countBytes(lab, machines[0]?.namespace ?? '', '127.0.0.1', PORT), `${MEGABYTE}`);
    });
  }

  it('moby#36689: a link that becomes narrower while containers run loses nothing', async () => {
    await using swarm = await OverlayLab.open(2);
    const { lab } = swarm;
    await swarm.tell(PLACES, [{ virtualAddress: VIP, targets: ['10.0.9.4'] }]);
    const client = await swarm.container(0, '10.0.9.3');
    const server = await swarm.container(1, '10.0.9.4');
    await serveMegabyte(lab, server.sandboxPath);
    for (const mtu of [1400, 1280, 1500]) {
      for (const machine of swarm.machines) await linkMtu(lab, machine, mtu);
      assert.equal(await countBytes(lab, client.sandboxPath, VIP, 80), `${MEGABYTE}`, `at ${mtu}`);
    }
  });

  it('moby#32195, #52661: what somebody deletes is back within 15 s without anybody asking, and others notice nothing', async () => {
    await using swarm = await OverlayLab.open(2, { networks: { auditPeriodMs: 10_000 } });
    const { lab } = swarm;
    const places = [...PLACES, { address: '10.0.9.5', on: 1 }];
    await swarm.tell(places, [{ virtualAddress: VIP, targets: ['10.0.9.4', '10.0.9.5'] }]);
    const client = await swarm.container(0, '10.0.9.3');
    for (const address of ['10.0.9.4', '10.0.9.5']) {
      const server = await swarm.container(1, address);
      await lab.serve(server.sandboxPath, 80, address);
    }
    const steady = await lab.script(
      client.sandboxPath,
      `const c = require('net').connect(80, '10.0.9.5'); let slowest = 0, count = 0, at = 0, broken = '';
       const ask = () => { at = performance.now(); c.write('x') };
       c.once('data', () => { console.log('open'); ask(); c.on('data', () => { count += 1; slowest = Math.max(slowest, performance.now() - at); setTimeout(ask, 20) }) });
       c.on('error', (e) => { broken = e.code });
       process.stdin.on('end', () => { console.log(JSON.stringify({ slowest, count, broken })); process.exit() }).resume();`,
    );
    swarm.inside(0, 'ip', 'neigh', 'del', '10.0.9.4', 'dev', 'vxlan0');
    const node = swarm.machines[1]?.address ?? '';
    swarm.inside(0, 'bridge', 'fdb', 'del', '02:42:0a:00:09:04', 'dev', 'vxlan0', 'self', 'dst', node);
    swarm.inside(0, 'ip', 'address', 'del', `${VIP}/32`, 'dev', 'br0');
    swarm.inside(0, 'nft', 'flush', 'ruleset');
    const deletedMs = performance.now();
    await until(
      'the network is whole again',
      async () => (await swarm.networks[0]?.report())?.differences.length === 0,
      {
        withinMs: 20_000,
      },
    );
    assert.ok(performance.now() - deletedMs < 15_500, `it took ${performance.now() - deletedMs} ms`);
    assert.match(await lab.ask(client.sandboxPath, '10.0.9.4', 80), /^10\.0\.9\.4 /);
    assert.match(await lab.ask(client.sandboxPath, VIP, 80), /^10\.0\.9\.[45] /);
    const said = new Promise<string>((resolve) => steady.stdout?.once('data', (text) => resolve(String(text))));
    steady.stdin?.end();
    const { slowest, count, broken } = JSON.parse(await said) as { slowest: number; count: number; broken: string };
    assert.equal(broken, '');
    assert.ok(count > 20 && slowest < 900, `${count} lines, the slowest took ${slowest} ms: one was lost on the way`);
  });

  it('moby#29024: who has an address of this node is answered by its owner alone, also after it came from elsewhere', async () => {
    await using swarm = await OverlayLab.open(2);
    const asker = { address: '10.0.9.3', on: 0 };
    await swarm.tell([asker, { address: '10.0.9.4', on: 1 }]);
    const from = await swarm.container(0, asker.address);
    const answers = async (): Promise<string[]> => {
      const words = ['busybox', 'arping', '-c', '3', '-w', '4', '-I', from.interfaceName, '10.0.9.4'];
      return [...(await inside(from, ...words)).matchAll(/reply from 10\.0\.9\.4 \[([0-9a-f:]+)\]/g)].map(
        ([, mac = '']) => mac,
      );
    };
    const mac = '02:42:0a:00:09:04';
    assert.deepEqual(await answers(), [mac, mac, mac]);
    await swarm.tell([asker, { address: '10.0.9.4', on: 0 }]);
    await swarm.container(0, '10.0.9.4');
    assert.deepEqual(await answers(), [mac, mac, mac]);
    assert.equal(swarm.inside(0, 'ip', 'neigh', 'show', 'dev', 'vxlan0', 'nud', 'permanent'), '');
  });

  it('moby#37372: a service sees who of its network asks it, from whichever node', async () => {
    await using swarm = await OverlayLab.open(3);
    const places = [0, 1, 2].flatMap((on) => [
      { address: `10.0.9.${10 + on}`, on },
      { address: `10.0.9.${20 + on}`, on },
    ]);
    const servers = places.filter(({ address }) => address.startsWith('10.0.9.2'));
    await swarm.tell(places, [{ virtualAddress: VIP, targets: servers.map(({ address }) => address) }]);
    for (const { address, on } of servers) {
      const { sandboxPath } = await swarm.container(on, address);
      await swarm.lab.serve(sandboxPath, 80, address);
    }
    const met = new Set<string>();
    for (const on of [0, 1, 2]) {
      const client = await swarm.container(on, `10.0.9.${10 + on}`);
      for (let count = 0; count < 9; count += 1) {
        const [server = '', seen] = (await swarm.lab.ask(client.sandboxPath, VIP, 80)).split(' ');
        assert.equal(seen, client.address);
        met.add(server);
      }
    }
    assert.equal(met.size, 3);
  });

  it('moby#34098, libnetwork#1522: of 5000 containers elsewhere the first and the last are reached', async () => {
    await using swarm = await OverlayLab.open(2);
    const { lab } = swarm;
    const network = { ...NETWORK, subnet: '10.80.0.0/16', gateway: '10.80.0.1' };
    const addresses = Array.from({ length: 5_000 }, (_, at) => `10.80.${1 + (at >> 8)}.${at & 255}`);
    const [first, last] = [addresses[0] ?? '', addresses.at(-1) ?? ''];
    const client = '10.80.0.2';
    const tell = async (machine: number): Promise<void> => {
      const places = [...addresses.map((address) => ({ address, on: 1 })), { address: client, on: 0 }];
      const state = swarm.stateFor(machine, places, [{ virtualAddress: '10.80.0.3', targets: addresses }]);
      await swarm.networks[machine]?.overlays.apply(1, { ...state, network });
    };
    await Promise.all([tell(0), tell(1)]);
    const from = await swarm.container(0, client);
    for (const address of [first, last]) {
      const server = await swarm.container(1, address);
      await lab.serve(server.sandboxPath, 80, 'here');
      assert.equal(await lab.ask(from.sandboxPath, address, 80), `here ${client}`);
    }
    assert.deepEqual((await swarm.networks[0]?.report())?.differences, []);
    const rows = swarm.inside(0, 'ip', 'neigh', 'show', 'dev', 'vxlan0', 'nud', 'permanent').trim().split('\n');
    assert.equal(rows.length, addresses.length);
  });

  it('moby#31208, #37822, #29655: a connection through a virtual address may be idle for days', async () => {
    await using swarm = await OverlayLab.open(2);
    const { lab } = swarm;
    await swarm.tell(PLACES, [{ virtualAddress: VIP, targets: ['10.0.9.4'] }]);
    const client = await swarm.container(0, '10.0.9.3');
    const server = await swarm.container(1, '10.0.9.4');
    await lab.serve(server.sandboxPath, 80, 'server');
    await lab.script(
      client.sandboxPath,
      `const c = require('net').connect(80, '${VIP}'); c.once('data', () => console.log('open'));`,
    );
    for (const machine of [0, 1]) {
      const rows = swarm.inside(machine, 'conntrack', '-L', '-p', 'tcp', '--state', 'ESTABLISHED').trim().split('\n');
      const seconds = rows.map((row) => Number(/^tcp\s+6\s+(\d+)/.exec(row)?.[1]));
      assert.ok(seconds.length > 0 && seconds.every((left) => left > 400_000), rows.join('\n'));
    }
  });

  it('moby#31208, #37822: one that was idle for longer is reset, and never left without an answer', async () => {
    await using swarm = await OverlayLab.open(2);
    const { lab } = swarm;
    await swarm.tell(PLACES, [{ virtualAddress: VIP, targets: ['10.0.9.4'] }]);
    const client = await swarm.container(0, '10.0.9.3');
    const server = await swarm.container(1, '10.0.9.4');
    await lab.serve(server.sandboxPath, 80, 'server');
    const established = 'net.netfilter.nf_conntrack_tcp_timeout_established';
    swarm.inside(0, 'sysctl', '-qw', `${established}=1`);
    const open = await lab.script(
      client.sandboxPath,
      `const c = require('net').connect(80, '${VIP}'); c.on('data', (d) => console.log(String(d))); c.on('error', (e) => console.log(e.code)); process.stdin.on('data', (d) => c.write(d))`,
    );
    const heard: string[] = [];
    open.stdout?.on('data', (chunk: Buffer) => heard.push(String(chunk)));
    const isForgotten = () => swarm.inside(0, 'conntrack', '-L', '-p', 'tcp', '-d', VIP).trim() === '';
    await until('the kernel has forgotten the connection', isForgotten, { withinMs: 10_000 });
    open.stdin?.write('anybody?');
    await until('the client hears something', () => heard.length > 0, { withinMs: 5_000 });
    assert.match(heard.join(''), /^(ECONNRESET|server anybody\?)/);
  });

  it('moby#30820, #42817: a container starts no later for 500 services beside it', async () => {
    await using swarm = await OverlayLab.open(1);
    const services = (count: number) =>
      Array.from({ length: count }, (_, at) => ({
        virtualAddress: `10.0.9.${100 + (at % 100)}`.replace('.9.', `.${9 + Math.floor(at / 100)}.`),
        targets: ['10.0.9.4'],
      }));
    const network = { ...NETWORK, subnet: '10.0.0.0/16', gateway: '10.0.0.1' };
    const times: number[][] = [];
    let index = 0;
    for (const count of [1, 500]) {
      const taken: number[] = [];
      for (let at = 0; at < 9; at += 1) {
        const address = `10.0.30.${times.length * 20 + at}`;
        const places = [...PLACES, { address, on: 0 }].map((place) => ({ ...place, on: 0 }));
        const startMs = performance.now();
        await swarm.networks[0]?.overlays.apply(++index, { ...swarm.stateFor(0, places, services(count)), network });
        await swarm.container(0, address);
        taken.push(performance.now() - startMs);
      }
      times.push(taken.toSorted((a, b) => a - b));
    }
    const [few, many] = times.map((taken) => taken[4] ?? 0);
    assert.ok((many ?? 0) < 3 * (few ?? 0) + 20, `${few} ms with one service, ${many} ms with 500`);
  });

  it('moby#35082: of 10 000 short connections of one client none waits for a second', async () => {
    await using swarm = await OverlayLab.open(3);
    const { lab, machines, networks } = swarm;
    const far = networks[1] ?? assert.fail('no machine');
    const web = await joinContainer(far);
    await lab.serve(web.sandboxPath, 80, 'web');
    const local = [{ taskId: 'web', address: web.address, port: 80 }];
    await far.applyIngress(1, [{ protocol: 'tcp', publishedPort: PORT, local, remote: [] }]);
    const remote = [{ address: machines[1]?.address ?? '', port: PORT }];
    await networks[0]?.applyIngress(1, [{ protocol: 'tcp', publishedPort: PORT, local: [], remote }]);
    const said = await lab.evaluate(
      machines[2]?.namespace ?? '',
      `const net = require('net'); let left = 10_000, failed = 0, slow = 0;
       const once = () => new Promise((done) => { const from = performance.now();
         const c = net.connect(${PORT}, '${machines[0]?.address}'); c.on('data', () => c.end());
         c.on('error', () => { failed += 1 });
         c.on('close', () => { if (performance.now() - from > 900) slow += 1; done() }) });
       const loop = async () => { while (left-- > 0) await once() };
       Promise.all(Array.from({ length: 16 }, loop)).then(() => console.log(JSON.stringify({ failed, slow })));`,
    );
    assert.deepEqual(JSON.parse(said), { failed: 0, slow: 0 });
  });
});
