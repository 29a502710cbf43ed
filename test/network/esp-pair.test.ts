// Three nodes whose kernels have ESP, and managers that tell each what the others say of themselves, late or early: after
// random faults all come to send by ESP again, and no key ever makes two states, also over boots.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../base/log.ts';
import { formatAddress } from '../../runtime/network/addresses.ts';
import type { OverlayNode, OverlayState } from '../../runtime/network/contract.ts';
import { EspDriver } from '../../runtime/network/esp-driver.ts';
import { insideAddress } from '../../runtime/network/kernel-pairs.ts';
import { KernelLives } from '../../runtime/network/kernel-lives.ts';
import { SealedNetworks } from '../../runtime/network/sealed-networks.ts';
import { FakeKernel, FakeNamespace } from '../support/fake-kernel.ts';
import { noWireguard } from '../support/no-wireguard.ts';

const NET = { id: 'net1', name: 'secret', vni: 4343 };
const [WHERE, INTERFACE] = ['/run/tunnel', 4343];
const STEPS = 40;

/** The same for the same seed. */
function numbers(seed: number): (below: number) => number {
  let count = 0;
  return (below) => {
    count += 1;
    return createHash('sha256').update(`${seed} ${count}`).digest().readUInt32BE(0) % below;
  };
}

const ringAt = (turn: number) => ({
  keys: [0, 1, 2].map((more) => ({
    id: turn + more,
    secret: createHash('sha256')
      .update(`k${turn + more}`)
      .digest('hex'),
  })),
  sendId: turn + 1,
});

class Node {
  readonly id: string;
  readonly address: string;
  readonly path: string;
  kernel = new FakeKernel();
  isOn = true;
  boots = 1;
  ways = new Map<string, string>(); // where VXLAN sends what is for a node
  esp!: EspDriver;
  #sealed!: SealedNetworks;
  #index = 0;

  constructor(number: number, folder: string) {
    this.id = `node${number}`;
    this.address = `192.0.2.${number}`;
    this.path = join(folder, `${this.id}.json`);
    this.kernel.namespaces.set(WHERE, new FakeNamespace());
  }

  /** Another daemon, on the kernel as it is. */
  async start(): Promise<void> {
    this.kernel.before = () => undefined;
    const boot = `boot ${this.boots}`;
    this.esp = new EspDriver({
      netd: () => this.kernel,
      lives: new KernelLives({ path: this.path, bootId: () => Promise.resolve(boot), log: silentLog }),
      log: silentLog,
      namespacePath: WHERE,
      ensureNamespace: () => Promise.resolve(),
      interfaceId: () => INTERFACE,
      probe: () => Promise.resolve(undefined),
    });
    await this.esp.adopt();
    this.#sealed = new SealedNetworks({
      tunnel: noTunnel,
      esp: this.esp,
      wireguard: noWireguard,
      log: silentLog,
      mtu: () => 1440,
    });
  }

  async boot(): Promise<void> {
    const { keys } = this.kernel.xfrm;
    this.kernel = new FakeKernel();
    this.kernel.namespaces.set(WHERE, new FakeNamespace());
    for (const key of keys) this.kernel.xfrm.keys.add(key); // no boot makes it right to use one again
    this.boots += 1;
    await this.start();
  }

  async leave(): Promise<void> {
    this.isOn = false;
    await this.#sealed.forget(NET.id, NET.vni);
    assert.deepEqual([this.kernel.xfrm.states.size, this.kernel.xfrm.policies.size], [0, 0]);
  }

  said(): OverlayNode {
    const life = this.esp.lives()[NET.id];
    const means = this.esp.isOffered ? (['esp', 'tunnel'] as const) : (['tunnel'] as const);
    return { id: this.id, address: this.address, port: 4789, means, ...(life !== undefined && { life }) };
  }

  async hear(turn: number, nodes: readonly OverlayNode[]): Promise<void> {
    const others = nodes.filter(({ id }) => id !== this.id);
    const self = nodes.find(({ id }) => id === this.id);
    this.#index += 1;
    const network = { ...NET, port: 0, subnet: '10.0.8.0/24', gateway: '10.0.8.1', internal: false, attachable: false };
    const state: OverlayState = {
      network: { ...network, options: { encrypted: '' } },
      endpoints: others.map((node, at) => ({ address: `10.0.8.${10 + at}`, lost: false, node })),
      services: [],
      names: [],
      encryption: { nodeId: this.id, ...ringAt(turn), ...(self && { self }) },
    };
    const sealed = await this.#sealed.seal(this.#index, state);
    this.ways = new Map(sealed.endpoints.flatMap(({ node }) => (node ? [[node.id, node.address] as const] : [])));
    await this.#sealed.settle(NET.id);
  }

  /** Undefined: not by ESP. */
  reaches(other: Node): boolean | undefined {
    const [from, to] = [insideAddress(NET.id, this.id), insideAddress(NET.id, other.id)];
    if (this.ways.get(other.id) !== formatAddress(to)) return undefined;
    if (this.kernel.at(WHERE).links.get(INTERFACE)?.routes.has(to) !== true) return false;
    const sealed = this.kernel.xfrm.seal(INTERFACE, from, to);
    return sealed !== undefined && other.kernel.xfrm.opens(INTERFACE, from, to, sealed);
  }
}

const noTunnel = {
  namespacePath: WHERE,
  ensureNamespace: () => Promise.resolve(),
  set: () => Promise.resolve(),
  forget: () => Promise.resolve(),
  counts: () => Promise.resolve(new Map<string, never>()),
  isThere: () => true,
  stop: () => Promise.resolve(),
};

describe('nodes whose kernels have ESP', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'shoal-esp-pair-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  for (const seed of [1, 2]) {
    it(`come to it again after whatever has happened, and use no key twice (seed ${seed})`, async () => {
      const random = numbers(seed);
      const nodes = [1, 2, 3].map((number) => new Node(10 * seed + number, folder));
      const pick = (): Node => nodes[random(nodes.length)] ?? assert.fail('no node');
      for (const node of nodes) await node.start();
      let turn = 1;
      const tell = async (): Promise<void> => {
        const on = nodes.filter(({ isOn }) => isOn);
        const said = on.map((node) => node.said());
        for (const node of random(2) === 0 ? on : on.toReversed()) await node.hear(turn, said);
      };
      const faults: readonly ((node: Node) => Promise<unknown> | void)[] = [
        () => void (turn += 1),
        (node) => node.kernel.xfrm.states.clear(),
        (node) => void node.kernel.xfrm.states.delete([...node.kernel.xfrm.states.keys()][random(3)] ?? ''),
        (node) => node.kernel.xfrm.policies.clear(),
        (node) => node.kernel.at(WHERE).links.clear(),
        (node) => node.start(),
        (node) => node.boot(),
        (node) => (node.isOn ? node.leave() : void (node.isOn = true)),
        (node) => {
          node.kernel.dieAfter(random(12));
          turn += 1;
          return node.hear(turn, [node.said()]).then(
            () => node.start(),
            () => node.start(),
          );
        },
        () => tell(),
      ];
      for (let step = 0; step < STEPS; step += 1) {
        const happens = random(3) + 1;
        for (let count = 0; count < happens; count += 1) await faults[random(faults.length)]?.(pick());
        // What was lost is found by an audit, and others are told of what came of it; a life more where that was lost, too.
        for (let round = 0; round < 4; round += 1) {
          await tell();
          for (const node of nodes) if (node.isOn) await node.esp.audit();
        }
        await tell();
        const on = nodes.filter(({ isOn }) => isOn);
        for (const one of on) {
          for (const other of on) if (one !== other) assert.equal(one.reaches(other), true, `step ${step}: ${one.id}`);
        }
        for (const one of on) {
          assert.deepEqual(await one.esp.audit(), { repairs: [], changed: [] });
          assert.equal(one.kernel.xfrm.states.size, 4 * (on.length - 1));
        }
      }
    }).timeout(20_000);
  }
});
