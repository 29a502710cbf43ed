// Whole objects with plain values, for tests that care about one or two fields.
import type { Id } from '../../base/id.ts';
import type {
  Cluster,
  ClusterSpec,
  ContainerSpec,
  Network,
  NetworkId,
  NetworkSpec,
  Node,
  NodeId,
  Service,
  ServiceId,
  ServiceSpec,
  Task,
  TaskId,
  TaskSpec,
  UpdateConfig,
} from '../../proto/objects.ts';

type Stored = 'version' | 'createdAtMs' | 'updatedAtMs';

/** 25 characters that say what they are: `anId('task', 7)` is `task…007`. */
export function anId<Kind extends string>(kind: Kind, number: number): Id<Kind> {
  return `${kind}${String(number).padStart(25 - kind.length, '0')}` as Id<Kind>;
}

export function anUpdateConfig(changes: Partial<UpdateConfig> = {}): UpdateConfig {
  return {
    parallelism: 1,
    delayMs: 0,
    failureAction: 'pause',
    monitorMs: 5_000,
    failureRatioMax: 0,
    order: 'stop-first',
    ...changes,
  };
}

export function aTaskSpec(
  changes: Partial<Omit<TaskSpec, 'runtime'>> & { container?: Partial<ContainerSpec> } = {},
): TaskSpec {
  const { container, ...rest } = changes;
  return {
    runtime: { kind: 'container', container: { image: 'demo:1', env: [], labels: {}, mounts: [], ...container } },
    restart: { condition: 'any', delayMs: 5_000, attemptsMax: 0, windowMs: 0 },
    placement: { constraints: [], preferences: [], replicasPerNodeMax: 0 },
    networks: [],
    forceUpdate: 0,
    ...rest,
  };
}

export function aServiceSpec(changes: Partial<ServiceSpec> = {}): ServiceSpec {
  return {
    name: 'web',
    labels: {},
    task: aTaskSpec(),
    mode: { kind: 'replicated', replicas: 1 },
    update: anUpdateConfig(),
    rollback: anUpdateConfig(),
    endpoint: { mode: 'vip', ports: [] },
    ...changes,
  };
}

export function aService(changes: Partial<Service> = {}): Omit<Service, Stored> {
  return { id: anId('service', 1) as ServiceId, spec: aServiceSpec(), specVersion: 1, ...changes };
}

/** The first task of the given service's slot 1, just made. */
export function aTask(changes: Partial<Task> = {}, of: Omit<Service, Stored> = aService()): Omit<Task, Stored> {
  return {
    id: anId('task', 1) as TaskId,
    serviceId: of.id,
    serviceName: of.spec.name,
    serviceLabels: of.spec.labels,
    identity: { kind: 'slot', slot: 1 },
    spec: of.spec.task,
    specVersion: of.specVersion,
    desired: 'running',
    status: { state: 'new', atMs: 0, message: 'created' },
    ports: of.spec.endpoint.ports,
    ...changes,
  };
}

/** A ready, active worker with 4 processors and 8 GiB. */
export function aNode(changes: Partial<Node> = {}): Omit<Node, Stored> {
  return {
    id: anId('node', 1) as NodeId,
    spec: { name: '', labels: {}, role: 'worker', availability: 'active' },
    role: 'worker',
    description: {
      hostname: 'node1',
      platform: { os: 'linux', architecture: 'x86_64' },
      resources: { nanoCpus: 4e9, memoryBytes: 8 * 1024 ** 3 },
      engine: { version: '0.1.0', labels: {}, plugins: [] },
    },
    status: { state: 'ready', message: '', address: '10.0.0.1', sinceMs: 0 },
    ...changes,
  };
}

export function aClusterSpec(changes: Partial<ClusterSpec> = {}): ClusterSpec {
  return {
    name: 'default',
    labels: {},
    orchestration: { taskHistoryLimit: 5 },
    raft: {
      tickMs: 50,
      heartbeatTicks: 2,
      electionTicksMin: 8,
      electionTicksMax: 15,
      snapshotIntervalEntries: 10_000,
      keepOldSnapshots: 0,
      logEntriesForSlowFollowers: 500,
    },
    dispatcher: { heartbeatMs: 1_000, nodeDownAfterMs: 3_000, orphanAfterMs: 24 * 3_600_000 },
    certificates: { lifetimeMs: 90 * 24 * 3_600_000 },
    ...changes,
  };
}

export function aCluster(changes: Partial<Cluster> = {}): Omit<Cluster, Stored> {
  return {
    id: anId('cluster', 1),
    spec: aClusterSpec(),
    formatVersion: 1,
    rootCertificates: ['-----BEGIN CERTIFICATE-----\nroot\n-----END CERTIFICATE-----\n'],
    rootKey: 'the private key',
    tokens: { worker: 'SWMTKN-1-digest-worker', manager: 'SWMTKN-1-digest-manager' },
    ...changes,
  };
}

export function aNetworkSpec(changes: Partial<NetworkSpec> = {}): NetworkSpec {
  return { name: 'back', labels: {}, driver: 'overlay', options: {}, attachable: false, internal: false, ...changes };
}

export function aNetwork(changes: Partial<Network> = {}): Omit<Network, Stored> {
  return {
    id: anId('network', 1) as NetworkId,
    spec: aNetworkSpec(),
    subnet: '10.0.1.0/24',
    gateway: '10.0.1.1',
    vni: 4097,
    ...changes,
  };
}
