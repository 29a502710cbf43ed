// A container store over fakes: no process, no kernel. `machine()` gives one with an image named `app`.
import { writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Background } from '../../base/background.ts';
import { CodedError, fail } from '../../base/errors.ts';
import { silentLog } from '../../base/log.ts';
import { ManualClock } from '../../base/manual-clock.ts';
import { seededRandom } from '../../base/random.ts';
import { AppArmor } from '../../runtime/container/app-armor.ts';
import { ContainerStore } from '../../runtime/container/containers.ts';
import type { ContainerConfig } from '../../runtime/container/contract.ts';
import { HostFiles } from '../../runtime/container/host-files.ts';
import { OciRuntimes } from '../../runtime/container/oci-runtimes.ts';
import type { Cgroups, ContainerParts, Happening } from '../../runtime/container/parts.ts';
import { ImageStore } from '../../runtime/image/images.ts';
import type {
  AttachedStdio,
  ExitRecord,
  LaunchRequest,
  NativeRuntime,
  Note,
  OutputFrame,
  ProcessSpec,
  Shim,
  ShimProcess,
} from '../../runtime/native/contract.ts';
import type { Endpoint, EndpointRequest, Networks } from '../../runtime/network/contract.ts';
import { FakeMounter } from '../volume/fake-mounter.ts';
import { VolumeStore } from '../../runtime/volume/volumes.ts';
import { dockerArchive, fakeUnpack, streamOf } from '../image/support.ts';
import { noNames, noOverlays } from '../support/no-names.ts';

export const LIMITS = {
  nanoCpus: 0,
  cpuShares: 0,
  cpuQuota: 0,
  cpuPeriod: 0,
  cpusetCpus: '',
  memoryBytes: 0,
  memorySwapBytes: 0,
  memoryReservationBytes: 0,
  pids: 0,
} as const;

export function aConfig(change: Partial<ContainerConfig> = {}): ContainerConfig {
  return {
    name: '',
    image: 'app',
    entrypoint: undefined,
    command: undefined,
    env: [],
    workingDirectory: '',
    user: '',
    groups: [],
    hostname: '',
    domainName: '',
    labels: {},
    terminal: false,
    openStdin: false,
    stdinOnce: false,
    stopSignal: '',
    stopGraceMs: -1,
    healthCheck: undefined,
    exposedPorts: [],
    publish: [],
    publishAll: false,
    network: 'bridge',
    networkAliases: [],
    macAddress: '',
    dns: { servers: [], search: [], options: [] },
    extraHosts: [],
    mounts: [],
    tmpfs: {},
    readOnlyRoot: false,
    init: false,
    privileged: false,
    capabilityAdd: [],
    capabilityDrop: [],
    securityOptions: [],
    ulimits: [],
    sysctls: {},
    devices: [],
    pidMode: '',
    ipcMode: '',
    utsMode: '',
    cgroupNamespaceMode: '',
    cgroupParent: '',
    shmBytes: 0,
    oomScoreAdjustment: 0,
    limits: LIMITS,
    restart: { name: 'no', attemptsMax: 0 },
    autoRemove: false,
    logDriver: { name: '', options: {} },
    asRequested: {},
    ...change,
  };
}

/** Output that a test writes to. */
class FakeOutput implements AsyncIterable<OutputFrame> {
  readonly #frames: OutputFrame[] = [];
  #ended = false;
  #wake: () => void = () => undefined;

  push(text: string): void {
    this.#frames.push({ stream: 'stdout', bytes: Buffer.from(text) });
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<OutputFrame, void, void> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame) yield frame;
      else if (this.#ended) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}

export class FakeProcess implements ShimProcess {
  readonly pid: number;
  readonly exited: Promise<ExitRecord>;
  readonly signals: number[] = [];
  readonly written: string[] = [];
  readonly output = new FakeOutput();
  stdinClosed = false;
  onSignal: (signal: number) => void = () => undefined;
  #exit: (record: ExitRecord) => void = () => undefined;

  constructor(pid: number) {
    this.pid = pid;
    this.exited = new Promise((resolve) => {
      this.#exit = resolve;
    });
  }

  exit(exitCode: number, change: Partial<ExitRecord> = {}): void {
    this.output.end();
    this.#exit({ exitCode, signal: 0, oomKilled: false, atMs: 1_700_000_000_000, ...change });
  }

  resize(): Promise<void> {
    return Promise.resolve();
  }

  signal(signal: number): Promise<void> {
    this.signals.push(signal);
    this.onSignal(signal);
    return Promise.resolve();
  }

  attach(): Promise<AttachedStdio> {
    return Promise.resolve({
      output: this.output,
      write: (bytes) => Promise.resolve(void this.written.push(Buffer.from(bytes).toString())),
      closeStdin: () => Promise.resolve(void (this.stdinClosed = true)),
      detach: () => undefined,
    });
  }
}

export class FakeShim extends FakeProcess implements Shim {
  readonly containerId: string;
  readonly startTimeTicks = 1;
  readonly warnings: readonly string[] = [];
  takesNotes = true;
  readonly request: LaunchRequest | undefined;
  state: 'prepared' | 'running' | 'exited' = 'prepared';
  startError: Error | undefined;
  acknowledged = false;
  killed = false;
  /** What an exec does; by default it exits with 0 at once. */
  onExec: (process: ProcessSpec, made: FakeProcess) => void = (_, made) => made.exit(0);

  constructor(containerId: string, pid: number, request: LaunchRequest | undefined) {
    super(pid);
    this.containerId = containerId;
    this.request = request;
    this.onSignal = (signal) => {
      if (signal === 9) this.exit(137, { signal: 9 });
    };
  }

  start(note?: Note): Promise<void> {
    if (note) this.#write(note);
    if (this.startError) return Promise.reject(this.startError);
    this.state = 'running';
    return Promise.resolve();
  }

  exec(process: ProcessSpec): Promise<ShimProcess> {
    const made = new FakeProcess(this.pid + 1000);
    try {
      this.onExec(process, made);
      return Promise.resolve(made);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  kill(): Promise<void> {
    this.killed = true;
    this.exit(137, { signal: 9 });
    return Promise.resolve();
  }

  acknowledgeExit(note?: Note): Promise<void> {
    if (note) this.#write(note);
    this.acknowledged = true;
    return Promise.resolve();
  }

  #write({ name, text }: Note): void {
    writeFileSync(join(this.request?.stateDirectory ?? '/nowhere', name), text);
  }
}

export class FakeNative implements NativeRuntime {
  readonly shims: FakeShim[] = [];
  readonly adoptable = new Map<string, FakeShim>();
  onLaunch: (shim: FakeShim) => void = () => undefined;
  launchError: Error | undefined;

  launch(request: LaunchRequest): Promise<Shim> {
    if (this.launchError) return Promise.reject(this.launchError);
    const shim = new FakeShim(request.containerId, 100 + this.shims.length, request);
    this.shims.push(shim);
    this.adoptable.set(request.runDirectory, shim);
    this.onLaunch(shim);
    return Promise.resolve(shim);
  }

  adopt(_id: string, runDirectory: string): Promise<Shim | undefined> {
    return Promise.resolve(this.adoptable.get(runDirectory));
  }

  unpack = fakeUnpack as unknown as NativeRuntime['unpack'];

  removeFolder(path: string): Promise<void> {
    return rm(path, { recursive: true, force: true });
  }

  spread(): Promise<void> {
    return Promise.resolve();
  }

  readonly files = {} as NativeRuntime['files'];
  readonly volumes = {} as NativeRuntime['volumes'];

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  get last(): FakeShim {
    return this.shims.at(-1) ?? fail('internal', 'nothing was launched');
  }
}

export class FakeNetworks implements Networks {
  readonly names = noNames;
  ingress() {
    return { nodes: [], ports: [] };
  }
  report() {
    return Promise.resolve({
      differences: [],
      repaired: {},
      encryption: [],
      pairs: [],
      unreached: [],
      ingress: this.ingress(),
    });
  }
  readonly overlays = noOverlays;
  readonly joined = new Map<string, Endpoint>();
  adopted: readonly Endpoint[] = [];
  joinError: Error | undefined;

  list(): [] {
    return [];
  }
  get(name: string): never {
    if (!['bridge', 'none', 'host'].includes(name)) fail('not-found', `network ${name} not found`);
    return { name } as never;
  }
  create(): Promise<never> {
    return Promise.reject(new CodedError('not-implemented', 'fake'));
  }
  remove(): Promise<void> {
    return Promise.resolve();
  }
  join(request: EndpointRequest): Promise<Endpoint> {
    if (this.joinError) return Promise.reject(this.joinError);
    const endpoint: Endpoint = {
      id: `e${this.joined.size}`,
      networkId: 'n1',
      networkName: request.network,
      containerId: request.containerId,
      sandboxPath: request.network === 'host' ? '' : `/sandbox/${request.containerId.slice(0, 12)}`,
      interfaceName: 'eth0',
      hostInterfaceName: 'veth1',
      address: '172.17.0.2',
      prefixLength: 16,
      gateway: '172.17.0.1',
      macAddress: '02:42:ac:11:00:02',
      published: request.publish,
    };
    this.joined.set(endpoint.id, endpoint);
    return Promise.resolve(endpoint);
  }
  leave(endpoint: Endpoint): Promise<void> {
    this.joined.delete(endpoint.id);
    return Promise.resolve();
  }
  releaseSandbox(): void {}
  adopt(endpoints: readonly Endpoint[]): Promise<void> {
    this.adopted = endpoints;
    return Promise.resolve();
  }
  openWays(): Promise<boolean> {
    return Promise.resolve(false);
  }
  knowNodes(): Promise<void> {
    return Promise.resolve();
  }
  clearIngress(): Promise<void> {
    return Promise.resolve();
  }
  breakConnections(): Promise<void> {
    return Promise.resolve();
  }
  applyIngress(): Promise<void> {
    return Promise.resolve();
  }
}

function fakeCgroups(): Cgroups & { frozen: Set<string>; removed: string[] } {
  const frozen = new Set<string>();
  const removed: string[] = [];
  return {
    frozen,
    removed,
    layout: { unified: '/cg', unifiedControls: true, v1: {}, others: [] },
    abilities: {
      swapIsAccounted: true,
      blockIoWeightFile: undefined,
      oomCanBeDisabled: false,
      blockDevice: () => '8:0',
    },
    plan: () => ({ groups: [] }),
    prepare: () => Promise.resolve(),
    update: () => Promise.resolve(),
    folder: () => '/nowhere',
    path: (id) => `/shoal/${id}`,
    processes: () => Promise.resolve([]),
    freeze: (id, on) => Promise.resolve(void (on ? frozen.add(id) : frozen.delete(id))),
    isFrozen: (id) => frozen.has(id),
    remove: (id) => Promise.resolve(void removed.push(id)),
    present: () => Promise.resolve([]),
  };
}

export interface Machine extends AsyncDisposable {
  readonly store: ContainerStore;
  readonly native: FakeNative;
  readonly networks: FakeNetworks;
  readonly cgroups: ReturnType<typeof fakeCgroups>;
  readonly images: ImageStore;
  readonly volumes: VolumeStore;
  readonly clock: ManualClock;
  readonly events: Happening[];
  readonly root: string;
  readonly failures: string[];
  /** Actions of container, network and volume events, in order. */
  actions(): string[];
  /** The daemon is gone without a word; a new one opens the same folders. */
  restart(): Promise<ContainerStore>;
}

export async function machine(
  options: { config?: object; preparesAhead?: boolean; searchPath?: string; appArmor?: AppArmor } = {},
): Promise<Machine> {
  const root = await mkdtemp(join(tmpdir(), 'containers-'));
  const clock = new ManualClock();
  const random = seededRandom(5);
  const events: Happening[] = [];
  const failures: string[] = [];
  const native = new FakeNative();
  const networks = new FakeNetworks();
  const cgroups = fakeCgroups();
  const common = { clock, random, log: silentLog };
  const images = await ImageStore.open({
    ...common,
    root: join(root, 'image'),
    unpack: fakeUnpack,
    onEvent: () => undefined,
  });
  const volumes = await VolumeStore.open({
    ...common,
    root: join(root, 'volumes'),
    sizeOf: () => Promise.resolve(0),
    removeFolder: (folder) => rm(folder, { recursive: true, force: true }),
    mounter: new FakeMounter(),
    onEvent: () => undefined,
  });
  await images.load(
    streamOf(await dockerArchive({ tags: ['app:latest'], config: options.config ?? {} })),
    () => undefined,
  );
  await mkdir(join(root, 'run'));
  const backgrounds: Background[] = [];
  const open = async (): Promise<ContainerStore> => {
    const background = new Background({ onFailure: (name, error) => failures.push(`${name}: ${String(error)}`) });
    backgrounds.push(background);
    const parts: Omit<ContainerParts, 'find'> = {
      ...common,
      containersRoot: join(root, 'containers'),
      mountPoints: join(root, 'mount-points'),
      runRoot: join(root, 'run', 'c'),
      native,
      networks,
      images,
      volumes,
      cgroups,
      ociRuntimes: new OciRuntimes({}, options.searchPath ?? '/nowhere'),
      security: {
        maskedPaths: ['/proc/kcore'],
        readOnlyPaths: ['/proc/sys'],
        availableCapabilities: new Set(['CAP_CHOWN', 'CAP_SYS_ADMIN']),
        appArmor: options.appArmor ?? new AppArmor('/nowhere'),
        seccomp: () => ({ defaultAction: { kind: 'errno', errno: 1 }, architectures: [], rules: [] }),
      },
      hostFiles: new HostFiles(),
      background,
      cpus: 2,
      online: (kind) => (kind === 'cpu' ? '0-1' : '0'),
      preparesAhead: options.preparesAhead ?? false,
      publish: (event) => events.push(event),
    };
    const { containers, left } = await ContainerStore.open(parts);
    await containers.takeOver(left);
    return containers;
  };
  const store = await open();
  return {
    store,
    native,
    networks,
    cgroups,
    images,
    volumes,
    clock,
    events,
    root,
    failures,
    actions: () => events.map(({ type, action }) => (type === 'container' ? action : `${type} ${action}`)),
    async restart() {
      await Promise.all(backgrounds.map((background) => background.stop()));
      return open();
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(backgrounds.map((background) => background.stop()));
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** Until something holds; fails after a second. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = Date.now() + 1000;
  while (!(await holds())) {
    if (Date.now() > endMs) throw new Error('it did not come about within a second');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
