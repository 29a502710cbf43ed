// What the container code, the API and the agent ask of the machine's networks.

export interface PortPublish {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly containerPort: number;
  readonly hostAddress: string; // '' any
  readonly hostPort: number; // 0: chosen
}

export interface EndpointRequest {
  readonly containerId: string;
  /** For sentences about its ports; absent: the container id's first 12 digits. */
  readonly containerName?: string;
  readonly network: string; // id or name
  readonly hostname: string;
  readonly aliases: readonly string[];
  readonly macAddress?: string;
  readonly address?: string; // asked-for IPv4
  readonly publish: readonly PortPublish[];
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
}

export interface NetworkInfo {
  readonly id: string;
  readonly name: string;
  readonly driver: 'bridge' | 'host' | 'null';
  readonly scope: 'local' | 'swarm';
  readonly createdAtMs: number;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  readonly subnet?: string; // 172.17.0.0/16
  readonly gateway?: string;
  readonly endpoints: readonly Endpoint[];
}

/** Where a service's published port leads on this node. Replaces what was there; a lower index never overwrites a higher one. */
export interface IngressPort {
  readonly protocol: 'tcp' | 'udp';
  readonly publishedPort: number;
  /** Own running, healthy tasks: container address and port. */
  readonly local: readonly { readonly taskId: string; readonly address: string; readonly port: number }[];
  /** Nodes that have one, used only while `local` is empty. */
  readonly remote: readonly { readonly address: string; readonly port: number }[];
}

export interface Networks {
  list(): readonly NetworkInfo[];
  get(idOrName: string): NetworkInfo; // throws not-found: "network x not found"
  create(request: {
    name: string;
    driver: string;
    labels: Readonly<Record<string, string>>;
    options: Readonly<Record<string, string>>;
    internal: boolean;
    attachable: boolean;
    subnet?: string;
    gateway?: string;
  }): Promise<NetworkInfo>;
  remove(idOrName: string): Promise<void>;
  /** Reserves address and host ports, makes the namespace and the link. Conflicts: "port is already allocated". */
  join(request: EndpointRequest): Promise<Endpoint>;
  /** Releases all of it. Idempotent. Never waits for the kernel's grace period. */
  leave(endpoint: Endpoint): Promise<void>;
  /**
   * Once, before the first join: endpoints of running containers, so that addresses and ports stay reserved and rules
   * are right. What the kernel has of an earlier daemon and nobody adopts is removed.
   */
  adopt(endpoints: readonly Endpoint[]): Promise<void>;
  /** The whole ingress map of this node at a raft index; resolves when the kernel has it. */
  applyIngress(index: number, ports: readonly IngressPort[]): Promise<void>;
  /** The node left its swarm: no ports, and the next index may be any. */
  clearIngress(): Promise<void>;
  /** A machine died: clients whose connections led to one of its addresses are told at once instead of waiting. */
  breakConnections(addresses: readonly string[]): Promise<void>;
}
