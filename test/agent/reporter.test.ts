import assert from 'node:assert/strict';
import { Reporter, type StatusReport } from '../../agent/reporter.ts';
import { ManualClock } from '../../base/manual-clock.ts';
import type { TaskId, TaskState } from '../../proto/objects.ts';
import { anId } from '../support/objects.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function setUp() {
  const clock = new ManualClock();
  const reporter = new Reporter(clock);
  const sent: string[][] = [];
  const send = (reports: readonly StatusReport[]): void => {
    sent.push(reports.map(({ taskId, status }) => `${Number(taskId.slice(4))} ${status.state}`));
  };
  const session = reporter.attach(send, []);
  const report = (number: number, state: TaskState): void =>
    reporter.report(anId('task', number) as TaskId, { state, atMs: 0, message: '' });
  return { clock, reporter, sent, session, report };
}

describe('the reporter', () => {
  for (const state of ['running', 'failed', 'complete', 'shutdown', 'rejected'] as const) {
    it(`tells in the next turn that a task is ${state}`, async () => {
      const { sent, report } = setUp();
      report(1, state);
      await turn();
      assert.deepEqual(sent, [[`1 ${state}`]]);
    });
  }

  it('tells of steps on the way together with what matters', async () => {
    const { sent, report } = setUp();
    report(1, 'preparing');
    report(2, 'starting');
    await turn();
    assert.deepEqual(sent, []);
    report(2, 'running');
    await turn();
    assert.deepEqual(sent, [['1 preparing', '2 running']]);
  });

  it('keeps no step to itself for longer than a moment', async () => {
    const { clock, sent, report } = setUp();
    report(1, 'preparing');
    clock.advance(6);
    report(1, 'ready');
    clock.advance(4);
    assert.deepEqual(sent, [['1 ready']]);
    clock.advance(1_000);
    await turn();
    assert.equal(sent.length, 1);
  });

  it('says nothing to a session that is over', async () => {
    const { clock, sent, session, report } = setUp();
    report(1, 'preparing');
    session[Symbol.dispose]();
    clock.advance(1_000);
    report(1, 'running');
    await turn();
    assert.deepEqual(sent, []);
  });

  it('begins a session with everything that is known', () => {
    const { reporter } = setUp();
    const known = [{ taskId: anId('task', 1) as TaskId, status: { state: 'running', atMs: 0, message: '' } }] as const;
    const told: unknown[] = [];
    reporter.attach((reports) => told.push(...reports), known);
    assert.deepEqual(told, known);
  });
});
