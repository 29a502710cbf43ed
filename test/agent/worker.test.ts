import assert from 'node:assert/strict';
import type { AgentMemory } from '../../agent/local-db.ts';
import { EMPTY_MEMORY } from '../../agent/local-db.ts';
import { Worker } from '../../agent/worker.ts';
import { systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { seededRandom } from '../../base/random.ts';
import { encodeJson, type IngressEntry } from '../../proto/assignment.ts';
import type { NodeId, Task, TaskId, TaskStatus } from '../../proto/objects.ts';
import { FakeExecutor } from '../support/fake-executor.ts';
import { anId, aTask } from '../support/objects.ts';
import { until } from '../support/until.ts';

const me = anId('node', 1) as NodeId;
const port = { protocol: 'tcp', targetPort: 80, publishedPort: 8080, publishMode: 'ingress' } as const;
const running: TaskStatus = { state: 'running', atMs: 1, message: 'started' };

const task = (number: number, changes: Partial<Task> = {}): Task => ({
  ...aTask({ id: anId('task', number) as TaskId, nodeId: me, ...changes }),
  version: number,
  createdAtMs: 0,
  updatedAtMs: 0,
});

const entry: IngressEntry = {
  serviceId: task(1).serviceId,
  ports: [port],
  nodes: [{ nodeId: me, address: '10.0.0.1' }],
  lost: [],
};

function setUp() {
  const executor = new FakeExecutor();
  const worker = new Worker({
    executor,
    nodeId: me,
    clock: systemClock,
    random: seededRandom(1),
    onReached: () => {},
    log: silentLog,
    report: () => {},
    changed: () => {},
    awaitOthers: async () => true,
  });
  return { executor, worker };
}

const put = (of: Task) => ({ kind: 'task', id: of.id, version: of.version, removed: false, body: encodeJson(of) });
const message = (full: boolean, toIndex: number, tasks: readonly Task[], more = false) => ({
  full,
  more,
  fromIndex: full ? 0 : toIndex - 1,
  toIndex,
  changes: tasks.map(put),
});

/** A machine on which the tasks run, as an earlier agent left it. */
async function leftBy(executor: FakeExecutor, tasks: readonly Task[]): Promise<void> {
  for (const each of tasks) {
    const controller = executor.controller(each);
    await controller.prepare(never);
    await controller.start(never);
  }
  executor.events.length = 0;
}

const never = new AbortController().signal;
const memoryOf = (tasks: readonly Task[]): AgentMemory => ({
  ...EMPTY_MEMORY,
  appliedIndex: 9,
  tasks: tasks.map((each) => ({ task: each, status: running })),
  ingress: [entry],
});

describe('the tasks of a node', () => {
  it('keep their place among the published ports when the agent starts again', async () => {
    const { executor, worker } = setUp();
    const tasks = [task(1), task(2)];
    await leftBy(executor, tasks);
    worker.restore(memoryOf(tasks));
    await until('the map is applied', () => executor.ingress.length > 0);
    assert.deepEqual(executor.events.slice(0, 1), [`ingress 8080: ${tasks.map(({ id }) => id).join(',')} | `]);
    await worker.stop();
  });

  it('lose it when they turn out to have ended meanwhile', async () => {
    const { executor, worker } = setUp();
    await leftBy(executor, [task(1)]);
    executor.end(task(1).id, { exitCode: 1 });
    worker.restore(memoryOf([task(1), task(2)]));
    await until('both have left', () => executor.ingress[0]?.localTasks.length === 0);
    await worker.stop();
  });

  it('leave the published ports before they are stopped, also when they were given up meanwhile', async () => {
    const { executor, worker } = setUp();
    await leftBy(executor, [task(1)]);
    worker.restore(memoryOf([task(1)]));
    const ports = { kind: 'ingress', id: entry.serviceId, version: 3, removed: false, body: encodeJson(entry) };
    await worker.assign({ ...message(true, 12, []), changes: [ports] });
    await until('it is gone', () => executor.containers.size === 0);
    const { id } = task(1);
    const steps = executor.events.filter((event) => /^(stop|remove|discard)|: \S* \|/.test(event));

    assert.deepEqual(steps.slice(-3), ['ingress 8080:  | ', `stop ${id}`, `remove ${id}`]);
    assert.ok(!steps.some((step) => step.startsWith('discard')));
    await worker.stop();
  });

  it('are those of a whole set, not of one that another manager left half said', async () => {
    const { executor, worker } = setUp();
    assert.equal(await worker.assign(message(true, 5, [task(1)], true)), undefined);
    worker.beginSession();
    assert.equal(await worker.assign(message(true, 6, [task(2)])), 6);
    await until('the second runs', () => executor.containers.get(task(2).id)?.state === 'running');
    assert.deepEqual([...executor.containers.keys()], [task(2).id]);
    await worker.stop();
  });
});
