import assert from 'node:assert/strict';
import { CodedError, codeOf } from '../../base/errors.ts';
import { systemClock } from '../../base/clock.ts';
import { LeaderCalls } from '../../manager/leader-link.ts';
import type { ConsensusStatus } from '../../manager/raft/contract.ts';
import type { NodeId } from '../../proto/objects.ts';
import type { Channel } from '../../proto/rpc.ts';
import { RemoteError } from '../../proto/rpc.ts';
import { anId } from '../support/objects.ts';

const [ME, OTHER, THIRD] = [1, 2, 3].map((number) => anId('node', number) as NodeId) as [NodeId, NodeId, NodeId];

/** Consensus of three whose leader the test chooses. */
function setUp(leaderId: NodeId | undefined) {
  const listeners = new Set<(status: ConsensusStatus) => void>();
  const status: ConsensusStatus = {
    role: 'follower',
    term: 1,
    leaderId,
    members: [ME, OTHER, THIRD].map((nodeId) => ({ nodeId, raftAddress: '', learner: false })),
    reachable: [],
    commitIndex: 0,
    appliedIndex: 0,
  };
  let present = status;
  const calls = new LeaderCalls({
    nodeId: ME,
    consensus: {
      status: () => present,
      onStatus: (listener) => {
        listeners.add(listener);
        return { [Symbol.dispose]: () => void listeners.delete(listener) };
      },
    },
    clock: systemClock,
    channelTo: (address) => ({ address, ready: async () => undefined }) as unknown as Channel,
  });
  const elect = (next: NodeId | undefined): void => {
    present = { ...present, leaderId: next, term: present.term + 1 };
    for (const listener of [...listeners]) listener(present);
  };
  return { calls, elect, listeners };
}

const cut = (_channel: Channel, abort: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    abort.addEventListener('abort', () => reject(new CodedError('aborted', 'cancelled')), { once: true });
  });
const nobody = () => assert.fail('not here');

describe('a call to the leader', () => {
  it('is done here by the leader, and by the leader elsewhere', async () => {
    const { calls, elect, listeners } = setUp(ME);
    const work = { local: async () => 'here', remote: async ({ address }: Channel) => address, repeatable: true };
    assert.equal(await calls.run(work), 'here');
    elect(OTHER);
    assert.equal(await calls.run(work), OTHER);
    assert.equal(listeners.size, 0);
  });

  it('waits out an election', async () => {
    const { calls, elect } = setUp(undefined);
    const answer = calls.run({ local: nobody, remote: async ({ address }) => address, repeatable: false });
    setTimeout(() => elect(OTHER), 20);
    assert.equal(await answer, OTHER);
  });

  it('that reads is asked again of the next leader', async () => {
    const { calls, elect } = setUp(OTHER);
    const remote = (channel: Channel, abort: AbortSignal) =>
      channel.address === OTHER ? cut(channel, abort) : Promise.resolve(channel.address);
    const answer = calls.run({ local: nobody, remote, repeatable: true });
    setTimeout(() => elect(THIRD), 20);
    assert.equal(await answer, THIRD);
  });

  it('that writes ends with an unknown outcome when the leader is lost on the way', async () => {
    const { calls, elect } = setUp(OTHER);
    const answer = calls.run({ local: nobody, remote: cut, repeatable: false });
    setTimeout(() => elect(THIRD), 20);
    await assert.rejects(answer, (error) => codeOf(error) === 'unknown-outcome');
  });

  it('still takes the last answer of a leader that hands over', async () => {
    const { calls, elect } = setUp(OTHER);
    const remote = () => new Promise<string>((resolve) => setTimeout(() => resolve('done'), 30));
    const answer = calls.run({ local: nobody, remote, repeatable: false });
    setTimeout(() => elect(THIRD), 10);
    assert.equal(await answer, 'done');
  });

  it('passes on what the leader refused', async () => {
    const { calls } = setUp(OTHER);
    const remote = () => Promise.reject(new RemoteError('conflict', 'in use'));
    await assert.rejects(calls.run({ local: nobody, remote, repeatable: true }), /in use/);
  });

  it('ends within two seconds without a leader, with the arithmetic', async () => {
    const { calls } = setUp(undefined);
    const startMs = performance.now();
    await assert.rejects(
      calls.run({ local: nobody, remote: nobody, repeatable: true }),
      (error) => codeOf(error) === 'unavailable' && /3 managers, 2 needed/.test((error as Error).message),
    );
    assert.ok(performance.now() - startMs < 2_000);
  }).timeout(5_000);

  it('ends with its caller', async () => {
    const { calls } = setUp(undefined);
    const abort = new AbortController();
    const answer = calls.run({ local: nobody, remote: nobody, repeatable: true, abort: abort.signal });
    abort.abort();
    await assert.rejects(answer, (error) => codeOf(error) === 'aborted');
  });
});
