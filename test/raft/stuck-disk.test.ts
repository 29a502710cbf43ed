import assert from 'node:assert/strict';
import { systemClock } from '../../base/clock.ts';
import type { DiskFile } from '../../base/disk.ts';
import { systemRandom } from '../../base/random.ts';
import { ConsensusWorker } from '../../manager/raft/consensus-worker.ts';
import type { FromWorker, WorkerStatus } from '../../manager/raft/worker-protocol.ts';
import { pack } from '../../manager/raft/worker-protocol.ts';
import type { NodeId } from '../../proto/objects.ts';
import { MemoryDisk, SmallDisk } from './memory-disk.ts';
import { freePort, TestAuthority, until } from './support.ts';

/** A disk whose flushes can be held. */
class StuckDisk extends MemoryDisk {
  #held: (() => void)[] | undefined;

  hold(): void {
    this.#held = [];
  }

  release(): void {
    for (const go of this.#held ?? []) go();
    this.#held = undefined;
  }

  override async create(path: string): Promise<DiskFile> {
    const file = await super.create(path);
    return { ...file, sync: () => new Promise<void>((resolve) => (this.#held ? this.#held.push(resolve) : resolve())) };
  }
}

/** The worker without its thread, so that a test can hold its disk. */
class Bare<D extends MemoryDisk = StuckDisk> {
  readonly id: NodeId;
  readonly disk: D;
  readonly answers: FromWorker[] = [];
  readonly address: string;
  readonly worker: ConsensusWorker;

  static async start<D extends MemoryDisk>(number: number, authority: TestAuthority, disk: D): Promise<Bare<D>> {
    const bare = { id: `manager${number}` as NodeId, disk, answers: [] as FromWorker[] };
    const address = `127.0.0.1:${await freePort()}`;
    const worker = await ConsensusWorker.start(
      {
        nodeId: bare.id,
        clusterId: 'testcluster',
        directory: '',
        listenAddress: address,
        raftAddress: address,
        certificate: await authority.issue(bare.id, { clusterId: 'testcluster' }),
        start: number === 1 ? 'bootstrap' : 'join',
        timing: { tickMs: 20, heartbeatTicks: 2, electionTicksMin: 8, electionTicksMax: 15 },
        snapshotIntervalEntries: 1_000,
        logEntriesForSlowFollowers: 100,
      },
      { post: (message) => void bare.answers.push(message), clock: systemClock, random: systemRandom, disk: bare.disk },
    );
    return new Bare({ ...bare, address, worker });
  }

  private constructor(parts: Pick<Bare<D>, 'id' | 'disk' | 'answers' | 'address' | 'worker'>) {
    this.id = parts.id;
    this.disk = parts.disk;
    this.answers = parts.answers;
    this.address = parts.address;
    this.worker = parts.worker;
  }

  get status(): WorkerStatus | undefined {
    return this.answers.findLast((answer) => answer.type === 'status')?.status;
  }

  committed(id: number): boolean {
    return this.answers.some((answer) => answer.type === 'committed' && answer.proposals.some(([, by]) => by === id));
  }

  committedUpTo(): number {
    return Math.max(0, ...this.answers.map((answer) => (answer.type === 'committed' ? answer.upTo : 0)));
  }

  failure(id: number): string | undefined {
    const found = this.answers.find((answer) => answer.type === 'failed' && answer.ids.includes(id));
    return found?.type === 'failed' ? `${found.code}: ${found.message}` : undefined;
  }

  said(event: string): boolean {
    return this.answers.some((answer) => answer.type === 'log' && answer.event === event);
  }

  async ask(request: Parameters<ConsensusWorker['onMessage']>[0] & { type: 'request' }): Promise<void> {
    this.worker.onMessage(request);
    await until(
      () => this.answers.some((answer) => answer.type === 'done' && answer.id === request.id),
      request.request.kind,
      15_000,
    );
  }
}

describe('a leader whose disk is stuck', function () {
  this.timeout(30_000);

  it('hands leadership over, and the others go on', async () => {
    const authority = await TestAuthority.create();
    const first = await Bare.start(1, authority, new StuckDisk());
    const others = [await Bare.start(2, authority, new StuckDisk()), await Bare.start(3, authority, new StuckDisk())];
    const managers = [first, ...others];
    await until(() => first.status?.role === 'leader', 'the first leads');
    for (const [at, { id: nodeId, address: raftAddress }] of others.entries()) {
      await first.ask({ type: 'request', id: 100 + at, request: { kind: 'add-member', nodeId, raftAddress } });
    }
    first.disk.hold();
    first.worker.onMessage({ type: 'propose', ids: [1], payloads: pack([Buffer.from('stuck')]) });
    await until(() => others.some(({ status }) => status?.role === 'leader'), 'another leads', 10_000);
    const next = others.find(({ status }) => status?.role === 'leader');
    next?.worker.onMessage({ type: 'propose', ids: [2], payloads: pack([Buffer.from('goes on')]) });
    const isCommitted = (): boolean =>
      next?.answers.some((answer) => answer.type === 'committed' && answer.proposals.some(([, id]) => id === 2)) ??
      false;
    await until(isCommitted, 'a write is accepted');
    first.disk.release();
    for (const manager of managers) await manager.ask({ type: 'request', id: 999, request: { kind: 'stop' } });
  });
});

describe('a leader whose disk is full', function () {
  this.timeout(30_000);

  it('hands leadership over and comes back as a follower when there is space', async () => {
    const authority = await TestAuthority.create();
    const first = await Bare.start(1, authority, new SmallDisk());
    const others = [await Bare.start(2, authority, new SmallDisk()), await Bare.start(3, authority, new SmallDisk())];
    await until(() => first.status?.role === 'leader', 'the first leads');
    for (const [at, { id: nodeId, address: raftAddress }] of others.entries()) {
      await first.ask({ type: 'request', id: 100 + at, request: { kind: 'add-member', nodeId, raftAddress } });
    }
    first.disk.bytesLeft = 0;
    first.worker.onMessage({ type: 'propose', ids: [1], payloads: pack([Buffer.from('does not fit')]) });
    await until(() => others.some(({ status }) => status?.role === 'leader'), 'another leads', 10_000);
    const next = others.find(({ status }) => status?.role === 'leader');
    assert.ok(next);
    next.worker.onMessage({ type: 'propose', ids: [2], payloads: pack([Buffer.from('goes on')]) });
    await until(() => next.committed(2), 'a write is accepted');
    first.disk.bytesLeft = Number.POSITIVE_INFINITY;
    const upTo = next.committedUpTo();
    await until(() => first.committedUpTo() >= upTo, 'the first has what was written meanwhile');
    for (const manager of [first, ...others])
      await manager.ask({ type: 'request', id: 999, request: { kind: 'stop' } });
  });

  it('alone, refuses writes with a sentence, and goes on when there is space', async () => {
    const authority = await TestAuthority.create();
    const alone = await Bare.start(1, authority, new SmallDisk());
    await until(() => alone.status?.role === 'leader', 'it leads');
    alone.disk.bytesLeft = 0;
    alone.worker.onMessage({ type: 'propose', ids: [1], payloads: pack([Buffer.from('under way')]) });
    await until(() => alone.failure(1) !== undefined, 'what was under way is answered');
    assert.match(alone.failure(1) ?? '', /^unknown-outcome: .*disk of manager manager1 is full/);
    alone.worker.onMessage({ type: 'propose', ids: [2], payloads: pack([Buffer.from('refused')]) });
    assert.match(alone.failure(2) ?? '', /^exhausted: the disk of manager manager1 is full: writes are refused until/);
    alone.disk.bytesLeft = Number.POSITIVE_INFINITY;
    await until(() => alone.said('there is space on the disk again'), 'it notices the space');
    alone.worker.onMessage({ type: 'propose', ids: [3], payloads: pack([Buffer.from('accepted')]) });
    await until(() => alone.committed(3), 'a write is accepted');
    await alone.ask({ type: 'request', id: 999, request: { kind: 'stop' } });
  });

  it('can be stopped while it waits for space', async () => {
    const authority = await TestAuthority.create();
    const alone = await Bare.start(1, authority, new SmallDisk());
    await until(() => alone.status?.role === 'leader', 'it leads');
    alone.disk.bytesLeft = 0;
    alone.worker.onMessage({ type: 'propose', ids: [1], payloads: pack([Buffer.from('under way')]) });
    await until(() => alone.failure(1) !== undefined, 'it waits');
    await alone.ask({ type: 'request', id: 999, request: { kind: 'stop' } });
  });
});
