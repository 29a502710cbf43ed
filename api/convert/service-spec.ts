// A service's specification, between Docker's JSON and ours. Defaults are filled in here, once, where a spec comes in;
// what values may be (negative counts, names, constraints) is judged by the managers.
import { fail } from '../../base/errors.ts';
import { asOneOf, type Json } from '../../base/parse.ts';
import { DEFAULT_REPLICAS, DEFAULT_RESTART, DEFAULT_UPDATE } from '../../proto/defaults.ts';
import type {
  EndpointSpec,
  Placement,
  PortConfig,
  Resources,
  RestartPolicy,
  ServiceMode,
  ServiceSpec,
  TaskSpec,
  UpdateConfig,
} from '../../proto/objects.ts';
import type { PortConfigJson, ServiceSpecJson, TaskSpecJson, UpdateConfigJson } from '../types/swarm.ts';
import { containerSpecJson, parseContainerSpec, present } from './container-spec.ts';
import { Fields } from './fields.ts';
import { msFromNanos, nanosFromMs } from './time.ts';

export function parseServiceSpec(body: Json): ServiceSpec {
  const spec = new Fields(body);
  const task = spec.objectOrAbsent('TaskTemplate') ?? fail('invalid', 'TaskTemplate must be provided');
  return {
    name: spec.text('Name'),
    labels: spec.textMap('Labels'),
    task: parseTaskSpec(task, spec),
    mode: parseMode(spec.object('Mode')),
    update: parseUpdate(spec.objectOrAbsent('UpdateConfig')),
    rollback: parseUpdate(spec.objectOrAbsent('RollbackConfig')),
    endpoint: parseEndpoint(spec.object('EndpointSpec')),
  };
}

export function serviceSpecJson(spec: ServiceSpec): ServiceSpecJson {
  return {
    Name: spec.name,
    Labels: { ...spec.labels },
    TaskTemplate: taskSpecJson(spec.task),
    Mode: spec.mode.kind === 'global' ? { Global: {} } : { Replicated: { Replicas: spec.mode.replicas } },
    UpdateConfig: updateJson(spec.update),
    RollbackConfig: updateJson(spec.rollback),
    EndpointSpec: endpointSpecJson(spec.endpoint),
  };
}

function parseTaskSpec(task: Fields, service: Fields): TaskSpec {
  refuseOtherRuntimes(task);
  const resources = task.object('Resources');
  const networks = task.objects('Networks');
  // Networks beside the task template are the form of API versions before 1.25.
  const attachments = networks.length > 0 ? networks : service.objects('Networks');
  const log = task.objectOrAbsent('LogDriver');
  const container =
    task.objectOrAbsent('ContainerSpec') ?? fail('invalid', 'TaskTemplate.ContainerSpec must be provided');
  return present({
    runtime: { kind: 'container' as const, container: parseContainerSpec(container) },
    limits: parseResources(resources.objectOrAbsent('Limits')),
    reservations: parseResources(resources.objectOrAbsent('Reservations')),
    restart: parseRestart(task.objectOrAbsent('RestartPolicy')),
    placement: parsePlacement(task.object('Placement')),
    networks: attachments.map(parseAttachment),
    logDriver: log && { name: log.text('Name'), options: log.textMap('Options') },
    forceUpdate: task.integer('ForceUpdate', { min: 0 }),
  });
}

function refuseOtherRuntimes(task: Fields): void {
  task.refuse('PluginSpec', 'services of plugins are');
  task.refuse('NetworkAttachmentSpec', 'attaching single containers to a swarm network is');
  const runtime = task.text('Runtime');
  if (runtime !== '' && runtime !== 'container') {
    fail('not-implemented', `${task.path('Runtime')}: tasks of runtime ${runtime} are not implemented yet`);
  }
}

export function taskSpecJson(task: TaskSpec): TaskSpecJson {
  const { limits, reservations, logDriver } = task;
  return present({
    ContainerSpec: containerSpecJson(task.runtime.container),
    Resources: present({
      Limits: limits && resourcesJson(limits),
      Reservations: reservations && resourcesJson(reservations),
    }),
    RestartPolicy: restartJson(task.restart),
    Placement: placementJson(task.placement),
    Networks:
      task.networks.length > 0
        ? task.networks.map(({ target, aliases }) => ({
            Target: target,
            ...(aliases.length > 0 ? { Aliases: [...aliases] } : {}),
          }))
        : undefined,
    LogDriver: logDriver && {
      Name: logDriver.name,
      ...(Object.keys(logDriver.options).length > 0 ? { Options: { ...logDriver.options } } : {}),
    },
    ForceUpdate: task.forceUpdate,
    Runtime: 'container',
  });
}

function parseAttachment(network: Fields) {
  network.refuse('DriverOpts', 'driver options of a network attachment are');
  return { target: network.text('Target'), aliases: network.texts('Aliases') };
}

function parseResources(resources: Fields | undefined): Resources | undefined {
  if (!resources) return undefined;
  resources.refuse('GenericResources', 'generic resources are');
  const pids = resources.integer('Pids');
  return {
    nanoCpus: resources.integer('NanoCPUs'),
    memoryBytes: resources.integer('MemoryBytes'),
    ...(pids === 0 ? {} : { pids }),
  };
}

const resourcesJson = ({ nanoCpus, memoryBytes, pids }: Resources) => ({
  ...(nanoCpus === 0 ? {} : { NanoCPUs: nanoCpus }),
  ...(memoryBytes === 0 ? {} : { MemoryBytes: memoryBytes }),
  ...(pids === undefined || pids === 0 ? {} : { Pids: pids }),
});

function parseRestart(policy: Fields | undefined): RestartPolicy {
  if (!policy) return DEFAULT_RESTART;
  const condition = policy.text('Condition') || DEFAULT_RESTART.condition;
  return {
    condition: asOneOf(condition, policy.path('Condition'), ['none', 'on-failure', 'any']),
    delayMs: policy.has('Delay') ? msFromNanos(policy.number('Delay')) : DEFAULT_RESTART.delayMs,
    attemptsMax: policy.integer('MaxAttempts'),
    windowMs: msFromNanos(policy.number('Window')),
  };
}

const restartJson = ({ condition, delayMs, attemptsMax, windowMs }: RestartPolicy) => ({
  Condition: condition,
  Delay: nanosFromMs(delayMs),
  MaxAttempts: attemptsMax,
  ...(windowMs === 0 ? {} : { Window: nanosFromMs(windowMs) }),
});

function parsePlacement(placement: Fields): Placement {
  const platforms = placement.objects('Platforms').map((platform) => ({
    os: platform.text('OS'),
    architecture: platform.text('Architecture'),
  }));
  return {
    constraints: placement.texts('Constraints'),
    preferences: placement.objects('Preferences').map((preference) => ({
      spread: preference.object('Spread').text('SpreadDescriptor'),
    })),
    replicasPerNodeMax: placement.integer('MaxReplicas'),
    ...(platforms.length > 0 ? { platforms } : {}),
  };
}

const placementJson = ({ constraints, preferences, replicasPerNodeMax, platforms }: Placement) => ({
  ...(constraints.length > 0 ? { Constraints: [...constraints] } : {}),
  ...(preferences.length > 0
    ? { Preferences: preferences.map(({ spread }) => ({ Spread: { SpreadDescriptor: spread } })) }
    : {}),
  ...(replicasPerNodeMax === 0 ? {} : { MaxReplicas: replicasPerNodeMax }),
  ...(platforms ? { Platforms: platforms.map(platformJson) } : {}),
});

const platformJson = ({ os, architecture }: { os: string; architecture: string }) => ({
  ...(architecture === '' ? {} : { Architecture: architecture }),
  ...(os === '' ? {} : { OS: os }),
});

function parseMode(mode: Fields): ServiceMode {
  for (const job of ['ReplicatedJob', 'GlobalJob']) {
    if (mode.has(job)) fail('not-implemented', `${mode.path(job)}: jobs are not implemented yet`);
  }
  const replicated = mode.objectOrAbsent('Replicated');
  const isGlobal = mode.has('Global');
  if (replicated && isGlobal) fail('invalid', 'must specify only one service mode');
  if (isGlobal) return { kind: 'global' };
  return { kind: 'replicated', replicas: replicated?.integer('Replicas', {}, DEFAULT_REPLICAS) ?? DEFAULT_REPLICAS };
}

function parseUpdate(config: Fields | undefined): UpdateConfig {
  if (!config) return DEFAULT_UPDATE;
  const action = config.text('FailureAction') || DEFAULT_UPDATE.failureAction;
  const order = config.text('Order') || DEFAULT_UPDATE.order;
  const monitorMs = msFromNanos(config.number('Monitor'));
  return {
    parallelism: config.integer('Parallelism'),
    delayMs: msFromNanos(config.number('Delay')),
    failureAction: asOneOf(action, config.path('FailureAction'), ['pause', 'continue', 'rollback']),
    monitorMs: monitorMs === 0 ? DEFAULT_UPDATE.monitorMs : monitorMs,
    failureRatioMax: config.number('MaxFailureRatio'),
    order: asOneOf(order, config.path('Order'), ['stop-first', 'start-first']),
  };
}

const updateJson = (config: UpdateConfig): UpdateConfigJson => ({
  Parallelism: config.parallelism,
  ...(config.delayMs === 0 ? {} : { Delay: nanosFromMs(config.delayMs) }),
  FailureAction: config.failureAction,
  Monitor: nanosFromMs(config.monitorMs),
  MaxFailureRatio: config.failureRatioMax,
  Order: config.order,
});

function parseEndpoint(endpoint: Fields): EndpointSpec {
  const mode = endpoint.text('Mode') || 'vip';
  return {
    mode: asOneOf(mode, endpoint.path('Mode'), ['vip', 'dnsrr']),
    ports: endpoint.objects('Ports').map(parsePort),
  };
}

function parsePort(port: Fields): PortConfig {
  const name = port.text('Name');
  return {
    ...(name === '' ? {} : { name }),
    protocol: asOneOf(port.text('Protocol') || 'tcp', port.path('Protocol'), ['tcp', 'udp', 'sctp']),
    targetPort: port.integer('TargetPort'),
    publishedPort: port.integer('PublishedPort'),
    publishMode: asOneOf(port.text('PublishMode') || 'ingress', port.path('PublishMode'), ['ingress', 'host']),
  };
}

export const endpointSpecJson = ({ mode, ports }: EndpointSpec) => ({
  Mode: mode,
  ...(ports.length > 0 ? { Ports: ports.map(portJson) } : {}),
});

export const portJson = (port: PortConfig): PortConfigJson => ({
  ...(port.name === undefined ? {} : { Name: port.name }),
  Protocol: port.protocol,
  TargetPort: port.targetPort,
  ...(port.publishedPort === 0 ? {} : { PublishedPort: port.publishedPort }),
  PublishMode: port.publishMode,
});
