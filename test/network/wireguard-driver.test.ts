// Whoever drives WireGuard, on kernels made of its messages (fake-kernel.ts): links, sessions between them, and what they
// send and take. No kernel with WireGuard was at hand.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../base/log.ts';
import { parseAddress } from '../../runtime/network/addresses.ts';
import { KernelLives } from '../../runtime/network/kernel-lives.ts';
import { wireguardAddress } from '../../runtime/network/kernel-pairs.ts';
import { planKernelRules, WIREGUARD_TABLE } from '../../runtime/network/kernel-ruleset.ts';
import { NETLINK_GENERIC, NETLINK_NETFILTER, NETLINK_ROUTE, type Step } from '../../runtime/network/netd-protocol.ts';
import { WireguardDriver } from '../../runtime/network/wireguard-driver.ts';
import {
  NO_WIREGUARD,
  type WireguardEnd,
  wireguardPlan,
  wireguardSteps,
} from '../../runtime/network/wireguard-plan.ts';
import { FakeKernel, FakeNamespace } from '../support/fake-kernel.ts';
import { type FakeEnd, passes, shakeHands } from '../support/fake-wireguard-device.ts';

const NETWORK = { id: 'net1', name: 'back', vni: 4343, mtu: 1440 } as const;
const [WHERE, FIRST_INDEX, FIRST_PORT, FAMILY] = ['/run/tunnel', 70_000, 61_440, 0x22];
const [NEW_LINK, SET_LINK] = [16, 19];
const [EINVAL, EOPNOTSUPP] = [22, 95];

const secretOf = (id: number): string => createHash('sha256').update(`key ${id}`).digest('hex');
const ringAt = (turn: number) => {
  const keys = [0, 1, 2].map((more) => ({ id: turn + more, secret: secretOf(turn + more) }));
  return { keys, sendId: turn + 1 };
};

/** One node, over all lives of its daemon. */
class Machine implements Disposable {
  readonly kernel = new FakeKernel();
  readonly id: string;
  readonly address: number;
  readonly #folder = mkdtempSync(join(tmpdir(), 'shoal-wireguard-'));
  boot = 'first';
  lack: string | undefined;
  driver: WireguardDriver;
  /** Who was answered to be reached at last. */
  reached: ReadonlySet<string> = new Set();

  constructor(number: number) {
    this.id = `node${number}`;
    this.address = parseAddress(`192.0.2.${number}`);
    this.kernel.namespaces.set(WHERE, new FakeNamespace());
    this.driver = this.#start();
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get path(): string {
    return join(this.#folder, 'wireguard.json');
  }

  get end(): WireguardEnd {
    const firstPort = this.driver.ports()[NETWORK.id] ?? assert.fail('it hears nowhere');
    return { id: this.id, address: this.address, firstPort };
  }

  get links() {
    return this.kernel.at(WHERE).links;
  }

  /** Links, peers and routes. */
  get sizes(): number[] {
    const links = [...this.links.values()];
    const peers = links.map(({ device }) => device?.peers.size ?? 0);
    const sum = (numbers: number[]): number => numbers.reduce((total, each) => total + each, 0);
    return [links.length, sum(peers), sum(links.map(({ routes }) => routes.size))];
  }

  get wire(): FakeEnd {
    return { address: this.address, devices: this.kernel.devices };
  }

  #start(): WireguardDriver {
    return new WireguardDriver({
      netd: () => this.kernel,
      lives: new KernelLives({ path: this.path, bootId: async () => this.boot, log: silentLog }),
      log: silentLog,
      namespacePath: WHERE,
      ensureNamespace: async () => undefined,
      firstIndex: (id) => (id === NETWORK.id ? FIRST_INDEX : FIRST_INDEX + 4),
      firstPort: (_, attempt) => FIRST_PORT + 4 * attempt,
      probe: async () => this.lack,
    });
  }

  /** The daemon is another one, the kernel is not. */
  async restart(): Promise<void> {
    this.kernel.before = () => undefined;
    this.driver = this.#start();
    await this.driver.adopt();
  }

  open(): Promise<boolean> {
    return this.driver.open(NETWORK);
  }

  async carry(turn: number, ...peers: readonly WireguardEnd[]): Promise<ReadonlySet<string> | undefined> {
    const reached = await this.driver.carry(NETWORK.id, ringAt(turn), { id: this.id }, peers);
    this.reached = reached ?? new Set();
    return reached;
  }

  async bring(turn: number, ...peers: readonly WireguardEnd[]): Promise<void> {
    assert.ok(await this.carry(turn, ...peers), 'it carries');
    await this.driver.settle(NETWORK.id);
  }

  reaches(other: Machine): boolean {
    const [from, to] = [wireguardAddress(NETWORK.id, this.id), wireguardAddress(NETWORK.id, other.id)];
    const link = [...this.links.values()].find(({ up, routes }) => up && routes.has(to));
    return link?.device !== undefined && passes(link.device, from, to, other.wire);
  }
}

const greet = (one: Machine, other: Machine): void => shakeHands(one.wire, other.wire);
const talk = (one: Machine, other: Machine): boolean[] => [one.reaches(other), other.reaches(one)];
const BOTH = [true, true];

/** With a session. */
async function pair(): Promise<{ one: Machine; other: Machine } & Disposable> {
  const [one, other] = [new Machine(1), new Machine(2)];
  for (const machine of [one, other]) {
    assert.ok(await machine.open());
    await machine.bring(1);
  }
  await one.bring(1, other.end);
  await other.bring(1, one.end);
  greet(one, other);
  for (const machine of [one, other]) await machine.driver.audit();
  const end = (): void => [one, other].forEach((machine) => machine[Symbol.dispose]());
  return { one, other, [Symbol.dispose]: end };
}

const textOf = ({ family, where, messages }: { family: number; where: string; messages: Uint8Array }): string =>
  `${family} ${where} ${Buffer.from(messages).toString('hex')}`;
const bytesOf = (steps: readonly Step[]): string[] =>
  steps.map((step) => (step.do === 'netlink' ? textOf(step) : assert.fail('nothing else')));

describe('WireGuard, as it is driven', () => {
  it('says to the kernel what is planned, byte for byte: rules, links, keys, peers, routes', async () => {
    using one = new Machine(1);
    const peer = { id: 'node2', address: parseAddress('192.0.2.2'), firstPort: 61_500 };
    assert.ok(await one.open());
    assert.deepEqual(one.driver.ports(), {}, 'nobody is told before it hears');
    await one.bring(1, peer);
    const [namespaceFd] = [11]; // the first that the fake kernel gives out
    const network = { id: NETWORK.id, firstPort: FIRST_PORT, firstIndex: FIRST_INDEX, mtu: NETWORK.mtu, ...ringAt(1) };
    const plan = wireguardPlan(network, { id: one.id }, [peer]);
    const place = { namespacePath: WHERE, namespaceFd, family: FAMILY };
    const links = [0, 1, 2, 3].map((slot) => ({ name: `wg${FIRST_INDEX + slot}`, vni: NETWORK.vni }));
    const rules = { family: NETLINK_NETFILTER, where: WHERE, messages: planKernelRules(links, WIREGUARD_TABLE) };
    const { make, remove } = wireguardSteps(NO_WIREGUARD, plan, place);
    assert.deepEqual([one.kernel.said.map(textOf), remove], [[textOf(rules), ...bytesOf(make)], []]);
    assert.deepEqual(
      [...one.kernel.at(WHERE).settings],
      ['all', 'default'].map((of) => [`ipv4/conf/${of}/rp_filter`, '0']),
      'packets may come by another link than they go',
    );
    one.kernel.said = [];
    await one.bring(1, peer);
    assert.deepEqual(one.kernel.said, [], 'the same again says nothing');
    assert.deepEqual([one.driver.isOffered, one.driver.ports()], [true, { net1: FIRST_PORT }]);
    assert.doesNotMatch(readFileSync(one.path, 'utf8'), new RegExp(secretOf(1)), 'no secret is on disk');
  });

  it('sends so once there is a session, and says until then that there is none', async () => {
    using one = new Machine(1);
    using other = new Machine(2);
    for (const machine of [one, other]) {
      await machine.open();
      await machine.bring(1);
    }
    await one.bring(1, other.end);
    greet(one, other);
    assert.deepEqual((await one.driver.audit()).changed, [], 'the other end does not know it yet');
    await other.bring(1, one.end);
    greet(one, other);
    for (const machine of [one, other]) {
      assert.deepEqual((await machine.driver.audit()).changed, ['net1']);
      const peer = machine === one ? other : one;
      assert.deepEqual(await machine.carry(1, peer.end), new Set([peer.id]));
    }
    assert.deepEqual(talk(one, other), BOTH);
    const counts = (await one.driver.counts(NETWORK.id)).get('node2');
    assert.deepEqual([counts?.open, counts?.sent], [true, 296]);
  });

  it('loses no packet while keys turn, whoever hears first, and nothing is left of the turns', async () => {
    for (const first of [0, 1]) {
      using both = await pair();
      const machines = [both.one, both.other] as const;
      for (const machine of machines) machine.kernel.before = () => assert.deepEqual(talk(both.one, both.other), BOTH);
      for (let turn = 2; turn < 8; turn += 1) {
        for (const at of [first, 1 - first]) {
          const [machine, peer] = [machines[at as 0 | 1], machines[(1 - at) as 0 | 1]];
          await machine.bring(turn, peer.end);
          assert.deepEqual([...machine.reached], [peer.id], 'the new key has its session before it is sent under');
          assert.deepEqual([talk(both.one, both.other), machine.sizes], [BOTH, [3, 3, 1]]);
        }
        greet(both.one, both.other);
      }
    }
  });

  it('leaves a node to the tunnel that has no session under the key that is sent under', async () => {
    using both = await pair();
    const { one, other } = both;
    await one.bring(2, other.end);
    await one.bring(5, other.end); // all three keys are others
    assert.deepEqual([one.reached.size, one.reaches(other)], [0, false]);
    await other.bring(5, one.end);
    greet(one, other);
    assert.deepEqual((await one.driver.audit()).changed, ['net1']);
    assert.deepEqual(await one.carry(5, other.end), new Set(['node2']));
  });

  it('does not take the session under one key for that under the next', async () => {
    using both = await pair();
    const { one, other } = both;
    for (const turn of [2, 3]) {
      await one.bring(turn, other.end);
      await other.bring(turn, one.end);
      assert.deepEqual([one.reached.size, one.reaches(other)], turn === 2 ? [1, true] : [0, false]);
    }
  });

  it('takes out nodes that went, and refuses none', async () => {
    using both = await pair();
    await both.one.bring(1);
    assert.deepEqual([both.one.sizes, both.one.reached.size], [[3, 0, 0], 0]);
  });
});

describe('the audit of WireGuard', () => {
  const anyLink = ({ links }: Machine) => [...links.values()][1] ?? assert.fail('there are links');
  const device = (machine: Machine) => anyLink(machine).device ?? assert.fail('it is of WireGuard');
  const ways = ({ links }: Machine) => [...links.values()].find(({ routes }) => routes.size > 0);
  for (const [what, damage, words] of [
    ['a peer', (machine: Machine) => device(machine).peers.clear(), /lacked 1 peers of WireGuard and had 0 too many/],
    [
      'a stranger',
      (machine: Machine) => {
        const [peer] = device(machine).peers.values();
        if (peer) device(machine).peers.set('ab'.repeat(32), { ...peer, allowed: [7] });
      },
      /lacked 0 peers of WireGuard and had 1 too many/,
    ],
    [
      'more than a node may send',
      (machine: Machine) => [...device(machine).peers.values()].forEach((peer) => peer.allowed.push(7)),
      /lacked 1 peers/,
    ],
    ['another key', (machine: Machine) => void (device(machine).privateKey = Buffer.alloc(32, 7)), /lacked 1 links/],
    ['another port', (machine: Machine) => void (device(machine).port += 1_000), /lacked 1 links/],
    ['a route', (machine: Machine) => ways(machine)?.routes.clear(), /lacked 1 routes/],
    ['a foreign route', (machine: Machine) => ways(machine)?.routes.add(7), /had 1 too many/],
    ['a link down', (machine: Machine) => void (anyLink(machine).up = false), /lacked 1 links of WireGuard/],
    ['another MTU', (machine: Machine) => void (anyLink(machine).mtu = 9_000), /lacked 1 links/],
    ['no address', (machine: Machine) => anyLink(machine).addresses.clear(), /lacked 1 links/],
    ['no links', ({ links }: Machine) => links.clear(), /lacked 3 links/],
    ['no rules', ({ kernel }: Machine) => void (kernel.at(WHERE).rules = []), /lacked packet rules/],
  ] as const) {
    it(`finds ${what}, repairs it, and then finds nothing`, async () => {
      using both = await pair();
      const { one, other } = both;
      assert.deepEqual((await one.driver.audit()).repairs, []);
      damage(one);
      assert.match((await one.driver.differences()).join('; '), words);
      one.kernel.said = [];
      await one.driver.differences();
      assert.deepEqual(one.kernel.said, [], 'looking changes nothing');
      assert.match((await one.driver.audit()).repairs.join('; '), words);
      greet(one, other);
      assert.deepEqual([(await one.driver.audit()).repairs, await one.driver.differences()], [[], []]);
      assert.deepEqual([talk(one, other), one.sizes], [BOTH, [3, 3, 1]]);
    });
  }

  it('lets a node be answered where it was heard from', async () => {
    using both = await pair();
    const peers = [...both.one.links.values()].flatMap(({ device: each }) => [...(each?.peers.values() ?? [])]);
    for (const { endpoint } of peers) endpoint.writeUInt32BE(parseAddress('198.51.100.7'), 4);
    assert.deepEqual((await both.one.driver.audit()).repairs, []);
    both.one.kernel.said = [];
    await both.one.bring(1, both.other.end);
    assert.deepEqual(both.one.kernel.said, []);
  });

  it('leaves a node to the tunnel that does not answer, until it does', async () => {
    using both = await pair();
    const { one, other } = both;
    const lose = (): void => shakeHands(one.wire, { address: other.address, devices: [] });
    for (let count = 0; count < 3; count += 1) {
      lose();
      await one.driver.audit();
    }
    assert.equal(one.driver.reason('net1', 'node2'), 'it did not answer by WireGuard (a firewall?)');
    assert.deepEqual(await one.carry(1, other.end), new Set());
    for (let count = 0; count < 30; count += 1) assert.deepEqual((await one.driver.audit()).changed, []);
    greet(one, other);
    assert.deepEqual((await one.driver.audit()).changed, ['net1']);
    assert.deepEqual(await one.carry(1, other.end), new Set(['node2']));
    assert.equal(one.driver.reason('net1', 'node2'), undefined);
  });

  it('counts on nobody whose session was not made anew in its time', async () => {
    using both = await pair();
    let audits = 0;
    while ((await both.one.driver.audit()).changed.length === 0) {
      audits += 1;
      assert.ok(audits < 30, 'it ends');
    }
    assert.deepEqual(
      [audits, await both.one.carry(1, both.other.end)],
      [22, new Set()],
      'and one with the session, and the last',
    );
  });
});

describe('WireGuard of an earlier daemon', () => {
  it('is taken up as it is: others send on to its ports, nothing is made anew', async () => {
    using both = await pair();
    const { one, other } = both;
    await one.restart();
    assert.deepEqual([one.driver.ports(), one.driver.isOffered], [{ net1: FIRST_PORT }, true], 'before any network');
    one.kernel.said = [];
    assert.ok(await one.open());
    assert.deepEqual(one.driver.ports(), { net1: FIRST_PORT });
    await one.bring(1, other.end);
    assert.deepEqual(
      one.kernel.said.map(({ family }) => family),
      [NETLINK_NETFILTER],
    );
    assert.deepEqual([talk(one, other), [...one.reached]], [BOTH, ['node2']]);
    assert.deepEqual(await one.driver.audit(), { repairs: [], changed: [] });
  });

  for (let changes = 0; changes < 12; changes += 1) {
    it(`is brought to the end of two turns that were broken off after ${changes} changes`, async () => {
      using both = await pair();
      const { one, other } = both;
      one.kernel.dieAfter(changes);
      await one.bring(3, other.end).catch((error: unknown) => assert.match(String(error), /helper went away/));
      await one.restart();
      assert.ok(await one.open());
      await one.bring(3, other.end);
      await other.bring(3, one.end);
      greet(one, other);
      assert.deepEqual([talk(one, other), one.sizes, other.sizes], [BOTH, [3, 3, 1], [3, 3, 1]]);
      assert.equal(one.kernel.at('').links.size, 0, 'nothing stayed where links are made');
      assert.deepEqual((await one.driver.audit()).repairs, []);
    });
  }

  it('is of no use after a boot, and hears at the same ports', async () => {
    using both = await pair();
    const { one, other } = both;
    one.links.clear();
    one.boot = 'second';
    await one.restart();
    assert.deepEqual([one.driver.ports(), one.driver.isOffered], [{}, false]);
    await one.open();
    await one.bring(1, other.end);
    greet(one, other);
    assert.deepEqual([talk(one, other), one.end.firstPort], [BOTH, FIRST_PORT]);
  });

  it('is taken out when nobody knows the network any more', async () => {
    using both = await pair();
    await both.one.restart();
    await both.one.driver.sweep(new Set([NETWORK.id]));
    assert.deepEqual(both.one.sizes, [3, 3, 1]);
    await both.one.driver.sweep(new Set());
    assert.deepEqual([both.one.sizes, both.one.driver.ports()], [[0, 0, 0], {}]);
    await both.other.driver.end(NETWORK.id);
    assert.deepEqual([both.other.sizes, both.other.driver.ports()], [[0, 0, 0], {}]);
  });
});

describe('a kernel that does not do WireGuard', () => {
  it('is not offered, says why, and is asked nothing more', async () => {
    for (const isKnown of [true, false]) {
      using one = new Machine(1);
      if (isKnown) one.kernel.hasWireguard = false;
      else one.lack = 'creating wg0 (EOPNOTSUPP)';
      assert.equal(await one.open().catch(() => false), false);
      assert.deepEqual([one.driver.isOffered, one.driver.ports(), one.kernel.said], [false, {}, []]);
      assert.deepEqual(await one.driver.audit(), { repairs: [], changed: [] });
    }
  });

  it('that refuses after all what it had said to have is left alone from then on, with its words', async () => {
    using both = await pair();
    const { one, other } = both;
    one.kernel.refuse = (family, type) => (family === NETLINK_ROUTE && type === NEW_LINK ? EOPNOTSUPP : 0);
    assert.equal(await one.carry(2, other.end), undefined);
    assert.deepEqual([one.sizes, one.driver.isOffered, one.driver.ports()], [[0, 0, 0], false, {}]);
    assert.match(one.driver.refusal ?? '', /^encrypting network back by WireGuard: \(E(OP)?NOTSUPP?, message 1\)$/);
    assert.equal(one.driver.reason('net1', 'node2'), one.driver.refusal);
    one.kernel.refuse = () => 0;
    one.kernel.said = [];
    await one.driver.audit();
    assert.deepEqual([await one.open(), one.kernel.said], [false, []]);
  });

  it('that refuses one network three times has it left to the tunnel, others not', async () => {
    using both = await pair();
    const { one, other } = both;
    one.kernel.refuse = (family) => (family === NETLINK_GENERIC ? EINVAL : 0);
    for (let count = 0; count < 3; count += 1) {
      assert.equal(await one.carry(2, other.end), undefined);
      assert.deepEqual([one.driver.ports(), one.sizes[0]], [{}, 0], 'others are not asked to send so');
      assert.deepEqual((await one.driver.audit()).changed, count < 2 ? ['net1'] : []);
    }
    assert.match(one.driver.reason('net1', 'node2') ?? '', /EINVAL/);
    one.kernel.refuse = () => 0;
    assert.ok(await one.driver.open({ ...NETWORK, id: 'net2', vni: 7 }));
    await one.driver.carry('net2', ringAt(1), { id: one.id }, []);
    assert.deepEqual(Object.keys(one.driver.ports()), ['net2']);
    await one.driver.end(NETWORK.id);
    await one.open();
    await one.bring(2, other.end);
    assert.equal(one.driver.reason('net1', 'node2'), undefined);
  });

  it('that does not move a link keeps nothing of it', async () => {
    using one = new Machine(1);
    one.kernel.refuse = (family, type) => (family === NETLINK_ROUTE && type === SET_LINK ? EINVAL : 0);
    await one.open();
    assert.equal(await one.carry(1), undefined);
    assert.deepEqual([one.kernel.at('').links.size, one.sizes[0]], [0, 0]);
  });
});

describe('the ports of WireGuard', () => {
  it('are others where somebody has one of them, also at a turn of the ring', async () => {
    using both = await pair();
    const { one, other } = both;
    one.kernel.takenPorts.add(FIRST_PORT); // of the fourth key, which comes with the second turn
    await one.bring(1, other.end);
    assert.ok(await one.carry(2, other.end));
    assert.equal(one.end.firstPort, FIRST_PORT + 4, 'the next four, at once');
    await other.bring(2, one.end);
    greet(one, other);
    assert.deepEqual(talk(one, other), BOTH);
    await one.restart();
    assert.deepEqual(one.driver.ports(), { net1: FIRST_PORT + 4 });
  });

  it('are never two networks’', async () => {
    using one = new Machine(1);
    for (const id of ['net1', 'net2']) {
      await one.driver.open({ ...NETWORK, id });
      await one.driver.carry(id, ringAt(1), { id: one.id }, []);
    }
    assert.deepEqual(one.driver.ports(), { net1: FIRST_PORT, net2: FIRST_PORT + 4 });
  });

  it('are given up when too many are taken, which is a refusal', async () => {
    using one = new Machine(1);
    for (let port = FIRST_PORT; port < FIRST_PORT + 1_000; port += 1) one.kernel.takenPorts.add(port);
    await one.open();
    assert.equal(await one.carry(1), undefined);
    assert.match(one.driver.reason('net1', 'node2') ?? '', /EADDRINUSE/);
    assert.deepEqual([one.driver.ports(), one.sizes[0]], [{}, 0]);
  });
});
