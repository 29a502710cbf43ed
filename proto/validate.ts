// What may be stored: specifications checked for what their shape cannot say. Pure; the first fault is thrown as
// `invalid`. Source of the wordings: SwarmKit's control API and the Engine's mount parser; clients match on some.
import { fail } from '../base/errors.ts';
import { parseConstraint } from './constraints.ts';
import { CERTIFICATE_LIFETIME_MIN_MS, CLUSTER_NAME } from './defaults.ts';
import { isImageReference } from './image-reference.ts';
import { checkAffinity } from './session-affinity.ts';
import type {
  ClusterSpec,
  ContainerSpec,
  EndpointSpec,
  HealthCheck,
  Labels,
  Mount,
  NetworkSpec,
  NodeSpec,
  Placement,
  PortConfig,
  Resources,
  RestartPolicy,
  ServiceMode,
  ServiceSpec,
  TaskSpec,
  UpdateConfig,
} from './objects.ts';

/** SwarmKit's, with one letter per turn: its own form takes exponential time to refuse some names here. */
const NAME = /^[a-zA-Z0-9](?:[-_]*[A-Za-z0-9])*$/;
const NAME_LENGTH_MAX = 63;
const REPLICAS_MAX = 100_000;
const NANO_CPUS_MIN = 1e6;
const MEMORY_BYTES_MIN = 4 * 1024 * 1024;
/** A service carries two specifications, and both must fit in one raft entry with room to spare. */
const SPEC_BYTES_MAX = 512 * 1024;

export function checkServiceSpec(spec: ServiceSpec): void {
  checkName(spec.name);
  checkLabels(spec.labels);
  checkAffinity(spec.labels);
  checkTaskSpec(spec.task);
  checkMode(spec.mode);
  checkUpdate(spec.update, 'update');
  checkUpdate(spec.rollback, 'rollback');
  if (spec.rollback.failureAction === 'rollback')
    invalid('TaskSpec: a rollback cannot be rolled back: rollback-failure-action is pause or continue');
  checkEndpoint(spec.endpoint);
  checkSize(spec);
}

export function checkNodeSpec(spec: NodeSpec): void {
  if (spec.name !== '') checkName(spec.name);
  checkLabels(spec.labels);
  checkSize(spec);
}

export function checkNetworkSpec(spec: NetworkSpec): void {
  checkName(spec.name);
  checkLabels(spec.labels);
  if (spec.driver === '') invalid('driver name: must be provided');
  checkSize(spec);
}

export function checkClusterSpec(spec: ClusterSpec): void {
  const { raft, dispatcher, certificates, orchestration } = spec;
  if (spec.name !== CLUSTER_NAME) invalid('modification of cluster name is not allowed');
  checkLabels(spec.labels);
  checkSize(spec);
  if (orchestration.taskHistoryLimit < 0) invalid('task history retention limit cannot be negative');
  if (certificates.lifetimeMs < CERTIFICATE_LIFETIME_MIN_MS) invalid('minimum certificate expiry time is 1h0m0s');
  checkRaft(raft);
  checkDispatcher(dispatcher);
}

export function checkLabels(labels: Labels): void {
  if (Object.keys(labels).some((key) => key === '')) invalid('a label must have a name');
}

function invalid(message: string): never {
  return fail('invalid', message);
}

function checkName(name: string): void {
  if (name === '') invalid('meta: name must be provided');
  if (!NAME.test(name)) invalid('name must be valid as a DNS name component');
  if (name.length > NAME_LENGTH_MAX) invalid(`name must be ${NAME_LENGTH_MAX} characters or fewer`);
}

function checkSize(spec: object): void {
  const bytes = Buffer.byteLength(JSON.stringify(spec));
  if (bytes > SPEC_BYTES_MAX) invalid(`the specification has ${bytes} bytes, the most is ${SPEC_BYTES_MAX}`);
}

function checkMode(mode: ServiceMode): void {
  if (mode.kind === 'global') return;
  if (mode.replicas < 0) invalid('Number of replicas must be non-negative');
  if (mode.replicas > REPLICAS_MAX) invalid(`Number of replicas must be at most ${REPLICAS_MAX}`);
}

function checkUpdate(config: UpdateConfig, flag: 'update' | 'rollback'): void {
  if (config.parallelism < 0) invalid(`TaskSpec: ${flag}-parallelism cannot be negative`);
  if (config.delayMs < 0) invalid(`TaskSpec: ${flag}-delay cannot be negative`);
  if (config.monitorMs < 0) invalid(`TaskSpec: ${flag}-monitor cannot be negative`);
  if (config.failureRatioMax < 0 || config.failureRatioMax > 1) {
    invalid(`TaskSpec: ${flag}-maxfailureratio cannot be less than 0 or bigger than 1`);
  }
  if (config.progressDeadlineMs !== undefined && config.progressDeadlineMs <= 0) {
    invalid(`TaskSpec: ${flag}-progress-deadline must be positive`);
  }
}

function checkTaskSpec(spec: TaskSpec): void {
  if (spec.limits) checkResources(spec.limits);
  if (spec.reservations) checkResources(spec.reservations);
  checkRestart(spec.restart);
  checkPlacement(spec.placement);
  checkContainer(spec.runtime.container);
  if (spec.networks.some((network) => network.target === '')) invalid('network attachment: target must be provided');
  if (spec.logDriver?.name === '') invalid('log driver: name must be provided');
}

function checkResources({ nanoCpus, memoryBytes, pids }: Resources): void {
  if (nanoCpus !== 0 && nanoCpus < NANO_CPUS_MIN) {
    invalid(`invalid cpu value ${nanoCpus / 1e9}: Must be at least ${NANO_CPUS_MIN / 1e9}`);
  }
  if (memoryBytes !== 0 && memoryBytes < MEMORY_BYTES_MIN) {
    invalid(`invalid memory value ${memoryBytes}: Must be at least 4MiB`);
  }
  if (pids !== undefined && pids < 0) invalid(`invalid pids value ${pids}: must be 0 for no limit or more`);
}

function checkRestart({ delayMs, windowMs, attemptsMax }: RestartPolicy): void {
  if (delayMs < 0) invalid('TaskSpec: restart-delay cannot be negative');
  if (windowMs < 0) invalid('TaskSpec: restart-window cannot be negative');
  if (attemptsMax < 0) invalid('TaskSpec: restart-max-attempts cannot be negative');
}

function checkPlacement({ constraints, preferences, replicasPerNodeMax }: Placement): void {
  for (const constraint of constraints) parseConstraint(constraint);
  for (const { spread } of preferences) {
    if (!/^(node|engine)\.labels\..+/i.test(spread)) {
      invalid(`placement preference '${spread}' is invalid: spread takes node.labels.NAME or engine.labels.NAME`);
    }
  }
  if (replicasPerNodeMax < 0) invalid('maximum replicas per node cannot be negative');
}

function checkContainer(spec: ContainerSpec): void {
  if (spec.image === '') invalid('ContainerSpec: image reference must be provided');
  if (!isImageReference(spec.image)) invalid(`ContainerSpec: "${spec.image}" is not a valid repository/tag`);
  checkMounts(spec.mounts);
  if (spec.healthCheck) checkHealth(spec.healthCheck);
  if (spec.stopGraceMs !== undefined && spec.stopGraceMs < 0)
    invalid('ContainerSpec: StopGracePeriod cannot be negative');
  for (const entry of spec.env) if (/^(=|$)/.test(entry)) invalid(`invalid environment variable: ${entry}`);
  checkLabels(spec.labels);
  for (const { name, soft, hard } of spec.ulimits ?? []) {
    if (hard !== -1 && (soft > hard || soft === -1)) {
      invalid(`ulimit soft limit must be less than or equal to hard limit: ${name} ${soft} > ${hard}`);
    }
  }
}

function checkMounts(mounts: readonly Mount[]): void {
  const targets = new Set<string>();
  for (const mount of mounts) {
    checkMount(mount);
    const target = mount.target.replace(/(?<=.)\/+$/, '');
    if (targets.has(target)) invalid(`ContainerSpec: duplicate mount point: ${mount.target}`);
    targets.add(target);
  }
}

function checkMount(mount: Mount): void {
  const wrong = (reason: string): never => invalid(`invalid mount config for type "${mount.type}": ${reason}`);
  if (mount.target === '') wrong('field Target must not be empty');
  if (!mount.target.startsWith('/')) wrong(`invalid mount path: '${mount.target}' mount path must be absolute`);
  if (/^\/+$/.test(mount.target)) wrong("invalid specification: destination can't be '/'");
  if (mount.type === 'bind' && mount.source === '') wrong('field Source must not be empty');
  if (mount.type === 'bind' && !mount.source.startsWith('/')) {
    wrong(`invalid mount path: '${mount.source}' mount path must be absolute`);
  }
  if (mount.type === 'tmpfs' && mount.source !== '') wrong('field Source must not be specified');
  if ((mount.tmpfsSizeBytes ?? 0) < 0) wrong('field TmpfsOptions.SizeBytes must not be negative');
}

function checkHealth(check: HealthCheck): void {
  const negative = (field: string): never => invalid(`ContainerSpec: ${field} in HealthConfig cannot be negative`);
  if (check.intervalMs < 0) negative('Interval');
  if (check.timeoutMs < 0) negative('Timeout');
  if (check.startPeriodMs < 0) negative('StartPeriod');
  if (check.startIntervalMs < 0) negative('StartInterval');
  if (check.retries < 0) negative('Retries');
  const [form] = check.test;
  if (form !== undefined && !['NONE', 'CMD', 'CMD-SHELL'].includes(form)) {
    invalid(`ContainerSpec: unknown form '${form}' of the test in HealthConfig: NONE, CMD or CMD-SHELL`);
  }
}

function checkEndpoint({ mode, ports }: EndpointSpec): void {
  const published = new Set<string>();
  for (const port of ports) {
    checkPort(port);
    if (mode === 'dnsrr' && port.publishMode === 'ingress') {
      invalid("EndpointSpec: port published with ingress mode can't be used with dnsrr mode");
    }
    if (port.publishedPort === 0) continue;
    const key = `${port.publishedPort}/${port.protocol}`;
    if (published.has(key)) invalid(`EndpointSpec: duplicate published ports provided: ${key}`);
    published.add(key);
  }
}

function checkPort({ targetPort, publishedPort }: PortConfig): void {
  if (targetPort < 1 || targetPort > 65_535)
    invalid(`EndpointSpec: invalid target port ${targetPort}: it is 1 to 65535`);
  if (publishedPort < 0 || publishedPort > 65_535) {
    invalid(`EndpointSpec: invalid published port ${publishedPort}: it is 1 to 65535, or 0 to have one chosen`);
  }
}

function checkRaft(raft: ClusterSpec['raft']): void {
  if (raft.tickMs < 1) invalid('raft: tick must be at least 1 ms');
  if (raft.heartbeatTicks < 1) invalid('raft: heartbeat tick must be at least 1');
  if (raft.electionTicksMin <= raft.heartbeatTicks) invalid('raft: election tick must be greater than heartbeat tick');
  if (raft.electionTicksMax <= raft.electionTicksMin) {
    invalid('raft: the longest election timeout must be greater than the shortest');
  }
  if (raft.snapshotIntervalEntries < 1) invalid('raft: snapshot interval must be at least 1 entry');
  if (raft.keepOldSnapshots < 0) invalid('raft: number of old snapshots to keep cannot be negative');
  if (raft.logEntriesForSlowFollowers < 0) invalid('raft: log entries for slow followers cannot be negative');
}

function checkDispatcher(dispatcher: ClusterSpec['dispatcher']): void {
  if (dispatcher.heartbeatMs < 0) invalid('heartbeat time period cannot be a negative duration');
  if (dispatcher.heartbeatMs < 100) invalid('dispatcher: heartbeat period must be at least 100 ms');
  if (dispatcher.nodeDownAfterMs < 2 * dispatcher.heartbeatMs) {
    invalid('dispatcher: a node may be taken for down after two heartbeat periods at the earliest');
  }
  if (dispatcher.orphanAfterMs < dispatcher.nodeDownAfterMs) {
    invalid('dispatcher: tasks may be given up after their node is down at the earliest');
  }
}
