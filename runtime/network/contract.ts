// What the container code, the API and the agent ask of the machine's networks.

export interface PortPublish {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly containerPort: number;
  readonly hostAddress: string; // '' any
  readonly hostPort: number; // 0: chosen
  /** Asked for as a range: the first free port from `hostPort` to this one. Absent in an endpoint. */
  readonly hostPortLast?: number;
}

/** What answers names that are of no network of ours, for a container whose resolver is 127.0.0.11. */
export interface Upstream {
  readonly address: string;
  readonly port: number;
}

export interface EndpointRequest {
  readonly containerId: string;
  /** For sentences about its ports; absent: the container id's first 12 digits. */
  readonly containerName?: string;
  readonly network: string; // id or name
  readonly hostname: string;
  readonly aliases: readonly string[];
  /** Containers (name or id) under a name that only this one knows: `db:database`. */
  readonly links?: readonly { readonly to: string; readonly alias: string }[];
  readonly macAddress?: string;
  readonly address?: string; // asked-for IPv4
  readonly address6?: string;
  readonly publish: readonly PortPublish[];
  /** On the default bridge, where containers have none: with an IPv6 address, as its ports are asked for by IPv6, too. */
  readonly reachedBySix?: boolean;
  /**
   * The container has a namespace already, that of its first endpoint (`Endpoint.sandboxPath`): a further interface in
   * it. Absent: a namespace of its own. It goes away with its last endpoint, unless that one left with `keepSandbox`.
   */
  readonly sandboxPath?: string;
  /** Of several networks the default route leads through the highest; then the first by name that is not internal. */
  readonly gatewayPriority?: number;
  /** Asked for in place of the machine's own resolvers. */
  readonly upstreams?: readonly Upstream[];
}

/**
 * A container's place in a network. `sandboxPath` is a network namespace file, ready to be joined: links up, routed.
 * On `none` it has a loopback only; on `host` it is '', the node's own namespace. Both have no address ('').
 */
export interface Endpoint {
  readonly id: string; // 64 hex
  readonly networkId: string;
  readonly networkName: string;
  readonly containerId: string;
  readonly sandboxPath: string;
  readonly interfaceName: string; // inside: eth0
  readonly hostInterfaceName: string;
  readonly address: string; // 172.17.0.2
  readonly prefixLength: number;
  readonly gateway: string;
  readonly macAddress: string;
  readonly published: readonly PortPublish[]; // with the chosen host ports
  readonly address6?: string; // with IPv6 only, like the two that follow
  readonly prefixLength6?: number;
  readonly gateway6?: string;
  /** By which names the others of its network find it. Absent: by none (bridge, host, none). */
  readonly names?: readonly string[];
  readonly links?: readonly { readonly to: string; readonly alias: string }[];
  readonly gatewayPriority?: number;
  /** A resolver answers at 127.0.0.11 in its namespace. */
  readonly resolver?: boolean;
  readonly upstreams?: readonly Upstream[];
}

/** What a name means in one network. A name may be put by several owners; the answer is all of their addresses. */
export interface NameRecord {
  readonly name: string; // web, tasks.web, web.1.x7: as asked for, without the network's name; case does not matter
  readonly addresses: readonly string[]; // IPv4 and IPv6 mixed; more than one are answered in turn
  /** The addresses are looked up backwards to this name. */
  readonly reverse: boolean;
  /** For `_http._tcp.NAME`: how the ports are called. */
  readonly ports?: readonly { readonly service: string; readonly protocol: 'tcp' | 'udp'; readonly port: number }[];
  readonly ttlSeconds: number;
}

/** Who fills the names of a network. The containers of this machine are put by the networks themselves. */
export interface NameSource {
  /** All of `owner`'s names of the network; replaces what it had. A lower index never overwrites a higher one. */
  setNames(networkId: string, owner: string, index: number, records: readonly NameRecord[]): void;
  /** Some of them: a record replaces the one of its name; `removed` are names. */
  changeNames(
    networkId: string,
    owner: string,
    index: number,
    change: { readonly put: readonly NameRecord[]; readonly removed: readonly string[] },
  ): void;
  /** The owner has no more to say about the network. */
  dropNames(networkId: string, owner: string): void;
  /** What is answered now, for audits: from all owners. */
  namesOf(networkId: string): readonly NameRecord[];
}

/** A subnet, as it was asked for. */
export interface PoolRequest {
  readonly subnet: string;
  readonly gateway?: string; // the first address
  /** Addresses are chosen from this part of the subnet only. */
  readonly range?: string;
  /** Addresses that others have, by what they are called. */
  readonly auxiliary?: Readonly<Record<string, string>>;
}

/** A network between nodes, as the managers made it. */
export interface OverlayNetwork {
  readonly id: string;
  readonly name: string;
  readonly vni: number;
  readonly port: number; // 0: the usual one
  readonly subnet: string;
  readonly gateway: string;
  /** Beside the first one. */
  readonly further?: readonly { readonly subnet: string; readonly gateway: string }[];
  /** Absent: without IPv6. What an address there follows from: base/six-of-four.ts. */
  readonly subnet6?: string;
  /** Of IPv6, beside that one. */
  readonly further6?: readonly string[];
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly options: Readonly<Record<string, string>>;
}

/** Connections that are alike in this go to the same target while it is there; absent: each to any. */
export type SessionAffinity = 'client-address';

/** All that this node has to know of one. */
export interface OverlayState {
  readonly network: OverlayNetwork;
  readonly endpoints: readonly {
    readonly address: string;
    /** Where it is; absent: on this node. */
    readonly node?: OverlayNode;
    /** Its node is down: connections to it are cut. */
    readonly lost: boolean;
  }[];
  /** New connections to the virtual address go to one of the targets. */
  readonly services: readonly {
    readonly virtualAddress: string;
    readonly targets: readonly string[];
    readonly affinity?: SessionAffinity;
  }[];
  readonly names: readonly NameRecord[];
  /** Of a network with the option `encrypted`. Absent: the managers have not said yet, and nothing is sent. */
  readonly encryption?: OverlayEncryption;
}

/** Another node of the cluster. */
export interface OverlayNode {
  readonly id: string;
  readonly address: string;
  readonly port: number;
  /** By which it can encrypt. Absent: it has not said, and has the tunnel. */
  readonly means?: readonly MeansName[];
  /** In which life its kernel carries the network. Absent: it does not, or not yet. */
  readonly life?: string;
  /** The first of the network's ports where its kernel hears WireGuard. Absent: it does not, or not yet. */
  readonly wireguardPort?: number;
}

/** The kernel's IPsec, the kernel's WireGuard, and a process of ours. */
export type MeansName = 'esp' | 'wireguard' | 'tunnel';

export interface OverlayEncryption {
  readonly nodeId: string; // this node
  /** As the others were told of it; absent: they were not yet. */
  readonly self?: OverlayNode;
  /** What may be received. Secrets are 64 hex digits; they go to no file, log or answer. */
  readonly keys: readonly { readonly id: number; readonly secret: string }[];
  /** What is sent under. */
  readonly sendId: number;
}

/** How an encrypted network reaches another node, as seen from here. */
export interface OverlayPair {
  readonly nodeId: string;
  /** `none`: it is not reached, nothing goes to it in clear. */
  readonly means: MeansName | 'none';
  /** Of `none`: why; of the others: why it is not what comes before them, where the other node has that. */
  readonly reason?: string;
  /** The other node has answered under a key of the network. */
  readonly open: boolean;
  /** Packets; by WireGuard bytes, which is what its kernel counts. */
  readonly sent: number;
  readonly received: number;
  readonly replayed: number;
  readonly altered: number;
}

export interface Overlays {
  /** By which means this node can encrypt what goes to others, as they are to be told. */
  offered(): readonly MeansName[];
  /** Encrypted networks that the kernel of this node is ready to carry, each in its life, as others are to be told. */
  lives(): Readonly<Record<string, string>>;
  /** Encrypted networks that this node's WireGuard hears others on, each with the first of its ports, as others are to be told. */
  wireguardPorts(): Readonly<Record<string, number>>;
  /** The other nodes of an encrypted network; none of others. */
  pairs(networkId: string): Promise<readonly OverlayPair[]>;
  /** Resolves when the kernel has it. A lower index never overwrites a higher one. */
  apply(index: number, state: OverlayState): Promise<void>;
  /** This node is not on the network any more. Code `conflict` while a container is. */
  drop(networkId: string): Promise<void>;
}

export interface NetworkInfo {
  readonly id: string;
  readonly name: string;
  readonly driver: 'bridge' | 'host' | 'null' | 'overlay' | 'macvlan' | 'ipvlan';
  readonly scope: 'local' | 'swarm';
  readonly createdAtMs: number;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  readonly subnet?: string; // 172.17.0.0/16
  readonly gateway?: string;
  readonly pools?: readonly PoolRequest[]; // all subnets, those of IPv6 last
  readonly ipv6?: boolean;
  readonly endpoints: readonly Endpoint[];
}

/** Where a service's published port leads on this node. Replaces what was there; a lower index never overwrites a higher one. */
export interface IngressPort {
  readonly protocol: 'tcp' | 'udp';
  readonly publishedPort: number;
  /** Own running, healthy tasks: container addresses and port. */
  readonly local: readonly {
    readonly taskId: string;
    readonly address: string;
    readonly address6?: string; // absent: not reached by IPv6
    readonly port: number;
  }[];
  /** Nodes that have one, used only while `local` is empty. */
  readonly remote: readonly {
    readonly address: string;
    readonly port: number;
    /** Where it takes TCP connections with their client's address (`openWays`); absent: it does not. */
    readonly wayPort?: number;
  }[];
  readonly affinity?: SessionAffinity;
}

/** Kernel against records. */
export interface NetworkReport {
  /** A sentence for each thing in the kernel that is not as it should be. */
  readonly differences: readonly { readonly cause: string; readonly sentence: string }[];
  /** How often something was put right since the daemon started, by cause. */
  readonly repaired: Readonly<Record<string, number>>;
  /** By which means encrypted networks could reach other nodes, and do. */
  readonly encryption: readonly EncryptionMeans[];
  /** By which means encrypted networks reach the other nodes from here, and why not by a better one. */
  readonly pairs: readonly {
    readonly network: string;
    readonly nodeId: string;
    readonly means: OverlayPair['means'];
    readonly reason?: string;
  }[];
  /** Nodes that an encrypted network does not reach from here, each with the reason. */
  readonly ingress: IngressReport;
  readonly unreached: readonly { readonly network: string; readonly nodeId: string; readonly reason: string }[];
}

/** How services' published ports lead from this node to tasks, here and elsewhere. */
export interface IngressReport {
  /** Why no connection is passed on with its client's address; absent: they are, or this node is in no swarm. */
  readonly hidden?: string;
  /** Nodes that connections are passed on to, by their addresses for data. */
  readonly nodes: readonly {
    readonly address: string;
    readonly port: number; // UDP, of the link between nodes
    /** By IPv4: does a task there see the client (TCP), or this node? */
    readonly keepsClient: boolean;
    /** By IPv6 connections are passed on with their client's address, or not at all. */
    readonly takesSix: boolean;
    /** Why not. */
    readonly reasons: readonly string[];
  }[];
  readonly ports: readonly IngressPort[];
}

export interface EncryptionMeans {
  readonly means: MeansName;
  readonly isThere: boolean;
  readonly isUsed: boolean;
  /** Why it is not there, or not used. */
  readonly reason: string;
}

/** Gets containers places on networks of the cluster that this machine is, or is not yet, on. */
export interface GuestDesk {
  /** Resolves when the network is there, with the address that the container has on it. */
  admit(request: {
    readonly containerId: string;
    readonly containerName: string;
    readonly network: string; // id or name
    readonly aliases: readonly string[];
    readonly address: string; // '': any
  }): Promise<{ readonly networkId: string; readonly address: string }>;
  release(containerId: string, networkId: string): void;
  /** Rejects when there is no such network of the cluster, or containers may not join it. */
  check(network: string): Promise<void>;
}

export interface Networks {
  /** Set by whoever speaks to the cluster; undefined: this node is in none. */
  guests?: GuestDesk | undefined;
  readonly names: NameSource;
  /** Compares, and changes nothing. */
  report(): Promise<NetworkReport>;
  /** As in `report`, without asking the kernel. */
  ingress(): IngressReport;
  readonly overlays: Overlays;
  list(): readonly NetworkInfo[];
  get(idOrName: string): NetworkInfo; // throws not-found: "network x not found"
  create(request: {
    name: string;
    driver: string;
    labels: Readonly<Record<string, string>>;
    options: Readonly<Record<string, string>>;
    internal: boolean;
    attachable: boolean;
    /** In place of `pools` when there is one subnet. */
    subnet?: string;
    gateway?: string;
    /** None of a family: a free subnet is chosen. */
    pools?: readonly PoolRequest[];
    /** Containers have IPv6 addresses too. */
    ipv6?: boolean;
  }): Promise<NetworkInfo>;
  remove(idOrName: string): Promise<void>;
  /** Reserves address and host ports, makes the namespace and the link. Conflicts: "port is already allocated". */
  join(request: EndpointRequest): Promise<Endpoint>;
  /**
   * Releases all of it. Idempotent. Never waits for the kernel's grace period. `keepSandbox`: the container runs on, and
   * may join another network in the same namespace; `releaseSandbox` ends that when it has stopped.
   */
  leave(endpoint: Endpoint, options?: { readonly keepSandbox: boolean }): Promise<void>;
  /** Gives a namespace without endpoints back. */
  releaseSandbox(sandboxPath: string): void;
  /**
   * Once, before the first join: endpoints of running containers, so that addresses and ports stay reserved and rules
   * are right. What the kernel has of an earlier daemon and nobody adopts is removed. `sandboxPaths`: namespaces of
   * running containers, for those that have no endpoint at the moment.
   */
  adopt(endpoints: readonly Endpoint[], sandboxPaths?: readonly string[]): Promise<void>;
  /** The whole ingress map of this node at a raft index; resolves when the kernel has it. */
  applyIngress(index: number, ports: readonly IngressPort[]): Promise<void>;
  /**
   * Makes the link by which this node passes connections on to others, and takes them from others, with their client's
   * address. False: it can not be, and the log says why; connections passed on then come from this node.
   */
  openWays(port: number): Promise<boolean>;
  /** The addresses of all nodes of the cluster: packets of others are not taken at the port of `openWays`. */
  knowNodes(addresses: readonly string[]): Promise<void>;
  /** The node left its swarm: no ports, no ways, and the next index may be any. */
  clearIngress(): Promise<void>;
  /** A machine died: clients whose connections led to one of its addresses are told at once instead of waiting. */
  breakConnections(addresses: readonly string[]): Promise<void>;
}
