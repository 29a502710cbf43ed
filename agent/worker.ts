// The tasks of this node: makes assignments true, each by its runner, and remembers them over a restart. Knows nothing of
// connections; works on when there is no manager.
import { Background } from '../base/background.ts';
import type { Clock } from '../base/clock.ts';
import { codeOf, fail } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { type IngressEntry, parseIngress, parsePeer, parseTask, type PeerEntry } from '../proto/assignment.ts';
import type { Assignments } from '../proto/gen/shoal/dispatcher/v1/Assignments.ts';
import type { NodePath } from '../proto/node-path.ts';
import type { Task, TaskId, TaskStatus } from '../proto/objects.ts';
import type { AskNode } from './ask-node.ts';
import type { Controller, Executor } from './executor.ts';
import { Ingress, type IngressDeps } from './ingress.ts';
import type { AgentMemory } from './local-db.ts';
import { isNetworkKind, type NetworkChange, Networks } from './networks.ts';
import { Peers } from './peers.ts';
import { Paths, type PathsDeps } from './paths.ts';
import { serves, TaskRunner } from './task-runner.ts';

export interface WorkerDeps extends Omit<IngressDeps, 'executor' | 'isSuspected'> {
  readonly executor: Executor;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Absent: nobody asks whether other nodes are reached. */
  readonly askNode?: AskNode;
  /** A node that was not is reached again. */
  readonly onReached: () => void;
  /** A task of this node reached a state. */
  readonly report: (taskId: TaskId, status: TaskStatus) => void;
  /** Something worth remembering changed. */
  readonly changed: () => void;
}

interface Held {
  readonly runner: TaskRunner;
  ended: Promise<void>;
}

const REMOVE_RETRY_MS = 1_000;
const USUAL_DATA_PORT = 4789;

export class Worker {
  readonly #deps: WorkerDeps;
  readonly #ingress: Ingress;
  readonly #networks: Networks;
  readonly #peers: Peers;
  readonly #paths: Paths | undefined;
  readonly #background: Background;
  readonly #held = new Map<TaskId, Held>();
  readonly #releasing = new Set<TaskId>();
  #appliedIndex = 0;
  #swept = false;
  /** Parts of a set that is not whole yet. */
  #parts: Parts;

  constructor(deps: WorkerDeps) {
    this.#deps = deps;
    this.#peers = new Peers(deps);
    const isSuspected = (address: string): boolean => this.#paths?.isSuspected(address) ?? false;
    this.#ingress = new Ingress({ ...deps, isSuspected });
    this.#networks = new Networks({ ...deps, isSuspected });
    this.#paths = deps.askNode && new Paths({ ...deps, ask: deps.askNode, ...this.#pathUsers() });
    this.#parts = emptyParts(false);
    this.#background = new Background({
      onFailure: (name, error) => deps.log.error('a task stopped being looked after', { name, error }),
    });
  }

  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  /** Takes up what an earlier life left; no manager is needed for that. */
  restore(memory: AgentMemory): void {
    // What is known of networks is not remembered: with any of them here, the managers tell everything again.
    this.#appliedIndex = this.#deps.executor.heldNetworks().length > 0 ? 0 : memory.appliedIndex;
    this.#peers.restore(memory.peers);
    const serving = memory.tasks.flatMap(({ task, status }) => (serves(task, status) ? [task] : []));
    this.#ingress.restore(memory.appliedIndex, memory.ingress, serving);
    for (const { task, status } of memory.tasks) this.#hold(task, status);
    this.#paths?.peersChanged();
  }

  /** Another manager will speak: what the last one left half said counts for nothing. */
  beginSession(): void {
    this.#parts = emptyParts(false);
  }

  /** Makes an assignment set true. Resolves with the applied index once connections follow it. */
  async assign(message: Assignments): Promise<number | undefined> {
    if (!message.full && message.fromIndex !== this.#appliedIndex) {
      fail('conflict', `assignments from index ${message.fromIndex} do not follow ${this.#appliedIndex}`);
    }
    this.#collect(message);
    if (message.more) return undefined;
    const { full, tasks, ingress, networks, peers } = this.#parts;
    this.#parts = emptyParts(false);
    this.#appliedIndex = message.toIndex;
    const known = this.#peers.assign(full, peers);
    this.#networks.assign(message.toIndex, full, networks.values());
    this.#assignTasks(full, tasks);
    this.#assignIngress(full, ingress);
    this.#paths?.peersChanged();
    this.#deps.changed();
    if (!this.#swept) this.#sweep();
    await Promise.all([this.#ingress.settled(), this.#networks.settled(), known]);
    return message.toIndex;
  }

  /** How other nodes are reached from here. */
  paths(): readonly NodePath[] {
    return this.#paths?.list() ?? [];
  }

  statuses(): readonly { readonly taskId: TaskId; readonly status: TaskStatus }[] {
    return [...this.#held].map(([taskId, { runner }]) => ({ taskId, status: runner.status }));
  }

  controllerOf(taskId: TaskId): Controller | undefined {
    return this.#held.get(taskId)?.runner.controller;
  }

  memory(): Pick<AgentMemory, 'appliedIndex' | 'tasks' | 'ingress' | 'peers'> {
    return {
      appliedIndex: this.#appliedIndex,
      tasks: [...this.#held.values()].map(({ runner }) => ({ task: runner.task, status: runner.status })),
      ingress: this.#ingress.entries(),
      peers: this.#peers.entries(),
    };
  }

  #pathUsers(): Pick<PathsDeps, 'peers' | 'onChange' | 'onReached'> {
    return {
      peers: () => {
        const ports = new Map([...this.#ingress.nodes()].map((address) => [address, USUAL_DATA_PORT]));
        for (const [address, port] of this.#networks.nodes()) ports.set(address, port || USUAL_DATA_PORT);
        return ports;
      },
      onReached: () => this.#deps.onReached(),
      onChange: (addresses) => {
        this.#networks.review(addresses);
        this.#ingress.review(addresses);
      },
    };
  }

  /** Stops looking after the tasks; what runs, runs on. */
  async stop(): Promise<void> {
    this.#paths?.[Symbol.dispose]();
    await this.#background.stop();
  }

  /** Ends every task and removes it: the node leaves its cluster. */
  async removeAll(): Promise<void> {
    await this.stop();
    const { executor, log } = this.#deps;
    await Promise.all(
      executor
        .held()
        .map((taskId) =>
          executor
            .discard(taskId)
            .catch((error: unknown) => log.error('a task could not be removed', { taskId, error })),
        ),
    );
    this.#held.clear();
    for (const id of executor.heldNetworks()) {
      await executor
        .dropNetwork(id)
        .catch((error: unknown) => log.error('a network could not be removed', { networkId: id, error }));
    }
  }

  #collect({ full, changes }: Assignments): void {
    if (full && !this.#parts.full) this.#parts = emptyParts(true);
    for (const { kind, id, removed, body } of changes) {
      if (kind === 'task') this.#parts.tasks.set(id as TaskId, removed ? undefined : parseTask(body));
      else if (kind === 'ingress') this.#parts.ingress.set(id, removed ? undefined : parseIngress(body));
      else if (kind === 'peer') this.#parts.peers.set(id, removed ? undefined : parsePeer(body));
      else if (isNetworkKind(kind))
        this.#parts.networks.set(`${kind} ${id}`, { kind, id, body: removed ? undefined : body });
      else this.#deps.log.warn('an assignment of a kind that this version does not know was left out', { kind, id });
    }
  }

  #assignTasks(full: boolean, tasks: Map<TaskId, Task | undefined>): void {
    for (const [id, task] of tasks) {
      const held = this.#held.get(id);
      if (!task) this.#release(id);
      else if (held) held.runner.update(task);
      else this.#hold(task, task.status);
    }
    if (!full) return;
    for (const id of this.#held.keys()) if (!tasks.has(id)) this.#release(id);
  }

  #assignIngress(full: boolean, changes: Map<string, IngressEntry | undefined>): void {
    if (!full && changes.size === 0) return;
    this.#ingress.assign(this.#appliedIndex, (entries) => {
      if (full) entries.clear();
      for (const [id, entry] of changes) {
        if (entry) entries.set(id, entry);
        else entries.delete(id);
      }
    });
  }

  #hold(task: Task, status: TaskStatus): void {
    const { executor, clock, log } = this.#deps;
    if (serves(task, status)) this.#ingress.resume(task);
    const runner = new TaskRunner(task, status, {
      controller: executor.controller(task),
      clock,
      log,
      report: (reached) => {
        this.#deps.report(task.id, reached);
        this.#deps.changed();
      },
      enterService: (entering) => this.#ingress.enter(entering),
      leaveService: async (leaving, why) => {
        await Promise.all([this.#ingress.leave(leaving, why), this.#networks.leave(leaving, why)]);
      },
    });
    const held: Held = { runner, ended: Promise.resolve() };
    this.#held.set(task.id, held);
    held.ended = new Promise((resolve) => {
      this.#background.run(`task ${task.id}`, (abort) => runner.run(abort).finally(resolve));
    });
  }

  /** Nobody wants the task any more: ends it if it still runs, and removes what is left of it. */
  #release(taskId: TaskId): void {
    const held = this.#held.get(taskId);
    if (!held) return;
    held.runner.update({ ...held.runner.task, desired: 'remove' });
    this.#held.delete(taskId);
    this.#releasing.add(taskId);
    this.#background.run(`remove task ${taskId}`, async (abort) => {
      await held.ended;
      await this.#persist(abort, taskId, () => held.runner.controller.remove());
      this.#releasing.delete(taskId);
    });
  }

  /** Once it is known what belongs here, everything else goes. */
  #sweep(): void {
    this.#swept = true;
    for (const taskId of this.#deps.executor.held()) {
      if (this.#held.has(taskId) || this.#releasing.has(taskId)) continue;
      this.#deps.log.info('a task that nobody knows any more is removed', { taskId });
      this.#background.run(`discard task ${taskId}`, (abort) =>
        this.#persist(abort, taskId, () => this.#deps.executor.discard(taskId, abort)),
      );
    }
  }

  async #persist(abort: AbortSignal, taskId: TaskId, work: () => Promise<void>): Promise<void> {
    while (!abort.aborted) {
      try {
        return await work();
      } catch (error) {
        if (codeOf(error) === 'not-found') return;
        this.#deps.log.warn('a task could not be removed yet', { taskId, error });
        await this.#deps.clock.sleep(REMOVE_RETRY_MS, { abort });
      }
    }
  }
}

interface Parts {
  full: boolean;
  readonly tasks: Map<TaskId, Task | undefined>;
  readonly ingress: Map<string, IngressEntry | undefined>;
  readonly networks: Map<string, NetworkChange>;
  readonly peers: Map<string, PeerEntry | undefined>;
}

const emptyParts = (full: boolean): Parts => ({
  full,
  tasks: new Map(),
  ingress: new Map(),
  networks: new Map(),
  peers: new Map(),
});
