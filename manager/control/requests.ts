// Requests from JSON: one parser for each method, so that nothing unknown gets past the border.
import type { ControlMethod, ControlRequest, GuestRequest, ObjectFilter, TaskFilter } from '../../proto/control.ts';
import { parseClusterSpec, parseNetworkSpec, parseNodeSpec, parseServiceSpec } from '../../proto/parse-specs.ts';
import { flag, integer, list, maybe, object, oneOf, type Parser, text, texts } from '../../proto/shape.ts';

const nothing: Parser<Record<string, never>> = object<Record<string, never>>({});

const filter = { ids: maybe(texts), names: maybe(texts), labels: maybe(texts) };

const objectFilter: Parser<ObjectFilter> = object<ObjectFilter>(filter);

const taskFilter: Parser<TaskFilter> = object<TaskFilter>({
  ...filter,
  services: maybe(texts),
  nodes: maybe(texts),
  desired: maybe(list(oneOf('running', 'shutdown', 'accepted'))),
  upToDate: maybe(flag),
});

export const REQUESTS: { readonly [M in ControlMethod]: Parser<ControlRequest<M>> } = {
  CreateService: object<ControlRequest<'CreateService'>>({ spec: parseServiceSpec }),
  GetService: object<ControlRequest<'GetService'>>({ service: text }),
  ListServices: object<ControlRequest<'ListServices'>>({
    filter: object<ControlRequest<'ListServices'>['filter']>({ ...filter, modes: maybe(texts) }),
    status: flag,
  }),
  UpdateService: object<ControlRequest<'UpdateService'>>({
    service: text,
    version: integer(),
    spec: parseServiceSpec,
    rollback: oneOf('none', 'previous'),
  }),
  RemoveService: object<ControlRequest<'RemoveService'>>({ service: text }),
  GetTask: object<ControlRequest<'GetTask'>>({ task: text }),
  ListTasks: object<ControlRequest<'ListTasks'>>({ filter: taskFilter }),
  GetNode: object<ControlRequest<'GetNode'>>({ node: text }),
  ListNodes: object<ControlRequest<'ListNodes'>>({
    filter: object<ControlRequest<'ListNodes'>['filter']>({
      ...filter,
      roles: maybe(texts),
      memberships: maybe(texts),
      nodeLabels: maybe(texts),
    }),
  }),
  UpdateNode: object<ControlRequest<'UpdateNode'>>({ node: text, version: integer(), spec: parseNodeSpec }),
  RemoveNode: object<ControlRequest<'RemoveNode'>>({ node: text, force: flag }),
  GetCluster: nothing,
  UpdateCluster: object<ControlRequest<'UpdateCluster'>>({
    version: integer(),
    spec: parseClusterSpec,
    rotateWorkerToken: flag,
    rotateManagerToken: flag,
    rotateUnlockKey: maybe(flag),
  }),
  GetUnlockKey: nothing,
  CreateNetwork: object<ControlRequest<'CreateNetwork'>>({ spec: parseNetworkSpec }),
  GetNetwork: object<ControlRequest<'GetNetwork'>>({ network: text }),
  ListNetworks: object<ControlRequest<'ListNetworks'>>({ filter: objectFilter }),
  RemoveNetwork: object<ControlRequest<'RemoveNetwork'>>({ network: text }),
  GetNetworkMembers: object<ControlRequest<'GetNetworkMembers'>>({ network: text }),
  SetGuests: object<ControlRequest<'SetGuests'>>({
    node: text,
    session: text,
    guests: list(
      object<GuestRequest>({
        containerId: text,
        network: text,
        name: text,
        aliases: texts,
        address: text,
        probe: maybe(flag),
      }),
    ),
  }),
};
