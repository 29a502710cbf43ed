// Two machines that both believe they lead, one log, entries that arrive late or are lost: what was acknowledged is there,
// no transaction is half applied, no update is lost, no name is given twice.
import { strict as assert } from 'node:assert';
import { CodedError, codeOf } from '../../base/errors.ts';
import { ManualClock } from '../../base/manual-clock.ts';
import { type Random, seededRandom } from '../../base/random.ts';
import type { Proposer, ReplicatedStore } from '../../manager/store/contract.ts';
import { createStore } from '../../manager/store/store.ts';
import { aService, aServiceSpec, anId } from '../support/objects.ts';

interface Proposal {
  readonly by: Machine;
  readonly entry: Uint8Array;
  resolve(index: number): void;
  reject(error: CodedError): void;
}

/** Appends proposals in any order, loses some, and applies the log to each machine when it likes. */
class SharedLog {
  readonly #random: Random;
  readonly #waiting: Proposal[] = [];
  readonly #log: Proposal[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  get quiet(): boolean {
    return this.#waiting.length === 0;
  }

  propose(by: Machine, entry: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => this.#waiting.push({ by, entry, resolve, reject }));
  }

  /** Takes one waiting proposal: most are committed, some are lost, and their proposer cannot tell. */
  takeOne(): void {
    const [proposal] = this.#waiting.splice(this.#random.below(this.#waiting.length), 1);
    if (!proposal) return;
    const fate = this.#random.below(10);
    if (fate > 0) this.#log.push(proposal);
    if (fate < 2) proposal.reject(new CodedError('unknown-outcome', 'leadership was lost'));
  }

  feed(machine: Machine, entries: number): void {
    for (let count = 0; count < entries && machine.applied < this.#log.length; count += 1) {
      const proposal = this.#log[machine.applied];
      if (!proposal) return;
      machine.applied += 1;
      machine.store.apply(machine.applied, proposal.entry);
      if (proposal.by === machine) proposal.resolve(machine.applied);
    }
  }

  feedAll(machine: Machine): void {
    this.feed(machine, this.#log.length);
  }
}

class Machine {
  readonly store: ReplicatedStore;
  applied = 0;

  constructor(log: SharedLog) {
    const proposer: Proposer = { propose: (entry) => log.propose(this, entry) };
    this.store = createStore({ proposer, clock: new ManualClock() });
  }
}

const ACCOUNTS = 4;
const START = 100;

function replicasOf(store: ReplicatedStore, number: number): number {
  const mode = store.view().services.get(anId('service', number))?.spec.mode;
  return mode?.kind === 'replicated' ? mode.replicas : Number.NaN;
}

/** Moves replicas from one service to another, and notes its own number on both. */
function transfer(store: ReplicatedStore, random: Random, note: string): Promise<void> {
  const [from, to, amount] = [random.below(ACCOUNTS), random.below(ACCOUNTS), 1 + random.below(5)];
  return store.update((tx) => {
    for (const [number, change] of [
      [from, -amount],
      [to, amount],
    ] as const) {
      const service = tx.services.get(anId('service', number));
      if (service?.spec.mode.kind !== 'replicated') continue;
      const mode = { kind: 'replicated', replicas: service.spec.mode.replicas + change } as const;
      tx.services.put({ ...service, spec: { ...service.spec, mode, labels: { ...service.spec.labels, [note]: '' } } });
    }
  });
}

function claimName(store: ReplicatedStore, random: Random, number: number): Promise<void> {
  const spec = aServiceSpec({ name: `name${random.below(3)}` });
  return store.update((tx) => tx.services.put(aService({ id: anId('claim', number) as never, spec })));
}

describe('two machines on one log', () => {
  for (let seed = 1; seed <= 15; seed += 1) {
    it(`stay one state, whole and complete (seed ${seed})`, async () => {
      const random = seededRandom(seed);
      const log = new SharedLog(random);
      const machines = [new Machine(log), new Machine(log)] as const;
      const acknowledged: string[] = [];
      const setUp = machines[0].store.update((tx) => {
        for (let number = 0; number < ACCOUNTS; number += 1) {
          const spec = aServiceSpec({ name: `account${number}`, mode: { kind: 'replicated', replicas: START } });
          tx.services.put(aService({ id: anId('service', number), spec }));
        }
      });
      await settle(log, machines, random, [setUp]).catch(() => undefined);
      if (machines[0].store.view().services.size === 0) return; // the first entry was the one lost

      const writes = Array.from({ length: 60 }, async (_, number) => {
        const machine = machines[random.below(2)] ?? machines[0];
        if (random.below(5) === 0) return await claimName(machine.store, random, number);
        await transfer(machine.store, random, `note${number}`);
        acknowledged.push(`note${number}`);
      });
      for (const outcome of await settle(log, machines, random, writes)) {
        if (outcome.status === 'rejected') assert.match(codeOf(outcome.reason), /^(unknown-outcome|conflict)$/);
      }

      const [one, two] = machines;
      assert.equal(one.store.stateDigest(), two.store.stateDigest());
      const balances = Array.from({ length: ACCOUNTS }, (_, number) => replicasOf(one.store, number));
      assert.equal(
        balances.reduce((sum, each) => sum + each, 0),
        ACCOUNTS * START,
      );
      const services = [...one.store.view().services.all()];
      for (const note of acknowledged)
        assert.ok(
          services.some(({ spec }) => Object.hasOwn(spec.labels, note)),
          note,
        );
      assert.equal(new Set(services.map(({ spec }) => spec.name)).size, services.length);
    });
  }
});

/** Turns the crank until every write has its outcome and both machines have everything. */
async function settle(
  log: SharedLog,
  machines: readonly Machine[],
  random: Random,
  writes: readonly Promise<void>[],
): Promise<PromiseSettledResult<void>[]> {
  let outcomes: PromiseSettledResult<void>[] | undefined;
  void Promise.allSettled(writes).then((all) => {
    outcomes = all;
  });
  for (let turn = 0; turn < 10_000 && !outcomes; turn += 1) {
    if (random.below(2) === 0) log.takeOne();
    for (const machine of machines) log.feed(machine, random.below(3));
    if (log.quiet) for (const machine of machines) log.feedAll(machine);
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (const machine of machines) log.feedAll(machine);
  assert.ok(outcomes, 'a write never got its outcome');
  return outcomes;
}
