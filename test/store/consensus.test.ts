// The store on real consensus: worker thread, log on disk, streams. What its simulated neighbours cannot show.
import { strict as assert } from 'node:assert';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import type { Consensus, ConsensusOptions } from '../../manager/raft/contract.ts';
import { startConsensus } from '../../manager/raft/driver.ts';
import type { Proposer, ReplicatedStore } from '../../manager/store/contract.ts';
import { createStore } from '../../manager/store/store.ts';
import type { NodeId } from '../../proto/objects.ts';
import { freePort, TestAuthority, until } from '../raft/support.ts';
import { aService, aServiceSpec, aTask, anId } from '../support/objects.ts';

interface Manager {
  readonly options: ConsensusOptions;
  readonly consensus: Consensus;
  readonly store: ReplicatedStore;
}

/** Joined as manager.ts does it: the store asks for a proposer, consensus for a state machine. */
async function start(options: ConsensusOptions): Promise<Manager> {
  const joined: { consensus?: Consensus } = {};
  const proposer: Proposer = {
    propose: (entry, { abort }) =>
      joined.consensus?.propose(entry, { abort }) ?? Promise.reject(new Error('not started')),
  };
  const store = createStore({ proposer, clock: systemClock });
  const consensus = await startConsensus(options, { stateMachine: store, clock: systemClock, log: silentLog });
  joined.consensus = consensus;
  return { options, consensus, store };
}

class Managers implements AsyncDisposable {
  readonly #root: string;
  readonly #authority: TestAuthority;
  readonly #running = new Set<Manager>();

  static async create(): Promise<Managers> {
    return new Managers(await mkdtemp(join(tmpdir(), 'shoal-store-')), await TestAuthority.create());
  }

  private constructor(root: string, authority: TestAuthority) {
    this.#root = root;
    this.#authority = authority;
  }

  async start(name: string, how: ConsensusOptions['start']): Promise<Manager> {
    const address = `127.0.0.1:${await freePort()}`;
    const manager = await start({
      nodeId: name as NodeId,
      clusterId: 'testcluster',
      directory: join(this.#root, name),
      listenAddress: address,
      advertise: { raftAddress: address, joinAddress: '', controlAddress: '' },
      certificate: await this.#authority.issue(name, { clusterId: 'testcluster' }),
      start: how,
      timing: { tickMs: 50, heartbeatTicks: 2, electionTicksMin: 8, electionTicksMax: 15 },
      snapshotIntervalEntries: 40,
      logEntriesForSlowFollowers: 5,
    });
    this.#running.add(manager);
    return manager;
  }

  async stop(manager: Manager): Promise<void> {
    this.#running.delete(manager);
    await manager.consensus.stop();
  }

  async restart(manager: Manager): Promise<Manager> {
    await this.stop(manager);
    const again = await start({ ...manager.options, start: 'restart' });
    this.#running.add(again);
    return again;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running].map(({ consensus }) => consensus.stop()));
    await rm(this.#root, { recursive: true, force: true });
  }
}

async function write(store: ReplicatedStore, from: number, count: number): Promise<void> {
  const writes = Array.from({ length: count }, (_, at) => {
    const spec = aServiceSpec({ name: `s${from + at}` });
    const service = aService({ id: anId('service', from + at), spec });
    return store.update((tx) => {
      tx.services.put(service);
      tx.tasks.put(aTask({ id: anId('task', from + at) }, service));
    });
  });
  await Promise.all(writes);
}

describe('the store on consensus', function () {
  this.timeout(20_000);

  it('is the same after a restart from log and snapshot', async () => {
    await using managers = await Managers.create();
    const alone = await managers.start('m1', 'bootstrap');
    for (let from = 0; from < 200; from += 100) await write(alone.store, from, 100);
    const digest = alone.store.stateDigest();
    const again = await managers.restart(alone);
    await until(() => again.consensus.status().role === 'leader', 'leader again');
    assert.equal(again.store.stateDigest(), digest);
    await write(again.store, 200, 1);
    assert.equal(again.store.view().services.size, 201);
  });

  it('is the same on a manager that joins late and gets a snapshot first', async () => {
    await using managers = await Managers.create();
    const leader = await managers.start('m1', 'bootstrap');
    for (let from = 0; from < 300; from += 50) await write(leader.store, from, 50);
    const joining = await managers.start('m2', 'join');
    const { raftAddress } = joining.options.advertise;
    await leader.consensus.addMember({ nodeId: joining.options.nodeId, raftAddress }, {});
    await write(leader.store, 300, 20);
    await until(() => joining.store.stateDigest() === leader.store.stateDigest(), 'the second manager has everything');
    assert.equal(joining.store.view().tasks.size, 320);
    await assert.rejects(write(joining.store, 999, 1), { code: 'unavailable' });
  });

  it('tells a writer whose leader stops what became of the write', async () => {
    await using managers = await Managers.create();
    const leader = await managers.start('m1', 'bootstrap');
    const second = await managers.start('m2', 'join');
    const { raftAddress } = second.options.advertise;
    await leader.consensus.addMember({ nodeId: second.options.nodeId, raftAddress }, {});
    const writes = Promise.allSettled(
      Array.from({ length: 200 }, (_, number) =>
        leader.store.update((tx) => tx.tasks.put(aTask({ id: anId('task', number) }))),
      ),
    );
    await managers.stop(leader);
    const outcomes = await writes;
    await until(
      () => second.store.view().tasks.size >= outcomes.filter(({ status }) => status === 'fulfilled').length,
      'caught up',
    );
    for (const [number, outcome] of outcomes.entries()) {
      const there = second.store.view().tasks.get(anId('task', number)) !== undefined;
      if (outcome.status === 'fulfilled') assert.ok(there, `task ${number} was acknowledged`);
      else if ((outcome.reason as { code: string }).code !== 'unknown-outcome')
        assert.ok(!there, `task ${number} was refused`);
    }
  });
});
