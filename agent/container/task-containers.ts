// Which container belongs to which task, and who waits for news of it. A container is known by its task's label, so one
// that an earlier daemon made is simply found again.
import { CodedError, codeOf, fail } from '../../base/errors.ts';
import type { TaskId } from '../../proto/objects.ts';
import type { ContainerInfo } from '../../runtime/container/contract.ts';
import type { Runtime, RuntimeEvent } from '../../runtime/contract.ts';
import { TASK_LABEL, TASK_NAME_LABEL } from './convert.ts';

export class TaskContainers {
  readonly #containers: Runtime['containers'];
  readonly #byTask = new Map<TaskId, string>();
  readonly #watchers = new Map<TaskId, Set<() => void>>();

  constructor(runtime: Pick<Runtime, 'containers' | 'events'>) {
    this.#containers = runtime.containers;
    for (const info of runtime.containers.list()) {
      const taskId = taskOf(info);
      if (taskId !== undefined) this.#byTask.set(taskId, info.id);
    }
    runtime.events.listen((event) => this.#onEvent(event));
  }

  tasks(): readonly TaskId[] {
    return [...this.#byTask.keys()];
  }

  /** Undefined also when somebody has removed the container behind our back. */
  find(taskId: TaskId): ContainerInfo | undefined {
    const id = this.#byTask.get(taskId);
    if (id === undefined) return undefined;
    try {
      return this.#containers.get(id);
    } catch (error) {
      if (codeOf(error) === 'not-found') return undefined;
      throw error;
    }
  }

  get(taskId: TaskId): ContainerInfo {
    return this.find(taskId) ?? fail('not-found', 'the container of the task was removed');
  }

  add(taskId: TaskId, containerId: string): void {
    this.#byTask.set(taskId, containerId);
    this.tell(taskId);
  }

  /** The signal and, after the grace, force. Resolves at once when nothing runs; an abort leaves the stop to its own. */
  async stop(taskId: TaskId, abort?: AbortSignal): Promise<void> {
    const info = this.find(taskId);
    if (!info) return;
    const stopped = ignoring(['not-modified', 'not-found'], () => this.#containers.stop(info.id, {}));
    await (abort ? unless(abort, stopped) : stopped);
  }

  async remove(taskId: TaskId): Promise<void> {
    const id = this.#byTask.get(taskId);
    if (id === undefined) return;
    await ignoring(['not-found'], () => this.#containers.remove(id, { force: true, volumes: true }));
    this.#byTask.delete(taskId);
    this.tell(taskId);
  }

  /** Resolves once `holds`, which is asked now and after every event of the task's container; rejects when it throws. */
  async until(taskId: TaskId, abort: AbortSignal, holds: () => boolean): Promise<void> {
    if (holds()) return;
    const watchers = this.#watchers.get(taskId) ?? new Set();
    this.#watchers.set(taskId, watchers);
    let look = (): void => undefined;
    const held = new Promise<void>((resolve, reject) => {
      look = () => {
        try {
          if (holds()) resolve();
        } catch (error) {
          reject(error);
        }
      };
    });
    watchers.add(look);
    try {
      await unless(abort, held);
    } finally {
      watchers.delete(look);
      if (watchers.size === 0 && this.#watchers.get(taskId) === watchers) this.#watchers.delete(taskId);
    }
  }

  /** Whoever waits looks again. */
  tell(taskId: TaskId): void {
    for (const look of [...(this.#watchers.get(taskId) ?? [])]) look();
  }

  #onEvent({ type, attributes }: RuntimeEvent): void {
    if (type === 'container') this.tell(attributes[TASK_LABEL] as TaskId);
  }
}

/** An image that was committed from a task has its labels too, and so have containers of it: the name must say the same. */
function taskOf({ name, config: { labels } }: ContainerInfo): TaskId | undefined {
  return labels[TASK_NAME_LABEL] === name ? (labels[TASK_LABEL] as TaskId | undefined) : undefined;
}

/** As `work`, or rejects with the abort; the work itself then goes on. */
async function unless(abort: AbortSignal, work: Promise<void>): Promise<void> {
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(new CodedError('aborted', 'no longer waited for'));
  });
  if (abort.aborted) onAbort();
  abort.addEventListener('abort', onAbort, { once: true });
  try {
    await Promise.race([work, aborted]);
  } finally {
    abort.removeEventListener('abort', onAbort);
  }
}

async function ignoring(codes: readonly string[], work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!codes.includes(codeOf(error))) throw error;
  }
}
