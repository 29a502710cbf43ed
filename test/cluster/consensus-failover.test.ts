// Consensus in processes of its own, killed, stopped and kept busy. No root needed.
import assert from 'node:assert/strict';
import { systemClock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import { type ManagerProcess, ProcessGroup } from '../raft/process-group.ts';

describe('consensus when processes fail', function () {
  this.timeout(120_000);
  let group: ProcessGroup;
  before(async () => {
    group = await ProcessGroup.start(3);
  });
  after(() => group[Symbol.asyncDispose]());

  async function leaderNow(): Promise<ManagerProcess> {
    for (;;) {
      const leader = await group.leader();
      if (leader) return leader;
      await systemClock.sleep(20);
    }
  }

  const others = (leader: ManagerProcess): ManagerProcess[] => group.managers.filter((one) => one !== leader);

  it('accepts writes again after kill -9 of the leader, and loses none', async () => {
    const timesMs: number[] = [];
    const acknowledged: string[] = [];
    for (let round = 0; round < 10; round += 1) {
      const leader = await leaderNow();
      await leader.ask({ kind: 'propose', text: `before ${round}` });
      leader.signal('SIGKILL');
      timesMs.push(await group.firstWriteMs(others(leader), `after ${round}`));
      acknowledged.push(`before ${round}`, `after ${round}`);
      await leader.kill();
      await leader.start('restart');
      await systemClock.sleep(400);
    }
    timesMs.sort((a, b) => a - b);
    console.log(`      kill -9 of the leader → next write: ${timesMs.map((ms) => ms.toFixed(0)).join(' ')} ms`);
    const leader = await leaderNow();
    await leader.ask({ kind: 'read' });
    const texts = (await leader.ask({ kind: 'texts' })) as string[];
    assert.deepEqual(texts, acknowledged);
  });

  it('deposes a leader that is stopped, which then acknowledges nothing', async () => {
    const leader = await leaderNow();
    leader.signal('SIGSTOP');
    const late = leader.ask({ kind: 'propose', text: 'from the sleeper' });
    const lateRead = leader.ask({ kind: 'read' });
    const refused = Promise.allSettled([late, lateRead]);
    const tookMs = await group.firstWriteMs(others(leader), 'while it slept');
    console.log(`      SIGSTOP of the leader → next write: ${tookMs.toFixed(0)} ms`);
    await systemClock.sleep(2_000);
    leader.signal('SIGCONT');
    for (const { status, ...rest } of await refused) {
      assert.equal(status, 'rejected');
      assert.ok('reason' in rest && rest.reason instanceof CodedError);
      assert.ok(['unavailable', 'unknown-outcome'].includes(rest.reason.code), rest.reason.message);
    }
    const status = await leader.status();
    assert.notEqual(status.role, 'leader');
    const now = await leaderNow();
    await now.ask({ kind: 'read' });
    const texts = (await now.ask({ kind: 'texts' })) as string[];
    assert.ok(texts.includes('while it slept'));
  });

  it('keeps a leader whose main thread is busy for a moment, and replaces one that stays so', async () => {
    const leader = await leaderNow();
    const { term } = await leader.status();
    await leader.ask({ kind: 'block', forMs: 2_000 });
    assert.deepEqual([(await leader.status()).role, (await leader.status()).term], ['leader', term]);
    const blocked = leader.ask({ kind: 'block', forMs: 7_000 });
    await systemClock.sleep(6_000);
    assert.ok(await group.leader(others(leader)), 'another one leads');
    await blocked;
  });
});
