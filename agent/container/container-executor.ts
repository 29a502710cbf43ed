// Tasks as containers of this machine: what the agent asks of an executor, over the runtime.
import os from 'node:os';
import { codeOf, sentenceOf } from '../../base/errors.ts';
import { Limiter } from '../../base/limiter.ts';
import type { Log } from '../../base/log.ts';
import type { GuestRequest } from '../../proto/control.ts';
import type { NodeDescription, Task, TaskId } from '../../proto/objects.ts';
import type { Runtime } from '../../runtime/contract.ts';
import type { IngressPort } from '../../runtime/network/contract.ts';
import type { Controller, Executor, IngressTarget, NetworkPicture } from '../executor.ts';
import { ContainerController } from './controller.ts';
import type { GuestPlaces } from '../guests.ts';
import { TASK_LABEL } from './convert.ts';
import { ImagePulls } from './image-pulls.ts';
import { KnownNetworks } from './known-networks.ts';
import { overlayState } from './network-state.ts';
import { TaskContainers } from './task-containers.ts';

export interface ContainerExecutorOptions {
  readonly runtime: Runtime;
  readonly hostname: string;
  readonly version: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly log: Log;
}

/** Each waits mostly for the helper, the disk and the kernel; they go through in batches, so a few more cost little. */
const TURNS_PER_CPU = 16;

export class ContainerExecutor implements Executor {
  readonly #options: ContainerExecutorOptions;
  readonly #containers: TaskContainers;
  readonly #description: NodeDescription;
  #wayPort: number | undefined;
  readonly #turns: Limiter;
  readonly #pulls: ImagePulls;
  readonly #networks = new KnownNetworks();

  constructor(options: ContainerExecutorOptions) {
    const cpus = os.availableParallelism();
    this.#options = options;
    this.#containers = new TaskContainers(options.runtime);
    this.#pulls = new ImagePulls(options.runtime.registries);
    this.#description = describe(options, cpus);
    this.#turns = new Limiter(TURNS_PER_CPU * cpus);
  }

  describe(): NodeDescription {
    const { networks } = this.#options.runtime;
    const { overlays } = networks;
    const [lives, wireguardPorts] = [overlays.lives(), overlays.wireguardPorts()];
    const wayPort = this.#wayPort;
    // What hindered the way may have come, or be over, since it was opened.
    const isOpen = wayPort !== undefined && networks.ingress().hidden === undefined;
    return {
      ...this.#description,
      ...(isOpen && { wayPort }),
      encryption: overlays.offered(),
      ...(Object.keys(lives).length > 0 && { lives }),
      ...(Object.keys(wireguardPorts).length > 0 && { wireguardPorts }),
    };
  }

  controller(task: Task): Controller {
    return new ContainerController(task, {
      runtime: this.#options.runtime,
      containers: this.#containers,
      node: this.#description,
      turns: this.#turns,
      pulls: this.#pulls,
      networks: this.#networks,
    });
  }

  held(): readonly TaskId[] {
    return this.#containers.tasks();
  }

  async discard(taskId: TaskId, abort?: AbortSignal): Promise<void> {
    await this.#containers.stop(taskId, abort);
    await this.#containers.remove(taskId);
  }

  async applyIngress(index: number, targets: readonly IngressTarget[]): Promise<void> {
    await this.#options.runtime.networks.applyIngress(
      index,
      targets.flatMap((target) => this.#ports(target)),
    );
  }

  async openWays(port: number): Promise<void> {
    await this.#options.runtime.networks.openWays(port);
    this.#wayPort = port;
  }

  async breakConnections(addresses: readonly string[]): Promise<void> {
    await this.#options.runtime.networks.breakConnections(addresses);
  }

  async knowNodes(addresses: readonly string[]): Promise<void> {
    await this.#options.runtime.networks.knowNodes(addresses);
  }

  async clearIngress(): Promise<void> {
    await this.#options.runtime.networks.clearIngress();
  }

  async applyNetwork(index: number, picture: NetworkPicture): Promise<void> {
    try {
      await this.#options.runtime.networks.overlays.apply(index, overlayState(picture));
    } catch (error) {
      // There is no way to do it here, as for an encrypted one without means: its tasks are told at once.
      if (codeOf(error) === 'not-implemented') this.#networks.refuse(picture.network.networkId, sentenceOf(error));
      throw error;
    }
    this.#networks.add(picture.network.networkId);
  }

  async dropNetwork(networkId: string): Promise<void> {
    await this.#options.runtime.networks.overlays.drop(networkId);
    this.#networks.delete(networkId);
  }

  heldNetworks(): readonly string[] {
    return this.#options.runtime.networks.list().flatMap(({ id, driver }) => (driver === 'overlay' ? [id] : []));
  }

  guests(): readonly GuestRequest[] {
    const { networks, containers } = this.#options.runtime;
    const known = new Map(containers.list().map((info) => [info.id, info]));
    return networks.list().flatMap(({ id: network, driver, endpoints }) =>
      endpoints.flatMap(({ containerId, address, names = [] }) => {
        const info = known.get(containerId);
        if (driver !== 'overlay' || !info || Object.hasOwn(info.config.labels, TASK_LABEL)) return [];
        return [
          { containerId, network, address, name: info.name, aliases: names.filter((name) => name !== info.name) },
        ];
      }),
    );
  }

  serveGuests(places: GuestPlaces | undefined): void {
    const { networks } = this.#options.runtime;
    networks.guests = places && {
      admit: async ({ containerName, ...request }) => {
        const { networkId, address } = await places.place({ ...request, name: containerName });
        await this.#networks.have([networkId], new AbortController().signal);
        return { networkId, address };
      },
      check: (network) => places.check(network),
      release: (containerId, networkId) => places.release(containerId, networkId),
    };
  }

  #ports({ protocol, publishedPort, targetPort, localTasks, remotes, affinity }: IngressTarget): IngressPort[] {
    if (protocol === 'sctp') {
      this.#options.log.warn('a published sctp port is left out: the map knows tcp and udp', { publishedPort });
      return [];
    }
    // A task on the host's own network has no address here: it opens its ports itself.
    const local = localTasks.flatMap((taskId) => {
      const { address = '', address6 } = this.#containers.find(taskId)?.endpoint ?? {};
      return address === '' ? [] : [{ taskId, address, ...(address6 && { address6 }), port: targetPort }];
    });
    const remote = remotes.map((node) => ({ ...node, port: publishedPort }));
    return [{ protocol, publishedPort, local, remote, ...(affinity && { affinity }) }];
  }
}

function describe({ hostname, version, labels }: ContainerExecutorOptions, cpus: number): NodeDescription {
  const plugins = [
    { type: 'Log', name: 'json-file' },
    { type: 'Network', name: 'bridge' },
    { type: 'Network', name: 'host' },
    { type: 'Network', name: 'null' },
    { type: 'Network', name: 'overlay' },
    { type: 'Volume', name: 'local' },
  ];
  return {
    hostname,
    platform: { os: 'linux', architecture: os.machine() },
    resources: { nanoCpus: cpus * 1e9, memoryBytes: os.totalmem() },
    engine: { version, labels, plugins },
  };
}
