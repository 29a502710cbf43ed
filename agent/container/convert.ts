// A task's spec as the configuration of its container. Pure: the same task on the same node has the same container.
import { fail } from '../../base/errors.ts';
import { isPredefinedNetwork } from '../../proto/defaults.ts';
import { clusterNetworks } from '../../proto/network-plan.ts';
import type { Mount, PortConfig, Task } from '../../proto/objects.ts';
import type {
  ContainerConfig,
  ContainerLimits,
  ContainerMount,
  NetworkAttachment,
} from '../../runtime/container/contract.ts';
import type { PortPublish } from '../../runtime/network/contract.ts';
import { expand, taskName, type TemplateContext } from './template.ts';

export const TASK_LABEL = 'com.docker.swarm.task.id';
export const TASK_NAME_LABEL = 'com.docker.swarm.task.name';

/** `isInternal`: of the cluster's networks, which by their definition lead nowhere else. */
export function containerConfig(
  task: Task,
  node: TemplateContext['node'],
  isInternal: (networkId: string) => boolean = () => false,
): ContainerConfig {
  const { container } = task.spec.runtime;
  const context: TemplateContext = { task, node };
  const publish = hostPorts(task);
  return {
    name: taskName(task),
    image: container.image,
    entrypoint: container.command,
    command: container.args,
    env: container.env.map((entry) => expand(entry, context, 'env')),
    workingDirectory: container.workingDirectory ?? '',
    user: container.user ?? '',
    groups: container.groups ?? [],
    hostname: expand(container.hostname ?? '', context, 'hostname'),
    labels: { ...container.labels, ...taskLabels(task) },
    terminal: container.tty ?? false,
    openStdin: container.openStdin ?? false,
    stopSignal: container.stopSignal ?? '',
    stopGraceMs: container.stopGraceMs ?? -1,
    healthCheck: container.healthCheck,
    exposedPorts: [...new Set(publish.map(({ containerPort, protocol }) => `${containerPort}/${protocol}`))],
    publish,
    ...placesOf(task, isInternal),
    dns: container.dns ?? { servers: [], search: [], options: [] },
    extraHosts: (container.hosts ?? []).flatMap(extraHosts),
    mounts: container.mounts.map((mount) => containerMount(mount, context)),
    readOnlyRoot: container.readOnly ?? false,
    init: container.init ?? false,
    capabilityAdd: container.capabilityAdd ?? [],
    capabilityDrop: container.capabilityDrop ?? [],
    ulimits: container.ulimits ?? [],
    sysctls: container.sysctls ?? {},
    limits: limitsOf(task),
    logDriver: task.spec.logDriver ?? { name: 'json-file', options: {} },
    ...NOT_FOR_TASKS,
  };
}

export function taskLabels(task: Task): Readonly<Record<string, string>> {
  return {
    'com.docker.swarm.node.id': task.nodeId ?? '',
    'com.docker.swarm.service.id': task.serviceId,
    'com.docker.swarm.service.name': task.serviceName,
    'com.docker.swarm.task': '',
    [TASK_LABEL]: task.id,
    [TASK_NAME_LABEL]: taskName(task),
  };
}

/** What a service can not ask for. The swarm restarts tasks itself. */
const NOT_FOR_TASKS = {
  domainName: '',
  stdinOnce: false,
  publishAll: false,
  networkAliases: [],
  macAddress: '',
  tmpfs: {},
  privileged: false,
  securityOptions: [],
  devices: [],
  pidMode: '',
  ipcMode: '',
  utsMode: '',
  cgroupNamespaceMode: '',
  cgroupParent: '',
  shmBytes: 0,
  oomScoreAdjustment: 0,
  restart: { name: 'no', attemptsMax: 0 },
  autoRemove: false,
  asRequested: {},
} as const;

/** Where the task leads outside; its networks of the cluster come beside it. */
function networkOf({ spec: { networks } }: Task): string {
  const own = networks.find(({ target }) => isPredefinedNetwork(target));
  return own?.target ?? 'bridge';
}

/**
 * The node's bridge carries what comes from outside and goes there, and published ports; the networks what is inside. A
 * task that is on internal networks only, and publishes nothing, has no way out.
 */
function placesOf(
  task: Task,
  isInternal: (networkId: string) => boolean,
): Pick<ContainerConfig, 'network' | 'attachments'> {
  const inside = insideOf(task);
  const outside = networkOf(task);
  const [first] = inside;
  const onBridge = { ...PLAIN, network: outside, ...(isReachedBySix(task) && { reachedBySix: true }) };
  if (!first) return { network: outside, ...(isReachedBySix(task) && { attachments: [onBridge] }) };
  const asksForMore = task.ports.length > 0 || task.spec.networks.length > inside.length;
  if (!asksForMore && inside.every(({ network }) => isInternal(network))) {
    return { network: first.network, attachments: inside };
  }
  return { network: outside, attachments: [{ ...onBridge, gatewayPriority: 1 }, ...inside] };
}

/** Its published ports are. */
const isReachedBySix = (task: Task): boolean => task.ports.length > 0 && networkOf(task) === 'bridge';

const PLAIN = { aliases: [], links: [], macAddress: '', address: '', address6: '', gatewayPriority: 0 };

function insideOf(task: Task): NetworkAttachment[] {
  return clusterNetworks(task.spec.networks).map((network): NetworkAttachment => {
    const found = task.attachments?.find(({ networkId }) => networkId === network);
    if (!found) return fail('internal', `task ${task.id} has no address in network ${network}`);
    return { ...PLAIN, network, address: found.address, assigned: true };
  });
}

/** Ports that are opened on this node for this task alone. On the host's own network the task opens them itself. */
function hostPorts(task: Task): PortPublish[] {
  if (networkOf(task) !== 'bridge') return [];
  return task.ports.filter(isHostMode).map(({ protocol, targetPort, publishedPort }) => ({
    protocol,
    containerPort: targetPort,
    hostAddress: '',
    hostPort: publishedPort,
  }));
}

/** The host ports as the machine opened them, for the task's status. Each opened port answers for one that was asked for. */
export function openedPorts(task: Task, published: readonly PortPublish[]): PortConfig[] {
  const left = [...published];
  return task.ports.filter(isHostMode).flatMap((port) => {
    const at = left.findIndex((opened) => answers(opened, port));
    const [opened] = at < 0 ? [] : left.splice(at, 1);
    return opened ? [{ ...port, publishedPort: opened.hostPort }] : [];
  });
}

const isHostMode = ({ publishMode }: PortConfig): boolean => publishMode === 'host';

const answers = (opened: PortPublish, asked: PortConfig): boolean =>
  opened.protocol === asked.protocol &&
  opened.containerPort === asked.targetPort &&
  (asked.publishedPort === 0 || asked.publishedPort === opened.hostPort);

/** From /etc/hosts' order to the runtime's name:address. */
function extraHosts(line: string): string[] {
  const [address = '', ...names] = line.trim().split(/\s+/);
  return names.map((name) => `${name}:${address}`);
}

function containerMount(mount: Mount, context: TemplateContext): ContainerMount {
  return {
    type: mount.type,
    source: mount.type === 'tmpfs' ? '' : expand(mount.source, context, `mount source ${mount.source}`),
    target: mount.target,
    readOnly: mount.readOnly,
    propagation: mount.type === 'bind' ? (mount.propagation ?? '') : '',
    tmpfsOptions: mount.type === 'tmpfs' ? tmpfsOptions(mount) : '',
    noCopy: mount.volumeNoCopy ?? false,
    createSource: false, // as Docker: a service's bind mount of a missing folder is a mistake
  };
}

function tmpfsOptions({ tmpfsSizeBytes, tmpfsMode }: Mount): string {
  const size = tmpfsSizeBytes ? [`size=${tmpfsSizeBytes}`] : [];
  const mode = tmpfsMode ? [`mode=${tmpfsMode.toString(8)}`] : [];
  return [...size, ...mode].join(',');
}

function limitsOf({ spec: { limits, reservations } }: Task): ContainerLimits {
  return {
    nanoCpus: limits?.nanoCpus ?? 0,
    cpuShares: 0,
    cpuQuota: 0,
    cpuPeriod: 0,
    cpusetCpus: '',
    memoryBytes: limits?.memoryBytes ?? 0,
    memorySwapBytes: 0,
    memoryReservationBytes: reservations?.memoryBytes ?? 0,
    pids: limits?.pids ?? 0,
  };
}
