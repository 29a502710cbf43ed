// Services and tasks as the Engine API shows them.
import type { ServiceStatus } from '../../proto/control.ts';
import { isPredefinedNetwork } from '../../proto/defaults.ts';
import type { Service, Task, UpdateStatus } from '../../proto/objects.ts';
import type { ServiceJson, TaskJson } from '../types/swarm.ts';
import { endpointSpecJson, portJson, serviceSpecJson, taskSpecJson } from './service-spec.ts';
import { goTime } from './time.ts';

export function serviceJson(service: Service, status?: ServiceStatus): ServiceJson {
  const { previousSpec, updateStatus, endpointPorts, virtualAddresses = [] } = service;
  const ports = (endpointPorts ?? []).map(portJson);
  return {
    ID: service.id,
    Version: { Index: service.version },
    CreatedAt: goTime(service.createdAtMs),
    UpdatedAt: goTime(service.updatedAtMs),
    Spec: serviceSpecJson(service.spec),
    ...(previousSpec ? { PreviousSpec: serviceSpecJson(previousSpec) } : {}),
    Endpoint: {
      Spec: endpointSpecJson(service.spec.endpoint),
      ...(ports.length > 0 ? { Ports: ports } : {}),
      ...(virtualAddresses.length > 0
        ? {
            VirtualIPs: virtualAddresses.map(({ networkId, address }) => ({
              NetworkID: networkId,
              Addr: `${address}/32`,
            })),
          }
        : {}),
    },
    ...(updateStatus ? { UpdateStatus: updateStatusJson(updateStatus) } : {}),
    ...(status ? { ServiceStatus: statusJson(status) } : {}),
  };
}

const statusJson = ({ runningTasks, desiredTasks, completedTasks }: ServiceStatus) => ({
  RunningTasks: runningTasks,
  DesiredTasks: desiredTasks,
  CompletedTasks: completedTasks,
});

/** Docker's words have underscores where ours have hyphens. */
const updateStatusJson = ({ state, startedAtMs, completedAtMs, message }: UpdateStatus) => ({
  State: state.replace('-', '_'),
  StartedAt: goTime(startedAtMs),
  ...(completedAtMs === undefined ? {} : { CompletedAt: goTime(completedAtMs) }),
  Message: message,
});

export function taskJson(task: Task): TaskJson {
  return {
    ID: task.id,
    Version: { Index: task.version },
    CreatedAt: goTime(task.createdAtMs),
    UpdatedAt: goTime(task.updatedAtMs),
    Labels: {},
    Spec: taskSpecJson(task.spec),
    ServiceID: task.serviceId,
    ...(task.identity.kind === 'slot' ? { Slot: task.identity.slot } : {}),
    ...(task.nodeId === undefined ? {} : { NodeID: task.nodeId }),
    Status: taskStatusJson(task),
    DesiredState: task.desired,
    ...(task.spec.networks.length > 0 ? { NetworksAttachments: attachments(task) } : {}),
    GenericResources: null,
    ...(task.identity.kind === 'job' ? { JobIteration: { Index: task.identity.iteration } } : {}),
  };
}

function taskStatusJson({ status }: Task): TaskJson['Status'] {
  const ports = (status.ports ?? []).map(portJson);
  const { containerId, pid, exitCode } = status;
  return {
    Timestamp: goTime(status.atMs),
    State: status.state,
    Message: status.message,
    ...(status.error === undefined ? {} : { Err: status.error }),
    ...(containerId === undefined
      ? {}
      : { ContainerStatus: { ContainerID: containerId, PID: pid ?? 0, ExitCode: exitCode ?? 0 } }),
    PortStatus: ports.length > 0 ? { Ports: ports } : {},
  };
}

/** On networks that every node has by itself, a task's address is its node's business. */
const attachments = (task: Task) =>
  task.spec.networks.map(({ target }) => {
    const own = isPredefinedNetwork(target);
    const found = task.attachments?.find(({ networkId }) => networkId === target);
    return {
      Network: own ? { ID: '', Spec: { Name: target } } : { ID: target, Spec: {} },
      Addresses: found ? [`${found.address}/32`] : [],
    };
  });
