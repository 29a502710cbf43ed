// Tasks of a swarm on this machine's real runtime: a manager's store in, containers out, statuses back.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ContainerExecutor } from '../../agent/container/container-executor.ts';
import { systemRandom } from '../../base/random.ts';
import { newId } from '../../base/id.ts';
import type { ContainerSpec, Task, TaskId, TaskSpec, TaskStatus } from '../../proto/objects.ts';
import { aTask, aTaskSpec } from '../support/objects.ts';
import { FakeRegistry, USER } from '../support/fake-registry.ts';
import { requireRoot } from '../support/requirements.ts';
import { LAB_LOG, RuntimeLab } from '../support/runtime-lab.ts';
import { startTestManager, type TestAgent, type TestManager } from '../support/test-manager.ts';
import { until } from '../support/until.ts';

const QUICK_HEALTH = {
  test: ['CMD-SHELL', 'test -e /healthy'],
  intervalMs: 50,
  timeoutMs: 2_000,
  startPeriodMs: 10_000,
  startIntervalMs: 50,
  retries: 1,
};
const PATIENT = ['sh', '-c', 'trap "exit 0" TERM; echo up; while :; do sleep 1 & wait; done'];

describe('tasks on this machine', function () {
  this.timeout(60_000);
  let lab: RuntimeLab;
  let manager: TestManager;
  let node: TestAgent;

  before(async function () {
    requireRoot(this);
    lab = await RuntimeLab.open();
    manager = await startTestManager({ log: LAB_LOG });
    node = await manager.agent(executor());
  });
  after(async () => {
    await manager?.[Symbol.asyncDispose]();
    await lab?.[Symbol.asyncDispose]();
  });

  const executor = (): ContainerExecutor =>
    new ContainerExecutor({ runtime: lab.runtime, hostname: 'node1', version: '0', labels: {}, log: LAB_LOG });

  const stored = (id: TaskId): Task => manager.store.view().tasks.get(id) ?? assert.fail(`task ${id} is gone`);
  const stateOf = (id: TaskId): TaskStatus['state'] => stored(id).status.state;
  const containerOf = (id: TaskId) => lab.runtime.containers.get(stored(id).status.containerId ?? '');

  async function assign(
    container: Partial<ContainerSpec> = {},
    options: { spec?: Partial<TaskSpec>; count?: number; task?: Partial<Task> } = {},
  ): Promise<TaskId[]> {
    const spec = { ...aTaskSpec({ container: { image: 'bb', command: PATIENT, ...container } }), ...options.spec };
    const ids = Array.from({ length: options.count ?? 1 }, () => newId<'task'>(systemRandom));
    await manager.store.update((tx) => {
      for (const [at, id] of ids.entries()) {
        const identity = { kind: 'slot', slot: at + 1 } as const;
        const status = { state: 'assigned', atMs: 0, message: '' } as const;
        tx.tasks.put(aTask({ id, nodeId: node.nodeId, identity, status, spec, ...options.task }));
      }
    });
    return ids;
  }

  async function one(...args: Parameters<typeof assign>): Promise<TaskId> {
    const [id] = await assign(...args);
    return id ?? assert.fail();
  }

  async function desire(ids: readonly TaskId[], desired: Task['desired']): Promise<void> {
    await manager.store.update((tx) => {
      for (const id of ids) {
        const task = tx.tasks.get(id);
        if (task) tx.tasks.put({ ...task, desired });
      }
    });
  }

  async function forget(ids: readonly TaskId[]): Promise<void> {
    await manager.store.update((tx) => {
      for (const id of ids) tx.tasks.remove(id);
    });
    await until('nothing is left of them', () =>
      lab.runtime.containers.list().every(({ config }) => !ids.some((id) => config.labels[LABEL] === id)),
    );
  }

  const reach = (id: TaskId, state: TaskStatus['state']) =>
    until(`the task is ${state}`, () => stateOf(id) === state, { withinMs: 15_000 });

  it('runs a task and stops it by its signal', async () => {
    const id = await one({
      env: ['WHO={{.Service.Name}}.{{.Task.Slot}}@{{.Node.Hostname}}'],
      hostname: 'h{{.Task.Slot}}',
    });
    await reach(id, 'running');
    const info = containerOf(id);
    assert.equal(info.name, `web.1.${id}`);
    assert.equal(stored(id).status.pid, info.pid);
    assert.match(
      (await lab.exec(info.id, ['sh', '-c', 'cat /proc/1/environ; hostname'])).output,
      /WHO=web\.1@node1.*h1/s,
    );
    await desire([id], 'shutdown');
    await reach(id, 'shutdown');
    assert.equal(stored(id).status.exitCode, 0);
    await forget([id]);
  });

  it('runs only when healthy, and fails when it no longer is', async () => {
    const id = await one({ healthCheck: QUICK_HEALTH });
    await reach(id, 'starting');
    await until('its container runs', () => executorInfo(id)?.state === 'running');
    assert.equal(stateOf(id), 'starting');
    const { id: containerId } = executorInfo(id) ?? assert.fail();
    await lab.exec(containerId, ['touch', '/healthy']);
    await reach(id, 'running');
    await lab.exec(containerId, ['rm', '/healthy']);
    await reach(id, 'failed');
    assert.match(stored(id).status.error ?? '', /^task: unhealthy container/);
    assert.equal(lab.runtime.containers.get(containerId).state, 'exited');
    await forget([id]);
  });

  const executorInfo = (id: TaskId) => lab.runtime.containers.list().find(({ config }) => config.labels[LABEL] === id);

  it('fetch an image that is not here once, as who the service says', async () => {
    await using registry = await FakeRegistry.start();
    registry.auth = 'basic';
    registry.addImage('served', '1', { layers: [{ tar: readFileSync(join(lab.root, 'busybox.tar')) }] });
    const image = `${registry.host}/served:1`;
    const registryAuth = Buffer.from(JSON.stringify(USER)).toString('base64url');
    const ids = await assign({ image }, { spec: { registryAuth }, count: 3 });
    await Promise.all(ids.map((id) => reach(id, 'running')));
    assert.equal(registry.requests.filter((line) => line.includes('/manifests/')).length, 1);
    await desire(ids, 'shutdown');
    await Promise.all(ids.map((id) => reach(id, 'shutdown')));
    await forget(ids);
    const nobody = await one({ image: `${registry.host}/served:2` });
    await reach(nobody, 'rejected');
    assert.match(stored(nobody).status.error ?? '', /^No such image: .*served:2: no basic auth credentials$/);
    await forget([nobody]);
  });

  for (const [what, container, state, exitCode, error] of [
    ['ends well', { command: ['true'] }, 'complete', 0, /^$/],
    ['ends badly', { command: ['sh', '-c', 'exit 3'] }, 'failed', 3, /^task: non-zero exit \(3\)$/],
    ['can not start', { command: ['/nosuch'] }, 'failed', 127, /^starting container failed: .*no such file/],
    [
      'has no image',
      { image: '127.0.0.1:1/nosuch:1' },
      'rejected',
      undefined,
      /^No such image: 127.0.0.1:1\/nosuch:1: Get .*connection refused/,
    ],
    [
      'binds a folder that is missing',
      { mounts: [{ type: 'bind', source: '/nosuch/x', target: '/x', readOnly: false }] },
      'rejected',
      undefined,
      /bind source path does not exist: \/nosuch\/x/,
    ],
    ['has a wrong template', { env: ['A={{.Nope}}'] }, 'rejected', undefined, /\{\{\.Nope\}\} is not known/],
  ] as const) {
    it(`says so when it ${what}`, async () => {
      const id = await one(container);
      await reach(id, state);
      const { status } = stored(id);
      assert.equal(status.exitCode, exitCode);
      assert.match(status.error ?? '', error);
      await forget([id]);
    });
  }

  it('takes memory away from nobody else', async () => {
    const command = ['sh', '-c', 'x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done'];
    const id = await one({ command }, { spec: { limits: { nanoCpus: 0, memoryBytes: 16 * 1024 ** 2 } } });
    await reach(id, 'failed');
    assert.match(stored(id).status.error ?? '', /^task: non-zero exit \(137\): out of memory$/);
    await forget([id]);
  });

  it('has its containers found again by another agent, and what nobody wants removed', async () => {
    const [kept, gone] = await assign({}, { count: 2 });
    if (!kept || !gone) assert.fail();
    await reach(kept, 'running');
    await reach(gone, 'running');
    const { pid } = containerOf(kept);
    await node.agent.stop();
    await manager.store.update((tx) => tx.tasks.remove(gone));
    node = { ...node, ...(await manager.agent(executor(), node)) };
    await until('the unwanted one is gone', () => executorInfo(gone) === undefined, { withinMs: 15_000 });
    assert.equal(containerOf(kept).pid, pid);
    assert.equal(stateOf(kept), 'running');
    await desire([kept], 'shutdown');
    await reach(kept, 'shutdown');
    await forget([kept]);
  });

  it('opens host ports and tells which', async () => {
    const ports = [{ protocol: 'tcp', targetPort: 80, publishedPort: 0, publishMode: 'host' }] as const;
    const id = await one({}, { task: { ports } });
    await reach(id, 'running');
    const [told] = stored(id).status.ports ?? [];
    assert.ok(told && told.publishedPort > 0);
    await forget([id]);
  });

  it('starts a hundred in no time', async () => {
    const startMs = performance.now();
    const ids = await assign({}, { count: 100 });
    await until('all run', () => ids.every((id) => stateOf(id) === 'running'), { withinMs: 30_000 });
    const tookMs = performance.now() - startMs;
    const stopMs = performance.now();
    await desire(ids, 'shutdown');
    await until('all are shut down', () => ids.every((id) => stateOf(id) === 'shutdown'), { withinMs: 30_000 });
    const stoppedMs = performance.now() - stopMs;
    const removeMs = performance.now();
    await forget(ids);
    process.stdout.write(
      `      100 tasks: up ${Math.round(tookMs)} ms, down ${Math.round(stoppedMs)} ms, ` +
        `gone ${Math.round(performance.now() - removeMs)} ms, load ${loadAverage()}\n`,
    );
    assert.ok(tookMs < 10_000, `it took ${Math.round(tookMs)} ms`); // a bound for loaded machines; the bench has the numbers
  });
});

const LABEL = 'com.docker.swarm.task.id';
const loadAverage = (): string => execFileSync('cut', ['-d ', '-f1', '/proc/loadavg'], { encoding: 'utf8' }).trim();
