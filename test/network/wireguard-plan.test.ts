import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { parseAddress } from '../../runtime/network/addresses.ts';
import { wireguardAddress } from '../../runtime/network/kernel-pairs.ts';
import { MessageWriter } from '../../runtime/network/netlink.ts';
import {
  addWireguardLink,
  askFamily,
  putWireguardPeers,
  readFamily,
  removeWireguardPeers,
  setWireguard,
} from '../../runtime/network/wireguard-messages.ts';
import {
  NO_WIREGUARD,
  type WireguardNetwork,
  type WireguardPlan,
  wireguardPlan,
  wireguardSteps,
} from '../../runtime/network/wireguard-plan.ts';
import { FakeWireguard } from '../support/fake-wireguard.ts';

const FAMILY = 0x22;
const ID_END = 2 ** 24;
const PLACE = { namespacePath: '/run/tunnel', namespaceFd: 9, family: FAMILY };
const secretOf = (id: number): string => createHash('sha256').update(`key ${id}`).digest('hex');

function networkAt(turn: number, id = 'net1'): WireguardNetwork {
  const keys = [0, 1, 2].map((more) => (turn + more) % ID_END).map((key) => ({ id: key, secret: secretOf(key) }));
  return { id, firstPort: 20_000, firstIndex: 70_000, mtu: 1440, keys, sendId: keys[1]?.id ?? 0 };
}

const node = (number: number) => ({
  id: `node${number}`,
  address: parseAddress(`192.0.2.${number}`),
  firstPort: 20_000,
});

class Machine {
  readonly self: ReturnType<typeof node>;
  readonly kernel: FakeWireguard;
  #plan: WireguardPlan = NO_WIREGUARD;

  constructor(number: number) {
    this.self = node(number);
    this.kernel = new FakeWireguard(this.self.address, FAMILY, { path: PLACE.namespacePath, fd: PLACE.namespaceFd });
  }

  move(plan: WireguardPlan, between: () => void = () => undefined): void {
    const { make, remove } = wireguardSteps(this.#plan, plan, PLACE);
    this.#plan = plan;
    for (const step of [...make, ...remove]) this.kernel.take(step, between);
  }

  reaches(other: Machine): boolean {
    return this.kernel.reaches(other.kernel, wireguardAddress('net1', other.self.id));
  }
}

describe('the plan of WireGuard for an encrypted network', () => {
  for (const [who, first] of [
    ['the one', 0],
    ['the other', 1],
  ] as const) {
    it(`loses no packet while the keys turn, ${who} hearing of each turn first, also where their numbers begin anew`, () => {
      const machines = [new Machine(1), new Machine(2)] as const;
      const [one, other] = machines;
      const move = (at: number, turn: number, between?: () => void): void => {
        const self = machines[at as 0 | 1];
        const peer = machines[(1 - at) as 0 | 1];
        self.move(wireguardPlan(networkAt(turn), self.self, [peer.self]), between);
      };
      const begin = ID_END - 3;
      for (const at of [0, 1]) move(at, begin);
      const talk = (): void => assert.deepEqual([one.reaches(other), other.reaches(one)], [true, true]);
      talk();
      for (let turn = begin + 1; turn < begin + 7; turn += 1) {
        for (const at of [first, 1 - first]) move(at, turn, talk);
        assert.deepEqual([one.kernel.links.size, one.kernel.routes.size], [3, 1]);
      }
    });
  }

  it('follows a ring that turned many times meanwhile', () => {
    for (const turns of [1, 2, 3, 4, 5, 6]) {
      const [one, other] = [new Machine(1), new Machine(2)];
      for (const turn of [1, 1 + turns]) {
        one.move(wireguardPlan(networkAt(turn), one.self, [other.self]));
        other.move(wireguardPlan(networkAt(turn), other.self, [one.self]));
      }
      assert.deepEqual([one.reaches(other), other.reaches(one), one.kernel.links.size], [true, true, 3], `${turns}`);
    }
  });

  it('follows a ring that turned many times while a node went, and links that are to be others under the same keys', () => {
    const [one, other] = [new Machine(1), new Machine(2)];
    const both = (network: WireguardNetwork): void => {
      const { firstPort } = network;
      one.move(wireguardPlan(network, one.self, [{ ...other.self, firstPort }]));
      other.move(wireguardPlan(network, other.self, [{ ...one.self, firstPort }]));
      assert.deepEqual([one.reaches(other), other.reaches(one), one.kernel.routes.size], [true, true, 1]);
    };
    one.move(wireguardPlan(networkAt(1), one.self, [node(3), other.self]));
    both(networkAt(5));
    both({ ...networkAt(5), mtu: 1280 });
    both({ ...networkAt(5), mtu: 1280, firstPort: 21_000 });
    assert.ok([...one.kernel.links.values()].every(({ port }) => port >= 21_000));
    const keys = networkAt(5).keys.map(({ id }) => ({ id, secret: secretOf(id + 1_000) }));
    both({ ...networkAt(5), keys });
    assert.deepEqual(
      [...one.kernel.links.values()].map(({ peers }) => peers.size),
      [1, 1, 1],
    );
  });

  it('says nothing where nothing changed, and of a new node or address only that', () => {
    const [self, peer] = [node(1), node(2)];
    const plan = wireguardPlan(networkAt(1), self, [peer]);
    assert.deepEqual(wireguardSteps(plan, plan, PLACE), { make: [], remove: [] });
    const machine = new Machine(1);
    machine.move(plan);
    const privates = [...machine.kernel.links.values()].map(({ publicKey }) => publicKey);
    machine.move(wireguardPlan(networkAt(1), self, [peer, node(3)]));
    const [link] = machine.kernel.links.values();
    assert.deepEqual([link?.peers.size, machine.kernel.routes.size], [2, 2]);
    machine.move(wireguardPlan(networkAt(1), self, [{ ...peer, address: node(9).address }]));
    assert.deepEqual(
      [...(link?.peers.values() ?? [])].map(({ address }) => address),
      [node(9).address],
    );
    assert.deepEqual(
      [...machine.kernel.links.values()].map(({ publicKey }) => publicKey),
      privates,
    );
    machine.move(NO_WIREGUARD);
    assert.deepEqual([machine.kernel.links.size, machine.kernel.routes.size], [0, 0]);
  });

  it('is the same whether it is made of the one before or of nothing', () => {
    const other = { ...networkAt(1), keys: networkAt(1).keys.map(({ id }) => ({ id, secret: secretOf(id + 1_000) })) };
    const before = wireguardPlan(networkAt(1), node(1), [node(2), node(3)]);
    for (const [network, peers] of [
      [networkAt(1), [node(3), node(4)]],
      [networkAt(2), [node(2)]],
      [{ ...networkAt(1), firstPort: 21_000 }, [{ ...node(2), address: node(9).address }]],
      [other, [node(2)]],
    ] as const) {
      assert.deepEqual(wireguardPlan(network, node(1), peers, before), wireguardPlan(network, node(1), peers));
    }
    const kept = wireguardPlan(networkAt(1), node(1), [node(3)], before)
      .links.get(1)
      ?.peers.get('node3');
    assert.equal(kept?.publicKey, before.links.get(1)?.peers.get('node3')?.publicKey, 'not made anew');
  });

  it('has other keys for each node, pair, network and key of the ring', () => {
    const plans = [
      wireguardPlan(networkAt(1), node(1), [node(2), node(3)]),
      wireguardPlan(networkAt(1, 'net2'), node(1), [node(2), node(3)]),
      wireguardPlan(networkAt(9), node(1), [node(2), node(3)]),
    ];
    const links = plans.flatMap((plan) => [...plan.links.values()]);
    const peers = links.flatMap((link) => [...link.peers.values()]);
    const differs = (keys: readonly Uint8Array[]): void =>
      assert.equal(new Set(keys.map((key) => Buffer.from(key).toString('hex'))).size, keys.length);
    differs(links.map(({ privateKey }) => privateKey));
    differs(peers.map(({ publicKey }) => publicKey));
    differs(peers.map(({ presharedKey }) => presharedKey));
    assert.deepEqual([links.length, peers.length], [9, 18]);
    assert.ok(links.every(({ privateKey }) => (privateKey.at(-1) ?? 0) >> 6 === 1 && (privateKey[0] ?? 0) % 8 === 0));
  });

  it('refuses who would have the address of another inside', () => {
    const [kept, later] = ['n14896', 'n29806'].map((id, at) => ({ ...node(10 + at), id })) as [
      ReturnType<typeof node>,
      ReturnType<typeof node>,
    ];
    const plan = wireguardPlan(networkAt(1), node(1), [later, kept]);
    assert.deepEqual([[...plan.refused.keys()], plan.routes.size], [[later.id], 1]);
    assert.deepEqual([...wireguardPlan(networkAt(1), later, [node(1)]).routes.keys()].length, 1);
    assert.equal(wireguardPlan(networkAt(1), later, [kept, node(1)]).routes.size, 0);
  });
});

const numbers = (from: number): Uint8Array => Uint8Array.from({ length: 32 }, (_, at) => from + at);
const hex = (from: number): string => Buffer.from(numbers(from)).toString('hex');
const peer = {
  publicKey: numbers(32),
  presharedKey: numbers(64),
  address: parseAddress('192.0.2.2'),
  port: 20_002,
  inside: parseAddress('128.0.0.2'),
};

/** What wg 1.0 sends for the command, behind the header. */
const OF_WG = [
  [
    'wg set wg0 listen-port 20001 private-key …',
    (writer: MessageWriter) => setWireguard(writer, FAMILY, { name: 'wg0', privateKey: numbers(0), port: 20_001 }),
    ['0101000008000200776730002400', `0300${hex(0)}`, '06000600214e0000'],
  ],
  [
    'wg set wg0 peer … preshared-key … endpoint 192.0.2.2:20002 persistent-keepalive 25 allowed-ips 128.0.0.2/32',
    (writer: MessageWriter) => putWireguardPeers(writer, FAMILY, 'wg0', [peer]),
    [
      '010100000800020077673000',
      '9400088090000080',
      `24000100${hex(32)}24000200${hex(64)}`,
      '1400040002004e22c00002020000000000000000',
      '0600050019000000',
      '0800030002000000',
      '200009801c000080060001000200000008000200800000020500030020000000',
    ],
  ],
  [
    'wg set wg0 peer … remove',
    (writer: MessageWriter) => removeWireguardPeers(writer, FAMILY, 'wg0', [peer]),
    ['010100000800020077673000', `340008803000008024000100${hex(32)}0800030001000000`],
  ],
] as const;

describe('WireGuard', () => {
  for (const [command, write, body] of OF_WG) {
    it(`is said in the bytes of ${command}`, () => {
      const writer = new MessageWriter();
      write(writer);
      const bytes = writer.finish();
      assert.deepEqual([bytes.readUInt32LE(0), bytes.readUInt16LE(4)], [bytes.length, FAMILY]);
      assert.equal(bytes.subarray(16).toString('hex'), body.join(''));
    });
  }

  it('is asked for by its name, and has the number that is answered', () => {
    assert.equal(askFamily().subarray(16).toString('hex'), '030100000e000200776972656775617264000000');
    const answer = new MessageWriter();
    answer.message(16, 0, Buffer.from([1, 2, 0, 0]), () => answer.bytes(1, Buffer.from([FAMILY, 0])));
    assert.equal(readFamily(answer.finish()), FAMILY);
    assert.equal(readFamily(Buffer.alloc(0)), undefined);
  });

  it('has as many peers as there are, in messages that the kernel can take', () => {
    const writer = new MessageWriter();
    putWireguardPeers(
      writer,
      FAMILY,
      'wg0',
      Array.from({ length: 1_000 }, () => peer),
    );
    assert.equal(writer.count, 4);
    const link = new MessageWriter();
    addWireguardLink(link, { name: 'wg0', index: 7 });
    assert.equal(link.finish().readInt32LE(20), 7);
  });
});
