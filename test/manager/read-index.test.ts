import assert from 'node:assert/strict';
import { CodedError, codeOf } from '../../base/errors.ts';
import { FollowerReads } from '../../manager/read-index.ts';
import type { Channel } from '../../proto/rpc.ts';
import { aServiceSpec } from '../support/objects.ts';
import { startTestSwarm, untilReady } from '../support/test-swarm.ts';

interface Question {
  answer(index: number): void;
  fail(error: Error): void;
}

/** A leader that answers when told to, and a follower that has applied as much as it is told. */
function bench(): { reads: FollowerReads; channel: Channel; questions: Question[]; waited: number[] } {
  const questions: Question[] = [];
  const waited: number[] = [];
  const call = (): Promise<unknown> =>
    new Promise((resolve, reject) => {
      questions.push({ answer: (index) => resolve({ index, reachable: ['a', 'b'] }), fail: reject });
    });
  const reads = new FollowerReads({ applied: async (index) => void waited.push(index) });
  return { reads, channel: { call } as unknown as Channel, questions, waited };
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
const never = new AbortController().signal;

describe('reads on a follower', () => {
  it('wait until what the leader had committed is applied here', async () => {
    const { reads, channel, questions, waited } = bench();
    const read = reads.barrier(channel, never);
    questions[0]?.answer(17);
    await read;
    assert.deepEqual(waited, [17]);
    assert.deepEqual(reads.reachable, ['a', 'b']);
  });

  it('never use the answer to a question that was asked before them, and share the next one', async () => {
    const { reads, channel, questions, waited } = bench();
    const first = reads.barrier(channel, never);
    const later = [reads.barrier(channel, never), reads.barrier(channel, never)];
    assert.equal(questions.length, 1);
    questions[0]?.answer(5);
    await first;
    await turn();
    assert.equal(questions.length, 2);
    questions[1]?.answer(9);
    await Promise.all(later);
    assert.deepEqual(waited, [5, 9, 9]);
  });

  it('ask anew after a question that failed, and when another manager leads', async () => {
    const { reads, channel, questions } = bench();
    const failed = reads.barrier(channel, never);
    questions[0]?.fail(new CodedError('unavailable', 'does not lead'));
    await assert.rejects(failed, (error) => codeOf(error) === 'unavailable');
    const old = reads.barrier(channel, never);
    const other = bench();
    const fresh = reads.barrier(other.channel, never);
    questions[1]?.answer(1);
    other.questions[0]?.answer(2);
    await Promise.all([old, fresh]);
  });

  it('let go of a caller that goes away, and of it alone', async () => {
    const { reads, channel, questions } = bench();
    const leaving = new AbortController();
    const left = reads.barrier(channel, leaving.signal);
    leaving.abort(new CodedError('aborted', 'the caller went away'));
    await assert.rejects(left, (error) => codeOf(error) === 'aborted');
    const stays = reads.barrier(channel, never);
    questions[0]?.answer(1);
    await turn();
    await turn();
    questions[1]?.answer(2);
    await stays;
  });

  it('on real managers see every write that was answered, and stale ones work without a leader', async function () {
    this.timeout(30_000);
    await using swarm = await startTestSwarm();
    const second = await swarm.join('manager');
    await untilReady(swarm, 2);
    const { service } = await swarm.first.control().call('CreateService', {
      spec: aServiceSpec({ mode: { kind: 'replicated', replicas: 0 } }),
    });
    let { version, spec } = service;
    for (let round = 1; round <= 20; round += 1) {
      spec = { ...spec, labels: { round: String(round) } };
      const change = { service: service.id, version, spec, rollback: 'none' } as const;
      ({ version } = (await swarm.first.control().call('UpdateService', change)).service);
      const read = await second.control().call('GetService', { service: service.id });
      assert.equal(read.service.spec.labels['round'], String(round));
    }
    await swarm.first.stop();
    await assert.rejects(
      second.control().call('GetService', { service: service.id }),
      (error) => codeOf(error) === 'unavailable',
    );
    const stale = await second.control().call('GetService', { service: service.id }, { stale: true });
    assert.equal(stale.service.spec.labels['round'], '20');
  });
});
