import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import os from 'node:os';
import { ContainerExecutor } from '../../agent/container/container-executor.ts';
import type { Controller, IngressTarget } from '../../agent/executor.ts';
import { silentLog } from '../../base/log.ts';
import type { LogOptions } from '../../proto/control.ts';
import type { ContainerSpec, Task, TaskId } from '../../proto/objects.ts';
import { anImage, FakeMachine } from '../support/fake-machine.ts';
import { anId, aTask, aTaskSpec } from '../support/objects.ts';

const HEALTH = { test: ['CMD', 'ok'], intervalMs: 1, timeoutMs: 2, startPeriodMs: 0, startIntervalMs: 1, retries: 1 };

function task(slot = 1, container: Partial<ContainerSpec> = {}, changes: Partial<Task> = {}): Task {
  const id = anId('task', slot) as TaskId;
  const identity = { kind: 'slot', slot } as const;
  const made = aTask({ id, identity, nodeId: anId('node', 1), spec: aTaskSpec({ container }), ...changes });
  return { ...made, version: 1, createdAtMs: 0, updatedAtMs: 0 };
}

const nameOf = (of: Task): string => `web.${of.identity.kind === 'slot' ? of.identity.slot : '?'}.${of.id}`;

const never = new AbortController().signal;
setMaxListeners(0, never);

function executorOver(machine: FakeMachine): ContainerExecutor {
  return new ContainerExecutor({
    runtime: machine,
    hostname: 'node1',
    version: '9.9',
    labels: { a: 'b' },
    log: silentLog,
  });
}

async function started(machine: FakeMachine, of: Task): Promise<Controller> {
  const controller = executorOver(machine).controller(of);
  await controller.prepare(never);
  await controller.start(never);
  return controller;
}

/** How a promise stands after everything that can happen by itself has happened. */
async function standing(promise: Promise<unknown>): Promise<'waits' | 'is over'> {
  const over = promise.then(
    () => 'is over' as const,
    () => 'is over' as const,
  );
  const waits = new Promise<'waits'>((resolve) => setImmediate(() => resolve('waits')));
  return await Promise.race([over, waits]);
}

describe('a task over a container', () => {
  it('is prepared, started and found again by another daemon', async () => {
    const machine = new FakeMachine();
    const [one, first] = [task(), executorOver(machine)];
    const controller = first.controller(one);
    await controller.prepare(never);
    await controller.prepare(never);
    const facts = await controller.start(never);
    assert.deepEqual(facts, { containerId: machine.info(nameOf(one)).id, pid: 4001 });
    const second = executorOver(machine);
    assert.deepEqual(second.held(), [one.id]);
    const again = second.controller(one);
    await again.prepare(never);
    assert.deepEqual(await again.start(never), facts);
    assert.deepEqual(machine.calls, [`create ${nameOf(one)}`, `start ${nameOf(one)}`]);
  });

  it('does not start again what has run', async () => {
    const machine = new FakeMachine();
    const one = task();
    await started(machine, one);
    machine.end(nameOf(one), 3);
    const controller = executorOver(machine).controller(one);
    assert.equal((await controller.start(never)).pid, 0);
    assert.deepEqual(await controller.exited(never), { exitCode: 3, error: 'task: non-zero exit (3)' });
  });

  it('does not take a container of a committed image for a task', async () => {
    const machine = new FakeMachine();
    const one = task();
    await started(machine, one);
    const config = machine.configs[0] ?? assert.fail();
    await machine.containers.create({ ...config, name: 'mine' });
    await machine.containers.remove(nameOf(one), { force: true, volumes: true });
    assert.deepEqual(executorOver(machine).held(), []);
  });

  it('is refused without its image, by Docker’s sentence', async () => {
    const machine = new FakeMachine();
    const rejected = executorOver(machine)
      .controller(task(1, { image: 'nope' }))
      .prepare(never);
    const message = 'No such image: nope:latest: manifest for nope not found';
    await assert.rejects(rejected, { code: 'not-found', message });
    assert.deepEqual(machine.calls, ['pull nope']);
  });

  const [ONE, TWO] = [`sha256:${'1'.repeat(64)}`, `sha256:${'2'.repeat(64)}`] as const;
  for (const [what, images, expected] of [
    ['its tag when that means what it meant', [anImage(ONE, 'demo:1')], 'demo:1'],
    ['its id when the tag has moved on', [anImage(TWO, 'demo:1'), anImage(ONE)], ONE],
  ] as const) {
    it(`names its image by ${what}`, async () => {
      const machine = new FakeMachine();
      machine.ownImages = images;
      await started(machine, task(1, {}, { spec: { ...aTaskSpec(), imageDigest: ONE } }));
      assert.equal(machine.configs[0]?.image, expected);
    });
  }

  it('fetches an image that is not here, as who the service says, and once for all its tasks', async () => {
    const machine = new FakeMachine();
    machine.ownImages = [];
    machine.inRegistry = [anImage(ONE, 'demo:1')];
    let arrive = (): void => undefined;
    machine.pulling = () => new Promise((resolve) => (arrive = resolve));
    const registryAuth = Buffer.from('{"username":"me","password":"x"}').toString('base64url');
    const spec = { ...aTaskSpec(), registryAuth };
    const executor = executorOver(machine);
    const prepared = [1, 2, 3].map((slot) => executor.controller(task(slot, {}, { spec })).prepare(never));
    arrive();
    await Promise.all(prepared);
    assert.deepEqual(
      machine.calls.filter((call) => call.startsWith('pull')),
      ['pull demo:1 as me'],
    );
    assert.equal(machine.configs.length, 3);
  });

  it('fetches by digest what the name alone does not say', async () => {
    const machine = new FakeMachine();
    const image = `demo:1@${TWO}`;
    machine.inRegistry = [{ ...anImage(ONE), digests: [image] }];
    await started(machine, task(1, { image }));
    assert.deepEqual(machine.calls[0], `pull ${image}`);
  });

  it('gives a fetch up when no task waits for it any more', async () => {
    const machine = new FakeMachine();
    machine.ownImages = [];
    let begun = 0;
    let aborted = 0;
    machine.registries.pull = (_reference, { abort }) =>
      new Promise((_resolve, reject) => {
        begun += 1;
        abort?.addEventListener('abort', () => {
          aborted += 1;
          reject(new Error('aborted'));
        });
      });
    const executor = executorOver(machine);
    const leaving = [new AbortController(), new AbortController()];
    const waiting = leaving.map(({ signal }, at) => assert.rejects(executor.controller(task(at + 1)).prepare(signal)));
    leaving[0]?.abort();
    await waiting[0];
    assert.deepEqual([begun, aborted], [1, 0]);
    leaving[1]?.abort();
    await waiting[1];
    assert.equal(aborted, 1);
  });

  it('does not run what its registry has now when that is not what the service meant', async () => {
    const machine = new FakeMachine();
    machine.ownImages = [];
    machine.inRegistry = [anImage(TWO, 'demo:1')];
    const refused = executorOver(machine).controller(task(1, {}, { spec: { ...aTaskSpec(), imageDigest: ONE } }));
    const message = 'No such image: demo:1 (sha256:111111111111); its registry has another image of that name';
    await assert.rejects(refused.prepare(never), { message });
  });

  it('does not run another image under the same name', async () => {
    const machine = new FakeMachine();
    machine.ownImages = [anImage(TWO, 'demo:1')];
    const spec = { ...aTaskSpec(), imageDigest: ONE };
    await assert.rejects(
      executorOver(machine)
        .controller(task(1, {}, { spec }))
        .prepare(never),
      {
        message: 'No such image: demo:1 (sha256:111111111111); this node has another image of that name',
      },
    );
  });

  it('makes a volume with its labels, and takes an anonymous one back when the container can not be made', async () => {
    const machine = new FakeMachine();
    const mount = { type: 'volume', target: '/d', readOnly: false, volumeLabels: { a: 'b' } } as const;
    const mounts = [
      { ...mount, source: 'named' },
      { ...mount, source: '', target: '/e' },
    ];
    await started(machine, task(1, { mounts }));
    assert.deepEqual(machine.volumes.get('named').labels, { a: 'b' });
    assert.deepEqual(
      machine.configs[0]?.mounts.map(({ source }) => source),
      ['named', 'anonymous'],
    );
    const other = new FakeMachine();
    await other.containers.create({ ...(machine.configs[0] ?? assert.fail()), name: nameOf(task(1)), labels: {} });
    await assert.rejects(executorOver(other).controller(task(1, { mounts })).prepare(never), { code: 'conflict' });
    assert.deepEqual(other.volumeNames, ['named']);
  });

  it('says why it did not start, with the exit code', async () => {
    const machine = new FakeMachine();
    machine.run = { startFailure: { message: 'exec: "x": executable file not found in $PATH', exitCode: 127 } };
    const failure = await started(machine, task()).catch((error: unknown) => error);
    assert.ok(failure instanceof Error && 'exitCode' in failure);
    assert.equal(failure.exitCode, 127);
    assert.match(String(failure.cause), /executable file not found/);
  });

  it('reports its ports as they were opened', async () => {
    const machine = new FakeMachine();
    const port = { protocol: 'tcp', targetPort: 80, publishedPort: 0, publishMode: 'host' } as const;
    const controller = executorOver(machine).controller(task(1, {}, { ports: [port] }));
    await controller.prepare(never);
    assert.deepEqual((await controller.start(never)).ports, [{ ...port, publishedPort: 49_153 }]);
  });

  it('is healthy at once without a check, otherwise when a probe says so', async () => {
    const machine = new FakeMachine();
    await (await started(machine, task(1))).healthy(never);
    const two = task(2, { healthCheck: HEALTH });
    const healthy = (await started(machine, two)).healthy(never);
    assert.equal(await standing(healthy), 'waits');
    machine.probe(nameOf(two), 'healthy');
    await healthy;
  });

  it('is not healthy when it ends before', async () => {
    const machine = new FakeMachine();
    const one = task(1, { healthCheck: HEALTH });
    const healthy = (await started(machine, one)).healthy(never);
    machine.end(nameOf(one), 2);
    await assert.rejects(healthy, { message: 'task: non-zero exit (2)', exitCode: 2 });
  });

  for (const step of ['healthy', 'exited'] as const) {
    it(`tells that it is unhealthy before it is stopped, while waited for until ${step}`, async () => {
      const machine = new FakeMachine();
      const one = task(1, { healthCheck: HEALTH });
      const waiting = (await started(machine, one))[step](never);
      machine.probe(nameOf(one), 'unhealthy', 'connection refused\nmore');
      await assert.rejects(waiting, { message: 'task: unhealthy container (connection refused)' });
      assert.equal(machine.info(nameOf(one)).state, 'running');
    });

    it(`gives up waiting until ${step} when told to, and listens no more`, async () => {
      const machine = new FakeMachine();
      const one = task(1, { healthCheck: HEALTH });
      const abort = new AbortController();
      const waiting = (await started(machine, one))[step](abort.signal);
      abort.abort();
      await assert.rejects(waiting, { code: 'aborted' });
    });
  }

  it('was unhealthy while the daemon was away', async () => {
    const machine = new FakeMachine();
    const one = task(1, { healthCheck: HEALTH });
    await started(machine, one);
    machine.probe(nameOf(one), 'unhealthy');
    await assert.rejects(executorOver(machine).controller(one).exited(never), { message: 'task: unhealthy container' });
  });

  for (const [exitCode, oomKilled, expected] of [
    [0, false, { exitCode: 0 }],
    [0, true, { exitCode: 0 }],
    [7, false, { exitCode: 7, error: 'task: non-zero exit (7)' }],
    [137, true, { exitCode: 137, error: 'task: non-zero exit (137): out of memory' }],
  ] as const) {
    it(`ends as ${JSON.stringify(expected)} after ${exitCode}${oomKilled ? ' and a kill for memory' : ''}`, async () => {
      const machine = new FakeMachine();
      const one = task();
      const exited = (await started(machine, one)).exited(never);
      machine.end(nameOf(one), exitCode, { oomKilled });
      assert.deepEqual(await exited, expected);
    });
  }

  it('ends when somebody removes its container', async () => {
    const machine = new FakeMachine();
    const one = task();
    const controller = await started(machine, one);
    const exited = controller.exited(never);
    await machine.containers.remove(nameOf(one), { force: true, volumes: true });
    assert.equal((await exited).exitCode, 137);
    await assert.rejects(controller.start(never), { code: 'not-found', message: /container of the task was removed/ });
    assert.equal(await controller.stop(never), undefined);
    await controller.remove();
  });

  it('stops and is removed, in whatever state it is', async () => {
    const machine = new FakeMachine();
    const one = task();
    const controller = executorOver(machine).controller(one);
    assert.equal(await controller.stop(never), undefined);
    await controller.prepare(never);
    assert.equal(await controller.stop(never), undefined);
    await controller.start(never);
    assert.equal((await controller.stop(never))?.exitCode, 143);
    assert.equal((await controller.stop(never))?.exitCode, 143);
    await controller.remove();
    await controller.remove();
    assert.deepEqual(machine.names, []);
  });

  it('leaves a long stop to its own when the daemon ends', async () => {
    const machine = new FakeMachine();
    machine.run = { deaf: true };
    const controller = await started(machine, task());
    const daemon = new AbortController();
    const stopping = controller.stop(daemon.signal);
    assert.equal(await standing(stopping), 'waits');
    daemon.abort();
    await assert.rejects(stopping, { code: 'aborted' });
  });
});

describe('tasks of a machine', () => {
  it('are described with the machine', () => {
    const { hostname, platform, resources, engine, encryption } = executorOver(new FakeMachine()).describe();
    assert.deepEqual(encryption, [], 'by which means it can encrypt: this one by none');
    assert.deepEqual([hostname, platform.os, engine.version, engine.labels], ['node1', 'linux', '9.9', { a: 'b' }]);
    assert.deepEqual(resources, { nanoCpus: os.availableParallelism() * 1e9, memoryBytes: os.totalmem() });
    assert.deepEqual([...new Set(engine.plugins.map(({ type }) => type))], ['Log', 'Network', 'Volume']);
  });

  it('are made a few at a time, and none that nobody wants any more', async () => {
    const machine = new FakeMachine();
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    machine.run = { creating: () => held };
    const executor = executorOver(machine);
    const gone = new AbortController();
    const prepared = Array.from({ length: 17 * os.availableParallelism() }, (_, at) =>
      executor.controller(task(at + 1)).prepare(never),
    );
    const late = executor.controller(task(17 * os.availableParallelism() + 1)).prepare(gone.signal);
    gone.abort();
    await assert.rejects(late, { code: 'aborted' });
    assert.equal(machine.creatingNow, 16 * os.availableParallelism());
    release();
    await Promise.all(prepared);
    assert.deepEqual(
      [machine.names.length, machine.creatingMost],
      [17 * os.availableParallelism(), 16 * os.availableParallelism()],
    );
  });

  it('are discarded whole', async () => {
    const machine = new FakeMachine();
    const one = task();
    await started(machine, one);
    const executor = executorOver(machine);
    await executor.discard(one.id, never);
    await executor.discard(one.id, never);
    assert.deepEqual([machine.names, executor.held()], [[], []]);
    assert.deepEqual(machine.calls.slice(2), [`stop ${nameOf(one)}`, `remove ${nameOf(one)}`]);
  });

  it('are in the map by their address while they run', async () => {
    const machine = new FakeMachine();
    const [one, two, three] = [task(1), task(2), task(3, {}, { spec: onHost() })];
    await started(machine, one);
    await started(machine, two);
    await started(machine, three);
    machine.end(nameOf(two), 0);
    const target = {
      publishedPort: 8080,
      targetPort: 80,
      remotes: [{ address: '10.0.0.2' }],
      affinity: 'client-address',
    } as const;
    const targets: IngressTarget[] = [
      { ...target, protocol: 'tcp', localTasks: [one.id, two.id, three.id, anId('task', 9)] },
      { ...target, protocol: 'sctp', localTasks: [one.id] },
    ];
    await executorOver(machine).applyIngress(7, targets);
    const local = [{ taskId: one.id, address: '172.17.0.1', port: 80 }];
    const remote = [{ address: '10.0.0.2', port: 8080 }];
    const port = { protocol: 'tcp', publishedPort: 8080, local, remote, affinity: 'client-address' };
    assert.deepEqual(machine.ingress, [{ index: 7, ports: [port] }]);
  });
});

const onHost = () => aTaskSpec({ networks: [{ target: 'host', aliases: [] }] });

describe('logs of a task', () => {
  const OPTIONS: LogOptions = { stdout: true, stderr: true, follow: false };

  async function textOf(controller: Controller, options: LogOptions = OPTIONS, abort = never): Promise<string[]> {
    const lines: string[] = [];
    for await (const { stream, timestamp, bytes } of controller.logs(options, abort)) {
      lines.push(`${stream} ${timestamp} ${Buffer.from(bytes).toString()}`);
    }
    return lines;
  }

  it('are the container’s, of both streams, from where they are wanted', async () => {
    const machine = new FakeMachine();
    machine.logs.push({ stream: 'stdout', time: 't1', bytes: Buffer.from('a') });
    machine.logs.push({ stream: 'stderr', time: 't2', bytes: Buffer.from('b') });
    const controller = await started(machine, task());
    assert.deepEqual(await textOf(controller, { ...OPTIONS, tailLines: 5, sinceMs: 3 }), [
      'stdout t1 a',
      'stderr t2 b',
    ]);
    await textOf(controller);
    const [some, all] = machine.logRequests;
    assert.deepEqual([some?.tailLines, some?.sinceMs, some?.untilMs, some?.follow], [5, 3, 0, false]);
    assert.deepEqual([all?.tailLines, all?.sinceMs], ['all', 0]);
  });

  it('are none when it never ran', async () => {
    assert.deepEqual(await textOf(executorOver(new FakeMachine()).controller(task())), []);
  });

  it('are waited for by who follows', async () => {
    const machine = new FakeMachine();
    machine.logs.push({ stream: 'stdout', time: 't1', bytes: Buffer.from('a') });
    const controller = executorOver(machine).controller(task());
    const text = textOf(controller, { ...OPTIONS, follow: true });
    await controller.prepare(never);
    assert.equal(await standing(text), 'waits');
    await controller.start(never);
    assert.deepEqual(await text, ['stdout t1 a']);
  });

  for (const [what, end] of [
    ['it is rejected', (controller: Controller) => controller.prepare(never).catch(() => undefined)],
    ['it is stopped before its start', (controller: Controller) => controller.stop(never)],
  ] as const) {
    it(`are no longer waited for when ${what}`, async () => {
      const controller = executorOver(new FakeMachine()).controller(task(1, { image: 'nope' }));
      const text = textOf(controller, { ...OPTIONS, follow: true });
      assert.equal(await standing(text), 'waits');
      await end(controller);
      assert.deepEqual(await text, []);
    });
  }

  it('are no longer waited for when the reader goes', async () => {
    const reader = new AbortController();
    const controller = executorOver(new FakeMachine()).controller(task());
    const text = textOf(controller, { ...OPTIONS, follow: true }, reader.signal);
    reader.abort();
    await assert.rejects(text, { code: 'aborted' });
  });
});
