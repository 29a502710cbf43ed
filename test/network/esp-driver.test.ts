// Whoever drives ESP, on kernels made of its messages (fake-kernel.ts). These also hold that no key is ever used for a
// second state, whatever happens.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../base/log.ts';
import { parseAddress } from '../../runtime/network/addresses.ts';
import { EspDriver } from '../../runtime/network/esp-driver.ts';
import { espLinkSteps, espPlan, espSteps, NO_ESP } from '../../runtime/network/esp-plan.ts';
import { insideAddress, type KernelEnd } from '../../runtime/network/kernel-pairs.ts';
import { KernelLives } from '../../runtime/network/kernel-lives.ts';
import { planKernelRules } from '../../runtime/network/kernel-ruleset.ts';
import { NETLINK_NETFILTER, NETLINK_ROUTE, NETLINK_XFRM, type Step } from '../../runtime/network/netd-protocol.ts';
import { FakeKernel, FakeNamespace } from '../support/fake-kernel.ts';

const NETWORK = { id: 'net1', name: 'back', vni: 4343, mtu: 1440 } as const;
const INTERFACE = 4343;
const WHERE = '/run/tunnel';
const PLACE = { index: INTERFACE, namespacePath: WHERE };
const [NEW_STATE, PUT_POLICY, SET_LINK] = [16, 25, 19];
const [EINVAL, EPROTONOSUPPORT] = [22, 93];

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
  readonly #folder = mkdtempSync(join(tmpdir(), 'shoal-esp-'));
  boot = 'first';
  lack: string | undefined;
  driver: EspDriver;

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
    return join(this.#folder, 'encryption.json');
  }

  get end(): KernelEnd {
    return { id: this.id, address: this.address, life: this.driver.lives()[NETWORK.id] ?? '' };
  }

  #start(): EspDriver {
    return new EspDriver({
      netd: () => this.kernel,
      lives: new KernelLives({ path: this.path, bootId: async () => this.boot, log: silentLog }),
      log: silentLog,
      namespacePath: WHERE,
      ensureNamespace: async () => undefined,
      interfaceId: (id) => (id === NETWORK.id ? INTERFACE : INTERFACE + 1),
      probe: async () => this.lack,
    });
  }

  /** The daemon is another one, the kernel is not. */
  async restart(): Promise<void> {
    this.kernel.before = () => undefined;
    this.driver = this.#start();
    await this.driver.adopt();
  }

  async open(): Promise<string> {
    return (await this.driver.open({ ...NETWORK, nodeId: this.id })) ?? assert.fail('it does not carry');
  }

  async carry(turn: number, ...peers: readonly KernelEnd[]): Promise<ReadonlySet<string> | undefined> {
    return await this.driver.carry(NETWORK.id, ringAt(turn), { id: this.id, address: this.address }, peers);
  }

  async bring(turn: number, ...peers: readonly KernelEnd[]): Promise<void> {
    assert.ok(await this.carry(turn, ...peers), 'it carries');
    await this.driver.settle(NETWORK.id);
  }

  reaches(other: Machine): boolean {
    const [from, to] = [insideAddress(NETWORK.id, this.id), insideAddress(NETWORK.id, other.id)];
    const link = this.kernel.at(WHERE).links.get(INTERFACE);
    if (!link?.up || !link.routes.has(to)) return false;
    const sealed = this.kernel.xfrm.seal(INTERFACE, from, to);
    return sealed !== undefined && other.kernel.xfrm.opens(INTERFACE, from, to, sealed);
  }

  get sizes(): number[] {
    const { states, policies } = this.kernel.xfrm;
    const link = this.kernel.at(WHERE).links.get(INTERFACE);
    return [states.size, policies.size, link?.routes.size ?? -1];
  }
}

async function pair(): Promise<{ one: Machine; other: Machine } & Disposable> {
  const [one, other] = [new Machine(1), new Machine(2)];
  for (const machine of [one, other]) await machine.open();
  await one.bring(1, other.end);
  await other.bring(1, one.end);
  const end = (): void => [one, other].forEach((machine) => machine[Symbol.dispose]());
  return { one, other, [Symbol.dispose]: end };
}

const talk = (one: Machine, other: Machine): boolean[] => [one.reaches(other), other.reaches(one)];
const BOTH = [true, true];
const bytesOf = (steps: readonly Step[]): string[] =>
  steps.map((step) =>
    step.do === 'netlink' ? `${step.family} ${Buffer.from(step.messages).toString('hex')}` : step.do,
  );

describe('ESP, as it is driven', () => {
  it('says to the kernel what is planned, byte for byte: rules, link, states, policies, routes', async () => {
    using one = new Machine(1);
    const peer: KernelEnd = { id: 'node2', address: parseAddress('192.0.2.2'), life: 'ab'.repeat(16) };
    const life = await one.open();
    await one.bring(1, peer);
    const self = { id: one.id, address: one.address, life };
    const network = { id: NETWORK.id, interfaceId: INTERFACE, ...ringAt(1) };
    const link = espLinkSteps(network, self, { ...PLACE, namespaceFd: 11, mtu: NETWORK.mtu });
    const rules = planKernelRules([{ name: `esp${INTERFACE}`, vni: NETWORK.vni }]);
    const { make } = espSteps(NO_ESP, espPlan(network, self, [peer]), PLACE);
    assert.deepEqual(
      one.kernel.said.map(({ family, messages }) => `${family} ${messages.toString('hex')}`),
      [`${NETLINK_NETFILTER} ${rules.toString('hex')}`, ...bytesOf(link), ...bytesOf(make)],
    );
    assert.deepEqual(
      one.kernel.said.map(({ where }) => where),
      [WHERE, '', WHERE, '', WHERE],
    );
    one.kernel.said = [];
    await one.bring(1, peer);
    assert.deepEqual(one.kernel.said, [], 'the same again says nothing');
    assert.deepEqual([one.driver.isOffered, one.driver.lives()], [true, { net1: life }]);
  });

  it('loses no packet while keys turn, whoever hears first, and nothing is left of the turns', async () => {
    for (const first of [0, 1]) {
      using both = await pair();
      const machines = [both.one, both.other] as const;
      for (const machine of machines) machine.kernel.before = () => assert.deepEqual(talk(both.one, both.other), BOTH);
      for (let turn = 2; turn < 6; turn += 1) {
        for (const at of [first, 1 - first]) {
          const [machine, peer] = [machines[at as 0 | 1], machines[(1 - at) as 0 | 1]];
          await machine.bring(turn, peer.end);
          assert.deepEqual(talk(both.one, both.other), BOTH);
          assert.deepEqual(machine.sizes, [4, 2, 1]);
        }
      }
    }
  });

  it('makes before it takes out: between the two both ways are there', async () => {
    using both = await pair();
    await both.one.carry(2, both.other.end);
    assert.deepEqual([both.one.sizes, talk(both.one, both.other)], [[6, 2, 1], BOTH]);
    await both.one.driver.settle(NETWORK.id);
    assert.deepEqual(both.one.sizes, [4, 2, 1]);
  });

  it('counts what went to a node, and came', async () => {
    using both = await pair();
    const [none] = (await both.one.driver.counts(NETWORK.id)).values();
    assert.deepEqual(none, { sent: 0, received: 0, replayed: 0, altered: 0 });
    for (let count = 0; count < 3; count += 1) both.one.reaches(both.other);
    both.other.reaches(both.one);
    const counts = (await both.one.driver.counts(NETWORK.id)).get('node2');
    assert.deepEqual([counts?.sent, counts?.received], [3, 1]);
  });
});

describe('the audit of ESP', () => {
  const { links } = { links: (machine: Machine) => machine.kernel.at(WHERE).links };
  const linkOf = (machine: Machine) => links(machine).get(INTERFACE) ?? assert.fail('there is a link');
  for (const [what, damage, words] of [
    ['a policy', ({ kernel }: Machine) => kernel.xfrm.policies.clear(), /lacked 2 policies of ESP and had 0 too many/],
    ['a route', (machine: Machine) => linkOf(machine).routes.clear(), /lacked 1 routes/],
    ['a foreign route', (machine: Machine) => linkOf(machine).routes.add(7), /had 1 too many/],
    ['the link down', (machine: Machine) => void (linkOf(machine).up = false), /had its link of ESP down/],
    ['another MTU', (machine: Machine) => void (linkOf(machine).mtu = 9000), /another MTU/],
    ['no address', (machine: Machine) => linkOf(machine).addresses.clear(), /without its address/],
    ['no link', (machine: Machine) => links(machine).clear(), /lacked its link of ESP/],
    ['no rules', ({ kernel }: Machine) => void (kernel.at(WHERE).rules = []), /lacked packet rules/],
  ] as const) {
    it(`finds ${what}, repairs it, and then finds nothing`, async () => {
      using both = await pair();
      assert.deepEqual(await both.one.driver.audit(), { repairs: [], changed: [] });
      const { life } = both.one.end;
      damage(both.one);
      assert.match((await both.one.driver.differences()).join('; '), words);
      both.one.kernel.said = [];
      await both.one.driver.differences();
      assert.deepEqual(both.one.kernel.said, [], 'looking changes nothing');
      const { repairs, changed } = await both.one.driver.audit();
      assert.match(repairs.join('; '), words);
      assert.deepEqual([changed, await both.one.driver.audit()], [[], { repairs: [], changed: [] }]);
      assert.deepEqual([talk(both.one, both.other), both.one.end.life], [BOTH, life]);
    });
  }

  it('begins a new life when the kernel has lost a state, and makes none again', async () => {
    using both = await pair();
    const { one, other } = both;
    const before = one.end.life;
    const [from, to] = [insideAddress('net1', 'node2'), insideAddress('net1', 'node1')];
    const recorded = other.kernel.xfrm.seal(INTERFACE, from, to) ?? assert.fail('nothing was sent');
    one.kernel.xfrm.states.clear();
    const { repairs, changed } = await one.driver.audit();
    assert.match(repairs.join(), /lacked 4 states of ESP/);
    assert.deepEqual(changed, ['net1'], 'its packets take another way until others know');
    assert.notEqual(one.end.life, before);
    await one.bring(1, other.end);
    assert.equal(one.kernel.xfrm.opens(INTERFACE, from, to, recorded), false);
    await other.bring(1, one.end);
    assert.deepEqual(talk(one, other), BOTH);
    assert.deepEqual(
      [one.sizes, other.sizes],
      [
        [4, 2, 1],
        [4, 2, 1],
      ],
      'nothing is left of the life before',
    );
  });

  it('does so too when somebody has put another state in the place of one', async () => {
    using both = await pair();
    const { one } = both;
    const [key, state] = [...one.kernel.xfrm.states][0] ?? assert.fail('no state');
    const body = Buffer.from(state.body);
    body.fill(7, body.indexOf(Buffer.from(state.key, 'hex')), body.indexOf(Buffer.from(state.key, 'hex')) + 4);
    one.kernel.xfrm.states.set(key, { ...state, body });
    const { life } = one.end;
    assert.match((await one.driver.audit()).repairs.join(), /had 1 states of ESP that somebody else made/);
    assert.notEqual(one.end.life, life);
  });

  it('takes nothing in the life before any more when the next one has had its time to be told', async () => {
    using both = await pair();
    const { one, other } = both;
    const [key] = one.kernel.xfrm.states.keys();
    one.kernel.xfrm.states.delete(key ?? '');
    await one.driver.audit();
    assert.deepEqual(one.sizes, [3, 2, 1]);
    assert.deepEqual(await one.driver.audit(), { repairs: [], changed: [] });
    assert.deepEqual(one.sizes, [0, 0, 0]);
    await one.bring(1, other.end);
    await other.bring(1, one.end);
    assert.deepEqual(talk(one, other), BOTH);
  });

  it('takes a kernel for right that shows no keys, as one that is locked down', async () => {
    using both = await pair();
    for (const [key, state] of both.one.kernel.xfrm.states) {
      const body = Buffer.from(state.body);
      body.fill(0, body.indexOf(Buffer.from(state.key, 'hex')), body.indexOf(Buffer.from(state.key, 'hex')) + 20);
      both.one.kernel.xfrm.states.set(key, { ...state, body });
    }
    assert.deepEqual(await both.one.driver.audit(), { repairs: [], changed: [] });
  });

  it('leaves a node to the tunnel that nothing came from by ESP, until something comes', async () => {
    using both = await pair();
    const { one, other } = both;
    const lose = (): void =>
      void one.kernel.xfrm.seal(INTERFACE, insideAddress('net1', 'node1'), insideAddress('net1', 'node2'));
    lose();
    for (let count = 0; count < 3; count += 1) {
      assert.deepEqual((await one.driver.audit()).changed, [], 'a single packet does not say much');
    }
    lose();
    assert.deepEqual((await one.driver.audit()).changed, ['net1']);
    assert.match(one.driver.reason('net1', 'node2') ?? '', /no packet of ESP came from it/);
    assert.deepEqual(await one.carry(1, other.end), new Set());
    assert.ok(other.reaches(one), 'it takes what comes');
    assert.deepEqual((await one.driver.audit()).changed, ['net1']);
    assert.deepEqual(
      [await one.carry(1, other.end), one.driver.reason('net1', 'node2')],
      [new Set(['node2']), undefined],
    );
    await one.bring(2, other.end);
    lose();
    for (let count = 0; count < 4; count += 1)
      assert.deepEqual((await one.driver.audit()).changed, [], 'it was heard once');
  });
});

describe('ESP of an earlier daemon', () => {
  it('is taken up as it is: others send on in its life, nothing is made anew', async () => {
    using both = await pair();
    const { one, other } = both;
    const { life } = one.end;
    await one.restart();
    assert.deepEqual([one.driver.lives(), one.driver.isOffered], [{ net1: life }, true], 'before any network is told');
    one.kernel.said = [];
    assert.equal(await one.open(), life);
    await one.bring(1, other.end);
    assert.deepEqual(
      one.kernel.said.map(({ family }) => family),
      [NETLINK_NETFILTER],
    );
    assert.deepEqual([talk(one, other), await one.driver.audit()], [BOTH, { repairs: [], changed: [] }]);
  });

  it('goes on from a turn of the ring that was missed', async () => {
    using both = await pair();
    const { one, other } = both;
    await other.bring(2, one.end);
    await one.restart();
    await one.open();
    await one.bring(2, other.end);
    assert.deepEqual([talk(one, other), one.sizes], [BOTH, [4, 2, 1]]);
  });

  for (let changes = 0; changes < 9; changes += 1) {
    it(`is brought to the end of a turn that was broken off after ${changes} changes, without a key twice`, async () => {
      using both = await pair();
      const { one, other } = both;
      one.kernel.dieAfter(changes);
      await one.bring(2, other.end).catch((error: unknown) => assert.match(String(error), /helper went away/));
      await one.restart();
      const { life } = one.end;
      assert.equal(await one.open(), life);
      if (!(await one.carry(2, other.end))) await one.bring(2, other.end); // a state was to be made and was not: a new life
      await one.driver.settle(NETWORK.id);
      await other.bring(2, one.end);
      assert.deepEqual([talk(one, other), one.sizes, other.sizes], [BOTH, [4, 2, 1], [4, 2, 1]]);
    });
  }

  it('is of no use after a boot: a new life begins, also where the file of lives can not be read', async () => {
    using both = await pair();
    const { one } = both;
    const { life } = one.end;
    one.boot = 'second';
    await one.restart();
    assert.deepEqual([one.driver.lives(), one.driver.isOffered], [{}, false]);
    const second = await one.open();
    assert.notEqual(second, life);
    writeFileSync(one.path, '{"format": 1, "boot"');
    await one.restart();
    assert.notEqual(await one.open(), second);
    assert.doesNotMatch(readFileSync(one.path, 'utf8'), new RegExp(secretOf(1)), 'there is no secret in it');
  });

  it('is taken out when nobody knows the network any more', async () => {
    using both = await pair();
    await both.one.restart();
    await both.one.driver.sweep(new Set([NETWORK.id]));
    assert.deepEqual(both.one.sizes, [4, 2, 1]);
    await both.one.driver.sweep(new Set());
    assert.deepEqual([both.one.sizes, both.one.driver.lives()], [[0, 0, -1], {}]);
  });
});

describe('a life of ESP', () => {
  it('is over when a node comes back that was taken out, and was in the same life', async () => {
    using both = await pair();
    const { one, other } = both;
    const { life } = one.end;
    await one.bring(1);
    assert.deepEqual(one.sizes, [0, 0, 0]);
    assert.equal(await one.carry(1, other.end), undefined);
    assert.notEqual(one.end.life, life);
    await one.bring(1, other.end);
    await other.bring(1, one.end);
    assert.deepEqual(talk(one, other), BOTH);
  });

  it('goes on when a node comes back in a new life', async () => {
    using both = await pair();
    const { one, other } = both;
    const { life } = one.end;
    await one.bring(1);
    await other.driver.end(NETWORK.id);
    assert.deepEqual([other.sizes, other.driver.lives()], [[0, 0, -1], {}]);
    await other.open();
    await other.bring(1, one.end);
    await one.bring(1, other.end);
    assert.deepEqual([talk(one, other), one.end.life], [BOTH, life]);
  });
});

describe('a kernel that does not do ESP', () => {
  it('is not offered, says why, and is asked nothing more', async () => {
    using one = new Machine(1);
    one.lack = 'netlink (EPROTONOSUPPORT)';
    assert.equal(await one.driver.open({ ...NETWORK, nodeId: one.id }), undefined);
    assert.deepEqual([one.driver.isOffered, one.driver.lives(), one.kernel.said], [false, {}, []]);
    assert.deepEqual(await one.driver.audit(), { repairs: [], changed: [] });
    assert.match(one.driver.refusal ?? '', /had not when this daemon asked/);
  });

  it('that refuses after all what it had said to have is left alone from then on, with its words', async () => {
    using both = await pair();
    const { one, other } = both;
    one.kernel.refuse = (family, type) => (family === NETLINK_XFRM && type === NEW_STATE ? EPROTONOSUPPORT : 0);
    assert.equal(await one.carry(2, other.end), undefined);
    assert.deepEqual(one.sizes, [0, 0, 0], 'nothing of it is taken any more');
    assert.deepEqual([one.driver.isOffered, one.driver.lives()], [false, {}]);
    assert.match(one.driver.refusal ?? '', /^encrypting network back by ESP: \(EPROTONOSUPPORT, message 1\)$/);
    assert.equal(one.driver.reason('net1', 'node2'), one.driver.refusal);
    one.kernel.refuse = () => 0;
    one.kernel.said = [];
    await one.driver.audit();
    assert.equal(await one.driver.open({ ...NETWORK, nodeId: one.id }), undefined);
    assert.deepEqual(one.kernel.said, []);
  });

  it('that refuses one network three times has it left to the tunnel, others not', async () => {
    using both = await pair();
    const { one, other } = both;
    one.kernel.refuse = (family, type) => (family === NETLINK_XFRM && type === PUT_POLICY ? EINVAL : 0);
    for (let count = 0; count < 3; count += 1) {
      assert.equal(await one.carry(2, { ...other.end, life: String(count).repeat(32) }), undefined);
      assert.deepEqual(one.driver.lives(), {}, 'others are not asked to send so');
      assert.deepEqual(
        (await one.driver.audit()).changed,
        count < 2 ? ['net1'] : [],
        'it is tried again, not for ever',
      );
    }
    assert.match(one.driver.reason('net1', 'node2') ?? '', /EINVAL/);
    assert.ok(await one.driver.open({ ...NETWORK, id: 'net2', vni: 7, nodeId: one.id }));
    assert.deepEqual([Object.keys(one.driver.lives()), one.driver.isOffered], [['net2'], true]);
    one.kernel.refuse = () => 0;
    await one.driver.end(NETWORK.id);
    await one.open();
    await one.bring(2, other.end);
    assert.equal(one.driver.reason('net1', 'node2'), undefined);
  });

  it('that does not move the link keeps nothing of it', async () => {
    using one = new Machine(1);
    one.kernel.refuse = (family, type) => (family === NETLINK_ROUTE && type === SET_LINK ? EINVAL : 0);
    assert.equal(await one.driver.open({ ...NETWORK, nodeId: one.id }), undefined);
    assert.equal(one.kernel.at('').links.size, 1, 'made, and not moved');
    one.kernel.refuse = () => 0;
    await one.driver.audit();
    assert.deepEqual([one.kernel.at('').links.size, one.kernel.at(WHERE).links.size], [0, 1]);
    assert.ok(one.driver.lives()[NETWORK.id]);
  });
});
