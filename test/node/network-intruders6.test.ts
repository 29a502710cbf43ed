// What strangers and containers say by IPv6 must lead nowhere, as what they say by IPv4 (network-intruders.test.ts).
import assert from 'node:assert/strict';
import type { Endpoint } from '../../runtime/network/contract.ts';
import type { MachineNetworks } from '../../runtime/network/networks.ts';
import { joinContainer, type LabMachine, NetworkLab } from '../support/network-lab.ts';
import { OverlayLab } from '../support/overlay-lab.ts';
import { requireRoot } from '../support/requirements.ts';
import { until } from '../support/until.ts';
import {
  datagram6,
  inVxlan,
  neighbourAdvertisement,
  routerAdvertisement,
  sendFrames,
  type Way6,
} from '../support/wire-send.ts';

const DATA_PORT = 4789;
const WAY_VNI = 4096;
const VICTIM_PORT = 9999;
const BAD = { from: 'fe80::bad', fromMac: '025b00000bad' } as const;
const BAD_PREFIX = 'fd00:bad::';

describe('intruders by IPv6', function () {
  this.timeout(60_000);
  before(function () {
    requireRoot(this);
  });

  /** Notes whatever reaches a port, by either family; `heardBefore` says what came before the end of the list. */
  class Victim {
    readonly #lab: NetworkLab;
    readonly #heard: string[] = [];
    readonly #port: number;

    constructor(lab: NetworkLab, port: number) {
      this.#lab = lab;
      this.#port = port;
    }

    static async at(lab: NetworkLab, namespace: string, port = VICTIM_PORT): Promise<Victim> {
      const victim = new Victim(lab, port);
      const source = `const s = require('dgram').createSocket('udp6'); s.on('message', (m) => console.log(m.toString('latin1').includes('end') ? 'end' : 'something'));
        s.bind(${port}, '::', () => console.log('ready'))`;
      const child = await lab.script(namespace, source);
      child.stdout?.on('data', (text) => victim.#heard.push(...String(text).trim().split('\n')));
      return victim;
    }

    async heardBefore(from: string, address: string): Promise<string[]> {
      await send(this.#lab, from, address, this.#port, Buffer.from('end'));
      await until('the victim listens', () => this.#heard.includes('end'));
      return this.#heard.splice(0).filter((text) => text !== 'end' && text !== 'ready');
    }
  }

  const send = (lab: NetworkLab, namespace: string, to: string, port: number, payload: Buffer): Promise<string> =>
    lab.evaluate(
      namespace,
      `const s = require('dgram').createSocket('${to.includes(':') ? 'udp6' : 'udp4'}'); s.send(Buffer.from('${payload.toString('base64')}', 'base64'), ${port}, '${to}', (e) => { console.log(e ? e.code : 'sent'); s.close() })`,
    );

  interface Three {
    readonly networks: MachineNetworks;
    readonly node: LabMachine;
    readonly other: LabMachine;
    readonly stranger: LabMachine;
  }

  async function setUp(lab: NetworkLab): Promise<Three> {
    const [node, other, stranger] = [await lab.machine(), await lab.machine(), await lab.machine()];
    const networks = await node.networks();
    await networks.knowNodes([node.address, other.address]);
    assert.ok(await networks.openWays(DATA_PORT));
    return { networks, node, other, stranger };
  }

  const inNamespace = (machine: LabMachine, { sandboxPath }: Endpoint, ...command: string[]): Promise<string> =>
    machine.run('nsenter', `--net=${sandboxPath}`, ...command);
  type Run = (command: string, ...args: string[]) => Promise<string>;
  const runIn =
    (machine: LabMachine): Run =>
    (command, ...args) =>
      machine.run(command, ...args);
  /** Routes and addresses of IPv6, without what changes by itself. */
  const sixOf = async (run: Run): Promise<string> =>
    [await run('ip', '-6', 'route', 'show', 'table', 'all'), await run('ip', '-6', '-o', 'address')]
      .join('')
      .replaceAll(/ (expires|valid_lft|preferred_lft) \S+| hoplimit \d+| pref medium/g, '');

  /** The same once no address waits any more for somebody to have it already: that brings routes, too. */
  const settledSixOf = async (run: Run): Promise<string> => {
    await until('addresses are settled', async () => (await run('ip', '-6', 'address', 'show', 'tentative')) === '');
    return await sixOf(run);
  };

  const redNetwork = (networks: MachineNetworks) =>
    networks.create({
      name: 'red',
      driver: 'bridge',
      labels: {},
      options: {},
      internal: false,
      attachable: false,
      ipv6: true,
      pools: [{ subnet: 'fd00:1::/64' }],
    });

  it('on the wire reach neither the node nor, through it, anybody else, whichever family carries what they say', async () => {
    await using lab = await NetworkLab.open();
    const { networks, node, other, stranger } = await setUp(lab);
    const task = await joinContainer(networks, { reachedBySix: true });
    const onLink = 'fd53:6e6f:6465:12b5::c000:201';
    const victims = [
      { to: node.address6, at: await Victim.at(lab, node.namespace) },
      { to: other.address6, at: await Victim.at(lab, other.namespace) },
    ];
    const inTask = await Victim.at(lab, task.sandboxPath);
    for (const to of [node.address6, onLink, other.address6, task.address6 ?? assert.fail('a task has IPv6')]) {
      const way: Way6 = { ...BAD, from: '2001:db8:9::9', to, toMac: '025bc0000201' };
      const payload = inVxlan(WAY_VNI, datagram6(way, VICTIM_PORT, 'forged'));
      // By both families from a stranger, and from a node: out of the link comes nothing but published ports.
      assert.equal(await send(lab, stranger.namespace, node.address6, DATA_PORT, payload), 'sent');
      assert.equal(await send(lab, stranger.namespace, node.address, DATA_PORT, payload), 'sent');
      assert.equal(await send(lab, other.namespace, node.address, DATA_PORT, payload), 'sent');
    }
    for (const { to, at } of victims) assert.deepEqual(await at.heardBefore(stranger.namespace, to), [], to);
    // A stranger who knows where tasks are, and that the node leads there, does not get there either.
    await stranger.run('ip', '-6', 'route', 'add', 'fd53::/16', 'via', node.address6);
    await send(lab, stranger.namespace, task.address6 ?? '', VICTIM_PORT, Buffer.from('direct'));
    assert.deepEqual(await inTask.heardBefore(node.namespace, task.address6 ?? ''), []);
  });

  it('on the wire are no router and nobody’s neighbour on the link to other nodes', async () => {
    await using lab = await NetworkLab.open();
    const { node, other } = await setUp(lab);
    const before = await settledSixOf(runIn(node));
    const neighbours = () => node.run('ip', '-6', 'neigh', 'show', 'nud', 'permanent');
    const permanent = await neighbours();
    for (const frame of [
      routerAdvertisement(BAD.from, BAD.fromMac, BAD_PREFIX),
      neighbourAdvertisement(BAD.from, BAD.fromMac, 'fe80::1'),
      neighbourAdvertisement(BAD.from, BAD.fromMac, node.address6),
    ]) {
      await send(lab, other.namespace, node.address, DATA_PORT, inVxlan(WAY_VNI, frame));
    }
    const victim = await Victim.at(lab, node.namespace);
    assert.deepEqual(await victim.heardBefore(other.namespace, node.address6), []);
    assert.equal(await sixOf(runIn(node)), before);
    assert.equal(await neighbours(), permanent);
  });

  it('in a container reach no node’s port, neither their own node’s nor another’s', async () => {
    await using lab = await NetworkLab.open();
    const { networks, node, other, stranger } = await setUp(lab);
    await redNetwork(networks);
    const red = await joinContainer(networks, { network: 'red' });
    const task = await joinContainer(networks, { reachedBySix: true });
    const elsewhere = await Victim.at(lab, other.namespace, DATA_PORT);
    const mark = inVxlan(WAY_VNI, datagram6({ ...BAD, to: node.address6, toMac: '025bc0000201' }, VICTIM_PORT, 'x'));
    for (const { sandboxPath } of [red, task]) {
      assert.equal(await send(lab, sandboxPath, other.address6, DATA_PORT, mark), 'sent');
      assert.equal(await send(lab, sandboxPath, node.address6, DATA_PORT, mark), 'sent');
      assert.equal(await send(lab, sandboxPath, 'fd53:6e6f:6465:12b5::c000:202', DATA_PORT, mark), 'sent');
    }
    assert.deepEqual(await elsewhere.heardBefore(stranger.namespace, other.address6), []);
    const own = await Victim.at(lab, node.namespace, DATA_PORT + 1);
    assert.deepEqual(await own.heardBefore(red.sandboxPath, node.address6), [], 'other ports of the node are its own');
  });

  it('in a container are neither a router nor the machine’s neighbours to anybody outside their network', async () => {
    await using lab = await NetworkLab.open();
    const { networks, node, other } = await setUp(lab);
    const { id } = await redNetwork(networks);
    const [bad, good] = [
      await joinContainer(networks, { network: id }),
      await joinContainer(networks, { network: id }),
    ];
    const task = await joinContainer(networks, { reachedBySix: true });
    await lab.serve(other.namespace, 80, 'other', '::');
    await lab.serve(good.sandboxPath, 80, 'good', '::');
    assert.match(await lab.ask(node.namespace, other.address6, 80), /^other/);
    const goodRuns: Run = (command, ...args) => inNamespace(node, good, command, ...args);
    const before = [await settledSixOf(runIn(node)), await settledSixOf(goodRuns)];
    const mac = bad.macAddress.replaceAll(':', '');
    const frames = [
      routerAdvertisement(BAD.from, mac, BAD_PREFIX),
      neighbourAdvertisement(BAD.from, mac, other.address6), // the machine knows it by its uplink
      neighbourAdvertisement(BAD.from, mac, task.address6 ?? ''), // on another bridge
      neighbourAdvertisement(BAD.from, mac, 'fd00:1::1'), // the bridge itself
    ];
    await sendFrames({ namespace: bad.sandboxPath, link: 'eth0', frames, directory: lab.execRoot(node) });
    assert.match(await lab.ask(node.namespace, other.address6, 80), /^other/);
    assert.match(await lab.ask(good.sandboxPath, other.address6, 80), new RegExp(`^other ${node.address6}`));
    assert.match(await lab.ask(node.namespace, good.address6 ?? '', 80), /^good/);
    assert.deepEqual([await sixOf(runIn(node)), await sixOf(goodRuns)], before);
    const entry = await node.run('ip', '-6', 'neigh', 'show', other.address6);
    assert.match(entry, /dev uplink/);
    assert.doesNotMatch(entry, new RegExp(bad.macAddress));
  });

  it('on a network between nodes are no router, and nobody else on other nodes', async () => {
    await using swarm = await OverlayLab.open(2);
    const { lab } = swarm;
    swarm.more = { subnet6: 'fd00:9::/64' };
    const places = [
      { address: '10.0.9.3', on: 0 },
      { address: '10.0.9.4', on: 1 },
      { address: '10.0.9.5', on: 1 },
    ];
    const services = [{ virtualAddress: '10.0.9.2', targets: ['10.0.9.4'] }];
    await swarm.tell(places, services);
    const [bad, web, client] = await Promise.all(places.map(({ address, on }) => swarm.container(on, address)));
    if (!bad || !web || !client) assert.fail('three containers');
    await lab.serve(web.sandboxPath, 80, 'web', '::');
    assert.match(await lab.ask(client.sandboxPath, 'fd00:9::4', 80), /^web/);
    const mac = bad.macAddress.replaceAll(':', '');
    const claimed = ['fd00:9::1', 'fd00:9::2', 'fd00:9::4'];
    const frames = [
      routerAdvertisement(BAD.from, mac, BAD_PREFIX),
      ...claimed.map((address) => neighbourAdvertisement(BAD.from, mac, address)),
    ];
    const [machine] = swarm.machines;
    const directory = lab.execRoot(machine ?? assert.fail('a machine'));
    await sendFrames({ namespace: bad.sandboxPath, link: bad.interfaceName, frames, directory });
    for (const address of ['fd00:9::4', 'fd00:9::2']) {
      assert.equal(await lab.ask(client.sandboxPath, address, 80), `web ${client.address6}`);
      assert.equal(await lab.ask(bad.sandboxPath, address, 80), `web ${bad.address6}`);
    }
    for (const at of [0, 1]) {
      const routes = swarm.inside(at, 'ip', '-6', 'route', 'show', 'table', 'all');
      assert.doesNotMatch(routes, /bad/);
      assert.deepEqual((await swarm.networks[at]?.report())?.differences, []);
    }
  });
});
