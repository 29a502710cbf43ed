// VXLAN believes whoever reaches its port: what a container, or a stranger on the wire, says there must lead nowhere.
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { joinContainer, type LabMachine, NetworkLab } from '../support/network-lab.ts';
import type { MachineNetworks } from '../../runtime/network/networks.ts';
import { requireRoot } from '../support/requirements.ts';

const DATA_PORT = 4789;
const WAY_VNI = 4096;
const VICTIM_PORT = 9999;

/** A frame as the link to other nodes takes it: a datagram from `from` to the victim's port, with `text`. */
function crafted(vni: number, from: string, to: string, text: string): string {
  const addressOf = (address: string): Buffer => Buffer.from(address.split('.').map(Number));
  const udp = Buffer.alloc(8);
  udp.writeUInt16BE(5555, 0);
  udp.writeUInt16BE(VICTIM_PORT, 2);
  udp.writeUInt16BE(8 + text.length, 4);
  const ip = Buffer.concat([
    Buffer.from([0x45, 0, 0, 28 + text.length, 0, 1, 0, 0, 64, 17, 0, 0]),
    addressOf(from),
    addressOf(to),
  ]);
  let sum = 0;
  for (let at = 0; at < ip.length; at += 2) sum += ip.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  ip.writeUInt16BE(~sum & 0xffff, 10);
  const ethernet = Buffer.from('025a00000001025b010203040800', 'hex');
  const vxlan = Buffer.from([0x08, 0, 0, 0, vni >> 16, (vni >> 8) & 255, vni & 255, 0]);
  return Buffer.concat([vxlan, ethernet, ip, udp, Buffer.from(text)]).toString('base64');
}

describe('intruders at the port of networks between nodes', function () {
  this.timeout(60_000);
  before(function () {
    requireRoot(this);
  });

  /** Prints whatever reaches the victim's port. */
  const listen = async (lab: NetworkLab, namespace: string, heard: string[]): Promise<ChildProcess> => {
    const child = await lab.script(
      namespace,
      `const s = require('dgram').createSocket('udp4'); s.on('message', (m) => console.log(String(m))); s.bind(${VICTIM_PORT}, () => console.log('ready'))`,
    );
    child.stdout?.on('data', (text) => heard.push(...String(text).trim().split('\n')));
    return child;
  };
  const send = (lab: NetworkLab, namespace: string, to: string, port: number, payload: string): Promise<string> =>
    lab.evaluate(
      namespace,
      `const s = require('dgram').createSocket('udp4'); s.send(Buffer.from('${payload}', 'base64'), ${port}, '${to}', (e) => { console.log(e ? e.code : 'sent'); s.close() })`,
    );
  /** What the victim heard before a datagram that it must hear. */
  const heardBefore = async (lab: NetworkLab, from: string, victim: string, heard: string[]): Promise<string[]> => {
    await send(lab, from, victim, VICTIM_PORT, Buffer.from('end').toString('base64'));
    for (let tries = 0; tries < 200 && !heard.includes('end'); tries += 1)
      await new Promise((done) => setTimeout(done, 10));
    assert.ok(heard.includes('end'), 'the victim listens');
    return heard.splice(0).filter((text) => text !== 'end' && text !== 'ready');
  };

  async function setUp(lab: NetworkLab): Promise<{
    networks: MachineNetworks;
    node: LabMachine;
    other: LabMachine;
    stranger: LabMachine;
    container: string;
  }> {
    const [node, other, stranger] = [await lab.machine(), await lab.machine(), await lab.machine()];
    const networks = await node.networks();
    assert.ok(await networks.openWays(DATA_PORT));
    const { sandboxPath } = await joinContainer(networks);
    await networks.knowNodes([node.address, other.address]);
    return { node, networks, other, stranger, container: sandboxPath };
  }

  it('on the wire reach neither the node nor, through it, anybody else', async () => {
    await using lab = await NetworkLab.open();
    const { node, other, stranger } = await setUp(lab);
    for (const victim of [node, other]) {
      const heard: string[] = [];
      await listen(lab, victim.namespace, heard);
      const frame = crafted(WAY_VNI, '198.51.100.9', victim.address, 'forged');
      await send(lab, stranger.namespace, node.address, DATA_PORT, frame);
      assert.deepEqual(await heardBefore(lab, stranger.namespace, victim.address, heard), []);
      // Not even from a node does anything come out of the link that leads to no published port.
      await send(lab, other.namespace, node.address, DATA_PORT, frame);
      assert.deepEqual(await heardBefore(lab, stranger.namespace, victim.address, heard), []);
    }
  });

  it('in a container reach no node’s port, neither their own node’s nor another’s', async () => {
    await using lab = await NetworkLab.open();
    const { node, other, stranger, container } = await setUp(lab);
    const heard: string[] = [];
    const child = await lab.script(
      other.namespace,
      `const s = require('dgram').createSocket('udp4'); s.on('message', () => console.log('at the port')); s.bind(${DATA_PORT});
       const t = require('dgram').createSocket('udp4'); t.on('message', (m) => console.log(String(m))); t.bind(${VICTIM_PORT}, () => console.log('ready'))`,
    );
    child.stdout?.on('data', (text) => heard.push(...String(text).trim().split('\n')));
    await send(lab, container, other.address, DATA_PORT, Buffer.from('x').toString('base64'));
    assert.deepEqual(await heardBefore(lab, container, other.address, heard), []);
    const own: string[] = [];
    await listen(lab, node.namespace, own);
    await send(lab, container, node.address, DATA_PORT, crafted(WAY_VNI, '198.51.100.9', node.address, 'forged'));
    assert.deepEqual(await heardBefore(lab, stranger.namespace, node.address, own), []);
  });

  it('are still kept out by the next daemon, before anybody has told it who the nodes are', async () => {
    await using lab = await NetworkLab.open();
    const { node, networks, other, stranger } = await setUp(lab);
    const heard: string[] = [];
    const endpoints = networks.get('bridge').endpoints;
    await networks.shutdown({ keep: true });
    const again = await node.networks();
    await again.adopt(endpoints);
    await listen(lab, other.namespace, heard);
    await send(
      lab,
      stranger.namespace,
      node.address,
      DATA_PORT,
      crafted(WAY_VNI, '198.51.100.9', other.address, 'forged'),
    );
    assert.deepEqual(await heardBefore(lab, stranger.namespace, other.address, heard), []);
    const table = /table inet (shoal_[0-9a-f]+)/.exec(await node.run('nft', 'list', 'tables'))?.[1] ?? '';
    assert.match(
      await node.run('nft', 'list', 'set', 'inet', table, 'peers'),
      new RegExp(other.address.replaceAll('.', '\\.')),
    );
    assert.deepEqual((await again.report()).differences, []);
    assert.match(await node.run('ip', 'link', 'show', 'type', 'vxlan'), /mtu 1450/, 'as it was');
  });

  it('are anybody until the nodes are known, and a node that is gone is one of them', async () => {
    await using lab = await NetworkLab.open();
    const [node, stranger] = [await lab.machine(), await lab.machine()];
    const networks = await node.networks();
    await networks.openWays(DATA_PORT);
    const arrived = async (): Promise<boolean> => {
      const packets = async (): Promise<number> =>
        Number(/RX:.*\n\s*\d+\s+(\d+)/.exec(await node.run('ip', '-s', 'link', 'show', 'type', 'vxlan'))?.[1]);
      const before = await packets();
      await send(lab, stranger.namespace, node.address, DATA_PORT, crafted(WAY_VNI, '198.51.100.9', node.address, 'x'));
      return (await packets()) > before;
    };
    assert.equal(await arrived(), true);
    await networks.knowNodes([node.address, stranger.address]);
    assert.equal(await arrived(), true);
    await networks.knowNodes([node.address]);
    assert.equal(await arrived(), false);
    await networks.clearIngress();
    assert.doesNotMatch(await node.run('nft', 'list', 'ruleset'), /dport 4789/);
  });
});
