// What the container code works with; put together in runtime.ts.
import type { Background } from '../../base/background.ts';
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import type { Images } from '../image/contract.ts';
import type { NativeRuntime } from '../native/contract.ts';
import type { Networks } from '../network/contract.ts';
import type { VolumeStore } from '../volume/volumes.ts';
import type { CgroupHost } from './cgroup-host.ts';
import type { Container } from './container.ts';
import type { HostFiles } from './host-files.ts';
import type { OciRuntimes } from './oci-runtimes.ts';
import type { online } from './online.ts';
import type { SecurityDefaults } from './security.ts';

/** What containers need of the machine's cgroups. */
export type Cgroups = Pick<
  CgroupHost,
  | 'layout'
  | 'abilities'
  | 'plan'
  | 'path'
  | 'prepare'
  | 'update'
  | 'folder'
  | 'processes'
  | 'freeze'
  | 'isFrozen'
  | 'remove'
  | 'present'
>;

/** What happened to something of this machine; the events room stamps the time. */
export interface Happening {
  readonly type: 'container' | 'network' | 'volume';
  readonly action: string;
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface ContainerParts {
  readonly containersRoot: string; // <data-root>/containers
  readonly runRoot: string; // <exec-root>/c
  readonly mountPoints: string; // the lowest layer of every container
  readonly native: NativeRuntime;
  readonly networks: Networks;
  readonly images: Images;
  readonly volumes: VolumeStore;
  readonly cgroups: Cgroups;
  readonly ociRuntimes: Pick<OciRuntimes, 'find'>;
  readonly security: SecurityDefaults;
  readonly hostFiles: HostFiles;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly background: Background;
  readonly cpus: number;
  readonly online: typeof online;
  readonly preparesAhead: boolean;
  readonly publish: (happening: Happening) => void;
  /** Another container, by the reference that a mode such as `container:x` holds. */
  readonly find: (reference: string) => Container;
}

/** An event about a container carries its labels, image and name, as Docker's do. */
export function publishContainer(
  parts: Pick<ContainerParts, 'publish'>,
  container: Container,
  action: string,
  extra: Readonly<Record<string, string>> = {},
): void {
  const { record } = container;
  const attributes = { ...record.config.labels, ...extra, image: record.imageReference, name: record.name };
  parts.publish({ type: 'container', action, id: record.id, attributes });
}
