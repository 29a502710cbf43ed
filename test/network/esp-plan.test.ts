import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { formatAddress, parseAddress } from '../../runtime/network/addresses.ts';
import {
  espLinkEnd,
  espLinkSteps,
  type EspNetwork,
  type EspPlan,
  espPlan,
  espSteps,
  NO_ESP,
} from '../../runtime/network/esp-plan.ts';
import { insideAddress, type KernelEnd } from '../../runtime/network/kernel-pairs.ts';
import { NETLINK_ROUTE, NETLINK_XFRM, type Step } from '../../runtime/network/netd-protocol.ts';
import { readAttributes, readMessages } from '../../runtime/network/netlink.ts';
import { FakeXfrm } from '../support/fake-xfrm.ts';

const ID_END = 2 ** 24;
/** Found by trying: both have the same address inside net1. */
const TWICE = ['n14896', 'n29806'] as const;
/** Both as nodes at 192.0.2.2 in the life of node2: what they send to node1 under the first key has one SPI. */
const SAME_SPI = ['n71861', 'n81386'] as const;
const PLACE = { index: 4343, namespacePath: '/run/tunnel' };

const secretOf = (id: number): string => createHash('sha256').update(`key ${id}`).digest('hex');

/** As the managers' ring after so many turns. */
function networkAt(turn: number, id = 'net1'): EspNetwork {
  const keys = [0, 1, 2].map((more) => (turn + more) % ID_END).map((key) => ({ id: key, secret: secretOf(key) }));
  return { id, interfaceId: 4343, keys, sendId: keys[1]?.id ?? 0 };
}

const node = (number: number, life = String(number)): KernelEnd => ({
  id: `node${number}`,
  address: parseAddress(`192.0.2.${number}`),
  life: life.padStart(32, '0'),
});

class Machine {
  readonly kernel = new FakeXfrm();
  readonly self: KernelEnd;
  #plan: EspPlan = NO_ESP;

  constructor(self: KernelEnd) {
    this.self = self;
  }

  /** Each change of the kernel by itself; `between` is called behind each of them. */
  move(plan: EspPlan, between: () => void = () => undefined): void {
    const { make, remove } = espSteps(this.#plan, plan, PLACE);
    this.#plan = plan;
    for (const step of [...make, ...remove]) this.kernel.take(step, between);
  }

  reaches(other: Machine, networkId = 'net1'): boolean {
    const [from, to] = [insideAddress(networkId, this.self.id), insideAddress(networkId, other.self.id)];
    const sealed = this.kernel.seal(4343, from, to);
    return sealed !== undefined && other.kernel.opens(4343, from, to, sealed);
  }
}

const messagesIn = (steps: readonly Step[], family: number): number =>
  steps.filter((step) => step.do === 'netlink' && step.family === family).length;

describe('the plan of ESP for an encrypted network', () => {
  for (const [who, first] of [
    ['the one', 0],
    ['the other', 1],
  ] as const) {
    it(`loses no packet while the keys turn, ${who} hearing of each turn first, also where their numbers begin anew`, () => {
      const machines = [new Machine(node(1)), new Machine(node(2))] as const;
      const [one, other] = machines;
      const move = (at: number, turn: number, between?: () => void): void => {
        const self = machines[at as 0 | 1];
        const peer = machines[(1 - at) as 0 | 1];
        self.move(espPlan(networkAt(turn), self.self, [peer.self]), between);
      };
      const begin = ID_END - 3;
      for (const at of [0, 1]) move(at, begin);
      const talk = (): void => assert.deepEqual([one.reaches(other), other.reaches(one)], [true, true]);
      talk();
      for (let turn = begin + 1; turn < begin + 7; turn += 1) {
        for (const at of [first, 1 - first]) move(at, turn, talk);
        assert.deepEqual([one.kernel.states.size, one.kernel.policies.size], [4, 2]);
      }
    });
  }

  it('takes nothing out before its successor is there, and of a turn only what is new or out of use', () => {
    const [self, peer] = [node(1), node(2)];
    const [before, after] = [espPlan(networkAt(5), self, [peer]), espPlan(networkAt(6), self, [peer])];
    const { make, remove } = espSteps(before, after, PLACE);
    const kernel = new FakeXfrm();
    for (const step of espSteps(NO_ESP, before, PLACE).make) kernel.take(step);
    for (const step of make) kernel.take(step);
    assert.deepEqual([kernel.states.size, kernel.said], [6, { state: 6, policy: 3, endState: 0, endPolicy: 0 }]);
    for (const step of remove) kernel.take(step);
    assert.deepEqual(kernel.said, { state: 6, policy: 3, endState: 2, endPolicy: 0 });
    assert.deepEqual([...kernel.states.keys()].sort(), [...after.states.keys()].sort());
    assert.equal(messagesIn([...make, ...remove], NETLINK_ROUTE), 0);
    assert.deepEqual(espSteps(after, after, PLACE), { make: [], remove: [] });
  });

  it('leaves nothing of a node that went, and nothing at all at the end', () => {
    const [self, peers] = [node(1), [node(2), node(3)]];
    const machine = new Machine(self);
    const both = espPlan(networkAt(1), self, peers);
    machine.move(both);
    assert.deepEqual(
      [...both.routes].map(formatAddress),
      peers.map(({ id }) => formatAddress(insideAddress('net1', id))),
    );
    machine.move(espPlan(networkAt(1), self, peers.slice(1)));
    assert.ok(
      [...machine.kernel.states.values()].every(({ source, destination }) => {
        return source !== peers[0]?.address && destination !== peers[0]?.address;
      }),
    );
    assert.deepEqual([machine.kernel.states.size, machine.kernel.policies.size], [4, 2]);
    machine.move(NO_ESP);
    assert.deepEqual([machine.kernel.states.size, machine.kernel.policies.size], [0, 0]);
  });

  it('makes the link where the states are, moves it to where the packets are, and only then takes it up', () => {
    const said = (steps: readonly Step[]) =>
      steps.flatMap((step) => {
        assert.ok(step.do === 'netlink' && step.family === NETLINK_ROUTE);
        return [...readMessages(Buffer.from(step.messages))].map(({ type, body }) => ({
          where: step.where,
          type,
          body,
        }));
      });
    const made = said(espLinkSteps(networkAt(1), node(1), { ...PLACE, namespaceFd: 9, mtu: 1440 }));
    assert.deepEqual(
      made.map(({ where, type }) => `${type} ${where}`),
      ['16 ', '19 ', `20 ${PLACE.namespacePath}`, `19 ${PLACE.namespacePath}`],
    );
    assert.equal(
      readAttributes((made[1]?.body ?? Buffer.alloc(16)).subarray(16))
        .get(28)
        ?.readUInt32LE(0),
      9,
    );
    const own = readAttributes((made[2]?.body ?? Buffer.alloc(8)).subarray(8))
      .get(2)
      ?.readUInt32BE(0);
    assert.equal(own, insideAddress('net1', 'node1'));
    const end = said(espLinkEnd(PLACE));
    assert.deepEqual(
      [...made, ...end].map(({ body }) => body.readInt32LE(4)),
      Array.from({ length: 5 }, () => PLACE.index),
    );
    assert.deepEqual(
      end.map(({ where, type }) => `${type} ${where}`),
      [`17 ${PLACE.namespacePath}`],
    );
  });

  it('makes routes last and takes them out first', () => {
    const families = (steps: readonly Step[]): number[] =>
      steps.flatMap((step) => (step.do === 'netlink' ? [step.family] : []));
    const plan = espPlan(networkAt(1), node(1), [node(2)]);
    assert.deepEqual(families(espSteps(NO_ESP, plan, PLACE).make), [NETLINK_XFRM, NETLINK_ROUTE]);
    assert.deepEqual(families(espSteps(plan, NO_ESP, PLACE).remove), [NETLINK_ROUTE, NETLINK_XFRM]);
  });

  it('has another key and SPI for each direction, pair, network, key of the ring, and life of either end', () => {
    const [self, peer] = [node(1), node(2)];
    const plans = [
      espPlan(networkAt(1), self, [peer, node(3)]),
      espPlan(networkAt(1, 'net2'), self, [peer, node(3)]),
      espPlan(networkAt(1), node(1, 'ab'), [peer]),
      espPlan(networkAt(1), self, [node(2, 'ab')]),
      espPlan(networkAt(1), self, [{ ...peer, address: parseAddress('192.0.2.77') }]),
      espPlan(networkAt(9), self, [peer]),
    ];
    const states = plans.flatMap((plan) => [...plan.states.values()]);
    assert.equal(states.length, 2 * 8 + 4 * 4);
    for (const facts of [
      states.map(({ key }) => Buffer.from(key).toString('hex')),
      states.map(({ spi }) => `${spi}`),
    ]) {
      assert.equal(new Set(facts).size, states.length);
    }
    assert.ok(states.every(({ spi, key }) => spi >= 256 && spi < 2 ** 32 && key.length === 20));
  });

  it('opens nothing that was recorded before one of the two began a new life', () => {
    const [one, other] = [new Machine(node(1)), new Machine(node(2))];
    one.move(espPlan(networkAt(1), one.self, [other.self]));
    other.move(espPlan(networkAt(1), other.self, [one.self]));
    const [from, to] = [insideAddress('net1', 'node1'), insideAddress('net1', 'node2')];
    const recorded = one.kernel.seal(4343, from, to) ?? assert.fail('nothing was sent');
    assert.ok(other.kernel.opens(4343, from, to, recorded));
    const reborn = new Machine(node(2, 'ab'));
    reborn.move(espPlan(networkAt(1), reborn.self, [one.self]));
    assert.equal(reborn.kernel.opens(4343, from, to, recorded), false);
    assert.equal(one.reaches(reborn), false, 'until it has heard of that life');
    one.move(espPlan(networkAt(1), one.self, [reborn.self]));
    assert.deepEqual([one.reaches(reborn), reborn.reaches(one)], [true, true]);
  });

  it('is none of a node that has not said in which life it is', () => {
    for (const life of ['', 'AB'.repeat(16), `${'0'.repeat(31)}\n`]) {
      const peer = { ...node(2), life };
      assert.throws(() => espPlan(networkAt(1), node(1), [peer]), { code: 'invalid', message: /in which life/ });
    }
  });

  it('refuses who would have the address of another inside, at both ends, and carries the others', () => {
    const [kept, later] = TWICE.map((id, at) => ({ ...node(10 + at), id })) as [KernelEnd, KernelEnd];
    assert.equal(insideAddress('net1', kept.id), insideAddress('net1', later.id));
    const atSelf = espPlan(networkAt(1), node(1), [later, kept, node(2)]);
    assert.deepEqual([...atSelf.refused.keys()], [later.id]);
    assert.match(atSelf.refused.get(later.id) ?? '', new RegExp(`that of another node, ${kept.id}`));
    assert.equal(atSelf.states.size, 8);
    const atLater = espPlan(networkAt(1), later, [kept, node(1)]);
    assert.deepEqual([...atLater.refused.keys()].sort(), [kept.id, 'node1'].sort());
    assert.deepEqual([atLater.states.size, atLater.policies.size, atLater.routes.size], [0, 0, 0]);
    assert.equal(espPlan(networkAt(1), kept, [later, node(1)]).states.size, 4);
  });

  it('refuses one of two whose SPIs are the same, and keeps the other', () => {
    const peers = SAME_SPI.map((id) => ({ ...node(2), id }));
    const { refused, states } = espPlan(networkAt(1), node(1), peers);
    assert.deepEqual([...refused.keys()], [peers.map(({ id }) => id).sort()[1]]);
    assert.match([...refused.values()].join(), /the SPI \d+ is another node's as well/);
    assert.equal(states.size, 4);
  });
});
