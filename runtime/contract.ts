// The runtime as one machine offers it: to the Engine API and, through agent/container, to the swarm.
import type { Containers } from './container/contract.ts';
import type { OciRuntimes } from './container/oci-runtimes.ts';
import type { Images } from './image/contract.ts';
import type { Networks } from './network/contract.ts';
import type { Registries } from './registry/contract.ts';

/** As Docker's event stream has it; times are nanoseconds in a bigint because they pass 2^53. */
export interface RuntimeEvent {
  readonly type: 'container' | 'image' | 'network' | 'volume' | 'daemon' | 'service' | 'node' | 'secret' | 'config';
  readonly action: string; // create, start, die, health_status: healthy, exec_create: ls …
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly scope: 'local' | 'swarm';
  readonly timeNs: bigint;
}

export interface Events {
  publish(event: Omit<RuntimeEvent, 'timeNs'>): void;
  /** The last 256 events from `sinceNs` on, then new ones until `abort`. */
  subscribe(options: { sinceNs?: bigint; abort: AbortSignal }): AsyncIterable<RuntimeEvent>;
  /** Called in order, at once; for the agent. */
  listen(listener: (event: RuntimeEvent) => void): Disposable;
}

export interface VolumeInfo {
  readonly name: string;
  readonly driver: string;
  readonly mountpoint: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  readonly createdAtMs: number;
  readonly anonymous: boolean;
  readonly usedBy: readonly string[]; // container ids
}

export interface Volumes {
  list(): readonly VolumeInfo[];
  get(name: string): VolumeInfo; // not-found: "get x: no such volume"
  create(request: {
    name: string;
    driver: string;
    labels: Readonly<Record<string, string>>;
    options: Readonly<Record<string, string>>;
  }): Promise<VolumeInfo>;
  remove(name: string, options: { force: boolean }): Promise<void>;
  /** Bytes of its files. */
  sizeBytes(name: string): Promise<number>;
}

export interface Runtime extends AsyncDisposable {
  /**
   * Resolves when the containers of an earlier daemon are in their networks and watched again. They can be listed and
   * inspected before; whatever changes something has to wait.
   */
  readonly adopted: Promise<void>;
  readonly containers: Containers;
  readonly images: Images;
  readonly registries: Registries;
  readonly networks: Networks;
  readonly volumes: Volumes;
  readonly events: Events;
  readonly ociRuntimes: Pick<OciRuntimes, 'list'>;
}
