// What the control plane alone costs: three whole managers with consensus on disk in this one process, tasks that run on
// nothing. Create 30, roll 30 at 10 at once, scale 10 → 50 → 100. Run: node dist/test/bench/control-plane.js
import type { ClusterControl } from '../../proto/control.ts';
import type { ServiceSpec, Task } from '../../proto/objects.ts';
import { isWanted } from '../../proto/task-state.ts';
import { anUpdateConfig, aServiceSpec, aTaskSpec } from '../support/objects.ts';
import { startTestSwarm, untilReady } from '../support/test-swarm.ts';

const write = (line: string): void => void process.stdout.write(`${line}\n`);

/** Follows the changes that this manager applies; nothing is asked while the clock runs. */
class Follower {
  readonly #tasks = new Map<string, Task>();
  readonly #waiting = new Set<() => void>();

  async run(control: ClusterControl, abort: AbortSignal): Promise<void> {
    for await (const change of control.changes(abort)) {
      if (change.kind === 'resync') continue;
      this.version = change.object.version;
      if (change.kind !== 'task') continue;
      if (change.action === 'remove') this.#tasks.delete(change.object.id);
      else this.#tasks.set(change.object.id, change.object);
      for (const look of this.#waiting) look();
    }
  }

  /** Index of the last change. */
  version = 0;

  get size(): number {
    return this.#tasks.size;
  }

  running(image: string): number {
    const runs = (task: Task): boolean =>
      isWanted(task) && task.status.state === 'running' && task.spec.runtime.container.image === image;
    return [...this.#tasks.values()].filter(runs).length;
  }

  async until(isSo: () => boolean): Promise<void> {
    if (isSo()) return;
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (!isSo()) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
    });
  }
}

const specOf = (name: string, replicas: number, image: string, order: 'stop-first' | 'start-first'): ServiceSpec =>
  aServiceSpec({
    name,
    mode: { kind: 'replicated', replicas },
    task: aTaskSpec({ container: { image } }),
    update: anUpdateConfig({ parallelism: 10, order }),
  });

async function timed(what: string, work: () => Promise<void>): Promise<void> {
  const startMs = performance.now();
  const from = follower.version;
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  const took = `${(performance.now() - startMs).toFixed(0)} ms, of processor ${((user + system) / 1e3).toFixed(0)} ms`;
  write(`${what}: ${took}, ${follower.version - from} commits`);
}

async function change(control: ClusterControl, spec: ServiceSpec): Promise<void> {
  const { service } = await control.call('GetService', { service: spec.name });
  const { id, version } = service;
  await control.call('UpdateService', { service: id, version, spec, rollback: 'none' });
}

const follower = new Follower();
const swarm = await startTestSwarm();
await swarm.join('manager');
const third = await swarm.join('manager');
await untilReady(swarm, 3);
const control = third.control();
const over = new AbortController();
const following = follower.run(control, over.signal).catch(() => undefined);

for (const [round, order] of (['stop-first', 'start-first', 'stop-first'] as const).entries()) {
  const name = `web${round}`;
  await timed('create 30', async () => {
    await control.call('CreateService', { spec: specOf(name, 30, 'one', order) });
    await follower.until(() => follower.running('one') === 30);
  });
  await timed(`roll 30 at 10 at once, ${order}`, async () => {
    await change(control, specOf(name, 30, 'two', order));
    await follower.until(() => follower.running('two') === 30);
  });
  await timed('remove 30', async () => {
    await control.call('RemoveService', { service: name });
    await follower.until(() => follower.size === 0);
  });
}
await control.call('CreateService', { spec: specOf('scaled', 10, 'one', 'stop-first') });
await follower.until(() => follower.running('one') === 10);
await timed('scale 10 to 50 to 100', async () => {
  for (const replicas of [50, 100]) {
    await change(control, specOf('scaled', replicas, 'one', 'stop-first'));
    await follower.until(() => follower.running('one') === replicas);
  }
});
over.abort();
await following;
await swarm[Symbol.asyncDispose]();
