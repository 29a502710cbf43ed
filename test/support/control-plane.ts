// A control plane without machines: the real loops on a real store, a clock that moves only when told to, and agents
// that step tasks through their states. What a task's container does is read from its image's name.
import assert from 'node:assert/strict';
import { Background } from '../../base/background.ts';
import { CodedError } from '../../base/errors.ts';
import { silentLog } from '../../base/log.ts';
import { ManualClock } from '../../base/manual-clock.ts';
import { seededRandom } from '../../base/random.ts';
import { runAllocator } from '../../manager/allocator/allocator.ts';
import { runConstraintEnforcer } from '../../manager/orchestrator/constraint-enforcer.ts';
import { runLostNodes } from '../../manager/orchestrator/lost-nodes.ts';
import { runOrchestrator } from '../../manager/orchestrator/orchestrator.ts';
import { runTaskReaper } from '../../manager/orchestrator/task-reaper.ts';
import { runScheduler } from '../../manager/scheduler/scheduler.ts';
import type { ReplicatedStore } from '../../manager/store/contract.ts';
import type { Node, NodeId, Service, ServiceId, ServiceSpec, Task } from '../../proto/objects.ts';
import { isTerminal, isWanted } from '../../proto/task-state.ts';
import { FakeAgents } from './fake-agents.ts';
import type { MemoryProposer } from './memory-proposer.ts';
import { createMemoryStore } from './memory-store.ts';
import { aCluster, aNode, anId, aServiceSpec } from './objects.ts';
import { SlotWatch } from './slot-watch.ts';

export class ControlPlane implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly store: ReplicatedStore;
  readonly agents: FakeAgents;
  readonly watch: SlotWatch;
  readonly failures: unknown[] = [];
  readonly #random;
  readonly #proposer: MemoryProposer;
  #loops: Background | undefined;
  #serviceCount = 0;

  constructor(options: { seed?: number } = {}) {
    this.#random = seededRandom(options.seed ?? 1);
    const { store, proposer } = createMemoryStore({ clock: this.clock });
    this.store = store;
    this.#proposer = proposer;
    this.agents = new FakeAgents(this.store, this.clock);
    this.watch = new SlotWatch(this.store);
  }

  static async start(options: { seed?: number; nodes: number; loops?: boolean }): Promise<ControlPlane> {
    const plane = new ControlPlane(options);
    await plane.store.update((tx) => {
      tx.clusters.put(aCluster());
      for (let number = 1; number <= options.nodes; number += 1) tx.nodes.put(plane.nodeNumbered(number));
    });
    if (options.loops !== false) plane.lead();
    await plane.settle();
    return plane;
  }

  nodeNumbered(number: number, changes: Partial<Node> = {}): ReturnType<typeof aNode> {
    const plain = aNode();
    return aNode({
      id: anId('node', number) as NodeId,
      description: { ...plain.description!, hostname: `node${number}` },
      ...changes,
    });
  }

  /** This manager leads: the loops start, on whatever the store holds. */
  lead(): void {
    assert.equal(this.#loops, undefined);
    const loops: Background = new Background({
      onFailure: (name, error) => {
        if (!loops.abort.aborted) this.failures.push(`${name}: ${String(error)}`); // a write given up on its way is no fault
      },
    });
    const given = { clock: this.clock, random: this.#random, log: silentLog };
    const { store } = this;
    loops.run('orchestrator', (abort) => runOrchestrator(store, { ...given, abort }));
    loops.run('scheduler', (abort) => runScheduler(store, { ...given, abort }));
    loops.run('allocator', (abort) => runAllocator(store, { ...given, abort }));
    loops.run('reaper', (abort) => runTaskReaper(store, { ...given, abort }));
    loops.run('lost-nodes', (abort) => runLostNodes(store, { ...given, abort }));
    loops.run('constraint-enforcer', (abort) => runConstraintEnforcer(store, { ...given, abort }));
    this.#loops = loops;
  }

  async stopLeading(): Promise<void> {
    await this.#loops?.stop();
    this.#loops = undefined;
  }

  async changeLeader(): Promise<void> {
    await this.stopLeading();
    this.lead();
    await this.settle();
  }

  /** Everyone who watches is told to scan again, as after reading too slowly. */
  async resync(): Promise<void> {
    await this.settle(); // nothing may be applied while the state is replaced by itself
    await this.store.restore(this.store.view().version, this.store.snapshot());
    await this.settle();
  }

  /** For a while nothing can be written. */
  async withoutQuorum(ms: number): Promise<void> {
    this.#proposer.refuse(new CodedError('unavailable', 'no quorum'));
    await this.pass(ms);
    this.#proposer.refuse(undefined);
    await this.settle();
  }

  /** Lets everything happen that needs no time. */
  async settle(): Promise<void> {
    for (let quiet = 0, version = -1; quiet < 4; ) {
      this.clock.advance(0);
      await new Promise((resolve) => setImmediate(resolve));
      const now = this.store.view().version;
      quiet = now === version ? quiet + 1 : 0;
      version = now;
    }
    assert.deepEqual(this.failures, []);
    this.watch.check();
  }

  /** Time passes, timer by timer. */
  async pass(ms: number): Promise<void> {
    await this.settle();
    const endMs = this.clock.monotonicMs() + ms;
    for (;;) {
      const leftMs = endMs - this.clock.monotonicMs();
      this.clock.advance(Math.min(this.clock.untilNextMs() ?? leftMs, leftMs));
      await this.settle();
      if (this.clock.monotonicMs() >= endMs) return;
    }
  }

  /** Waits for something to be so, in simulated time; returns how long it took. */
  async until(isSo: () => boolean, withinMs = 60_000): Promise<number> {
    await this.settle();
    const startMs = this.clock.monotonicMs();
    while (!isSo()) {
      const leftMs = startMs + withinMs - this.clock.monotonicMs();
      assert.ok(leftMs > 0, `not so within ${withinMs} ms: ${isSo.toString()}\n${this.describe()}`);
      this.clock.advance(Math.min(this.clock.untilNextMs() ?? leftMs, leftMs));
      await this.settle();
    }
    return this.clock.monotonicMs() - startMs;
  }

  async create(changes: Partial<ServiceSpec> = {}): Promise<ServiceId> {
    this.#serviceCount += 1;
    const id = anId('service', this.#serviceCount) as ServiceId;
    const spec = aServiceSpec({ name: `service${this.#serviceCount}`, ...changes });
    await this.store.update((tx) => tx.services.put({ id, spec, specVersion: tx.version + 1 }));
    return id;
  }

  /** As the control API does it: the previous specification is kept, the status of an earlier rollout is dropped. */
  async update(id: ServiceId, change: (spec: ServiceSpec) => ServiceSpec): Promise<void> {
    await this.store.update((tx) => {
      const { updateStatus: _, ...service } = tx.services.get(id)!;
      const previous = { previousSpec: service.spec, previousSpecVersion: service.specVersion };
      tx.services.put({ ...service, ...previous, spec: change(service.spec), specVersion: tx.version + 1 });
    });
  }

  async rollBack(id: ServiceId): Promise<void> {
    await this.store.update((tx) => {
      const { previousSpec, previousSpecVersion, ...service } = tx.services.get(id)!;
      assert.ok(previousSpec && previousSpecVersion !== undefined);
      const status = {
        state: 'rollback-started',
        startedAtMs: this.clock.nowMs(),
        message: 'manually requested rollback',
      };
      tx.services.put({
        ...service,
        spec: previousSpec,
        specVersion: previousSpecVersion,
        updateStatus: status as NonNullable<Service['updateStatus']>,
      });
    });
  }

  async remove(id: ServiceId): Promise<void> {
    await this.store.update((tx) => tx.services.remove(id));
  }

  scale(id: ServiceId, replicas: number): Promise<void> {
    return this.update(id, (spec) => ({ ...spec, mode: { kind: 'replicated', replicas } }));
  }

  async changeNode(number: number, change: (node: Node) => Node): Promise<void> {
    await this.store.update((tx) => tx.nodes.put(change(tx.nodes.get(anId('node', number))!)));
  }

  /** The machine is gone, as the dispatcher writes it. Its containers go on running, unseen. */
  async lose(number: number): Promise<void> {
    this.agents.cut(anId('node', number) as NodeId);
    await this.changeNode(number, (node) => ({
      ...node,
      status: { ...node.status, state: 'down', message: 'heartbeat failure', sinceMs: this.clock.nowMs() },
    }));
  }

  async bringBack(number: number): Promise<void> {
    this.agents.join(anId('node', number) as NodeId);
    await this.changeNode(number, (node) => ({
      ...node,
      status: { ...node.status, state: 'ready', message: '', sinceMs: this.clock.nowMs() },
    }));
  }

  service(id: ServiceId): Service {
    const service = this.store.view().services.get(id);
    assert.ok(service);
    return service;
  }

  tasks(id: ServiceId): readonly Task[] {
    return this.store.view().tasks.ofService(id);
  }

  wanted(id: ServiceId): readonly Task[] {
    return this.tasks(id).filter(isWanted);
  }

  running(id: ServiceId, image?: string): readonly Task[] {
    return this.wanted(id).filter(
      (task) => task.status.state === 'running' && (image === undefined || task.spec.runtime.container.image === image),
    );
  }

  alive(id: ServiceId): readonly Task[] {
    return this.tasks(id).filter((task) => task.nodeId !== undefined && !isTerminal(task.status.state));
  }

  describe(): string {
    const { services, tasks } = this.store.view();
    const lines = [...services.all()].map((each) => `${each.spec.name} ${JSON.stringify(each.updateStatus ?? {})}`);
    for (const task of tasks.all()) {
      const place = JSON.stringify(task.identity);
      const image = task.spec.runtime.container.image;
      lines.push(
        `${task.id.slice(-6)} ${place} ${image} ${task.desired}/${task.status.state} on ${task.nodeId?.slice(-2)} ${task.status.error ?? ''}`,
      );
    }
    return lines.join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopLeading();
    this.agents.stop();
    this.watch.stop();
  }
}
