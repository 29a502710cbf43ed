// Three nodes whose kernels have WireGuard, and managers that tell each what the others say of themselves, late or early:
// after random faults all come to send by WireGuard again.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../base/log.ts';
import { parseAddress } from '../../runtime/network/addresses.ts';
import { KernelLives } from '../../runtime/network/kernel-lives.ts';
import { wireguardAddress } from '../../runtime/network/kernel-pairs.ts';
import { WireguardDriver } from '../../runtime/network/wireguard-driver.ts';
import type { WireguardEnd } from '../../runtime/network/wireguard-plan.ts';
import { FakeKernel, FakeNamespace } from '../support/fake-kernel.ts';
import { passes, shakeHands } from '../support/fake-wireguard-device.ts';

const [NET, WHERE, STEPS] = ['net1', '/run/tunnel', 30];

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
  readonly address: number;
  readonly #path: string;
  kernel = new FakeKernel();
  isOn = true;
  reached: ReadonlySet<string> = new Set();
  driver!: WireguardDriver;
  #boots = 1;

  constructor(number: number, folder: string) {
    this.id = `node${number}`;
    this.address = parseAddress(`192.0.2.${number}`);
    this.#path = join(folder, `${this.id}.json`);
    this.kernel.namespaces.set(WHERE, new FakeNamespace());
  }

  /** Another daemon, on the kernel as it is. */
  async start(): Promise<void> {
    this.kernel.before = () => undefined;
    const boot = `boot ${this.#boots}`;
    this.driver = new WireguardDriver({
      netd: () => this.kernel,
      lives: new KernelLives({ path: this.#path, bootId: () => Promise.resolve(boot), log: silentLog }),
      log: silentLog,
      namespacePath: WHERE,
      ensureNamespace: () => Promise.resolve(),
      firstIndex: () => 70_000,
      firstPort: (_, attempt) => 61_440 + 4 * attempt,
      probe: () => Promise.resolve(undefined),
    });
    await this.driver.adopt();
  }

  async boot(): Promise<void> {
    const { takenPorts } = this.kernel;
    this.kernel = new FakeKernel();
    this.kernel.namespaces.set(WHERE, new FakeNamespace());
    for (const port of takenPorts) this.kernel.takenPorts.add(port);
    this.#boots += 1;
    await this.start();
  }

  async leave(): Promise<void> {
    this.isOn = false;
    await this.driver.end(NET);
    assert.equal(this.kernel.at(WHERE).links.size, 0);
  }

  said(): WireguardEnd[] {
    const firstPort = this.driver.ports()[NET];
    return firstPort === undefined ? [] : [{ id: this.id, address: this.address, firstPort }];
  }

  async hear(turn: number, ends: readonly WireguardEnd[]): Promise<void> {
    assert.ok(await this.driver.open({ id: NET, name: 'secret', vni: 4343, mtu: 1440 }));
    const others = ends.filter(({ id }) => id !== this.id);
    this.reached = (await this.driver.carry(NET, ringAt(turn), { id: this.id }, others)) ?? new Set();
    await this.driver.settle(NET);
  }

  get wire() {
    return { address: this.address, devices: this.kernel.devices };
  }

  reaches(other: Node): boolean {
    const [from, to] = [wireguardAddress(NET, this.id), wireguardAddress(NET, other.id)];
    const link = [...this.kernel.at(WHERE).links.values()].find(({ up, routes }) => up && routes.has(to));
    return link?.device !== undefined && passes(link.device, from, to, other.wire);
  }
}

describe('nodes whose kernels have WireGuard', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'shoal-wireguard-pair-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  for (const seed of [1, 2]) {
    it(`come to it again after whatever has happened (seed ${seed})`, async () => {
      const random = numbers(seed);
      const nodes = [1, 2, 3].map((number) => new Node(10 * seed + number, folder));
      const pick = (): Node => nodes[random(nodes.length)] ?? assert.fail('no node');
      for (const node of nodes) await node.start();
      let turn = 1;
      const tell = async (): Promise<void> => {
        const on = nodes.filter(({ isOn }) => isOn);
        const said = on.flatMap((node) => node.said());
        for (const node of random(2) === 0 ? on : on.toReversed()) await node.hear(turn, said);
      };
      const linkOf = (node: Node) => [...node.kernel.at(WHERE).links.values()][random(3)];
      const faults: readonly ((node: Node) => Promise<unknown> | void)[] = [
        () => void (turn += 1 + random(5)),
        (node) => node.kernel.at(WHERE).links.clear(),
        (node) => linkOf(node)?.device?.peers.clear(),
        (node) => linkOf(node)?.routes.clear(),
        (node) => {
          const link = linkOf(node);
          if (link) link.up = false;
        },
        (node) => void (node.kernel.takenPorts.size < 8 && node.kernel.takenPorts.add(61_440 + random(16))),
        (node) => node.start(),
        (node) => node.boot(),
        (node) => (node.isOn ? node.leave() : void (node.isOn = true)),
        (node) => {
          node.kernel.dieAfter(random(12));
          turn += 1;
          return node.hear(turn, node.said()).then(
            () => node.start(),
            () => node.start(),
          );
        },
        () => tell(),
      ];
      for (let step = 0; step < STEPS; step += 1) {
        const happens = random(3) + 1;
        for (let count = 0; count < happens; count += 1) await faults[random(faults.length)]?.(pick());
        const on = (): Node[] => nodes.filter(({ isOn }) => isOn);
        for (let round = 0; round < 3; round += 1) {
          await tell();
          for (const one of on()) for (const other of on()) if (one !== other) shakeHands(one.wire, other.wire);
          for (const node of on()) await node.driver.audit();
        }
        await tell();
        for (const one of on()) {
          for (const other of on()) {
            if (one === other) continue;
            assert.deepEqual([one.reached.has(other.id), one.reaches(other)], [true, true], `step ${step}: ${one.id}`);
          }
          assert.deepEqual(await one.driver.audit(), { repairs: [], changed: [] });
          assert.equal(one.kernel.at(WHERE).links.size, 3);
          assert.equal(one.kernel.at('').links.size, 0);
        }
      }
    }).timeout(20_000);
  }
});
