import assert from 'node:assert/strict';
import { CodedError } from '../../base/errors.ts';
import { silentLog } from '../../base/log.ts';
import { seededRandom } from '../../base/random.ts';
import { type LeaderLoop, LeaderLoops } from '../../manager/leader-loops.ts';
import type { ConsensusStatus } from '../../manager/raft/contract.ts';
import { createMemoryStore } from '../support/memory-store.ts';

function aConsensus() {
  let status: ConsensusStatus = {
    role: 'follower',
    term: 1,
    leaderId: undefined,
    members: [],
    reachable: [],
    commitIndex: 0,
    appliedIndex: 0,
  };
  let listener: (status: ConsensusStatus) => void = () => undefined;
  let barrier: Promise<void> = Promise.resolve();
  return {
    status: () => status,
    onStatus(listen: (status: ConsensusStatus) => void) {
      listener = listen;
      return { [Symbol.dispose]: () => undefined };
    },
    readBarrier: () => barrier.then(() => 0),
    holdBarrier(promise: Promise<void>) {
      barrier = promise;
    },
    become(role: ConsensusStatus['role'], term: number) {
      status = { ...status, role, term };
      listener(status);
    },
  };
}

const untilAborted = (abort: AbortSignal): Promise<void> =>
  new Promise((_, reject) => {
    const end = (): void => reject(new CodedError('aborted', 'over'));
    if (abort.aborted) end();
    else abort.addEventListener('abort', end, { once: true });
  });

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

function setUp(loops: (events: string[]) => readonly LeaderLoop[], takeOver: readonly LeaderLoop[] = []) {
  const { store, clock } = createMemoryStore();
  const consensus = aConsensus();
  const events: string[] = [];
  const given = { store, clock, consensus, random: seededRandom(1), log: silentLog };
  return { clock, consensus, events, leader: new LeaderLoops({ ...given, loops: loops(events), takeOver }) };
}

const recorded = (events: string[]): readonly LeaderLoop[] => [
  {
    name: 'one',
    run: async (_store, { abort }) => {
      events.push('start');
      await untilAborted(abort).finally(() => events.push('end'));
    },
  },
];

describe('leader loops', () => {
  it('run only while this manager leads', async () => {
    const { consensus, events, leader } = setUp(recorded);
    await turns();
    assert.deepEqual(events, []);
    consensus.become('leader', 2);
    await turns();
    assert.deepEqual(events, ['start']);
    consensus.become('follower', 3);
    await turns();
    assert.deepEqual(events, ['start', 'end']);
    await leader[Symbol.asyncDispose]();
  });

  it('start anew for a new term, after the old ones have ended', async () => {
    const { consensus, events, leader } = setUp(recorded);
    consensus.become('leader', 2);
    await turns();
    consensus.become('leader', 4);
    await turns();
    assert.deepEqual(events, ['start', 'end', 'start']);
    await leader[Symbol.asyncDispose]();
    assert.deepEqual(events, ['start', 'end', 'start', 'end']);
  });

  it('wait until everything committed before is applied here', async () => {
    const { consensus, events, leader } = setUp(recorded);
    let lift: () => void = () => undefined;
    consensus.holdBarrier(
      new Promise((resolve) => {
        lift = resolve;
      }),
    );
    consensus.become('leader', 2);
    await turns();
    assert.deepEqual(events, []);
    lift();
    await turns();
    assert.deepEqual(events, ['start']);
    await leader[Symbol.asyncDispose]();
  });

  it('are started again when they fail', async () => {
    const { clock, consensus, events, leader } = setUp((seen) => [
      {
        name: 'frail',
        run: async (_store, { abort }) => {
          seen.push('start');
          if (seen.length === 1) throw new Error('a bug');
          await untilAborted(abort);
        },
      },
    ]);
    consensus.become('leader', 2);
    await turns();
    clock.advance(1_000);
    await turns();
    assert.deepEqual(events, ['start', 'start']);
    await leader[Symbol.asyncDispose]();
  });

  it('take over first', async () => {
    const order: string[] = [];
    const step = { name: 'settle', run: async () => void order.push('take over') };
    const loop = (): readonly LeaderLoop[] => [
      { name: 'one', run: async (_store, { abort }) => (order.push('loop'), untilAborted(abort)) },
    ];
    const { consensus, leader } = setUp(loop, [step]);
    consensus.become('leader', 2);
    await turns();
    assert.deepEqual(order, ['take over', 'loop']);
    await leader[Symbol.asyncDispose]();
  });
});
