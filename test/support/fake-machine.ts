// A runtime without a machine, for what the agent does with one: containers that "run" until a test ends them, the real
// event stream, and a list of everything that was asked for.
import { systemClock } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import type {
  ContainerConfig,
  ContainerInfo,
  Containers,
  LogEntry,
  LogRequest,
} from '../../runtime/container/contract.ts';
import { Waiters } from '../../runtime/container/waiters.ts';
import type { Runtime, VolumeInfo, Volumes } from '../../runtime/contract.ts';
import { EventStream } from '../../runtime/events.ts';
import type { Image, Images } from '../../runtime/image/contract.ts';
import type { Registries } from '../../runtime/registry/contract.ts';
import { DEFAULT_SETTINGS } from '../../runtime/registry/settings.ts';
import type { IngressPort, Networks } from '../../runtime/network/contract.ts';
import { noNames, noOverlays } from './no-names.ts';

export interface FakeRun {
  /** Rejects a start with this sentence and exit code. */
  readonly startFailure?: { readonly message: string; readonly exitCode: number };
  /** How long a create takes; it resolves when this does. */
  readonly creating?: () => Promise<void>;
  /** Ignores the stop signal until a test ends it. */
  readonly deaf?: boolean;
}

interface FakeContainer {
  info: ContainerInfo;
  readonly waiters: Waiters;
}

export function anImage(id: string, ...tags: string[]): Image {
  return {
    id,
    tags,
    digests: [],
    parentId: '',
    createdAtMs: 0,
    author: '',
    comment: '',
    architecture: 'amd64',
    variant: '',
    os: 'linux',
    osVersion: '',
    dockerVersion: '',
    taggedAtMs: 0,
    sizeBytes: 0,
    layerBytes: [],
    layerFolders: [],
    config: {
      user: '',
      env: [],
      entrypoint: undefined,
      command: ['run'],
      workingDirectory: '',
      exposedPorts: [],
      volumes: [],
      labels: {},
      stopSignal: '',
    },
    layers: [],
    history: [],
  };
}

const notInThisFake = (): never => fail('internal', 'not in this fake');

export class FakeMachine implements Runtime {
  readonly adopted = Promise.resolve();
  /** In order: 'create NAME', 'start NAME', 'stop NAME', 'remove NAME', 'volume NAME'. */
  readonly calls: string[] = [];
  readonly configs: ContainerConfig[] = [];
  readonly events = new EventStream({ clock: systemClock });
  readonly ociRuntimes = { list: async () => new Map<never, never>() };
  readonly logs: LogEntry[] = [];
  readonly logRequests: LogRequest[] = [];
  readonly ingress: { readonly index: number; readonly ports: readonly IngressPort[] }[] = [];
  ownImages: readonly Image[] = [anImage(`sha256:${'1'.repeat(64)}`, 'demo:1')];
  run: FakeRun = {};
  creatingNow = 0;
  creatingMost = 0;
  readonly #containers = new Map<string, FakeContainer>();
  readonly #volumes = new Map<string, VolumeInfo>();

  get names(): string[] {
    return [...this.#containers.values()].map(({ info }) => info.name);
  }

  get volumeNames(): string[] {
    return [...this.#volumes.keys()];
  }

  info(name: string): ContainerInfo {
    return this.#find(name).info;
  }

  /** The process of a container ends by itself. */
  end(name: string, exitCode: number, options: { oomKilled?: boolean } = {}): void {
    const container = this.#find(name);
    if (container.info.state !== 'running') return;
    this.#publish(container, 'die'); // as the runtime does: before its record shows it
    const down = {
      state: 'exited',
      pid: 0,
      exitCode,
      oomKilled: options.oomKilled ?? false,
      endpoint: undefined,
    } as const;
    container.info = { ...container.info, ...down };
    container.waiters.tell('exit', { exitCode, error: '' });
  }

  /** A probe of its health came to another result than before. */
  probe(name: string, status: 'healthy' | 'unhealthy', output = ''): void {
    const container = this.#find(name);
    const log = [{ startMs: 0, endMs: 1, exitCode: status === 'healthy' ? 0 : 1, output }];
    container.info = { ...container.info, health: { status, failingStreak: 0, log } };
    this.#publish(container, `health_status: ${status}`);
  }

  readonly containers: Containers = {
    create: async (config) => {
      this.creatingNow += 1;
      this.creatingMost = Math.max(this.creatingMost, this.creatingNow);
      await this.run.creating?.();
      this.creatingNow -= 1;
      this.calls.push(`create ${config.name}`);
      if (this.names.includes(config.name))
        fail('conflict', `Conflict. The container name "/${config.name}" is in use`);
      this.configs.push(config);
      const id = `${this.configs.length}`.padStart(64, 'c');
      const container = { info: infoOf(id, config), waiters: new Waiters() };
      this.#containers.set(id, container);
      this.#publish(container, 'create');
      return { id, warnings: [] };
    },
    get: (reference) => this.#find(reference).info,
    list: () => [...this.#containers.values()].map(({ info }) => info),
    start: async (reference) => {
      const container = this.#find(reference);
      this.calls.push(`start ${container.info.name}`);
      await Promise.resolve();
      const { startFailure } = this.run;
      if (startFailure) {
        container.info = { ...container.info, exitCode: startFailure.exitCode, error: startFailure.message };
        fail('invalid', startFailure.message);
      }
      container.info = { ...container.info, ...running(container.info) };
      this.#publish(container, 'start');
    },
    stop: async (reference) => {
      const container = this.#find(reference);
      this.calls.push(`stop ${container.info.name}`);
      if (container.info.state !== 'running') fail('not-modified', 'it does not run');
      const exited = container.waiters.on('exit');
      if (!this.run.deaf) this.end(container.info.name, 143);
      await exited;
    },
    remove: async (reference) => {
      const container = this.#find(reference);
      this.calls.push(`remove ${container.info.name}`);
      this.end(container.info.name, 137);
      this.#containers.delete(container.info.id);
      this.#publish(container, 'destroy');
    },
    wait: (reference, _condition, abort) => {
      const { info, waiters } = this.#find(reference);
      if (info.state !== 'running') return Promise.resolve({ exitCode: info.exitCode, error: '' });
      return waiters.on('exit', abort);
    },
    logs: (_reference, request) => this.#logs(request),
    kill: notInThisFake,
    restart: notInThisFake,
    pause: notInThisFake,
    unpause: notInThisFake,
    rename: notInThisFake,
    attach: notInThisFake,
    resize: notInThisFake,
    top: notInThisFake,
    stats: notInThisFake,
    update: notInThisFake,
    execCreate: notInThisFake,
    execGet: notInThisFake,
    execStart: notInThisFake,
    execResize: notInThisFake,
    connect: notInThisFake,
    disconnect: notInThisFake,
    unlink: notInThisFake,
    files: {
      stat: notInThisFake,
      read: notInThisFake,
      write: notInThisFake,
      export: notInThisFake,
      changes: notInThisFake,
      sizes: notInThisFake,
      commit: notInThisFake,
    },
  };

  readonly images: Images = {
    list: () => this.ownImages,
    get: (reference) =>
      this.ownImages.find(({ id, tags, digests }) => [id, ...tags, ...digests].includes(reference)) ??
      fail('not-found', `No such image: ${reference}`),
    tag: notInThisFake,
    remove: notInThisFake,
    load: notInThisFake,
    save: notInThisFake,
    import: notInThisFake,
    extend: notInThisFake,
    hold: notInThisFake,
    holdLayers: notInThisFake,
  };

  /** What a registry has: a pull brings it here. `pulling` is how long that takes. */
  inRegistry: readonly Image[] = [];
  pulling: () => Promise<void> = async () => undefined;
  readonly registries: Registries = {
    settings: DEFAULT_SETTINGS,
    pull: async (reference, { auth, abort }) => {
      this.calls.push(`pull ${reference}${auth ? ` as ${auth.username}` : ''}`);
      await this.pulling();
      abort?.throwIfAborted();
      const named = ({ tags, digests }: Image): boolean => tags.includes(reference) || digests.includes(reference);
      const image = this.inRegistry.find(named) ?? fail('not-found', `manifest for ${reference} not found`);
      this.ownImages = [...this.ownImages.filter((own) => !own.tags.includes(reference)), image];
      return image.id;
    },
    push: notInThisFake,
    resolve: notInThisFake,
    login: notInThisFake,
  };

  readonly volumes: Volumes = {
    list: () => [...this.#volumes.values()],
    get: (name) => this.#volumes.get(name) ?? fail('not-found', `get ${name}: no such volume`),
    create: async (request) => {
      const name = request.name || 'anonymous';
      this.calls.push(`volume ${name}`);
      const facts = { mountpoint: `/v/${name}`, createdAtMs: 0, anonymous: request.name === '', usedBy: [] };
      const volume = { ...request, ...facts, name };
      this.#volumes.set(name, volume);
      return volume;
    },
    remove: async (name) => void this.#volumes.delete(name),
    sizeBytes: async () => 0,
  };

  readonly networks: Networks = {
    list: () => [],
    get: notInThisFake,
    create: notInThisFake,
    remove: notInThisFake,
    join: notInThisFake,
    leave: notInThisFake,
    names: noNames,
    report: notInThisFake,
    ingress: notInThisFake,
    overlays: noOverlays,
    releaseSandbox: notInThisFake,
    adopt: notInThisFake,
    applyIngress: async (index, ports) => void this.ingress.push({ index, ports }),
    openWays: async () => false,
    knowNodes: async () => undefined,
    clearIngress: async () => void this.ingress.push({ index: -1, ports: [] }),
    breakConnections: notInThisFake,
  };

  async [Symbol.asyncDispose](): Promise<void> {}

  async *#logs(request: LogRequest): AsyncGenerator<LogEntry> {
    this.logRequests.push(request);
    yield* this.logs;
  }

  #find(reference: string): FakeContainer {
    const found = [...this.#containers.values()].find(({ info }) => info.id === reference || info.name === reference);
    return found ?? fail('not-found', `No such container: ${reference}`);
  }

  #publish({ info }: FakeContainer, action: string): void {
    const attributes = { ...info.config.labels, image: info.imageReference, name: info.name };
    this.events.publish({ type: 'container', action, id: info.id, attributes, scope: 'local' });
  }
}

function infoOf(id: string, config: ContainerConfig): ContainerInfo {
  return {
    id,
    name: config.name,
    createdAtMs: 0,
    imageId: '',
    imageReference: config.image,
    config,
    args: ['run'],
    state: 'created',
    pid: 0,
    exitCode: 0,
    error: '',
    oomKilled: false,
    appArmorProfile: '',
    startedAtMs: 0,
    finishedAtMs: 0,
    restartCount: 0,
    health: undefined,
    attachments: [],
    endpoints: [],
    endpoint: undefined,
    mounts: [],
    logPath: '',
    paths: { hostname: '', hosts: '', resolvConf: '', upper: '', lowers: [] },
    execIds: [],
  };
}

function running({ id, config }: ContainerInfo): Partial<ContainerInfo> {
  const number = Number(id.replace(/^c+/, ''));
  const probed = config.healthCheck !== undefined && config.healthCheck.test[0] !== 'NONE';
  return {
    state: 'running',
    pid: 4000 + number,
    startedAtMs: 1,
    ...(probed && { health: { status: 'starting', failingStreak: 0, log: [] } }),
    endpoint: {
      id: '',
      networkId: '',
      networkName: config.network,
      containerId: id,
      sandboxPath: '',
      interfaceName: 'eth0',
      hostInterfaceName: '',
      address: config.network === 'bridge' ? `172.17.0.${number}` : '',
      prefixLength: 16,
      gateway: '172.17.0.1',
      macAddress: '',
      published: config.publish.map((port) => ({ ...port, hostPort: port.hostPort || 49_153 })),
    },
  };
}
