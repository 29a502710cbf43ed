// The cluster's objects, as the store keeps them and as they travel between nodes.
// Everything is read-only; a change is a new object. Times are wall-clock milliseconds (…AtMs), periods are
// milliseconds (…Ms), memory is bytes, processor shares are nano-CPUs. Docker's own spelling lives in api/types only.
import type { Id } from '../base/id.ts';

export type ClusterId = Id<'cluster'>;
export type NodeId = Id<'node'>;
export type ServiceId = Id<'service'>;
export type TaskId = Id<'task'>;
export type NetworkId = Id<'network'>;
export type GuestId = Id<'guest'>;
export type KeyringId = Id<'keyring'>;

export type Labels = Readonly<Record<string, string>>;

/** What every stored object has. `version` is the raft index of its last change; the store sets all three. */
export interface ObjectMeta {
  readonly version: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

// ---- Task specification ----

export interface Mount {
  readonly type: 'bind' | 'volume' | 'tmpfs';
  readonly source: string; // '' for tmpfs and anonymous volumes
  readonly target: string;
  readonly readOnly: boolean;
  readonly propagation?: 'private' | 'rprivate' | 'shared' | 'rshared' | 'slave' | 'rslave';
  readonly tmpfsSizeBytes?: number;
  readonly tmpfsMode?: number;
  readonly volumeLabels?: Labels;
  readonly volumeDriver?: { readonly name: string; readonly options: Labels };
  readonly volumeNoCopy?: boolean;
}

/** A zero period means: what the image says, otherwise Docker's default. */
export interface HealthCheck {
  readonly test: readonly string[]; // [] inherit · ['NONE'] · ['CMD', …] · ['CMD-SHELL', text]
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
}

export interface ContainerSpec {
  readonly image: string;
  readonly command?: readonly string[]; // replaces the image's entrypoint
  readonly args?: readonly string[]; // replaces the image's command
  readonly hostname?: string;
  readonly env: readonly string[]; // NAME=value
  readonly workingDirectory?: string;
  readonly user?: string;
  readonly groups?: readonly string[];
  readonly labels: Labels;
  readonly mounts: readonly Mount[];
  readonly stopSignal?: string;
  readonly stopGraceMs?: number;
  readonly healthCheck?: HealthCheck;
  readonly hosts?: readonly string[]; // "address name…", as in /etc/hosts
  readonly dns?: {
    readonly servers: readonly string[];
    readonly search: readonly string[];
    readonly options: readonly string[];
  };
  readonly tty?: boolean;
  readonly openStdin?: boolean;
  readonly readOnly?: boolean;
  readonly init?: boolean;
  readonly capabilityAdd?: readonly string[];
  readonly capabilityDrop?: readonly string[];
  readonly sysctls?: Labels;
  readonly ulimits?: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
}

export interface Resources {
  readonly nanoCpus: number; // 0: none
  readonly memoryBytes: number; // 0: none
  readonly pids?: number; // limits only; 0: none
}

export interface RestartPolicy {
  readonly condition: 'none' | 'on-failure' | 'any';
  readonly delayMs: number;
  readonly attemptsMax: number; // 0: no limit
  readonly windowMs: number; // 0: for ever
}

export interface Placement {
  readonly constraints: readonly string[]; // as written: node.labels.disk==ssd
  readonly preferences: readonly { readonly spread: string }[];
  readonly replicasPerNodeMax: number; // 0: no limit
  readonly platforms?: readonly { readonly os: string; readonly architecture: string }[];
}

export interface NetworkAttachmentSpec {
  readonly target: string; // network id or name
  readonly aliases: readonly string[];
}

/** What a task runs; a union, so that other runtimes can come. */
export type TaskRuntime = { readonly kind: 'container'; readonly container: ContainerSpec };

export interface TaskSpec {
  readonly runtime: TaskRuntime;
  readonly limits?: Resources;
  readonly reservations?: Resources;
  readonly restart: RestartPolicy;
  readonly placement: Placement;
  readonly networks: readonly NetworkAttachmentSpec[];
  readonly logDriver?: { readonly name: string; readonly options: Labels };
  readonly forceUpdate: number;
  /** The digest that the image's tag meant when the service was created or updated: sha256:… */
  readonly imageDigest?: string;
  /** Who the agents are to the image's registry: X-Registry-Auth as it came. Never shown and never logged. */
  readonly registryAuth?: string;
}

// ---- Service ----

export type ServiceMode = { readonly kind: 'replicated'; readonly replicas: number } | { readonly kind: 'global' };

export interface UpdateConfig {
  readonly parallelism: number; // 0: all at once
  readonly delayMs: number;
  readonly failureAction: 'pause' | 'continue' | 'rollback'; // rollback is refused in a rollback config
  readonly monitorMs: number;
  readonly failureRatioMax: number; // 0 to 1
  readonly order: 'stop-first' | 'start-first';
  /** How long a rollout may stand still before the slots on their way count as failed; absent: ten minutes. */
  readonly progressDeadlineMs?: number;
}

export type PortProtocol = 'tcp' | 'udp' | 'sctp';

export interface PortConfig {
  readonly name?: string;
  readonly protocol: PortProtocol;
  readonly targetPort: number;
  readonly publishedPort: number; // 0: chosen by the allocator (ingress) or the node (host)
  readonly publishMode: 'ingress' | 'host';
}

export interface EndpointSpec {
  readonly mode: 'vip' | 'dnsrr';
  readonly ports: readonly PortConfig[];
}

export interface ServiceSpec {
  readonly name: string;
  readonly labels: Labels;
  readonly task: TaskSpec;
  readonly mode: ServiceMode;
  readonly update: UpdateConfig;
  readonly rollback: UpdateConfig;
  readonly endpoint: EndpointSpec;
}

export type UpdateState =
  | 'updating'
  | 'paused'
  | 'completed'
  | 'rollback-started'
  | 'rollback-paused'
  | 'rollback-completed';

/** A rollout as it stands; every step is stored, so that a new leader continues it. */
export interface UpdateStatus {
  readonly state: UpdateState;
  readonly startedAtMs: number;
  readonly completedAtMs?: number;
  readonly message: string;
  /** No further slot is started before this time (the update delay). */
  readonly nextBatchAtMs?: number;
  /** The last slots are watched until this time. */
  readonly monitorUntilMs?: number;
  /** Slots (or node ids, for global services) dirty when the rollout started. */
  readonly slotsTotal?: number;
  /** The most slots so far that ran as the service says. */
  readonly slotsDone?: number;
  /** Without a slot begun or finished by then, the slots on their way count as failed: no rollout hangs for ever. */
  readonly progressDeadlineAtMs?: number;
  /** Slots (or node ids) whose new task failed, with the first such task: a crash loop counts once. */
  readonly failures?: readonly { readonly slot: string; readonly taskId: TaskId }[];
}

export interface Service extends ObjectMeta {
  readonly id: ServiceId;
  readonly spec: ServiceSpec;
  /** The version that `spec` got; tasks carry it, so a rollout knows which are dirty. */
  readonly specVersion: number;
  readonly previousSpec?: ServiceSpec;
  readonly previousSpecVersion?: number;
  readonly updateStatus?: UpdateStatus;
  /** The allocator's answer: every published port with its number. Absent until allocated. */
  readonly endpointPorts?: readonly PortConfig[];
  /** Likewise: one address on each of its networks that stands for all of its tasks. */
  readonly virtualAddresses?: readonly NetworkAddress[];
}

// ---- Task ----

/** Observed states in order; an observed state only ever rises. Numbers and gaps: proto/task-state.ts. */
export type TaskState =
  | 'new'
  | 'pending'
  | 'assigned'
  | 'accepted'
  | 'preparing'
  | 'ready'
  | 'starting'
  | 'running'
  | 'complete'
  | 'shutdown'
  | 'failed'
  | 'rejected'
  | 'orphaned';

/** What the managers want; only ever rises: ready, running, complete, shutdown, remove. */
export type DesiredState = 'ready' | 'running' | 'complete' | 'shutdown' | 'remove';

export interface TaskStatus {
  readonly state: TaskState;
  readonly atMs: number;
  readonly message: string; // what is going on: "started", "scheduler assigned task to node"
  readonly error?: string; // why it is not running, for a person
  readonly containerId?: string;
  readonly pid?: number;
  readonly exitCode?: number;
  /** When it first was `running`, by the clock that gave `atMs`; kept when it ends. Absent: it never ran. */
  readonly runningAtMs?: number;
  /** Host-mode ports as the node opened them. */
  readonly ports?: readonly PortConfig[];
}

/** Who a task is within its service. */
export type TaskIdentity =
  | { readonly kind: 'slot'; readonly slot: number }
  | { readonly kind: 'node'; readonly nodeId: NodeId }
  | { readonly kind: 'job'; readonly iteration: number; readonly index: number };

export interface Task extends ObjectMeta {
  readonly id: TaskId;
  readonly serviceId: ServiceId;
  readonly serviceName: string;
  readonly serviceLabels: Labels;
  readonly identity: TaskIdentity;
  /** Set by the scheduler, or from birth for global services; never changed afterwards. */
  readonly nodeId?: NodeId;
  readonly spec: TaskSpec;
  readonly specVersion: number;
  readonly desired: DesiredState;
  readonly status: TaskStatus;
  /** A successor held in `ready` is let go at this time, or earlier once `replaces`, if it names one, has stopped. */
  readonly holdUntilMs?: number;
  /** A start-first successor: the task it replaces on a node that is being drained stays until then, and no longer. */
  readonly overlapUntilMs?: number;
  /** The task whose place this one takes: waited for when stop-first, let go once this one runs when start-first. */
  readonly replaces?: TaskId;
  /** When this slot was restarted under this specification: the last ten, or as many as attemptsMax asks for. */
  readonly restartTimesMs?: readonly number[];
  /** Ports of the service at creation (both modes). */
  readonly ports: readonly PortConfig[];
  /** Its addresses on the cluster's networks, in the order of the specification; given by the allocator. */
  readonly attachments?: readonly NetworkAddress[];
}

// ---- Node ----

export type NodeRole = 'worker' | 'manager';
export type NodeAvailability = 'active' | 'pause' | 'drain';

export interface NodeSpec {
  readonly name: string; // '' unless an operator gave one
  readonly labels: Labels;
  readonly role: NodeRole; // desired; the observed one is Node.role
  readonly availability: NodeAvailability;
}

/** What a node says of itself. */
export interface NodeDescription {
  readonly hostname: string;
  readonly platform: { readonly os: string; readonly architecture: string };
  readonly resources: Resources;
  readonly engine: {
    readonly version: string;
    readonly labels: Labels;
    readonly plugins: readonly { readonly type: string; readonly name: string }[];
  };
  /** Where it takes connections that other nodes pass on with their client's address; absent: it can not. */
  readonly wayPort?: number;
  /** By which means it can encrypt what goes to other nodes. Absent: its version knew the tunnel only. */
  readonly encryption?: readonly EncryptionMeans[];
  /**
   * Encrypted networks that its kernel is ready to carry, by id: 32 hex digits at random, made anew whenever that kernel
   * has lost what it had counted. Both ends make their keys of them.
   */
  readonly lives?: Readonly<Record<string, string>>;
  /** Encrypted networks that its kernel's WireGuard is ready to carry, by id: the first of their four ports there. */
  readonly wireguardPorts?: Readonly<Record<string, number>>;
}

/** The kernel's IPsec, the kernel's WireGuard, and a process of ours. */
export type EncryptionMeans = 'esp' | 'wireguard' | 'tunnel';

/** Where a manager is reached, host:port each. Nobody computes one from another. */
export interface ManagerAddresses {
  readonly joinAddress: string; // certificate requests: what a join command names
  readonly controlAddress: string; // control and dispatcher
  readonly raftAddress: string;
}

export interface Node extends ObjectMeta {
  readonly id: NodeId;
  readonly spec: NodeSpec;
  /** The role in the node's current certificate. */
  readonly role: NodeRole;
  readonly description?: NodeDescription;
  readonly status: {
    readonly state: 'unknown' | 'down' | 'ready' | 'disconnected';
    readonly message: string;
    readonly address: string; // as seen by the manager
    readonly sinceMs: number;
  };
  /** Set while the node is a member of the raft group. */
  readonly manager?: ManagerAddresses;
  /** Address that other nodes forward published ports to, and the overlay's port. */
  readonly dataAddress?: string;
  readonly dataPort?: number;
  /** SHA-256 of the public key of the node's current certificate, hex: a copied identity with another key is refused. */
  readonly certificateKeyDigest?: string;
  /** The key before the last renewal; accepted until the node has opened a session with the new one. */
  readonly previousCertificateKeyDigest?: string;
  /** The session that reports for this node; a newer one replaces an older one. */
  readonly sessionId?: string;
  /** While down: its tasks are given up at this time (orphaned). */
  readonly orphanAtMs?: number;
  /** Which consensus log it has, or had, as a manager. */
  readonly raftLogId?: string;
}

// ---- Network ----

/** A subnet of a network, as it was asked for. */
export interface NetworkPool {
  readonly subnet: string; // 10.0.9.0/24
  readonly gateway?: string; // absent: its first address
  /** Addresses are chosen from this part of it only. */
  readonly range?: string;
  /** Addresses that others have, by name. */
  readonly auxiliary?: Labels;
}

/** With its first subnet; absent: chosen. */
export interface NetworkSpec extends Partial<NetworkPool> {
  readonly name: string;
  readonly labels: Labels;
  readonly driver: string;
  readonly options: Labels;
  readonly attachable: boolean;
  readonly internal: boolean;
  /** Subnets beside the first one. */
  readonly further?: readonly NetworkPool[];
  /** Containers have IPv6 addresses too. */
  readonly ipv6?: boolean;
  readonly subnet6?: string; // fd00:9::/64; absent: chosen
  /** Of IPv6, beside the first one. */
  readonly further6?: readonly string[];
}

/** A network of the cluster. What its creation settled never changes. */
export interface Network extends ObjectMeta {
  readonly id: NetworkId;
  readonly spec: NetworkSpec;
  readonly subnet: string;
  readonly gateway: string;
  /** Subnets beside the first one. */
  readonly further?: readonly NetworkSubnet[];
  /** With IPv6. What an address there follows from: `sixOf` in network-plan.ts. */
  readonly subnet6?: string;
  readonly further6?: readonly string[];
  /** Tells its packets from those of other networks on the wire between nodes. */
  readonly vni: number;
}

export interface NetworkSubnet {
  readonly subnet: string;
  readonly gateway: string;
}

export interface NetworkAddress {
  readonly networkId: NetworkId;
  readonly address: string; // 10.0.9.3
}

/** The place of a container that no service owns on a network of the cluster. It lasts as long as its node says so. */
export interface Guest extends ObjectMeta {
  readonly id: GuestId;
  readonly nodeId: NodeId;
  readonly networkId: NetworkId;
  readonly containerId: string;
  readonly name: string;
  readonly aliases: readonly string[];
  /** The container wants this one and no other. */
  readonly asked?: string;
  /** Given by the allocator. */
  readonly address?: string;
  /** Why the allocator gave none. */
  readonly error?: string;
}

/** The keys of an encrypted network, under the network's id. For the nodes on the network, and nobody else to see. */
export interface Keyring extends ObjectMeta {
  readonly id: KeyringId;
  /** What may be received; the eldest first. */
  readonly keys: readonly { readonly id: number; readonly secret: string }[]; // 64 hex digits
  readonly sendId: number;
  readonly turnAtMs: number;
  /** So many of the next turns come quickly, as somebody knows these keys who is not to know them any more. */
  readonly hurriedTurns?: number;
}

// ---- Cluster ----

export interface ClusterSpec {
  readonly name: string; // 'default'
  readonly labels: Labels;
  readonly orchestration: { readonly taskHistoryLimit: number };
  readonly raft: {
    readonly tickMs: number;
    readonly heartbeatTicks: number;
    readonly electionTicksMin: number;
    readonly electionTicksMax: number;
    readonly snapshotIntervalEntries: number;
    readonly keepOldSnapshots: number;
    readonly logEntriesForSlowFollowers: number;
  };
  readonly dispatcher: {
    readonly heartbeatMs: number;
    readonly nodeDownAfterMs: number;
    readonly orphanAfterMs: number;
  };
  readonly certificates: { readonly lifetimeMs: number };
  /** Managers' disks open only with the cluster's unlock key. Absent: false. */
  readonly autoLockManagers?: boolean;
}

export interface JoinTokens {
  readonly worker: string;
  readonly manager: string;
}

export interface Cluster extends ObjectMeta {
  readonly id: ClusterId;
  readonly spec: ClusterSpec;
  /** Raised only when every manager can read the newer entry and object formats. */
  readonly formatVersion: number;
  /** Trusted roots, PEM, the signing one first. */
  readonly rootCertificates: readonly string[];
  /** PEM (PKCS#8). Never leaves the managers; the log and the snapshots that hold it are sealed. */
  readonly rootKey: string;
  readonly tokens: JoinTokens;
  /** What a restarted manager asks for; present while managers lock themselves. Never leaves them but for operators. */
  readonly unlockKey?: string;
}
