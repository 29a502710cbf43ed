import assert from 'node:assert/strict';
import type { Controller } from '../../agent/executor.ts';
import { TaskRunner } from '../../agent/task-runner.ts';
import { CodedError } from '../../base/errors.ts';
import { silentLog } from '../../base/log.ts';
import { ManualClock } from '../../base/manual-clock.ts';
import type { Task, TaskState, TaskStatus } from '../../proto/objects.ts';
import { aTask } from '../support/objects.ts';

const task = (changes: Partial<Task> = {}): Task => ({
  ...aTask({ status: { state: 'assigned', atMs: 0, message: '' }, ...changes }),
  version: 1,
  createdAtMs: 0,
  updatedAtMs: 0,
});

const untilAborted = (abort: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    const onAbort = (): void => reject(new CodedError('aborted', 'over'));
    if (abort.aborted) onAbort();
    abort.addEventListener('abort', onAbort, { once: true });
  });

function setUp(changes: Partial<Controller> = {}, of: Task = task(), status: TaskStatus = of.status) {
  const events: string[] = [];
  const states: TaskStatus[] = [];
  const did = (name: string) => async () => void events.push(name);
  const controller: Controller = {
    prepare: did('prepare'),
    start: async () => {
      events.push('start');
      return { containerId: 'c', pid: 7 };
    },
    healthy: did('healthy'),
    exited: untilAborted,
    stop: async () => {
      events.push('stop');
      return { exitCode: 143 };
    },
    remove: did('remove'),
    logs: () => assert.fail('nobody asked for logs'),
    ...changes,
  };
  const runner = new TaskRunner(of, status, {
    controller,
    clock: new ManualClock(),
    log: silentLog,
    report: (reached) => states.push(reached),
    enterService: did('enter'),
    leaveService: async (_task, why) => void events.push(`leave (${why})`),
  });
  const names = (): TaskState[] => states.map(({ state }) => state);
  return { runner, events, states, names };
}

const settle = () => new Promise<void>((resolve) => setTimeout(resolve, 2));
const never = new AbortController().signal;

describe('a task', () => {
  it('goes through every state once, and serves before it is reported running', async () => {
    const { runner, events, states, names } = setUp({ exited: async () => ({ exitCode: 0 }) });
    await runner.run(never);
    assert.deepEqual(names(), ['accepted', 'preparing', 'ready', 'starting', 'running', 'complete']);
    assert.deepEqual(events, ['prepare', 'start', 'healthy', 'enter', 'leave (ended)']);
    assert.deepEqual([states.at(-2)?.containerId, states.at(-2)?.pid, states.at(-1)?.exitCode], ['c', 7, 0]);
  });

  it('leaves its service before it is stopped', async () => {
    const { runner, events, states } = setUp();
    const running = runner.run(never);
    await settle();
    runner.update(task({ desired: 'shutdown' }));
    await running;
    assert.deepEqual(events.slice(-2), ['leave (stop)', 'stop']);
    assert.deepEqual([states.at(-1)?.state, states.at(-1)?.exitCode], ['shutdown', 143]);
  });

  it('is stopped while it is not healthy yet, and never served', async () => {
    const { runner, events, names } = setUp({ healthy: untilAborted });
    const running = runner.run(never);
    await settle();
    assert.equal(names().at(-1), 'starting');
    runner.update(task({ desired: 'remove' }));
    await running;
    assert.deepEqual([names().at(-1), events.includes('enter'), events.at(-1)], ['shutdown', false, 'stop']);
  });

  it('wanted no more before it began is shut down without a start', async () => {
    const { runner, events, names } = setUp({}, task({ desired: 'shutdown' }));
    await runner.run(never);
    assert.deepEqual([names(), events], [['shutdown'], ['stop']]);
  });

  it('waits in ready, and what is wanted never falls', async () => {
    const { runner, names } = setUp({}, task({ desired: 'ready' }));
    const abort = new AbortController();
    const running = runner.run(abort.signal);
    await settle();
    assert.equal(names().at(-1), 'ready');
    runner.update(task({ desired: 'running' }));
    runner.update(task({ desired: 'ready' }));
    await settle();
    assert.deepEqual([names().at(-1), runner.task.desired], ['running', 'running']);
    abort.abort();
    await running;
    assert.equal(names().at(-1), 'running');
  });

  for (const [step, state, stopped] of [
    ['prepare', 'rejected', false],
    ['start', 'failed', true],
    ['healthy', 'failed', true],
    ['exited', 'failed', true],
  ] as const) {
    it(`that fails in ${step} is ${state}, with the reason`, async () => {
      const { runner, events, states } = setUp({ [step]: () => Promise.reject(new Error('it broke')) });
      await runner.run(never);
      assert.deepEqual([states.at(-1)?.state, states.at(-1)?.error], [state, 'it broke']);
      assert.equal(events.includes('stop'), stopped);
    });
  }

  it('that was running before a restart is taken up where it is', async () => {
    const status = { state: 'running', atMs: 5, message: 'started', containerId: 'c', pid: 7 } as const;
    const { runner, events, names } = setUp({ exited: async () => ({ exitCode: 2 }) }, task({ status }));
    await runner.run(never);
    assert.deepEqual(events, ['start', 'leave (ended)'], 'it serves already');
    assert.deepEqual(names(), ['failed']);
  });

  it('that has ended does nothing more', async () => {
    const { runner, events, names } = setUp({}, task({ status: { state: 'failed', atMs: 1, message: '' } }));
    await runner.run(never);
    assert.deepEqual([events, names()], [[], []]);
  });
});
