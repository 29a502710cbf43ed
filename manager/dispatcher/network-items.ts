// What a node is told of the cluster's networks: of each that one of its containers is on, the network, the services on it
// and every container's place in it. Derived from the store alone, so every manager says the same.
// Invariant: a body is encoded once, however many nodes get it.
import { encodeJson, type EndpointEntry, type NetworkEntry, type NetworkServiceEntry } from '../../proto/assignment.ts';
import { isEncrypted } from '../../proto/network-plan.ts';
import type {
  Guest,
  Keyring,
  Network,
  NetworkAddress,
  NetworkId,
  Node,
  NodeId,
  Service,
  Task,
} from '../../proto/objects.ts';
import { affinityOf } from '../../proto/session-affinity.ts';
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

/** Who has a place in networks: a task, or a container that no service owns. */
interface Occupant {
  readonly id: string;
  readonly nodeId: NodeId;
  readonly serviceId: string;
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly places: readonly NetworkAddress[];
  /** New connections may come by its service, if its node is well. */
  readonly serves: boolean;
}

interface Membership {
  occupants: number;
  readonly since: number;
}

export class NetworkItems {
  readonly #node: (id: NodeId) => Node | undefined;
  readonly #items = new Map<NetworkId, Map<string, Item>>();
  readonly #networks = new Map<NetworkId, Network>();
  readonly #keyrings = new Map<NetworkId, Keyring>();
  readonly #members = new Map<NodeId, Map<NetworkId, Membership>>();
  readonly #placed = new Map<string, Occupant>(); // with a node and addresses, by id

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
    if (after) this.#networks.set(network.id, after);
    else this.#networks.delete(network.id);
    this.#putNetwork(network.id, version, news);
  }

  /** The keys of an encrypted network changed. */
  moveKeyring(before: Keyring | undefined, after: Keyring | undefined, version: number, news: NetworkNews): void {
    const networkId = (after ?? before)?.id as string as NetworkId;
    if (after) this.#keyrings.set(networkId, after);
    else this.#keyrings.delete(networkId);
    this.#putNetwork(networkId, version, news);
  }

  /** Before it has keys, nobody is told of an encrypted network. */
  #putNetwork(id: NetworkId, version: number, news: NetworkNews): void {
    const network = this.#networks.get(id);
    const keyring = this.#keyrings.get(id);
    const isReady = network && (!isEncrypted(network.spec) || keyring);
    this.#put(id, 'network', id, isReady && encodeJson(networkEntry(network, keyring)), version, news);
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
    this.#move((after ?? before)?.id ?? '', after && taskOccupant(after), version, news);
  }

  moveGuest(before: Guest | undefined, after: Guest | undefined, version: number, news: NetworkNews): void {
    this.#move((after ?? before)?.id ?? '', after && guestOccupant(after), version, news);
  }

  #move(id: string, present: Occupant | undefined, version: number, news: NetworkNews): void {
    const known = this.#placed.get(id);
    if (!known && !present) return;
    if (present) this.#placed.set(id, present);
    else this.#placed.delete(id);
    if (!known && present) this.#enter(present, version, news);
    this.#tell(present ?? known, present !== undefined, version, news);
    if (known && !present) this.#leave(known, news);
  }

  /** The node came, went or has another address: so did who is on it. */
  moveNode(nodeId: NodeId, version: number, news: NetworkNews): void {
    if (!this.#members.has(nodeId)) return;
    for (const each of this.#placed.values()) if (each.nodeId === nodeId) this.#tell(each, true, version, news);
  }

  #tell(occupant: Occupant | undefined, present: boolean, version: number, news: NetworkNews): void {
    for (const { networkId, address } of occupant?.places ?? []) {
      const entry = occupant && present ? this.#endpointEntry(occupant, networkId, address) : undefined;
      this.#put(networkId, 'endpoint', `${networkId}/${occupant?.id}`, entry && encodeJson(entry), version, news);
    }
  }

  #enter({ nodeId, places }: Occupant, version: number, news: NetworkNews): void {
    const networks = this.#members.get(nodeId) ?? new Map<NetworkId, Membership>();
    this.#members.set(nodeId, networks);
    for (const { networkId } of places) {
      const membership = networks.get(networkId);
      if (membership) membership.occupants += 1;
      else {
        networks.set(networkId, { occupants: 1, since: version });
        note(news.gained, nodeId, networkId);
        news.lost.get(nodeId)?.delete(networkId);
      }
    }
  }

  #leave({ nodeId, places }: Occupant, news: NetworkNews): void {
    const networks = this.#members.get(nodeId);
    if (!networks) return;
    for (const { networkId } of places) {
      const membership = networks.get(networkId);
      if (!membership) continue;
      membership.occupants -= 1;
      if (membership.occupants > 0) continue;
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
    const changed = news.changed.get(networkId) ?? [];
    changed.push(item); // in place: a scan may find 50 000 of them
    news.changed.set(networkId, changed);
  }

  #endpointEntry(occupant: Occupant, networkId: NetworkId, address: string): EndpointEntry | undefined {
    const { id, serviceId, nodeId, name, aliases, serves } = occupant;
    const node = this.#node(nodeId);
    const at = node?.dataAddress ?? node?.status.address;
    if (!node || at === undefined) return undefined;
    const network = this.#networks.get(networkId);
    const said = network && isEncrypted(network.spec) ? node.description : undefined;
    const nodeMeans = said?.encryption;
    const nodeLife = said?.lives?.[networkId];
    const nodeWireguardPort = said?.wireguardPorts?.[networkId];
    return {
      networkId,
      taskId: id,
      serviceId,
      address,
      nodeId,
      nodeAddress: at,
      nodePort: node.dataPort || 0,
      ready: node.status.state === 'ready' && serves,
      lost: node.status.state === 'down',
      name,
      ...(aliases && { aliases }),
      ...(nodeMeans && { nodeMeans }),
      ...(nodeLife !== undefined && { nodeLife }),
      ...(nodeWireguardPort !== undefined && { nodeWireguardPort }),
    };
  }
}

/** Items of networks begin with its id. */
export const networkOf = (itemId: string): NetworkId => itemId.split('/')[0] as NetworkId;

function note(map: Map<NodeId, Set<NetworkId>>, nodeId: NodeId, networkId: NetworkId): void {
  const set = map.get(nodeId) ?? new Set();
  map.set(nodeId, set.add(networkId));
}

/** Undefined: the scheduler has not confirmed its node, or it has ended. */
function taskOccupant(task: Task): Occupant | undefined {
  const { id, nodeId, serviceId, attachments = [], status } = task;
  const isPlaced = TASK_STATE[status.state] >= TASK_STATE.assigned && !isTerminal(status.state);
  if (nodeId === undefined || attachments.length === 0 || !isPlaced) return undefined;
  const serves = isWanted(task) && status.state === 'running';
  return { id, nodeId, serviceId, name: nameOf(task), places: attachments, serves };
}

/** Undefined: it has no address yet. */
function guestOccupant({ id, nodeId, networkId, address, name, aliases }: Guest): Occupant | undefined {
  if (address === undefined) return undefined;
  return { id, nodeId, serviceId: '', name, aliases, places: [{ networkId, address }], serves: false };
}

function networkEntry(
  { id, spec, subnet, gateway, further, subnet6, further6, vni }: Network,
  keyring: Keyring | undefined,
): NetworkEntry {
  const { name, internal, attachable, options } = spec;
  const encryption = keyring && { keys: keyring.keys, sendId: keyring.sendId };
  return {
    networkId: id,
    name,
    subnet,
    gateway,
    vni,
    internal,
    attachable,
    options,
    ...(further && { further }),
    ...(subnet6 !== undefined && { subnet6 }),
    ...(further6 && { further6 }),
    ...(encryption && { encryption }),
  };
}

/** Undefined: the service is not on the network. */
function serviceEntry(service: Service, networkId: NetworkId): NetworkServiceEntry | undefined {
  const attachment = service.spec.task.networks.find(({ target }) => target === networkId);
  if (!attachment) return undefined;
  const virtual = service.virtualAddresses?.find((each) => each.networkId === networkId);
  const affinity = affinityOf(service.spec.labels);
  return {
    networkId,
    serviceId: service.id,
    name: service.spec.name,
    aliases: attachment.aliases,
    ...(virtual && { virtualAddress: virtual.address }),
    ...(affinity && { affinity }),
  };
}

/** As its container is called. */
function nameOf({ serviceName, identity, id }: Task): string {
  const place = identity.kind === 'slot' ? identity.slot : identity.kind === 'node' ? identity.nodeId : identity.index;
  return `${serviceName}.${place}.${id}`;
}
