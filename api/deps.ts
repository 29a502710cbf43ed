// What the Engine API needs from the rest of the daemon, said as narrowly as it is used.
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import type { ClusterControl } from '../proto/control.ts';
import type { NodePath } from '../proto/node-path.ts';
import type { NodeAvailability } from '../proto/objects.ts';
import type { Runtime } from '../runtime/contract.ts';

export interface ApiDeps {
  readonly runtime: Runtime;
  readonly swarm: SwarmAccess;
  readonly system: SystemFacts;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Absent where no dashboard listens. */
  readonly dashboard?: DashboardLinks | undefined;
}

export interface DashboardLinks {
  /** An address that opens the dashboard once. */
  createLink(): string;
}

/** This node's place in a swarm, as far as it knows it without asking anybody. */
export interface SwarmInfo {
  readonly state: 'inactive' | 'pending' | 'active' | 'error' | 'locked';
  readonly nodeId: string; // '' when inactive
  readonly nodeAddress: string; // '' when inactive
  readonly controlAvailable: boolean; // this node is a manager
  readonly error: string;
  readonly remoteManagers: readonly { readonly nodeId: string; readonly address: string }[];
}

export interface SwarmInitRequest {
  readonly listenAddress: string; // host[:port], '' for the default
  readonly advertiseAddress: string; // host[:port] or interface[:port], '' to choose
  readonly dataPathAddress: string;
  readonly dataPathPort: number; // 0: default
  readonly defaultAddressPools: readonly string[];
  readonly subnetSize: number; // 0: default
  readonly forceNewCluster: boolean;
  readonly autoLockManagers: boolean;
  readonly availability: NodeAvailability;
  /** Docker's Spec as it came, for the periods and limits in it; {} when absent. */
  readonly spec: SwarmSpecChange;
}

/** What an operator may set of the cluster's spec; absent means: leave it. */
export interface SwarmSpecChange {
  readonly labels?: Readonly<Record<string, string>>;
  readonly taskHistoryLimit?: number;
  readonly snapshotIntervalEntries?: number;
  readonly keepOldSnapshots?: number;
  readonly logEntriesForSlowFollowers?: number;
  readonly heartbeatMs?: number;
  readonly certificateLifetimeMs?: number;
  readonly autoLockManagers?: boolean;
}

export interface SwarmJoinRequest {
  readonly listenAddress: string;
  readonly advertiseAddress: string;
  readonly dataPathAddress: string;
  readonly remoteAddresses: readonly string[];
  readonly joinToken: string;
  readonly availability: NodeAvailability;
}

export interface SwarmRestoreRequest {
  readonly listenAddress: string; // as in SwarmInitRequest
  readonly advertiseAddress: string;
  readonly unlockKey: string; // that of the swarm when the backup was made; '' where it had none
}

export interface SwarmAccess {
  /** Resolves once it is known what is left of an earlier run: what concerns the swarm is answered from then on. */
  readonly opened: Promise<void>;
  info(): SwarmInfo;
  /** Throws `unavailable` with Docker's words when this node is not a manager. */
  control(): ClusterControl;
  /** How this node reaches those that it has to do with. */
  paths(): readonly NodePath[];
  /** Resolves with this node's id once the one-node cluster answers. `unavailable`: already part of a swarm. */
  init(request: SwarmInitRequest): Promise<string>;
  /** Resolves when the node is a member. */
  join(request: SwarmJoinRequest): Promise<void>;
  leave(options: { force: boolean }): Promise<void>;
  /** The cluster's state as a file, on a manager. */
  backup(abort: AbortSignal): AsyncIterable<Uint8Array>;
  /** Begins the cluster of a backup anew with this node as its only manager; resolves with the node's id. */
  restore(request: SwarmRestoreRequest, file: Uint8Array): Promise<string>;
  /** Opens a locked node with the cluster's unlock key. `unauthenticated`: another key; `conflict`: it is not locked. */
  unlock(key: string): Promise<void>;
}

/** Facts about the machine and this daemon. Functions are read at every request. */
export interface SystemFacts {
  readonly daemonId: string;
  readonly hostname: string;
  readonly dataRoot: string;
  readonly version: string; // of Shoal
  readonly gitCommit: string;
  readonly buildTime: string;
  readonly kernelVersion: string;
  readonly operatingSystem: string; // PRETTY_NAME of os-release
  readonly osVersion: string;
  readonly architecture: string; // as uname has it: x86_64
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly cgroupVersion: '1' | '2';
  readonly appArmor: boolean; // containers are confined by it
  readonly storageDriver: string; // overlay2
  readonly hiddenPaths: { readonly masked: readonly string[]; readonly readOnly: readonly string[] }; // by default
  readonly labels: readonly string[]; // key=value
  readonly debug: boolean;
  readonly warnings: readonly string[];
}
