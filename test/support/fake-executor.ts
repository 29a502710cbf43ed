// An executor over nothing: tasks "run" in memory, and a test decides what happens to them.
import type { Controller, Executor, IngressTarget, NetworkPicture, TaskExit, TaskFacts } from '../../agent/executor.ts';
import { ExitError } from '../../agent/task-runner.ts';
import { CodedError, fail } from '../../base/errors.ts';
import type { LogOptions } from '../../proto/control.ts';
import type { LogRecord } from '../../proto/log-record.ts';
import type { NodeDescription, Task, TaskId } from '../../proto/objects.ts';
import { aNode } from './objects.ts';

export interface FakeBehaviour {
  readonly prepare?: (task: Task) => Promise<void>;
  readonly healthy?: (task: Task) => Promise<void>;
  readonly logs?: (task: Task) => readonly LogRecord[];
}

/** What is left of a task on the "machine": survives the agent, as a container would. */
interface FakeContainer {
  readonly task: Task;
  state: 'created' | 'running' | 'exited';
  exit: TaskExit | undefined;
  listeners: (() => void)[];
}

export class FakeExecutor implements Executor {
  readonly containers = new Map<TaskId, FakeContainer>();
  /** What happened, in order: 'start TASK', 'stop TASK', 'ingress 8080: a,b'. */
  readonly events: string[] = [];
  ingress: readonly IngressTarget[] = [];
  readonly #behaviour: FakeBehaviour;
  description: NodeDescription;

  constructor(behaviour: FakeBehaviour = {}, hostname = 'fake') {
    this.#behaviour = behaviour;
    this.description = { ...(aNode().description ?? fail('internal', 'a node has a description')), hostname };
  }

  describe(): NodeDescription {
    return this.description;
  }

  controller(task: Task): Controller {
    return new FakeController(task, this, this.#behaviour);
  }

  held(): readonly TaskId[] {
    return [...this.containers.keys()];
  }

  async discard(taskId: TaskId): Promise<void> {
    this.events.push(`discard ${taskId}`);
    this.end(taskId, { exitCode: 143 });
    this.containers.delete(taskId);
  }

  async applyIngress(_index: number, targets: readonly IngressTarget[]): Promise<void> {
    this.ingress = targets;
    for (const { publishedPort, localTasks, remotes } of targets) {
      const remoteAddresses = remotes.map(({ address }) => address);
      this.events.push(`ingress ${publishedPort}: ${localTasks.join(',')} | ${remoteAddresses.join(',')}`);
    }
  }

  async breakConnections(addresses: readonly string[]): Promise<void> {
    this.events.push(`break ${addresses.join(',')}`);
  }

  readonly networks = new Map<string, { readonly index: number; readonly picture: NetworkPicture }>();

  async applyNetwork(index: number, picture: NetworkPicture): Promise<void> {
    this.networks.set(picture.network.networkId, { index, picture });
  }

  async dropNetwork(networkId: string): Promise<void> {
    this.networks.delete(networkId);
  }

  guests(): [] {
    return [];
  }

  serveGuests(): void {}

  heldNetworks(): readonly string[] {
    return [...this.networks.keys()];
  }

  async openWays(): Promise<void> {}

  /** As told last. */
  nodes: readonly string[] = [];

  async knowNodes(addresses: readonly string[]): Promise<void> {
    this.nodes = addresses;
  }

  async clearIngress(): Promise<void> {
    this.ingress = [];
  }

  /** The task's process ends by itself. */
  end(taskId: TaskId, exit: TaskExit): void {
    const container = this.containers.get(taskId);
    if (!container || container.state === 'exited') return;
    container.state = 'exited';
    container.exit = exit;
    for (const tell of container.listeners.splice(0)) tell();
  }
}

class FakeController implements Controller {
  readonly #task: Task;
  readonly #executor: FakeExecutor;
  readonly #behaviour: FakeBehaviour;

  constructor(task: Task, executor: FakeExecutor, behaviour: FakeBehaviour) {
    this.#task = task;
    this.#executor = executor;
    this.#behaviour = behaviour;
  }

  async prepare(): Promise<void> {
    await this.#behaviour.prepare?.(this.#task);
    if (this.#container) return;
    this.#executor.containers.set(this.#task.id, {
      task: this.#task,
      state: 'created',
      exit: undefined,
      listeners: [],
    });
  }

  async start(): Promise<TaskFacts> {
    const container = this.#container;
    if (!container) throw new CodedError('not-found', 'the container is gone');
    if (container.state === 'created') {
      container.state = 'running';
      this.#executor.events.push(`start ${this.#task.id}`);
    }
    return { containerId: `c-${this.#task.id}`, pid: 4711 };
  }

  async healthy(abort: AbortSignal): Promise<void> {
    const healthy = this.#behaviour.healthy?.(this.#task) ?? Promise.resolve();
    const ended = this.exited(abort).then(({ exitCode }) => {
      throw new ExitError(`task: non-zero exit (${exitCode})`, exitCode);
    });
    await Promise.race([healthy, ended]);
    ended.catch(() => undefined);
  }

  async exited(abort: AbortSignal): Promise<TaskExit> {
    const container = this.#container;
    if (!container) throw new CodedError('not-found', 'the container is gone');
    if (container.exit) return container.exit;
    return await new Promise<TaskExit>((resolve, reject) => {
      const onAbort = (): void => reject(new CodedError('aborted', 'no longer waited for'));
      if (abort.aborted) onAbort();
      abort.addEventListener('abort', onAbort, { once: true });
      container.listeners.push(() => resolve(container.exit ?? { exitCode: 0 }));
    });
  }

  async stop(): Promise<TaskExit | undefined> {
    this.#executor.events.push(`stop ${this.#task.id}`);
    this.#executor.end(this.#task.id, { exitCode: 143 });
    return this.#container?.exit;
  }

  async remove(): Promise<void> {
    this.#executor.events.push(`remove ${this.#task.id}`);
    this.#executor.containers.delete(this.#task.id);
  }

  async *logs(_options: LogOptions): AsyncGenerator<LogRecord> {
    yield* this.#behaviour.logs?.(this.#task) ?? [];
  }

  get #container(): FakeContainer | undefined {
    return this.#executor.containers.get(this.#task.id);
  }
}
