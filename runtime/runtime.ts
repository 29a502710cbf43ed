// The runtime of one machine, put together: folders below the data root are made or taken over, containers that the last
// daemon left are adopted. What is handed in (helper, networks) stays its owner's.
import { setMaxListeners } from 'node:events';
import { lookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { availableParallelism, release } from 'node:os';
import { join } from 'node:path';
import { Background } from '../base/background.ts';
import type { Clock } from '../base/clock.ts';
import { fail } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { AppArmor } from './container/app-armor.ts';
import { availableCapabilities } from './container/capabilities.ts';
import { CgroupHost } from './container/cgroup-host.ts';
import { ContainerStore } from './container/containers.ts';
import { HostFiles } from './container/host-files.ts';
import { makeMountPoints } from './container/mount-points.ts';
import { type OciRuntime, OciRuntimes } from './container/oci-runtimes.ts';
import { online } from './container/online.ts';
import type { Happening } from './container/parts.ts';
import type { SecurityDefaults } from './container/security.ts';
import { unlessAlreadySo } from './container/stop.ts';
import type { Runtime, RuntimeEvent } from './contract.ts';
import { EventStream } from './events.ts';
import { ARCHITECTURE, ImageStore } from './image/images.ts';
import type { NativeRuntime } from './native/contract.ts';
import { defaultSeccomp, seccompArchitecture } from './native/default-seccomp.ts';
import { DEFAULT_MASKED_PATHS, DEFAULT_READ_ONLY_PATHS } from './native/defaults.ts';
import { resolveSeccompProfile } from './native/seccomp-profile.ts';
import type { Networks } from './network/contract.ts';
import type { RegistrySettings } from './registry/contract.ts';
import { RegistryClient } from './registry/registries.ts';
import { DEFAULT_SETTINGS } from './registry/settings.ts';
import { VolumeStore } from './volume/volumes.ts';

export interface RuntimeOptions {
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly native: NativeRuntime;
  readonly networks: Networks;
  /** Of networks that are still being opened: they are not needed before the containers are known. */
  readonly networksOpen?: Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Where containers' cgroups go, below every hierarchy's mount point. */
  readonly cgroupParent?: string;
  readonly registries?: RegistrySettings;
  /** Other OCI runtimes by name, besides those that are found. */
  readonly ociRuntimes?: Readonly<Record<string, OciRuntime>>;
}

export interface MachineRuntime extends Runtime {
  readonly containers: ContainerStore;
  readonly images: ImageStore;
  readonly volumes: VolumeStore;
  /** Ends every container: for a node that is taken away. */
  stopAll(options: { graceMs: number }): Promise<void>;
}

const CGROUP_PARENT = '/shoal';
const SOCKET_PATH_MAX = 107; // longer ones are cut in silence by the system
const SOCKET_BELOW = '/c/0123456789ab/s';

export async function createRuntime(options: RuntimeOptions): Promise<MachineRuntime> {
  const { dataRoot, execRoot, clock, random, log, native } = options;
  checkExecRoot(execRoot);
  process.umask(0o022); // as dockerd: roots of containers and volumes must be readable for the users inside
  const common = { clock, random, log };
  const events = new EventStream({ clock });
  const publish = (event: Happening | Omit<RuntimeEvent, 'timeNs' | 'scope'>): void =>
    events.publish({ ...event, scope: 'local' });
  const images = await ImageStore.open({
    ...common,
    root: join(dataRoot, 'image'),
    unpack: (directory, choice) => native.unpack(directory, choice),
    onEvent: (action, id, name) => publish({ type: 'image', action, id, attributes: { name } }),
  });
  const registries = new RegistryClient({
    door: images.door,
    settings: options.registries ?? DEFAULT_SETTINGS,
    platform: { os: 'linux', architecture: ARCHITECTURE, variant: '' },
    clock,
    random,
  });
  const volumes = await VolumeStore.open({
    ...common,
    root: join(dataRoot, 'volumes'),
    sizeOf: (folder) => native.files.sizeBytes(folder),
    removeFolder: (folder) => native.removeFolder(folder),
    mounter: {
      mount: (mount) => native.volumes.mount(mount),
      unmount: (target) => native.volumes.unmount(target),
      mountInfo: () => readFile('/proc/self/mountinfo', 'utf8'),
      resolve: async (host) => (await lookup(host)).address,
    },
    onEvent: (action, id, attributes) => publish({ type: 'volume', action, id, attributes }),
  });
  const cgroups = await CgroupHost.open({ parent: options.cgroupParent ?? CGROUP_PARENT, clock, log });
  const ociRuntimes = new OciRuntimes(options.ociRuntimes ?? {});
  const background = new Background({
    onFailure: (name, error) => log.error('background work failed', { name, error }),
  });
  setMaxListeners(0, background.abort); // one for each running container and exec
  const { containers, left } = await ContainerStore.open({
    ...common,
    containersRoot: join(dataRoot, 'containers'),
    runRoot: join(execRoot, 'c'),
    mountPoints: await makeMountPoints(join(dataRoot, 'mount-points')),
    native,
    networks: options.networks,
    images,
    volumes,
    cgroups,
    ociRuntimes,
    security: securityDefaults(await readFile('/proc/self/status', 'utf8')),
    hostFiles: new HostFiles(),
    background,
    cpus: availableParallelism(),
    online,
    preparesAhead: true,
    publish,
  });
  await options.networksOpen;
  const adopted = containers.takeOver(left).then(() => images.collectGarbage());
  adopted.catch(() => undefined); // whoever waits for it has its failure
  return {
    adopted,
    containers,
    images,
    registries,
    volumes,
    events,
    ociRuntimes,
    networks: options.networks,
    stopAll: (choice) => stopAll(containers, choice),
    async [Symbol.asyncDispose]() {
      await adopted.catch(() => undefined);
      await background.stop();
      registries[Symbol.dispose]();
      await containers.flush();
      await cgroups.removeParent();
    },
  };
}

function securityDefaults(ownStatus: string): SecurityDefaults {
  const architecture =
    seccompArchitecture(process.arch) ?? fail('internal', `no system call filter is known for ${process.arch}`);
  const [major = 0, minor = 0] = release()
    .split('.')
    .map((part) => Number.parseInt(part, 10));
  return {
    maskedPaths: DEFAULT_MASKED_PATHS,
    readOnlyPaths: DEFAULT_READ_ONLY_PATHS,
    availableCapabilities: availableCapabilities(ownStatus),
    appArmor: new AppArmor(),
    seccomp: (profile, capabilities) =>
      profile === undefined
        ? defaultSeccomp(capabilities, architecture)
        : resolveSeccompProfile(profile, { capabilities, architecture, kernel: [major, minor] }),
  };
}

function checkExecRoot(execRoot: string): void {
  const length = Buffer.byteLength(join(execRoot, SOCKET_BELOW));
  if (length <= SOCKET_PATH_MAX) return;
  const longest = SOCKET_PATH_MAX - SOCKET_BELOW.length;
  fail(
    'invalid',
    `the exec root ${execRoot} is too long: sockets below it would pass the system's bound; use at most ${longest} bytes`,
  );
}

async function stopAll(containers: ContainerStore, { graceMs }: { graceMs: number }): Promise<void> {
  const up = containers.list().filter(({ state }) => ['running', 'paused', 'restarting'].includes(state));
  const results = await Promise.allSettled(up.map(({ id }) => unlessAlreadySo(containers.stop(id, { graceMs }))));
  const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
  if (failures.length > 0) throw new AggregateError(failures, 'not every container could be stopped');
}
