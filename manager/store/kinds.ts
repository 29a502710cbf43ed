// The kinds of object the store keeps: one entry each. A new kind is a type in contract.ts, an entry here and a property
// of View; encoding, indices, uniqueness, watch, snapshot and digest follow from the entry.
// Invariant: what an entry says is the same on every manager, because entries are checked against it while applied.
import { invariant } from '../../base/assert.ts';
import { fail } from '../../base/errors.ts';
import type {
  Cluster,
  Guest,
  Keyring,
  Network,
  Node,
  ObjectMeta,
  Service,
  Task,
  TaskIdentity,
} from '../../proto/objects.ts';
import { DESIRED_STATE, TASK_STATE } from '../../proto/task-state.ts';
import type { Kind, ObjectKinds } from './contract.ts';

export interface StoredObject extends ObjectMeta {
  readonly id: string;
}

export interface KindDefinition<T extends StoredObject> {
  /** Format of its bytes. Readers accept this and every earlier one; raised together with the cluster's formatVersion. */
  readonly version: number;
  /** What people call it: found by `byName` whatever the case, and unique. Undefined or '': it has none. */
  name(object: T): string | undefined;
  /** Further keys that no two objects of the kind may share. */
  unique(object: T): readonly string[];
  /** Look-ups by a key that objects may share. */
  readonly indices: Readonly<Record<string, (object: T) => string | undefined>>;
  /** Fields that many objects have in common: written once per entry and chunk, kept once in memory. */
  readonly sharedFields: readonly string[];
  /** Refuses what must never be stored. */
  check(object: T, previous: T | undefined): void;
}

const plain = {
  version: 1,
  unique: () => [],
  indices: {},
  sharedFields: [],
  check: () => undefined,
};

const cluster: KindDefinition<Cluster> = { ...plain, name: (object) => object.spec.name };

const node: KindDefinition<Node> = { ...plain, name: (object) => object.spec.name };

const network: KindDefinition<Network> = { ...plain, name: (object) => object.spec.name };

const guest: KindDefinition<Guest> = {
  ...plain,
  name: () => undefined,
  unique: ({ containerId, networkId }) => [`place of container ${containerId} on network ${networkId}`],
};

const keyring: KindDefinition<Keyring> = { ...plain, name: () => undefined };

const service: KindDefinition<Service> = {
  ...plain,
  name: (object) => object.spec.name,
  unique: ingressPorts,
  sharedFields: ['spec', 'specVersion', 'previousSpec', 'previousSpecVersion'], // a rollout's steps leave them alone
};

const task: KindDefinition<Task> = {
  ...plain,
  name: () => undefined,
  indices: {
    service: (object) => object.serviceId,
    node: (object) => object.nodeId,
    slot: (object) => slotKey(object.serviceId, object.identity),
  },
  sharedFields: ['serviceId', 'serviceName', 'serviceLabels', 'spec', 'specVersion', 'ports'],
  check: checkTask,
};

export const KINDS: { readonly [K in Kind]: KindDefinition<ObjectKinds[K]> } = {
  cluster,
  node,
  service,
  task,
  network,
  guest,
  keyring,
};

export const KIND_NAMES = Object.keys(KINDS) as readonly Kind[];

/** Each published ingress port belongs to one service, whether its spec asks for it or the allocator gave it. */
function ingressPorts(object: Service): readonly string[] {
  const keys = new Set<string>();
  for (const port of [...object.spec.endpoint.ports, ...(object.endpointPorts ?? [])]) {
    if (port.publishMode === 'ingress' && port.publishedPort !== 0) {
      keys.add(`ingress port ${port.publishedPort}/${port.protocol}`);
    }
  }
  return [...keys];
}

export function slotKey(serviceId: string, identity: TaskIdentity): string {
  switch (identity.kind) {
    case 'slot':
      return `${serviceId}/${identity.slot}`;
    case 'node':
      return `${serviceId}/${identity.nodeId}`;
    case 'job':
      return `${serviceId}/${identity.iteration}.${identity.index}`;
  }
}

/** The promises every loop relies on: states only rise, and a task is never moved. */
function checkTask(object: Task, previous: Task | undefined): void {
  if (!previous) return;
  invariant(
    TASK_STATE[object.status.state] >= TASK_STATE[previous.status.state],
    `task ${object.id} goes from ${previous.status.state} back to ${object.status.state}`,
  );
  invariant(
    DESIRED_STATE[object.desired] >= DESIRED_STATE[previous.desired],
    `the desired state of task ${object.id} goes from ${previous.desired} back to ${object.desired}`,
  );
  invariant(
    previous.nodeId === undefined || object.nodeId === previous.nodeId,
    `task ${object.id} is moved from node ${previous.nodeId} to ${object.nodeId}`,
  );
  invariant(object.serviceId === previous.serviceId, `task ${object.id} changes its service`);
}

/** The definition behind a name read from an entry or a snapshot. Not knowing it is fatal: this machine is too old. */
export function kindFrom(name: string, version: number, where: string): Kind {
  const kind = KIND_NAMES.find((candidate) => candidate === name);
  if (!kind)
    return fail('internal', `${where} holds an object of unknown kind '${name}': this shoald is too old for it`);
  if (version < 1 || version > KINDS[kind].version) {
    fail(
      'internal',
      `${where} holds a ${name} in format ${version}, this shoald reads up to ${KINDS[kind].version}: it is too old for it`,
    );
  }
  return kind;
}

export function definitionOf(kind: Kind): KindDefinition<StoredObject> {
  return KINDS[kind] as KindDefinition<StoredObject>;
}
