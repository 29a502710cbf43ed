// The steps of one task over its container: prepare, start, wait until healthy, wait until it ends, stop, remove.
// Each step does nothing where it was done already, by this daemon or the one before.
import { CodedError, codeOf } from '../../base/errors.ts';
import type { Limiter } from '../../base/limiter.ts';
import { together } from '../../base/together.ts';
import type { LogOptions } from '../../proto/control.ts';
import type { LogRecord } from '../../proto/log-record.ts';
import { clusterNetworks } from '../../proto/network-plan.ts';
import type { Task } from '../../proto/objects.ts';
import type { ContainerInfo } from '../../runtime/container/contract.ts';
import type { Runtime } from '../../runtime/contract.ts';
import type { Controller, TaskExit, TaskFacts } from '../executor.ts';
import { ExitError } from '../task-runner.ts';
import { openedPorts } from './convert.ts';
import type { ImagePulls } from './image-pulls.ts';
import type { KnownNetworks } from './known-networks.ts';
import { createTaskContainer, imageFor } from './prepare.ts';
import { publishedLogs } from './publish-logs.ts';
import type { TaskContainers } from './task-containers.ts';
import type { TemplateContext } from './template.ts';

export interface ControllerDeps {
  readonly runtime: Runtime;
  readonly containers: TaskContainers;
  readonly node: TemplateContext['node'];
  readonly pulls: ImagePulls;
  /** Bounds how many containers are made and started at once. */
  readonly turns: Limiter;
  readonly networks: KnownNetworks;
}

export class ContainerController implements Controller {
  readonly #task: Task;
  readonly #deps: ControllerDeps;
  /** There will be no output any more. */
  #over = false;

  constructor(task: Task, deps: ControllerDeps) {
    this.#task = task;
    this.#deps = deps;
  }

  async prepare(abort: AbortSignal): Promise<void> {
    const { runtime, containers, node, turns, pulls, networks } = this.#deps;
    if (this.#info()) return;
    try {
      // Not within a turn: a slow registry must not keep other tasks from starting.
      const image = await imageFor(this.#task, { images: runtime.images, pulls }, abort);
      await networks.have(clusterNetworks(this.#task.spec.networks), abort);
      const create = () => createTaskContainer(this.#task, image, runtime, node);
      await turns.run(async () => containers.add(this.#task.id, await create()), { abort });
    } catch (error) {
      if (!abort.aborted) this.#end();
      throw error;
    }
  }

  async start(abort: AbortSignal): Promise<TaskFacts> {
    const { id, state, startedAtMs } = this.#known();
    if (state === 'created' && startedAtMs === 0) {
      await this.#deps.turns.run(() => this.#startNow(id), { abort });
    }
    return factsOf(this.#task, this.#known());
  }

  async healthy(abort: AbortSignal): Promise<void> {
    const { id, health } = this.#known();
    if (!health) return;
    let exit: { exitCode: number } | undefined;
    await together(abort, [
      async (over) => {
        exit = await this.#deps.runtime.containers.wait(id, 'not-running', over);
      },
      (over) => this.#until(over, () => isHealthy(this.#info())),
    ]);
    if (exit && exit.exitCode !== 0) throw exitError(this.#info(), exit.exitCode);
  }

  async exited(abort: AbortSignal): Promise<TaskExit> {
    const { id } = this.#known();
    let exit: { exitCode: number } | undefined;
    await together(abort, [
      async (over) => {
        exit = await this.#deps.runtime.containers.wait(id, 'not-running', over);
      },
      (over) => this.#until(over, () => refuseUnhealthy(this.#info())),
    ]);
    if (!exit) throw new CodedError('aborted', 'no longer waited for');
    return exitOf(this.#info(), exit.exitCode);
  }

  async stop(abort: AbortSignal): Promise<TaskExit | undefined> {
    await this.#deps.containers.stop(this.#task.id, abort);
    this.#end();
    const info = this.#info();
    return info && info.startedAtMs > 0 ? exitOf(info, info.exitCode) : undefined;
  }

  async remove(): Promise<void> {
    await this.#deps.containers.remove(this.#task.id);
    this.#end();
  }

  async *logs(options: LogOptions, abort: AbortSignal): AsyncGenerator<LogRecord, void, void> {
    if (options.follow) await this.#until(abort, () => this.#over || (this.#info()?.startedAtMs ?? 0) > 0);
    const info = this.#info();
    if (info) yield* publishedLogs(this.#deps.runtime.containers, info.id, options, abort);
  }

  async #startNow(id: string): Promise<void> {
    try {
      await this.#deps.runtime.containers.start(id);
    } catch (cause) {
      if (codeOf(cause) === 'not-modified') return; // somebody else has started it
      this.#end();
      const failed = new CodedError('internal', 'starting container failed', { cause });
      const { exitCode = 0 } = this.#info() ?? {};
      throw exitCode === 0 ? failed : new ExitError(failed.message, exitCode, { cause });
    }
  }

  #info(): ContainerInfo | undefined {
    return this.#deps.containers.find(this.#task.id);
  }

  #known(): ContainerInfo {
    return this.#deps.containers.get(this.#task.id);
  }

  #until(abort: AbortSignal, holds: () => boolean): Promise<void> {
    return this.#deps.containers.until(this.#task.id, abort, holds);
  }

  #end(): void {
    this.#over = true;
    this.#deps.containers.tell(this.#task.id);
  }
}

function factsOf(task: Task, { id, pid, endpoint }: ContainerInfo): TaskFacts {
  const ports = openedPorts(task, endpoint?.published ?? []);
  return { containerId: id, pid, ...(ports.length > 0 ? { ports } : {}) };
}

function isHealthy(info: ContainerInfo | undefined): boolean {
  refuseUnhealthy(info);
  return info?.health?.status === 'healthy';
}

/** Throws when it runs and is unhealthy; one that has exited keeps its last health, which then says nothing. */
function refuseUnhealthy(info: ContainerInfo | undefined): false {
  if (info?.state !== 'running' || info.health?.status !== 'unhealthy') return false;
  const last = info.health.log.at(-1);
  const line = last?.output.trim().split('\n')[0]?.slice(0, OUTPUT_LENGTH_MAX) ?? '';
  throw new CodedError('internal', `task: unhealthy container${line === '' ? '' : ` (${line})`}`);
}

/** Of a failed probe, in the status of a task. */
const OUTPUT_LENGTH_MAX = 200;

/** How it ended, with what the exit code does not say. */
function exitOf(info: ContainerInfo | undefined, exitCode: number): TaskExit {
  if (exitCode === 0) return { exitCode };
  return { exitCode, error: exitError(info, exitCode).message };
}

function exitError(info: ContainerInfo | undefined, exitCode: number): ExitError {
  const why = info?.oomKilled ? ': out of memory' : '';
  return new ExitError(`task: non-zero exit (${exitCode})${why}`, exitCode);
}
