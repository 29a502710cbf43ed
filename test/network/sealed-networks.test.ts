import assert from 'node:assert/strict';
import { silentLog } from '../../base/log.ts';
import type { OverlayNode, OverlayState } from '../../runtime/network/contract.ts';
import { meansOf } from '../../runtime/network/pair-means.ts';
import { SealedNetworks } from '../../runtime/network/sealed-networks.ts';
import {
  innerAddress,
  innerAddresses,
  tunnelLines,
  tunnelPair,
  type TunnelPair,
} from '../../runtime/network/tunnel-pairs.ts';

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
    const sealed = new SealedNetworks(tunnel, silentLog);
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
    const sealed = new SealedNetworks(tunnel, silentLog);
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
