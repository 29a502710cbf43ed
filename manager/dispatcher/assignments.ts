// What each node has to do, derived from the store as it changes, on every manager alike. An item's version is a raft
// index, so an agent that has applied everything up to an index can go on from there at any manager that has watched
// since before it. Deterministic: every manager derives the same items.
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import type { Node, NodeId, PortConfig, Service, Task } from '../../proto/objects.ts';
import { encodeJson, type IngressEntry, type PeerEntry } from '../../proto/assignment.ts';
import { affinityOf } from '../../proto/session-affinity.ts';
import { TASK_STATE } from '../../proto/task-state.ts';
import type { Change, Store, View } from '../store/contract.ts';
import { NetworkItems, type NetworkNews, networkOf, noNews } from './network-items.ts';
import { Presence } from './presence.ts';

export interface Item {
  readonly kind: 'task' | 'ingress' | 'peer' | 'network' | 'service' | 'endpoint';
  readonly id: string;
  readonly version: number;
  /** Absent: removed. Computed when it is sent. */
  readonly body: (() => Buffer) | undefined;
}

/** Everything from `from` (0: from nothing, replaces all) to `to`. */
export interface Delta {
  readonly from: number;
  readonly to: number;
  readonly items: readonly Item[];
}

type Listener = (delta: Delta) => void;

/** Removals that a resuming agent can still be told of; older ones mean a full set. */
const TOMBSTONES_MAX = 10_000;

export class Assignments {
  readonly #store: Store;
  #presence = new Presence();
  #services = new Map<string, Service>();
  #nodes = new Map<string, Node>();
  #tasks = new Map<string, { readonly item: Item; readonly task: Task }>(); // by task id
  #tasksOfNode = new Map<string, Set<string>>();
  #ingress = new Map<string, Item>();
  #peers = new Map<string, Item>(); // by node id
  #networks = this.#emptyNetworks();
  #tombstones: { readonly nodeId: NodeId | undefined; readonly item: Item }[] = [];
  #index = 0;
  #floor = 0; // deltas can start here or later
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #advanceListeners = new Set<() => void>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** The raft index that everything here is derived from. */
  get index(): number {
    return this.#index;
  }

  /** Scans, then follows the store until `abort`. `onReady` is called once the first scan is in. */
  async run(abort: AbortSignal, onReady: () => void = () => {}): Promise<void> {
    const { view, changes } = this.#store.viewAndWatch(['service', 'task', 'node', 'network', 'guest', 'keyring'], {
      abort,
    });
    this.#scan(view);
    onReady();
    let pending: Change[] = [];
    for await (const change of changes) {
      if (change.kind === 'resync') {
        pending = [];
        this.#rescan();
        continue;
      }
      pending.push(change);
      if (!change.endsCommit) continue;
      this.#apply(pending);
      pending = [];
    }
  }

  /** Resolves once `index` has been derived; code `unavailable` when this manager does not get there in time. */
  async reached(index: number, withinMs: number, clock: Clock, abort: AbortSignal): Promise<void> {
    if (this.#index >= index) return;
    using deadline = clock.deadline(abort, withinMs);
    await new Promise<void>((resolve, reject) => {
      const listening = this.onAdvance(() => {
        if (this.#index < index) return;
        listening[Symbol.dispose]();
        resolve();
      });
      const onLate = (): void => {
        listening[Symbol.dispose]();
        reject(new CodedError('unavailable', `this manager is at index ${this.#index}, the agent at ${index}`));
      };
      deadline.signal.addEventListener('abort', onLate, { once: true });
    });
  }

  /** What a node must be told that has applied everything up to `applied` (0: nothing). */
  since(nodeId: NodeId, applied: number): Delta {
    const resumable = applied >= this.#floor && applied <= this.#index && applied > 0;
    const from = resumable ? applied : 0;
    const items = [...this.#itemsOf(nodeId)].filter((item) => item.version > from);
    if (resumable) {
      for (const { nodeId: owner, item } of this.#tombstones) {
        if (item.version > from && (owner === undefined || owner === nodeId) && !this.#has(nodeId, item)) {
          items.push(item);
        }
      }
    }
    return { from, to: this.#index, items };
  }

  /** Called with every later change for the node, in order. */
  follow(nodeId: NodeId, listener: Listener): Disposable {
    const listeners = this.#listeners.get(nodeId) ?? new Set();
    this.#listeners.set(nodeId, listeners.add(listener));
    return {
      [Symbol.dispose]: () => {
        listeners.delete(listener);
        if (listeners.size === 0 && this.#listeners.get(nodeId) === listeners) this.#listeners.delete(nodeId);
      },
    };
  }

  /** Called whenever `index` has moved. */
  onAdvance(listener: () => void): Disposable {
    this.#advanceListeners.add(listener);
    return { [Symbol.dispose]: () => void this.#advanceListeners.delete(listener) };
  }

  *#itemsOf(nodeId: NodeId): Iterable<Item> {
    for (const id of this.#tasksOfNode.get(nodeId) ?? []) {
      const entry = this.#tasks.get(id);
      if (entry) yield entry.item;
    }
    yield* this.#ingress.values();
    yield* this.#peers.values();
    yield* this.#networks.of(nodeId);
  }

  #has(nodeId: NodeId, item: Item): boolean {
    if (item.kind === 'task') return this.#tasks.has(item.id);
    if (item.kind === 'ingress') return this.#ingress.has(item.id);
    if (item.kind === 'peer') return this.#peers.has(item.id);
    return this.#networks.isOn(nodeId, networkOf(item.id)) && this.#networks.has(item);
  }

  #emptyNetworks(): NetworkItems {
    return new NetworkItems((id) => this.#nodes.get(id));
  }

  #rescan(): void {
    this.#scan(this.#store.view());
    for (const [nodeId, listeners] of this.#listeners) {
      const delta = this.since(nodeId as NodeId, 0);
      for (const listener of listeners) listener(delta);
    }
  }

  #scan(view: View): void {
    this.#presence = new Presence();
    this.#tasks = new Map();
    this.#tasksOfNode = new Map();
    this.#ingress = new Map();
    this.#peers = new Map();
    this.#networks = this.#emptyNetworks();
    this.#tombstones = [];
    this.#index = view.version;
    this.#floor = view.version;
    this.#services = new Map([...view.services.all()].map((service) => [service.id, service]));
    this.#nodes = new Map([...view.nodes.all()].map((node) => [node.id, node]));
    for (const node of this.#nodes.values()) this.#movePeer(node.id, undefined, node, view.version);
    const news = noNews(); // everybody is told all of it
    for (const ring of view.keyrings.all()) this.#networks.moveKeyring(undefined, ring, view.version, news);
    for (const network of view.networks.all()) this.#networks.moveNetwork(undefined, network, view.version, news);
    for (const task of view.tasks.all()) {
      this.#presence.move(undefined, task);
      if (isAssigned(task)) this.#keep(task, task.version);
      this.#networks.moveTask(undefined, task, view.version, news);
    }
    for (const guest of view.guests.all()) this.#networks.moveGuest(undefined, guest, view.version, news);
    for (const service of this.#services.values()) {
      this.#networks.moveService(undefined, service, view.version, news);
      const item = this.#ingressItem(service, view.version);
      if (item) this.#ingress.set(service.id, item);
    }
    for (const listener of this.#advanceListeners) listener();
  }

  #apply(changes: readonly Change[]): void {
    const version = changes[changes.length - 1]?.version ?? this.#index;
    const forNode = new Map<NodeId, Item[]>();
    const dirtyServices = new Set<string>();
    const peers: Item[] = [];
    const news = noNews();
    for (const change of changes) {
      if (change.kind === 'task') this.#moveTask(change, forNode, dirtyServices);
      else if (change.kind === 'service') this.#moveService(change, dirtyServices);
      else if (change.kind === 'node') peers.push(...this.#moveNode(change, dirtyServices, version, news));
      this.#moveNetworks(change, version, news);
    }
    this.#spread(news, version, forNode);
    const forAll = [...peers, ...this.#moveIngress(dirtyServices, version)];
    const from = this.#index;
    this.#index = version;
    this.#tell(from, forNode, forAll);
    for (const listener of this.#advanceListeners) listener();
  }

  #moveNetworks(change: Change, version: number, news: NetworkNews): void {
    if (change.kind === 'network') this.#networks.moveNetwork(...ends(change), version, news);
    else if (change.kind === 'service') this.#networks.moveService(...ends(change), version, news);
    else if (change.kind === 'keyring') this.#networks.moveKeyring(...ends(change), version, news);
    else if (change.kind === 'guest') this.#networks.moveGuest(...ends(change), version, news);
    else if (change.kind === 'task') this.#networks.moveTask(...ends(change), version, news);
  }

  /** To the nodes on each network what changed there; to those new on it all of it. */
  #spread({ changed, gained, lost }: NetworkNews, version: number, forNode: Map<NodeId, Item[]>): void {
    const add = (nodeId: NodeId, items: readonly Item[]): void =>
      void forNode.set(nodeId, [...(forNode.get(nodeId) ?? []), ...items]);
    for (const [networkId, items] of changed) {
      for (const item of items) if (!item.body) this.#bury(undefined, item);
      for (const nodeId of this.#networks.nodesOn(networkId)) {
        if (!gained.get(nodeId)?.has(networkId)) add(nodeId, items);
      }
    }
    for (const [nodeId, networks] of gained) {
      for (const networkId of networks) add(nodeId, this.#networks.whole(networkId, version));
    }
    for (const [nodeId, networks] of lost) {
      for (const networkId of networks) {
        const gone: Item = { kind: 'network', id: networkId, version, body: undefined };
        this.#bury(nodeId, gone);
        add(nodeId, [gone]);
      }
    }
  }

  #tell(from: number, forNode: Map<NodeId, Item[]>, forAll: readonly Item[]): void {
    const told = forAll.length > 0 ? [...this.#listeners.keys()] : [...forNode.keys()];
    for (const nodeId of told) {
      const items = [...(forNode.get(nodeId as NodeId) ?? []), ...forAll];
      const delta = { from, to: this.#index, items };
      for (const listener of this.#listeners.get(nodeId) ?? []) listener(delta);
    }
  }

  #moveTask(change: Extract<Change, { kind: 'task' }>, forNode: Map<NodeId, Item[]>, dirtyServices: Set<string>): void {
    const removed = change.action === 'remove';
    const before = removed ? change.object : change.previous;
    const after = removed ? undefined : change.object;
    if (this.#presence.move(before, after)) dirtyServices.add(change.object.serviceId);
    const item = after ? this.#taskItem(after) : this.#dropTask(change.object, change.version);
    const { nodeId } = change.object;
    if (!item || !nodeId) return;
    forNode.set(nodeId, [...(forNode.get(nodeId) ?? []), item]);
  }

  /** The task's item if the node has to hear of this change: it does not when only its own report came back. */
  #taskItem(task: Task): Item | undefined {
    if (!isAssigned(task)) return undefined;
    const known = this.#tasks.get(task.id);
    const isEcho = known?.task.desired === task.desired && known.task.holdUntilMs === task.holdUntilMs;
    const item = this.#keep(task, isEcho ? known.item.version : task.version);
    return isEcho ? undefined : item;
  }

  #keep(task: Task & { nodeId: NodeId }, version: number): Item {
    const item: Item = { kind: 'task', id: task.id, version, body: () => encodeJson(task) };
    this.#tasks.set(task.id, { item, task });
    const ids = this.#tasksOfNode.get(task.nodeId) ?? new Set();
    this.#tasksOfNode.set(task.nodeId, ids.add(task.id));
    return item;
  }

  #dropTask(task: Task, version: number): Item | undefined {
    if (!this.#tasks.delete(task.id) || !task.nodeId) return undefined;
    const ids = this.#tasksOfNode.get(task.nodeId);
    ids?.delete(task.id);
    if (ids?.size === 0) this.#tasksOfNode.delete(task.nodeId);
    const item: Item = { kind: 'task', id: task.id, version, body: undefined };
    this.#bury(task.nodeId, item);
    return item;
  }

  #moveService(change: Extract<Change, { kind: 'service' }>, dirtyServices: Set<string>): void {
    if (change.action === 'remove') this.#services.delete(change.object.id);
    else this.#services.set(change.object.id, change.object);
    if (this.#ingress.has(change.object.id) || ingressPorts(change.object).length > 0) {
      dirtyServices.add(change.object.id);
    }
  }

  #moveNode(
    change: Extract<Change, { kind: 'node' }>,
    dirtyServices: Set<string>,
    version: number,
    news: NetworkNews,
  ): Item[] {
    const before = this.#nodes.get(change.object.id);
    const after = change.action === 'remove' ? undefined : change.object;
    if (after) this.#nodes.set(after.id, after);
    else this.#nodes.delete(change.object.id);
    const peers = this.#movePeer(change.object.id, before, after, version);
    if (standing(before) === standing(after)) return peers;
    for (const service of this.#presence.servicesOn(change.object.id)) dirtyServices.add(service);
    this.#networks.moveNode(change.object.id, version, news);
    return peers;
  }

  /** A node that is down may be back: it is told of for as long as it is there. */
  #movePeer(id: NodeId, before: Node | undefined, after: Node | undefined, version: number): Item[] {
    const addresses = addressesOf(after);
    if (addresses.join() === addressesOf(before).join()) return [];
    const body = encodeJson({ nodeId: id, addresses } satisfies PeerEntry);
    const item: Item = { kind: 'peer', id, version, body: addresses.length > 0 ? () => body : undefined };
    if (item.body) this.#peers.set(id, item);
    else if (this.#peers.delete(id)) this.#bury(undefined, item);
    return [item];
  }

  #moveIngress(dirty: ReadonlySet<string>, version: number): Item[] {
    const items: Item[] = [];
    for (const id of dirty) {
      const service = this.#services.get(id);
      const item = service && this.#ingressItem(service, version);
      const known = this.#ingress.get(id);
      if (item) {
        if (known?.body && item.body && known.body().equals(item.body())) continue;
        this.#ingress.set(id, item);
        items.push(item);
      } else if (known) {
        const gone: Item = { kind: 'ingress', id, version, body: undefined };
        this.#ingress.delete(id);
        this.#bury(undefined, gone);
        items.push(gone);
      }
    }
    return items;
  }

  /** One body for all nodes: each leaves itself out. */
  #ingressItem(service: Service, version: number): Item | undefined {
    const ports = ingressPorts(service);
    if (ports.length === 0) return undefined;
    const holders = this.#presence.nodesOf(service.id).flatMap((nodeId) => this.#nodes.get(nodeId) ?? []);
    const nodes = holders.flatMap((node) => {
      const address = forwardAddress(node);
      const wayPort = node.description?.wayPort;
      return address ? [{ nodeId: node.id, address, ...(wayPort !== undefined && { wayPort }) }] : [];
    });
    const lost = holders.flatMap((node) =>
      node.status.state === 'down' && node.dataAddress ? [node.dataAddress] : [],
    );
    nodes.sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
    const affinity = affinityOf(service.spec.labels);
    const entry: IngressEntry = {
      serviceId: service.id,
      ports,
      nodes,
      lost: lost.sort(),
      ...(affinity && { affinity }),
    };
    const body = encodeJson(entry);
    return { kind: 'ingress', id: service.id, version, body: () => body };
  }

  #bury(nodeId: NodeId | undefined, item: Item): void {
    this.#tombstones.push({ nodeId, item });
    if (this.#tombstones.length <= TOMBSTONES_MAX) return;
    const dropped = this.#tombstones.splice(0, TOMBSTONES_MAX / 2);
    this.#floor = Math.max(this.#floor, dropped[dropped.length - 1]?.item.version ?? 0);
  }
}

/** What there was and what there is. */
function ends<T>(change: { action: string; object: T; previous?: T }): [before: T | undefined, after: T | undefined] {
  return change.action === 'remove' ? [change.object, undefined] : [change.previous, change.object];
}

/** The scheduler has confirmed its node. */
function isAssigned(task: Task): task is Task & { nodeId: NodeId } {
  return task.nodeId !== undefined && TASK_STATE[task.status.state] >= TASK_STATE.assigned;
}

const ingressPorts = (service: Service): PortConfig[] =>
  (service.endpointPorts ?? []).filter((port) => port.publishMode === 'ingress' && port.publishedPort > 0);

/** Where its packets may come from: the address for data, and the one that its manager sees. */
const addressesOf = (node: Node | undefined): string[] =>
  [...new Set([node?.dataAddress, node?.status.address])].filter(
    (address): address is string => address !== undefined && address !== '',
  );

/** What of a node shows in entries of ingress and of networks. */
function standing(node: Node | undefined): string {
  const { wayPort, encryption, lives = {} } = node?.description ?? {};
  const { state, address } = node?.status ?? {};
  return `${state} ${address} ${node?.dataAddress} ${node?.dataPort} ${wayPort} ${encryption?.join()} ${Object.entries(lives).join()}`;
}

/** Where other nodes send connections for this one's tasks, while it can take them. */
function forwardAddress(node: Node | undefined): string | undefined {
  return node?.status.state === 'ready' && node.dataAddress ? node.dataAddress : undefined;
}
