// What a node is told of the cluster's networks: of each that one of its tasks is on, the network, the services on it and
// every task's place in it. Derived from the store alone, so every manager says the same.
// Invariant: a body is encoded once, however many nodes get it.
import { encodeJson, type EndpointEntry, type NetworkEntry, type NetworkServiceEntry } from '../../proto/assignment.ts';
import type { Network, NetworkId, Node, NodeId, Service, Task } from '../../proto/objects.ts';
import { isTerminal, isWanted, TASK_STATE } from '../../proto/task-state.ts';
import type { Item } from './assignments.ts';

/** What one commit changed. */
export interface NetworkNews {
  /** For every node on the network. */
  readonly changed: Map<NetworkId, Item[]>;
  /** Nodes that came to be on a network: they know nothing of it yet. */
  readonly gained: Map<NodeId, Set<NetworkId>>;
  readonly lost: Map<NodeId, Set<NetworkId>>;
}

export const noNews = (): NetworkNews => ({ changed: new Map(), gained: new Map(), lost: new Map() });

interface Membership {
  tasks: number;
  readonly since: number;
}

export class NetworkItems {
  readonly #node: (id: NodeId) => Node | undefined;
  readonly #items = new Map<NetworkId, Map<string, Item>>();
  readonly #members = new Map<NodeId, Map<NetworkId, Membership>>();
  readonly #placed = new Map<string, Task>(); // tasks with a node and addresses, by id

  constructor(node: (id: NodeId) => Node | undefined) {
    this.#node = node;
  }

  /** Everything that the node should know, with the index since which it should. */
  *of(nodeId: NodeId): Iterable<Item> {
    for (const [networkId, { since }] of this.#members.get(nodeId) ?? []) {
      for (const item of this.#items.get(networkId)?.values() ?? []) {
        yield item.version >= since ? item : { ...item, version: since };
      }
    }
  }

  /** Everything of one network, as of `version`. */
  whole(networkId: NetworkId, version: number): Item[] {
    return [...(this.#items.get(networkId)?.values() ?? [])].map((item) => ({ ...item, version }));
  }

  isOn(nodeId: NodeId, networkId: string): boolean {
    return this.#members.get(nodeId)?.has(networkId as NetworkId) ?? false;
  }

  nodesOn(networkId: NetworkId): NodeId[] {
    return [...this.#members].flatMap(([nodeId, networks]) => (networks.has(networkId) ? [nodeId] : []));
  }

  has({ kind, id }: Item): boolean {
    return this.#items.get(networkOf(id))?.has(`${kind} ${id}`) ?? false;
  }

  moveNetwork(before: Network | undefined, after: Network | undefined, version: number, news: NetworkNews): void {
    const network = after ?? before;
    if (!network) return;
    this.#put(network.id, 'network', network.id, after && encodeJson(networkEntry(after)), version, news);
  }

  moveService(before: Service | undefined, after: Service | undefined, version: number, news: NetworkNews): void {
    const was = before?.spec.task.networks ?? [];
    const is = after?.spec.task.networks ?? [];
    if (was.length + is.length === 0) return;
    const networks = new Set([...was, ...is].map(({ target }) => target as NetworkId));
    for (const networkId of networks) {
      const id = `${networkId}/${(after ?? before)?.id}`;
      const entry = after && serviceEntry(after, networkId);
      this.#put(networkId, 'service', id, entry && encodeJson(entry), version, news);
    }
  }

  moveTask(before: Task | undefined, after: Task | undefined, version: number, news: NetworkNews): void {
    const known = this.#placed.get((after ?? before)?.id ?? '');
    const present = after && isPlaced(after) ? after : undefined;
    if (!known && !present) return;
    if (present) this.#placed.set(present.id, present);
    else if (known) this.#placed.delete(known.id);
    if (!known && present) this.#enter(present, version, news);
    this.#tell(present ?? known, present !== undefined, version, news);
    if (known && !present) this.#leave(known, news);
  }

  /** The node came, went or has another address: so did its tasks. */
  moveNode(nodeId: NodeId, version: number, news: NetworkNews): void {
    if (!this.#members.has(nodeId)) return;
    for (const task of this.#placed.values()) if (task.nodeId === nodeId) this.#tell(task, true, version, news);
  }

  #tell(task: Task | undefined, present: boolean, version: number, news: NetworkNews): void {
    for (const { networkId, address } of task?.attachments ?? []) {
      const entry = task && present ? this.#endpointEntry(task, networkId, address) : undefined;
      this.#put(networkId, 'endpoint', `${networkId}/${task?.id}`, entry && encodeJson(entry), version, news);
    }
  }

  #enter({ nodeId, attachments = [] }: Task, version: number, news: NetworkNews): void {
    if (!nodeId) return;
    const networks = this.#members.get(nodeId) ?? new Map<NetworkId, Membership>();
    this.#members.set(nodeId, networks);
    for (const { networkId } of attachments) {
      const membership = networks.get(networkId);
      if (membership) membership.tasks += 1;
      else {
        networks.set(networkId, { tasks: 1, since: version });
        note(news.gained, nodeId, networkId);
        news.lost.get(nodeId)?.delete(networkId);
      }
    }
  }

  #leave({ nodeId, attachments = [] }: Task, news: NetworkNews): void {
    const networks = nodeId && this.#members.get(nodeId);
    if (!networks) return;
    for (const { networkId } of attachments) {
      const membership = networks.get(networkId);
      if (!membership) continue;
      membership.tasks -= 1;
      if (membership.tasks > 0) continue;
      networks.delete(networkId);
      note(news.lost, nodeId, networkId);
      news.gained.get(nodeId)?.delete(networkId);
    }
    if (networks.size === 0) this.#members.delete(nodeId);
  }

  #put(
    networkId: NetworkId,
    kind: Item['kind'],
    id: string,
    body: Buffer | undefined,
    version: number,
    news: NetworkNews,
  ): void {
    const items = this.#items.get(networkId) ?? new Map<string, Item>();
    const key = `${kind} ${id}`;
    const known = items.get(key);
    if (!known && !body) return;
    if (known?.body && body?.equals(known.body())) return;
    const item: Item = { kind, id, version, body: body && (() => body) };
    if (body) this.#items.set(networkId, items.set(key, item));
    else items.delete(key);
    if (items.size === 0) this.#items.delete(networkId);
    news.changed.set(networkId, [...(news.changed.get(networkId) ?? []), item]);
  }

  #endpointEntry(task: Task, networkId: NetworkId, address: string): EndpointEntry | undefined {
    const node = task.nodeId && this.#node(task.nodeId);
    const at = node?.dataAddress ?? node?.status.address;
    if (!node || at === undefined) return undefined;
    const isUp = node.status.state === 'ready';
    return {
      networkId,
      taskId: task.id,
      serviceId: task.serviceId,
      address,
      nodeId: node.id,
      nodeAddress: at,
      nodePort: node.dataPort || 0,
      ready: isUp && isWanted(task) && task.status.state === 'running',
      lost: node.status.state === 'down',
      name: nameOf(task),
    };
  }
}

/** Items of networks begin with its id. */
export const networkOf = (itemId: string): NetworkId => itemId.split('/')[0] as NetworkId;

function note(map: Map<NodeId, Set<NetworkId>>, nodeId: NodeId, networkId: NetworkId): void {
  const set = map.get(nodeId) ?? new Set();
  map.set(nodeId, set.add(networkId));
}

/** The scheduler has confirmed its node, and it has not ended. */
const isPlaced = (task: Task): boolean =>
  task.nodeId !== undefined &&
  (task.attachments?.length ?? 0) > 0 &&
  TASK_STATE[task.status.state] >= TASK_STATE.assigned &&
  !isTerminal(task.status.state);

function networkEntry({ id, spec, subnet, gateway, vni }: Network): NetworkEntry {
  const { name, internal, options } = spec;
  return { networkId: id, name, subnet, gateway, vni, internal, options };
}

/** Undefined: the service is not on the network. */
function serviceEntry(service: Service, networkId: NetworkId): NetworkServiceEntry | undefined {
  const attachment = service.spec.task.networks.find(({ target }) => target === networkId);
  if (!attachment) return undefined;
  const virtual = service.virtualAddresses?.find((each) => each.networkId === networkId);
  return {
    networkId,
    serviceId: service.id,
    name: service.spec.name,
    aliases: attachment.aliases,
    ...(virtual && { virtualAddress: virtual.address }),
  };
}

/** As its container is called. */
function nameOf({ serviceName, identity, id }: Task): string {
  const place = identity.kind === 'slot' ? identity.slot : identity.kind === 'node' ? identity.nodeId : identity.index;
  return `${serviceName}.${place}.${id}`;
}
