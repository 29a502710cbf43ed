// The real store under simulation: every node's state machine is one, and clients run transactions on the leader's.
// Invariants beyond raft's: equal state on all machines at equal indexes, and no lost update: a counter holds at least
// every increment that was acknowledged and at most those and the ones whose outcome nobody knows.
import { createHash } from 'node:crypto';
import { codeOf } from '../../base/errors.ts';
import { type Log, silentLog } from '../../base/log.ts';
import { ManualClock } from '../../base/manual-clock.ts';
import type { Random } from '../../base/random.ts';
import type { SnapshotChunk } from '../../manager/raft/contract.ts';
import type { Proposer, ReplicatedStore } from '../../manager/store/contract.ts';
import { createStore } from '../../manager/store/store.ts';
import type { NetworkId } from '../../proto/objects.ts';
import { Violation } from './oracle.ts';
import { SimMachine } from './sim-machine.ts';
import type { SimNode } from './sim-node.ts';
import type { World } from './world.ts';

const COUNTERS = 5;
/** So many clients wait at one store; each begins its next transaction when the last has ended. */
const CLIENTS_MAX = 24;

export class StoreMachine extends SimMachine {
  readonly store: ReplicatedStore;
  clients = 0;

  constructor(proposer: Proposer, log: Log) {
    super();
    this.store = createStore({ proposer, clock: new ManualClock(), log });
  }

  override apply(index: number, bytes: Uint8Array): string {
    this.store.apply(index, bytes);
    return super.apply(index, bytes);
  }

  override async snapshot(): Promise<SnapshotChunk[]> {
    const chunks: SnapshotChunk[] = [];
    for await (const { kind, bytes } of this.store.snapshot()) chunks.push({ kind: `store/${kind}`, bytes });
    return [...(await super.snapshot()), ...chunks];
  }

  override async restore(index: number, chunks: readonly SnapshotChunk[]): Promise<void> {
    await super.restore(index, chunks);
    const prefix = 'store/';
    const own = chunks.filter(({ kind }) => kind.startsWith(prefix));
    await this.store.restore(index, each(own.map(({ kind, bytes }) => ({ kind: kind.slice(prefix.length), bytes }))));
  }

  override digest(): string {
    return this.store.stateDigest();
  }

  counter(id: NetworkId): number {
    return Number(this.store.view().networks.get(id)?.spec.labels['count'] ?? 0);
  }

  override nameOf(bytes: Uint8Array): string {
    // Tens of thousands of them in one seed: 32 bits would let two have the same name now and then.
    return createHash('md5').update(bytes).digest('base64');
  }
}

export class StoreClients {
  readonly #world: World;
  readonly #random: Random;
  readonly #acknowledged = new Map<NetworkId, number>();
  readonly #begun = new Map<NetworkId, number>();
  readonly #refused = new Map<NetworkId, number>();
  #run = 0;

  constructor(world: World) {
    this.#world = world;
    this.#random = world.random('store clients');
  }

  machineFor(node: SimNode): StoreMachine {
    const debug = (event: string): void => this.#world.count(event);
    return new StoreMachine({ propose: (entry) => this.#world.proposeBytes(node, entry) }, { ...silentLog, debug });
  }

  /** One increment of one of a few counters, which many clients want to change at once. */
  increment(node: SimNode): void {
    const { machine } = node;
    if (!(machine instanceof StoreMachine) || machine.clients >= CLIENTS_MAX) return;
    machine.clients += 1;
    const id = `counter${this.#random.below(COUNTERS)}` as NetworkId;
    count(this.#begun, id);
    void this.#increment(machine.store, id).finally(() => {
      machine.clients -= 1;
    });
  }

  async #increment(store: ReplicatedStore, id: NetworkId): Promise<void> {
    try {
      await store.update((tx) => {
        this.#run += 1;
        const before = Number(tx.networks.get(id)?.spec.labels['count'] ?? 0);
        const labels = { count: String(before + 1), run: String(this.#run) };
        const spec = { name: id, labels, driver: 'bridge', options: {}, attachable: false, internal: false };
        tx.networks.put({ id, spec, subnet: '10.0.1.0/24', gateway: '10.0.1.1', vni: 4097 });
      });
      count(this.#acknowledged, id);
      this.#world.count('transaction acknowledged');
    } catch (error) {
      const code = codeOf(error);
      this.#world.count(`transaction failed: ${code}`);
      if (code === 'unavailable' || code === 'conflict') count(this.#refused, id);
      else if (code !== 'unknown-outcome') this.#world.fail(error);
    }
  }

  /** At the end, on a machine that has applied everything. */
  judge(machine: SimMachine): void {
    if (!(machine instanceof StoreMachine)) return;
    for (const [id, begun] of this.#begun) {
      const least = this.#acknowledged.get(id) ?? 0;
      const most = begun - (this.#refused.get(id) ?? 0);
      const found = machine.counter(id);
      if (found < least || found > most)
        throw new Violation('no lost update', `${id} is ${found}, not ${least} to ${most}`);
    }
  }
}

const count = (map: Map<NetworkId, number>, id: NetworkId): void => void map.set(id, (map.get(id) ?? 0) + 1);

async function* each(chunks: readonly SnapshotChunk[]): AsyncGenerator<SnapshotChunk> {
  yield* chunks;
}
