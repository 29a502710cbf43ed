// Specifications from JSON, at the border. Only the shape is checked here; what a shape cannot say (names, ranges,
// contradictions) is validate.ts.
import type {
  ClusterSpec,
  ContainerSpec,
  EndpointSpec,
  HealthCheck,
  Mount,
  NetworkAttachmentSpec,
  NetworkPool,
  NetworkSpec,
  NodeSpec,
  Placement,
  PortConfig,
  Resources,
  RestartPolicy,
  ServiceMode,
  ServiceSpec,
  TaskRuntime,
  TaskSpec,
  UpdateConfig,
} from './objects.ts';
import {
  decimal,
  exactly,
  flag,
  integer,
  labels,
  list,
  maybe,
  object,
  oneOf,
  type Parser,
  text,
  texts,
  union,
} from './shape.ts';

const driver: Parser<{ readonly name: string; readonly options: Readonly<Record<string, string>> }> = object({
  name: text,
  options: labels,
});

const mount: Parser<Mount> = object<Mount>({
  type: oneOf('bind', 'volume', 'tmpfs'),
  source: text,
  target: text,
  readOnly: flag,
  propagation: maybe(oneOf('private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave')),
  tmpfsSizeBytes: maybe(integer()),
  tmpfsMode: maybe(integer()),
  volumeLabels: maybe(labels),
  volumeDriver: maybe(driver),
  volumeNoCopy: maybe(flag),
});

const healthCheck: Parser<HealthCheck> = object<HealthCheck>({
  test: texts,
  intervalMs: decimal,
  timeoutMs: decimal,
  startPeriodMs: decimal,
  startIntervalMs: decimal,
  retries: integer(),
});

const container: Parser<ContainerSpec> = object<ContainerSpec>({
  image: text,
  command: maybe(texts),
  args: maybe(texts),
  hostname: maybe(text),
  env: texts,
  workingDirectory: maybe(text),
  user: maybe(text),
  groups: maybe(texts),
  labels,
  mounts: list(mount),
  stopSignal: maybe(text),
  stopGraceMs: maybe(decimal),
  healthCheck: maybe(healthCheck),
  hosts: maybe(texts),
  dns: maybe(object({ servers: texts, search: texts, options: texts })),
  tty: maybe(flag),
  openStdin: maybe(flag),
  readOnly: maybe(flag),
  init: maybe(flag),
  capabilityAdd: maybe(texts),
  capabilityDrop: maybe(texts),
  sysctls: maybe(labels),
  ulimits: maybe(list(object({ name: text, soft: integer(), hard: integer() }))),
});

const resources: Parser<Resources> = object<Resources>({
  nanoCpus: integer(),
  memoryBytes: integer(),
  pids: maybe(integer()),
});

const restart: Parser<RestartPolicy> = object<RestartPolicy>({
  condition: oneOf('none', 'on-failure', 'any'),
  delayMs: decimal,
  attemptsMax: integer(),
  windowMs: decimal,
});

const placement: Parser<Placement> = object<Placement>({
  constraints: texts,
  preferences: list(object({ spread: text })),
  replicasPerNodeMax: integer(),
  platforms: maybe(list(object({ os: text, architecture: text }))),
});

const network: Parser<NetworkAttachmentSpec> = object<NetworkAttachmentSpec>({ target: text, aliases: texts });

const task: Parser<TaskSpec> = object<TaskSpec>({
  runtime: union<TaskRuntime>({ container: object({ kind: exactly('container'), container }) }),
  limits: maybe(resources),
  reservations: maybe(resources),
  restart,
  placement,
  networks: list(network),
  logDriver: maybe(driver),
  forceUpdate: integer({ min: 0 }),
  imageDigest: maybe(text),
  registryAuth: maybe(text),
});

const mode: Parser<ServiceMode> = union<ServiceMode>({
  replicated: object({ kind: exactly('replicated'), replicas: integer() }),
  global: object({ kind: exactly('global') }),
});

const update: Parser<UpdateConfig> = object<UpdateConfig>({
  parallelism: integer(),
  delayMs: decimal,
  failureAction: oneOf('pause', 'continue', 'rollback'),
  monitorMs: decimal,
  failureRatioMax: decimal,
  order: oneOf('stop-first', 'start-first'),
  progressDeadlineMs: maybe(decimal),
});

export const parsePort: Parser<PortConfig> = object<PortConfig>({
  name: maybe(text),
  protocol: oneOf('tcp', 'udp', 'sctp'),
  targetPort: integer(),
  publishedPort: integer(),
  publishMode: oneOf('ingress', 'host'),
});

const endpoint: Parser<EndpointSpec> = object<EndpointSpec>({ mode: oneOf('vip', 'dnsrr'), ports: list(parsePort) });

export const parseServiceSpec: Parser<ServiceSpec> = object<ServiceSpec>({
  name: text,
  labels,
  task,
  mode,
  update,
  rollback: update,
  endpoint,
});

export const parseNodeSpec: Parser<NodeSpec> = object<NodeSpec>({
  name: text,
  labels,
  role: oneOf('worker', 'manager'),
  availability: oneOf('active', 'pause', 'drain'),
});

const pool: Parser<NetworkPool> = object<NetworkPool>({
  subnet: text,
  gateway: maybe(text),
  range: maybe(text),
  auxiliary: maybe(labels),
});

export const parseNetworkSpec: Parser<NetworkSpec> = object<NetworkSpec>({
  name: text,
  labels,
  driver: text,
  options: labels,
  attachable: flag,
  internal: flag,
  subnet: maybe(text),
  gateway: maybe(text),
  range: maybe(text),
  auxiliary: maybe(labels),
  further: maybe(list(pool)),
  ipv6: maybe(flag),
  subnet6: maybe(text),
  further6: maybe(list(text)),
});

export const parseClusterSpec: Parser<ClusterSpec> = object<ClusterSpec>({
  name: text,
  labels,
  orchestration: object({ taskHistoryLimit: integer() }),
  raft: object({
    tickMs: integer(),
    heartbeatTicks: integer(),
    electionTicksMin: integer(),
    electionTicksMax: integer(),
    snapshotIntervalEntries: integer(),
    keepOldSnapshots: integer(),
    logEntriesForSlowFollowers: integer(),
  }),
  dispatcher: object({ heartbeatMs: integer(), nodeDownAfterMs: integer(), orphanAfterMs: integer() }),
  certificates: object({ lifetimeMs: integer() }),
  autoLockManagers: maybe(flag),
});
