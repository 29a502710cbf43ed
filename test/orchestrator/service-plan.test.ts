// One pass over a service, case by case: what the store holds, and what the plan writes.
import assert from 'node:assert/strict';
import { seededRandom } from '../../base/random.ts';
import type { Plan } from '../../manager/orchestrator/plan.ts';
import { planService } from '../../manager/orchestrator/service-plan.ts';
import type { Node, NodeId, ServiceId, Task, TaskId, UpdateStatus } from '../../proto/objects.ts';
import { createMemoryStore } from '../support/memory-store.ts';
import { anId, aNode, anUpdateConfig, aService, aServiceSpec, aTask, aTaskSpec } from '../support/objects.ts';

const serviceId = anId('service', 1) as ServiceId;
const id = (number: number): TaskId => anId('task', number) as TaskId;
const onNode = (number: number): NodeId => anId('node', number) as NodeId;

interface Given {
  readonly tasks: readonly Partial<Task>[];
  readonly order?: 'stop-first' | 'start-first';
  readonly replicas?: number;
  readonly status?: UpdateStatus;
  readonly nodes?: readonly Partial<Node>[];
  readonly room?: number;
  readonly afterMs?: number;
}

const PRESENT = 2; // the service's specification version; tasks of version 1 are outdated
const down = { state: 'down', message: '', address: '', sinceMs: 0 } as const;
const drained = { name: '', labels: {}, role: 'worker', availability: 'drain' } as const;

async function planFor(given: Given): Promise<{ plan: Plan; nowMs: number }> {
  const { store, clock } = createMemoryStore();
  const update = anUpdateConfig({ order: given.order ?? 'stop-first' });
  const mode = { kind: 'replicated', replicas: given.replicas ?? 1 } as const;
  const task = aTaskSpec({ container: { image: 'new' } });
  const status = given.status && { updateStatus: given.status };
  const service = aService({
    id: serviceId,
    spec: aServiceSpec({ mode, update, task }),
    specVersion: PRESENT,
    ...status,
  });
  await store.update((tx) => {
    tx.services.put(service);
    for (const number of [1, 2]) tx.nodes.put(aNode({ id: onNode(number), ...given.nodes?.[number - 1] }));
  });
  // One after the other, so that births tell them apart.
  for (const [index, changes] of given.tasks.entries()) {
    clock.advance(1);
    const old = aTaskSpec({ container: { image: 'old' } });
    const spec = (changes.specVersion ?? PRESENT) === PRESENT ? task : old;
    const plain = aTask({ id: id(index + 1), nodeId: onNode(1), spec, specVersion: PRESENT, ...changes }, service);
    await store.update((tx) => tx.tasks.put(plain));
  }
  clock.advance(given.afterMs ?? 0);
  const random = seededRandom(1);
  const plan = planService(store.view(), serviceId, { nowMs: clock.nowMs(), random, room: given.room ?? 100 });
  return { plan, nowMs: clock.nowMs() };
}

/** `1:shutdown` for a known task, `new:ready>1` for one that is born waiting for task 1. */
function written(plan: Plan): string[] {
  return plan.tasks.map((task) => {
    const number = /^task0*([0-9]+)$/.exec(task.id)?.[1];
    const waits = task.replaces ? `>${Number(task.replaces.slice(4))}` : '';
    return number ? `${number}:${task.desired}` : `new:${task.desired}${waits}`;
  });
}

const at = (state: Task['status']['state']): Pick<Task, 'status'> => ({ status: { state, atMs: 0, message: '' } });
const updating: UpdateStatus = {
  state: 'updating',
  startedAtMs: 0,
  message: '',
  slotsTotal: 1,
  slotsDone: 0,
  progressDeadlineAtMs: Number.MAX_SAFE_INTEGER,
};
const held = { desired: 'ready', holdUntilMs: 9e15 } as const;

describe('a pass over a service', () => {
  const cases: readonly (readonly [what: string, given: Given, writes: readonly string[]])[] = [
    ['leaves alone what runs', { tasks: [at('running')] }, []],
    ['restarts what failed, held for its delay', { tasks: [at('failed')] }, ['1:shutdown', 'new:ready']],
    [
      'lets the delay of one that was rejected during it run out first',
      { tasks: [{ ...at('rejected'), ...held }] },
      ['1:shutdown'],
    ],
    [
      'replaces one that was rejected during its delay at the end of that',
      { tasks: [{ ...at('rejected'), desired: 'shutdown', holdUntilMs: 1 }] },
      ['new:ready'],
    ],
    [
      'waits for nothing where the node is lost',
      { tasks: [at('running')], nodes: [{ status: down }] },
      ['1:shutdown', 'new:running'],
    ],
    [
      'waits for the stop where the node is drained',
      { tasks: [at('running')], nodes: [{ spec: drained }] },
      ['1:shutdown', 'new:ready>1'],
    ],
    ['ends a task that nobody has got', { tasks: [at('pending')], replicas: 0 }, ['1:remove']],
    [
      'lets go what waited for a stopped one',
      {
        tasks: [
          { ...at('shutdown'), desired: 'shutdown' },
          { ...at('ready'), ...held, replaces: id(1) },
        ],
      },
      ['2:running'],
    ],
    [
      'keeps what waits for one that still stops',
      {
        tasks: [
          { ...at('running'), desired: 'shutdown' },
          { ...at('ready'), ...held, replaces: id(1) },
        ],
      },
      [],
    ],
    [
      'lets go what waited for one on a lost node',
      {
        tasks: [
          { ...at('running'), desired: 'shutdown' },
          { ...at('ready'), ...held, replaces: id(1), nodeId: onNode(2) },
        ],
        nodes: [{ status: down }],
      },
      ['2:running'],
    ],
    ['lets go what waited for a deleted one', { tasks: [{ ...at('ready'), ...held, replaces: id(9) }] }, ['1:running']],
    [
      'lets go at its time whatever it waits for',
      {
        tasks: [
          { ...at('running'), desired: 'shutdown' },
          { ...at('ready'), desired: 'ready', holdUntilMs: 1, replaces: id(1) },
        ],
      },
      ['2:running'],
    ],
    [
      'hands a hold down when its holder is lost',
      {
        tasks: [
          { ...at('running'), desired: 'shutdown', nodeId: onNode(2) },
          { ...at('ready'), ...held, replaces: id(1) },
        ],
        nodes: [{ status: down }],
      },
      ['2:shutdown', 'new:ready>1'],
    ],
    [
      'opens an outdated slot, stop-first',
      { tasks: [{ ...at('running'), specVersion: 1 }], status: updating },
      ['1:shutdown', 'new:ready>1'],
    ],
    [
      'opens an outdated slot, start-first',
      { tasks: [{ ...at('running'), specVersion: 1 }], status: updating, order: 'start-first' },
      ['new:running>1'],
    ],
    [
      'keeps nothing that does not run, start-first',
      { tasks: [{ ...at('starting'), specVersion: 1 }], status: updating, order: 'start-first' },
      ['1:shutdown', 'new:ready>1'],
    ],
    [
      'stops the old one once the new one runs',
      { tasks: [{ ...at('running'), specVersion: 1 }, at('running')], status: updating, order: 'start-first' },
      ['1:shutdown'],
    ],
    [
      'keeps the old one while the new one does not',
      { tasks: [{ ...at('running'), specVersion: 1 }, at('starting')], status: updating, order: 'start-first' },
      [],
    ],
    [
      'keeps the right one where it is the older, as a rollback finds it',
      { tasks: [at('running'), { ...at('running'), specVersion: 1 }], status: updating, order: 'start-first' },
      ['2:shutdown'],
    ],
    [
      'tries a failed newcomer again beside its predecessor',
      {
        tasks: [{ ...at('running'), specVersion: 1 }, at('failed')],
        status: { ...updating, failures: [{ slot: '1', taskId: id(7) }], slotsTotal: 1e9 },
        order: 'start-first',
      },
      ['2:shutdown', 'new:ready'],
    ],
    [
      'does not while the rollout is paused',
      {
        tasks: [{ ...at('running'), specVersion: 1 }, at('failed')],
        status: { ...updating, state: 'paused' },
        order: 'start-first',
      },
      ['2:shutdown'],
    ],
  ];
  for (const [what, given, writes] of cases) {
    it(what, async () => {
      const { plan } = await planFor(given);
      assert.deepEqual(written(plan), writes);
    });
  }

  it('keeps one of two equal tasks in a slot', async () => {
    const { plan } = await planFor({ tasks: [at('running'), at('running')] });
    assert.equal(plan.tasks.length, 1);
    assert.equal(plan.tasks[0]?.desired, 'shutdown');
  });

  it('asks to be woken at the end of a hold', async () => {
    const { plan, nowMs } = await planFor({ tasks: [at('failed')] });
    assert.equal(plan.wakeAtMs, nowMs + 5_000);
  });

  it('leaves for the next pass what does not fit, whole slots at a time', async () => {
    const tasks = [1, 2, 3, 4].map((slot): Partial<Task> => ({ ...at('failed'), identity: { kind: 'slot', slot } }));
    const { plan } = await planFor({ tasks, replicas: 4, room: 6 });
    assert.equal(plan.more, true);
    assert.deepEqual(written(plan), ['1:shutdown', 'new:ready', '2:shutdown', 'new:ready']);
  });

  it('says of a task that nobody has got how it ended', async () => {
    const { plan } = await planFor({ tasks: [at('pending')], replicas: 0 });
    assert.equal(plan.tasks[0]?.status.state, 'shutdown');
  });

  it('gives a grace longer than a minute its time', async () => {
    const spec = aTaskSpec({ container: { image: 'old', stopGraceMs: 300_000 } });
    const { plan, nowMs } = await planFor({ tasks: [{ ...at('running'), spec, specVersion: 1 }], status: updating });
    assert.equal(plan.tasks.at(-1)?.holdUntilMs, nowMs + 310_000);
  });

  it('removes the tasks of a service that is gone', async () => {
    const { store } = createMemoryStore();
    await store.update((tx) => tx.tasks.put(aTask({ nodeId: onNode(1), ...at('running') })));
    const plan = planService(store.view(), serviceId, { nowMs: 0, random: seededRandom(1), room: 10 });
    assert.deepEqual(written(plan), ['1:remove']);
  });
});
