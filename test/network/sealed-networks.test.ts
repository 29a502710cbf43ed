import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CodedError } from '../../base/errors.ts';
import { silentLog } from '../../base/log.ts';
import { formatAddress, parseAddress } from '../../runtime/network/addresses.ts';
import type { OverlayNode, OverlayState } from '../../runtime/network/contract.ts';
import { EspDriver } from '../../runtime/network/esp-driver.ts';
import { KernelLives } from '../../runtime/network/kernel-lives.ts';
import { insideAddress, wireguardAddress } from '../../runtime/network/kernel-pairs.ts';
import { NETLINK_GENERIC, NETLINK_XFRM } from '../../runtime/network/netd-protocol.ts';
import { meansOf } from '../../runtime/network/pair-means.ts';
import { SealedNetworks } from '../../runtime/network/sealed-networks.ts';
import {
  innerAddress,
  innerAddresses,
  tunnelLines,
  tunnelPair,
  type TunnelPair,
} from '../../runtime/network/tunnel-pairs.ts';
import { WireguardDriver } from '../../runtime/network/wireguard-driver.ts';
import { FakeKernel, FakeNamespace } from '../support/fake-kernel.ts';
import { shakeHands } from '../support/fake-wireguard-device.ts';
import { noWireguard } from '../support/no-wireguard.ts';

const SECRET = 'ab'.repeat(32);
const encryption = { nodeId: 'node0', keys: [{ id: 1, secret: SECRET }], sendId: 1 };
const NET = { id: 'net1', name: 'secret', vni: 4343 };
const BAD = [
  ['a line of its own', '192.0.2.2 4790 0\npair 0000000000000000 4343 10.0.0.2 198.51.100.1', 4789],
  ['a word of its own', '192.0.2.2 4790', 4789],
  ['a name', 'node2.example', 4789],
  ['nothing', '', 4789],
  ['a port with none above it', '192.0.2.2', 65_535],
  ['a part of a port', '192.0.2.2', 4789.5],
] as const;

function stateOf(nodes: readonly OverlayNode[]) {
  const endpoints = nodes.map((node, at) => ({ address: `10.0.8.${10 + at}`, lost: false, node }));
  const network = { ...NET, port: 0, subnet: '10.0.8.0/24', gateway: '10.0.8.1', internal: false, attachable: false };
  return {
    network: { ...network, options: { encrypted: '' } },
    endpoints,
    services: [],
    names: [],
    encryption,
  } satisfies OverlayState;
}

const noEsp = {
  open: () => Promise.resolve(undefined),
  carry: () => Promise.resolve(undefined),
  settle: () => Promise.resolve(),
  reason: () => undefined,
  counts: () => Promise.resolve(new Map()),
  differences: () => Promise.resolve([]),
  audit: () => Promise.resolve({ repairs: [], changed: [] }),
  end: () => Promise.resolve(),
  sweep: () => Promise.resolve(),
};

class FakeTunnel {
  readonly namespacePath = '/nowhere';
  readonly told: (readonly TunnelPair[])[] = [];
  ensureNamespace = () => Promise.resolve();
  forget = () => Promise.resolve();
  counts = () => Promise.resolve(new Map());
  isThere = () => true;
  stop = () => Promise.resolve();
  set = (_port: number, _vni: number, pairs: readonly TunnelPair[]) => {
    this.told.push(pairs);
    return Promise.resolve();
  };
}

describe('by which means two nodes encrypt', () => {
  for (const [own, theirs, expected] of [
    [['tunnel'], undefined, 'tunnel'],
    [['tunnel', 'wireguard', 'esp'], ['esp', 'wireguard', 'tunnel'], 'esp'],
    [['tunnel', 'wireguard'], ['esp', 'wireguard', 'tunnel'], 'wireguard'],
    [['esp', 'wireguard', 'tunnel'], undefined, 'tunnel'],
  ] as const) {
    it(`is ${expected} where one has ${own.join()} and the other ${theirs?.join() ?? 'not said'}`, () => {
      assert.equal(meansOf(own, { id: 'node2', ...(theirs && { means: theirs }) }), expected);
      assert.equal(meansOf(theirs ?? ['tunnel'], { id: 'node1', means: own }), expected);
    });
  }

  it('is an error that says who has what where they have none in common', () => {
    assert.throws(() => meansOf(['tunnel'], { id: 'node2', means: ['esp'] }), {
      code: 'unavailable',
      message: 'node node2 can encrypt by esp, this node by tunnel',
    });
    assert.throws(() => meansOf(['tunnel'], { id: 'node2', means: [] }), {
      message: 'node node2 can encrypt by no means, this node by tunnel',
    });
  });
});

describe('what the tunnel is told', () => {
  const good = { id: 'node1', address: '192.0.2.1', port: 4789 };

  for (const [what, address, port] of BAD) {
    it(`is no pair of a node that says of itself ${what}`, () => {
      assert.throws(() => tunnelPair(NET, encryption, { id: 'node2', address, port }), {
        code: 'invalid',
        message: /of node node2/,
      });
    });
  }

  it('has another inner address for each node, also where two ids lead to one, and the same for who stays', () => {
    const ids = Array.from({ length: 20_000 }, (_, at) => `node${at}`);
    assert.ok(new Set(ids.map(innerAddress)).size < ids.length, 'some would be the same');
    const inners = innerAddresses(ids);
    assert.equal(new Set(inners.values()).size, ids.length);
    assert.deepEqual(innerAddresses([...ids].reverse()), inners);
    const [first = '', second = ''] = ids.filter((id) => inners.get(id) !== innerAddress(id));
    const fewer = innerAddresses([first, second, 'new'], inners);
    assert.deepEqual([fewer.get(first), fewer.get(second)], [inners.get(first), inners.get(second)]);
    assert.ok([...inners.values()].every((inner) => inner > 0x0a000001 && inner < 0x0affffff));
  });

  it('is one line for a pair, one for a key', () => {
    const pair = tunnelPair(NET, encryption, good);
    const lines = tunnelLines(NET.vni, [pair]).split('\n');
    assert.deepEqual(
      lines.map((line) => line.split(' ')[0]),
      ['begin', 'pair', 'key', 'send', 'commit', ''],
    );
    assert.match(lines[1] ?? '', /^pair [0-9a-f]{16} 4343 10\.\d+\.\d+\.\d+ 192\.0\.2\.1 4790 0$/);
  });

  it('has the other nodes when one is not to be reached, which is shown with the reason and never carried in clear', async () => {
    const tunnel = new FakeTunnel();
    const sealed = new SealedNetworks({ tunnel, esp: noEsp, wireguard: noWireguard, log: silentLog, mtu: () => 1440 });
    const bad = { id: 'node2', address: 'x\nend', port: 4789 };
    const state = await sealed.seal(1, stateOf([good, bad]));
    assert.deepEqual(
      tunnel.told.map((pairs) => pairs.map(({ address }) => address)),
      [['192.0.2.1']],
    );
    assert.ok(
      state.endpoints.every(({ node }) => node?.address.startsWith('10.')),
      'also the bad one is sought inside the tunnel only',
    );
    const pairs = await sealed.pairs(NET.id);
    assert.deepEqual(
      pairs.map(({ nodeId, means, open }) => [nodeId, means, open]),
      [
        ['node1', 'tunnel', false],
        ['node2', 'none', false],
      ],
    );
    assert.match(pairs[1]?.reason ?? '', /the data path address of node node2 'x\nend' is not an IPv4 address/);
  });

  it('has no pair of a node without means in common, until that node has them', async () => {
    const tunnel = new FakeTunnel();
    const sealed = new SealedNetworks({ tunnel, esp: noEsp, wireguard: noWireguard, log: silentLog, mtu: () => 1440 });
    const other = { id: 'node2', address: '192.0.2.2', port: 4789 };
    await sealed.seal(1, stateOf([good, { ...other, means: [] }]));
    const reason = 'node node2 can encrypt by no means, this node by tunnel';
    assert.deepEqual(sealed.unreached(), [{ network: 'secret', nodeId: 'node2', reason }]);
    await sealed.seal(2, stateOf([good, { ...other, means: ['tunnel'] }]));
    assert.deepEqual(sealed.unreached(), []);
    assert.deepEqual(
      tunnel.told.map((pairs) => pairs.map(({ address }) => address)),
      [['192.0.2.1'], ['192.0.2.1', '192.0.2.2']],
    );
  });
});

describe('an encrypted network where the kernel has ESP', () => {
  const LIFE = 'ab'.repeat(16);
  const BOTH = ['esp', 'tunnel'] as const;
  const there = { id: 'node1', address: '192.0.2.1', port: 4789, means: BOTH, life: LIFE };
  const inside = (id: string): string => formatAddress(insideAddress(NET.id, id));
  const folders: string[] = [];
  after(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

  function machine(tunnel = new FakeTunnel()) {
    const kernel = new FakeKernel();
    kernel.namespaces.set(tunnel.namespacePath, new FakeNamespace());
    const folder = mkdtempSync(join(tmpdir(), 'shoal-sealed-'));
    folders.push(folder);
    const bootId = () => Promise.resolve('boot');
    const esp = new EspDriver({
      netd: () => kernel,
      lives: new KernelLives({ path: join(folder, 'lives.json'), bootId, log: silentLog }),
      log: silentLog,
      namespacePath: tunnel.namespacePath,
      ensureNamespace: tunnel.ensureNamespace,
      interfaceId: () => 4343,
      probe: () => Promise.resolve(undefined),
    });
    const sealed = new SealedNetworks({ tunnel, esp, wireguard: noWireguard, log: silentLog, mtu: () => 1440 });
    let index = 0;
    /** As the managers have told of this node, or not yet. */
    const seal = async (nodes: readonly OverlayNode[], self: Partial<OverlayNode> = {}) => {
      const state = stateOf(nodes);
      const own = {
        id: 'node0',
        address: '192.0.2.10',
        port: 4789,
        means: BOTH,
        life: esp.lives()[NET.id] ?? '',
        ...self,
      };
      index += 1;
      const ways = await sealed.seal(index, { ...state, encryption: { ...encryption, self: own } });
      return ways.endpoints.map(({ node }) => node?.address ?? '');
    };
    const means = async () => (await sealed.pairs(NET.id)).map(({ nodeId, means: by }) => `${nodeId} ${by}`);
    return { kernel, esp, sealed, seal, means, tunnel };
  }

  it('goes by ESP once the managers have told of both that they are ready, and by the tunnel until then', async () => {
    const { kernel, esp, sealed, seal, means, tunnel } = machine();
    const { life: _, ...notReady } = there;
    assert.deepEqual(await seal([there]), [formatAddress(innerAddress('node1'))], 'nobody was told of this one');
    assert.match(sealed.means()[0]?.reason ?? '', /ESP is not used: other nodes were not told yet/);
    assert.deepEqual(await seal([notReady]), [formatAddress(innerAddress('node1'))]);
    assert.match(sealed.means()[0]?.reason ?? '', /the other node is not ready/);
    assert.deepEqual([await means(), kernel.xfrm.states.size], [['node1 tunnel'], 0]);
    assert.deepEqual(await seal([there]), [inside('node1')]);
    assert.deepEqual([await means(), sealed.means()[0]?.reason], [['node1 esp'], undefined]);
    assert.deepEqual(
      [kernel.xfrm.states.size, kernel.xfrm.policies.size],
      [2, 2],
      'they are there before a packet goes',
    );
    assert.equal(tunnel.told.at(-1)?.length, 1, 'the tunnel takes what it still sends so');
    assert.deepEqual(Object.keys(esp.lives()), [NET.id]);
  });

  it('goes to each node by what that one has, and not at all to who has nothing', async () => {
    const { seal, means } = machine();
    await seal([]);
    const nodes = [
      there,
      { id: 'node2', address: '192.0.2.2', port: 4789 },
      { ...there, id: 'node3', address: '192.0.2.10' }, // this node's own
      { ...there, id: 'node4', means: ['esp'] as const, address: '2001:db8::4' },
    ];
    const ways = await seal(nodes);
    assert.deepEqual(await means(), ['node1 esp', 'node2 tunnel', 'node3 tunnel', 'node4 none']);
    assert.equal(ways[0], inside('node1'));
    assert.ok(ways.slice(1).every((way) => way.startsWith('10.')));
  });

  it('goes by the tunnel at once where the kernel refuses after all, and says in which words', async () => {
    const { kernel, esp, sealed, seal, means } = machine();
    await seal([]);
    kernel.refuse = (family, type) => (family === NETLINK_XFRM && type === 16 ? 93 : 0);
    assert.deepEqual(await seal([there]), [formatAddress(innerAddress('node1'))]);
    assert.deepEqual([await means(), esp.isOffered, esp.lives()], [['node1 tunnel'], false, {}]);
    const reason = 'ESP is not used: encrypting network secret by ESP: (EPROTONOSUPPORT, message 1)';
    assert.deepEqual(sealed.means(), [{ network: 'secret', nodeId: 'node1', means: 'tunnel', reason }]);
  });

  it('is carried without the tunnel where a node has only ESP; who has not is refused with the reason', async () => {
    const tunnel = new FakeTunnel();
    tunnel.set = () => Promise.reject(new CodedError('not-implemented', 'there is no /dev/net/tun'));
    const { seal, sealed, means } = machine(tunnel);
    await seal([there]);
    const none = { network: 'secret', nodeId: 'node1', reason: 'there is no /dev/net/tun' };
    assert.deepEqual(sealed.unreached(), [none], 'nothing goes before others were told');
    const other = { id: 'node2', address: '192.0.2.2', port: 4789 };
    const [first] = await seal([there, other]);
    assert.deepEqual([first, await means()], [inside('node1'), ['node1 esp', 'node2 none']]);
    assert.deepEqual(sealed.unreached(), [{ ...none, nodeId: 'node2' }]);
  });

  it('goes by the tunnel while the others do not know of a new life, and leaves nothing at its end', async () => {
    const { kernel, esp, sealed, seal, means } = machine();
    await seal([]);
    await seal([there]);
    await sealed.settle(NET.id);
    const life = esp.lives()[NET.id] ?? '';
    kernel.xfrm.states.clear();
    assert.deepEqual((await sealed.audit()).changed, [NET.id]);
    await seal([there], { life });
    assert.deepEqual(await means(), ['node1 tunnel']);
    await seal([there]);
    assert.deepEqual(await means(), ['node1 esp']);
    await sealed.forget(NET.id, NET.vni);
    assert.deepEqual([kernel.xfrm.states.size, kernel.xfrm.policies.size, kernel.at('/nowhere').links.size], [0, 0, 0]);
    assert.deepEqual([esp.lives(), sealed.means()], [{}, []]);
  });
});

describe('an encrypted network where the kernel has WireGuard', () => {
  const means = ['wireguard', 'tunnel'] as const;
  const folders: string[] = [];
  after(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

  function machine(id: string, address: string, esp: Pick<EspDriver, 'carry' | 'open'> = noEsp) {
    const tunnel = new FakeTunnel();
    const kernel = new FakeKernel();
    kernel.namespaces.set(tunnel.namespacePath, new FakeNamespace());
    const folder = mkdtempSync(join(tmpdir(), 'shoal-sealed-'));
    folders.push(folder);
    const bootId = () => Promise.resolve('boot');
    const wireguard = new WireguardDriver({
      netd: () => kernel,
      lives: new KernelLives({ path: join(folder, 'wireguard.json'), bootId, log: silentLog }),
      log: silentLog,
      namespacePath: tunnel.namespacePath,
      ensureNamespace: tunnel.ensureNamespace,
      firstIndex: () => 70_000,
      firstPort: (_, attempt) => 61_440 + 4 * attempt,
      probe: () => Promise.resolve(undefined),
    });
    const sealed = new SealedNetworks({
      tunnel,
      esp: { ...noEsp, ...esp },
      wireguard,
      log: silentLog,
      mtu: () => 1440,
    });
    let index = 0;
    const seal = async (nodes: readonly OverlayNode[]) => {
      index += 1;
      const state = { ...stateOf(nodes), encryption: { ...encryption, nodeId: id } };
      const ways = await sealed.seal(index, state);
      await sealed.settle(NET.id);
      return ways.endpoints.map(({ node }) => node?.address ?? '');
    };
    const said = (): OverlayNode => {
      const port = wireguard.ports()[NET.id];
      return { id, address, port: 4789, means, ...(port !== undefined && { wireguardPort: port }) };
    };
    const wire = () => ({ address: parseAddress(address), devices: kernel.devices });
    return { id, kernel, sealed, wireguard, seal, said, wire, tunnel };
  }

  async function two(esp?: Pick<EspDriver, 'carry' | 'open'>) {
    const [one, other] = [machine('node0', '192.0.2.10', esp), machine('node1', '192.0.2.11')];
    for (const each of [one, other]) await each.seal([]);
    return { one, other };
  }

  it('goes by it once there is a session, by the tunnel until then, and leaves nothing at its end', async () => {
    const { one, other } = await two();
    const [byTunnel, byWireguard] = [innerAddress('node1'), wireguardAddress(NET.id, 'node1')].map(formatAddress);
    const { wireguardPort: _, ...notReady } = other.said();
    assert.deepEqual(await one.seal([notReady]), [byTunnel]);
    assert.match(
      one.sealed.means()[0]?.reason ?? '',
      /^WireGuard is not used: there is no session with the other node yet/,
    );
    assert.deepEqual(await one.seal([other.said()]), [byTunnel]);
    await other.seal([one.said()]);
    shakeHands(one.wire(), other.wire());
    assert.deepEqual((await one.sealed.audit()).changed, [NET.id]);
    assert.deepEqual(await one.seal([other.said()]), [byWireguard]);
    assert.equal(one.tunnel.told.at(-1)?.length, 1, 'the tunnel takes what is still sent so');
    const [found] = await one.sealed.pairs(NET.id);
    assert.deepEqual([found?.means, found?.open, found?.reason], ['wireguard', true, undefined]);
    assert.deepEqual(await one.sealed.differences(), []);
    await one.sealed.forget(NET.id, NET.vni);
    assert.deepEqual([one.kernel.at('/nowhere').links.size, one.wireguard.ports(), one.sealed.means()], [0, {}, []]);
  });

  it('goes by ESP where that goes, and by WireGuard where ESP does not, with the reason', async () => {
    let reached = new Set(['node1']);
    const esp = { open: () => Promise.resolve('ab'.repeat(16)), carry: () => Promise.resolve(reached) };
    const { one, other } = await two(esp);
    const told = { ...other.said(), means: ['esp', 'wireguard', 'tunnel'] as const, life: 'cd'.repeat(16) };
    const self = { ...one.said(), means: told.means, life: 'ab'.repeat(16) };
    const seal = async (index: number): Promise<string> => {
      const state = { ...stateOf([told]), encryption: { ...encryption, self } };
      return (await one.sealed.seal(index, state)).endpoints[0]?.node?.address ?? '';
    };
    assert.equal(await seal(10), formatAddress(insideAddress(NET.id, 'node1')));
    assert.ok(
      one.kernel.devices.every(({ peers }) => peers.size === 0),
      'there is one way at a time',
    );
    reached = new Set();
    await seal(11);
    await other.seal([one.said()]);
    shakeHands(one.wire(), other.wire());
    await one.sealed.audit();
    assert.equal(await seal(12), formatAddress(wireguardAddress(NET.id, 'node1')));
    assert.deepEqual(
      one.sealed.means().map(({ means: by, reason }) => [by, reason?.slice(0, 15)]),
      [['wireguard', 'ESP is not used']],
    );
  });

  it('goes by the tunnel at once where the kernel refuses after all, and says in which words', async () => {
    const { one, other } = await two();
    one.kernel.refuse = (family) => (family === NETLINK_GENERIC ? 95 : 0);
    assert.deepEqual(await one.seal([other.said()]), [formatAddress(innerAddress('node1'))]);
    assert.match(one.sealed.means()[0]?.reason ?? '', /^WireGuard is not used: encrypting network secret by WireGuard/);
    assert.deepEqual([one.wireguard.isOffered, one.wireguard.ports()], [false, {}]);
  });

  it('is carried without the tunnel where a node has only WireGuard', async () => {
    const { one, other } = await two();
    one.tunnel.set = () => Promise.reject(new CodedError('not-implemented', 'there is no /dev/net/tun'));
    await one.seal([other.said()]);
    assert.deepEqual(
      one.sealed.unreached().map(({ reason }) => reason),
      ['there is no /dev/net/tun'],
    );
    await other.seal([one.said()]);
    shakeHands(one.wire(), other.wire());
    await one.sealed.audit();
    await one.seal([other.said()]);
    assert.deepEqual([one.sealed.unreached(), one.sealed.means()[0]?.means], [[], 'wireguard']);
  });
});
