// A task's spec as the configuration of its container. Pure.
import { fail } from '../../base/errors.ts';
import type { ContainerSpec, Mount, NodeDescription, PortConfig, Task } from '../../proto/objects.ts';
import type { ContainerConfig, ContainerLimits, ContainerMount } from '../../runtime/container/contract.ts';
import type { PortPublish } from '../../runtime/network/contract.ts';
import { expand, taskName, type TemplateContext } from './template.ts';

export const TASK_LABEL = 'com.docker.swarm.task.id';

export function containerConfig(task: Task, node: NodeDescription): ContainerConfig {
  const { container } = task.spec.runtime;
  const context: TemplateContext = { task, node };
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
    publish: hostPorts(task),
    network: networkOf(task),
    networkAliases: [],
    dns: container.dns ?? { servers: [], search: [], options: [] },
    extraHosts: (container.hosts ?? []).flatMap(extraHosts),
    mounts: container.mounts.filter((mount) => mount.type !== 'tmpfs').map((mount) => toMount(mount, context)),
    tmpfs: tmpfsOf(container),
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
    'com.docker.swarm.task.name': taskName(task),
  };
}

/** What a service can not ask for. The swarm restarts tasks itself. */
const NOT_FOR_TASKS = {
  domainName: '',
  stdinOnce: false,
  exposedPorts: [],
  publishAll: false,
  macAddress: '',
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

function networkOf(task: Task): string {
  const [first, ...more] = task.spec.networks;
  if (more.length > 0) fail('not-implemented', 'a task on several networks is not implemented yet');
  return first?.target ?? 'bridge';
}

/** Ports that are opened on this node for this task alone. Ingress ports are the node's, not the container's. */
function hostPorts(task: Task): PortPublish[] {
  return task.ports
    .filter((port) => port.publishMode === 'host')
    .map(({ protocol, targetPort, publishedPort }) => ({
      protocol,
      containerPort: targetPort,
      hostAddress: '',
      hostPort: publishedPort,
    }));
}

/** The host ports as the machine opened them, for the task's status. */
export function openedPorts(task: Task, published: readonly PortPublish[]): PortConfig[] {
  return task.ports
    .filter((port) => port.publishMode === 'host')
    .flatMap((port) => {
      const match = published.find(
        ({ protocol, containerPort }) => protocol === port.protocol && containerPort === port.targetPort,
      );
      return match ? [{ ...port, publishedPort: match.hostPort }] : [];
    });
}

/** From /etc/hosts' order to the runtime's name:address. */
function extraHosts(line: string): string[] {
  const [address = '', ...names] = line.trim().split(/\s+/);
  return names.map((name) => `${name}:${address}`);
}

function toMount(mount: Mount, context: TemplateContext): ContainerMount {
  return {
    type: mount.type,
    source: expand(mount.source, context, 'mount source'),
    target: expand(mount.target, context, 'mount target'),
    readOnly: mount.readOnly,
    propagation: mount.propagation ?? '',
    tmpfsOptions: '',
    noCopy: mount.volumeNoCopy ?? false,
    createSource: false,
  };
}

function tmpfsOf({ mounts }: ContainerSpec): Record<string, string> {
  const options = ({ readOnly, tmpfsSizeBytes, tmpfsMode }: Mount): string =>
    [
      ...(readOnly ? ['ro'] : []),
      ...(tmpfsSizeBytes ? [`size=${tmpfsSizeBytes}`] : []),
      ...(tmpfsMode ? [`mode=${tmpfsMode.toString(8)}`] : []),
    ].join(',');
  return Object.fromEntries(
    mounts.filter(({ type }) => type === 'tmpfs').map((mount) => [mount.target, options(mount)]),
  );
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
