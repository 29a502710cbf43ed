// Tasks as containers of this machine. A container is known by its task's label, so one that an earlier daemon started is
// simply found again.
import os from 'node:os';
import { codeOf } from '../../base/errors.ts';
import type { NodeDescription, Task, TaskId } from '../../proto/objects.ts';
import type { Runtime } from '../../runtime/contract.ts';
import type { IngressPort } from '../../runtime/network/contract.ts';
import type { Controller, Executor, IngressTarget } from '../executor.ts';
import { ContainerController } from './controller.ts';
import { TASK_LABEL } from './convert.ts';

export interface ContainerExecutorOptions {
  readonly runtime: Runtime;
  readonly hostname: string;
  readonly version: string;
  readonly labels: Readonly<Record<string, string>>;
}

export class ContainerExecutor implements Executor {
  readonly #options: ContainerExecutorOptions;
  readonly #containers = new Map<TaskId, string>();

  constructor(options: ContainerExecutorOptions) {
    this.#options = options;
    for (const { id, config } of options.runtime.containers.list()) {
      const taskId = config.labels[TASK_LABEL];
      if (taskId !== undefined) this.#containers.set(taskId as TaskId, id);
    }
  }

  describe(): NodeDescription {
    const { hostname, version, labels } = this.#options;
    return {
      hostname,
      platform: { os: 'linux', architecture: os.machine() },
      resources: { nanoCpus: os.cpus().length * 1e9, memoryBytes: os.totalmem() },
      engine: {
        version,
        labels,
        plugins: [
          { type: 'Log', name: 'json-file' },
          { type: 'Network', name: 'bridge' },
          { type: 'Network', name: 'host' },
          { type: 'Network', name: 'null' },
          { type: 'Volume', name: 'local' },
        ],
      },
    };
  }

  controller(task: Task): Controller {
    return new ContainerController(task, {
      runtime: this.#options.runtime,
      node: this.describe(),
      containerId: () => this.#containers.get(task.id),
      remember: (containerId) => {
        if (containerId === undefined) this.#containers.delete(task.id);
        else this.#containers.set(task.id, containerId);
      },
    });
  }

  held(): readonly TaskId[] {
    return [...this.#containers.keys()];
  }

  async discard(taskId: TaskId): Promise<void> {
    const containerId = this.#containers.get(taskId);
    if (containerId === undefined) return;
    const { containers } = this.#options.runtime;
    try {
      await containers.stop(containerId, {});
    } catch (error) {
      if (codeOf(error) !== 'not-modified' && codeOf(error) !== 'not-found') throw error;
    }
    try {
      await containers.remove(containerId, { force: true, volumes: true });
    } catch (error) {
      if (codeOf(error) !== 'not-found') throw error;
    }
    this.#containers.delete(taskId);
  }

  async applyIngress(index: number, targets: readonly IngressTarget[]): Promise<void> {
    await this.#options.runtime.networks.applyIngress(
      index,
      targets.flatMap((target) => this.#port(target)),
    );
  }

  async clearIngress(): Promise<void> {
    await this.#options.runtime.networks.clearIngress();
  }

  #port({ protocol, publishedPort, targetPort, localTasks, remoteAddresses }: IngressTarget): IngressPort[] {
    if (protocol === 'sctp') return []; // the node's map knows tcp and udp
    const local = localTasks.flatMap((taskId) => {
      const address = this.#addressOf(taskId);
      return address ? [{ taskId, address, port: targetPort }] : [];
    });
    const remote = remoteAddresses.map((address) => ({ address, port: publishedPort }));
    return [{ protocol, publishedPort, local, remote }];
  }

  #addressOf(taskId: TaskId): string | undefined {
    const containerId = this.#containers.get(taskId);
    if (containerId === undefined) return undefined;
    try {
      return this.#options.runtime.containers.get(containerId).endpoint?.address;
    } catch (error) {
      if (codeOf(error) === 'not-found') return undefined;
      throw error;
    }
  }
}
