// The steps of one task over its container: create, start, wait until healthy, wait until it ends, stop, remove.
// Each step does nothing where it was done already, by this daemon or the one before.
import { CodedError, codeOf, fail } from '../../base/errors.ts';
import type { LogOptions } from '../../proto/control.ts';
import type { LogRecord } from '../../proto/log-record.ts';
import type { NodeDescription, Task } from '../../proto/objects.ts';
import type { ContainerInfo } from '../../runtime/container/contract.ts';
import type { Runtime } from '../../runtime/contract.ts';
import type { Controller, TaskExit, TaskFacts } from '../executor.ts';
import { ExitError } from '../task-runner.ts';
import { containerConfig, openedPorts } from './convert.ts';
import { publishedLogs } from './publish-logs.ts';

export interface ControllerDeps {
  readonly runtime: Runtime;
  readonly node: NodeDescription;
  readonly containerId: () => string | undefined;
  readonly remember: (containerId: string | undefined) => void;
}

export const UNHEALTHY = 'task: unhealthy container';

export class ContainerController implements Controller {
  readonly #task: Task;
  readonly #deps: ControllerDeps;

  constructor(task: Task, deps: ControllerDeps) {
    this.#task = task;
    this.#deps = deps;
  }

  async prepare(): Promise<void> {
    if (this.#info()) return;
    const { runtime, node, remember } = this.#deps;
    const { id } = await runtime.containers.create(containerConfig(this.#task, node));
    remember(id);
  }

  async start(): Promise<TaskFacts> {
    const info = this.#info() ?? fail('not-found', 'the container of the task is gone');
    if (info.state === 'created') await ignoring('not-modified', this.#containers.start(info.id));
    return this.#facts();
  }

  async healthy(abort: AbortSignal): Promise<void> {
    const { id } = this.#known();
    if (this.#info()?.health === undefined) return;
    await this.#until(id, abort, () => {
      const info = this.#known();
      if (info.health?.status === 'healthy') return true;
      if (info.state === 'exited' || info.state === 'dead') return this.#refuseBadExit(info);
      if (info.health?.status === 'unhealthy') throw new CodedError('internal', UNHEALTHY);
      return false;
    });
  }

  async exited(abort: AbortSignal): Promise<TaskExit> {
    const { id } = this.#known();
    let unhealthy = false;
    await this.#until(id, abort, () => {
      const info = this.#known();
      unhealthy = info.health?.status === 'unhealthy';
      return unhealthy || info.state === 'exited' || info.state === 'dead';
    });
    if (!unhealthy) return exitOf(this.#known());
    const exit = await this.stop();
    return { exitCode: exit?.exitCode ?? -1, error: UNHEALTHY };
  }

  async stop(): Promise<TaskExit | undefined> {
    const info = this.#info();
    if (!info || info.state === 'created') return undefined;
    await ignoring('not-modified', ignoring('not-found', this.#containers.stop(info.id, {})));
    const after = this.#info();
    return after && exitOf(after);
  }

  async remove(): Promise<void> {
    const id = this.#deps.containerId();
    if (id === undefined) return;
    await ignoring('not-found', this.#containers.remove(id, { force: true, volumes: true }));
    this.#deps.remember(undefined);
  }

  async *logs(options: LogOptions, abort: AbortSignal): AsyncGenerator<LogRecord> {
    const info = this.#info();
    if (info) yield* publishedLogs(this.#containers, info.id, options, abort);
  }

  get #containers() {
    return this.#deps.runtime.containers;
  }

  #info(): ContainerInfo | undefined {
    const id = this.#deps.containerId();
    if (id === undefined) return undefined;
    try {
      return this.#containers.get(id);
    } catch (error) {
      if (codeOf(error) === 'not-found') return undefined;
      throw error;
    }
  }

  /** Somebody may have removed the container behind our back. */
  #known(): ContainerInfo {
    return this.#info() ?? fail('not-found', 'the container of the task was removed');
  }

  #facts(): TaskFacts {
    const { id, pid, endpoint } = this.#known();
    const ports = openedPorts(this.#task, endpoint?.published ?? []);
    return { containerId: id, pid, ...(ports.length > 0 ? { ports } : {}) };
  }

  #refuseBadExit(info: ContainerInfo): true {
    const { exitCode, error } = exitOf(info);
    if (exitCode !== 0 || error !== undefined) {
      throw new ExitError(error ?? `task: non-zero exit (${exitCode})`, exitCode);
    }
    return true;
  }

  /** Looks now, after every event of the container and at its exit, until `done` says so or throws. */
  async #until(id: string, abort: AbortSignal, done: () => boolean): Promise<void> {
    const over = new AbortController();
    await new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (over.signal.aborted) return;
        try {
          if (done()) resolve();
        } catch (error) {
          reject(error);
        }
      };
      const onAbort = (): void => reject(new CodedError('aborted', 'no longer waited for'));
      if (abort.aborted) return onAbort();
      abort.addEventListener('abort', onAbort, { once: true, signal: over.signal });
      const listening = this.#deps.runtime.events.listen((event) => {
        if (event.type === 'container' && event.id === id) look();
      });
      over.signal.addEventListener('abort', () => listening[Symbol.dispose](), { once: true });
      // The event of an exit comes before the container's record shows it.
      this.#containers.wait(id, 'not-running', over.signal).then(look, (error: unknown) => {
        if (codeOf(error) !== 'aborted') look();
      });
      look();
    }).finally(() => over.abort());
  }
}

function exitOf(info: ContainerInfo): TaskExit {
  if (info.oomKilled) return { exitCode: info.exitCode, error: 'task: non-zero exit (137): out of memory' };
  if (info.error !== '') return { exitCode: info.exitCode, error: info.error };
  return { exitCode: info.exitCode };
}

async function ignoring(code: string, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (codeOf(error) !== code) throw error;
  }
}
