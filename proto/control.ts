// The control operations: what can be asked of a cluster, by name, with the shapes of question and answer.
// proto/control.proto has one method for each name here; a test compares the two. Requests and replies travel as
// JSON in one bytes field, with the caller's identity beside it. A follower passes a call on to the leader.
import type {
  Cluster,
  ClusterSpec,
  Guest,
  JoinTokens,
  ManagerAddresses,
  Network,
  NetworkSpec,
  Node,
  NodeId,
  NodeRole,
  NodeSpec,
  Service,
  ServiceSpec,
  Task,
} from './objects.ts';

/** Who asks, and through whom. Set by the manager that first took the call, never by the client. */
export interface Caller {
  readonly id: string; // node id of the manager whose API was used, or of the calling node
  readonly role: 'operator' | NodeRole;
  readonly forwardedBy?: NodeId;
}

/** A manager as the leader sees it now. Not stored: reachability is an observation. */
export interface ManagerState {
  readonly nodeId: NodeId;
  readonly leader: boolean;
  readonly reachable: boolean;
  readonly addresses: ManagerAddresses;
}

/** Names are exact ids, exact names or unique id prefixes, tried in this order. */
export interface ObjectFilter {
  readonly ids?: readonly string[]; // prefixes
  readonly names?: readonly string[]; // prefixes
  readonly labels?: readonly string[]; // key or key=value; all must match
}

export interface TaskFilter extends ObjectFilter {
  readonly services?: readonly string[]; // ids or names
  readonly nodes?: readonly string[]; // ids or names or hostnames
  readonly desired?: readonly ('running' | 'shutdown' | 'accepted')[];
  readonly upToDate?: boolean; // only tasks of the service's current spec version
}

/** A container that no service owns wants a place on a network of the cluster. */
export interface GuestRequest {
  readonly containerId: string;
  readonly network: string; // name or id
  readonly name: string;
  readonly aliases: readonly string[];
  readonly address: string; // '': any
  /** It wants to know whether there is such a network that it may join, and no place: `containerId` is ''. */
  readonly probe?: boolean;
}

/** The answer to the request with the same container and network. */
export interface GuestPlace {
  readonly containerId: string;
  readonly network: string;
  readonly networkId: string;
  readonly address: string; // '': there is none
  /** Why there is none, with its code. */
  readonly refusal?: { readonly code: string; readonly reason: string };
}

export interface ControlMethods {
  CreateService: { request: { spec: ServiceSpec }; reply: { service: Service; warnings: readonly string[] } };
  GetService: { request: { service: string }; reply: { service: Service } };
  ListServices: {
    request: { filter: ObjectFilter & { modes?: readonly string[] }; status: boolean };
    reply: { services: readonly Service[]; status: Readonly<Record<string, ServiceStatus>> };
  };
  UpdateService: {
    request: { service: string; version: number; spec: ServiceSpec; rollback: 'none' | 'previous' };
    reply: { service: Service; warnings: readonly string[] };
  };
  RemoveService: { request: { service: string }; reply: Record<string, never> };
  GetTask: { request: { task: string }; reply: { task: Task } };
  ListTasks: { request: { filter: TaskFilter }; reply: { tasks: readonly Task[] } };
  GetNode: { request: { node: string }; reply: { node: Node; manager?: ManagerState } };
  ListNodes: {
    request: {
      filter: ObjectFilter & {
        roles?: readonly string[];
        memberships?: readonly string[];
        nodeLabels?: readonly string[];
      };
    };
    reply: { nodes: readonly Node[]; managers: readonly ManagerState[] };
  };
  UpdateNode: { request: { node: string; version: number; spec: NodeSpec }; reply: { node: Node } };
  RemoveNode: { request: { node: string; force: boolean }; reply: Record<string, never> };
  GetCluster: {
    request: Record<string, never>;
    reply: { cluster: PublicCluster; managers: readonly ManagerState[]; nodesTotal: number };
  };
  UpdateCluster: {
    request: {
      version: number;
      spec: ClusterSpec;
      rotateWorkerToken: boolean;
      rotateManagerToken: boolean;
      rotateUnlockKey?: boolean;
    };
    reply: { cluster: PublicCluster };
  };
  /** '' while managers do not lock themselves. */
  GetUnlockKey: { request: Record<string, never>; reply: { unlockKey: string } };
  CreateNetwork: { request: { spec: NetworkSpec }; reply: { network: Network } };
  GetNetwork: { request: { network: string }; reply: { network: Network } };
  ListNetworks: { request: { filter: ObjectFilter }; reply: { networks: readonly Network[] } };
  RemoveNetwork: { request: { network: string }; reply: Record<string, never> };
  /** Who is on a network beside tasks, and how far the nodes are: `applied` of `index`. */
  GetNetworkMembers: {
    request: { network: string };
    reply: { guests: readonly Guest[]; index: number; applied: Readonly<Record<string, number>> };
  };
  /** All guests of a node, as its agent says in this session; others that it had are given up. */
  SetGuests: {
    request: { node: string; session: string; guests: readonly GuestRequest[] };
    reply: { places: readonly GuestPlace[] };
  };
}

export type ControlMethod = keyof ControlMethods;

/**
 * Every method, and whether it writes: a read may be asked again after a lost leader, a write may not. `leader`: nothing is
 * written, but only the leader knows.
 */
export const CONTROL_METHODS = {
  CreateService: 'write',
  GetService: 'read',
  ListServices: 'read',
  UpdateService: 'write',
  RemoveService: 'write',
  GetTask: 'read',
  ListTasks: 'read',
  GetNode: 'read',
  ListNodes: 'read',
  UpdateNode: 'write',
  RemoveNode: 'write',
  GetCluster: 'read',
  UpdateCluster: 'write',
  GetUnlockKey: 'read',
  CreateNetwork: 'write',
  GetNetwork: 'read',
  ListNetworks: 'read',
  RemoveNetwork: 'write',
  GetNetworkMembers: 'leader',
  SetGuests: 'write',
} as const satisfies Record<ControlMethod, 'read' | 'write' | 'leader'>;

export type ControlRequest<M extends ControlMethod> = ControlMethods[M]['request'];
export type ControlReply<M extends ControlMethod> = ControlMethods[M]['reply'];

/** The cluster without its private key. Tokens are for operators on managers: `swarm join-token` needs them. */
export type PublicCluster = Omit<Cluster, 'rootKey' | 'tokens' | 'unlockKey'> & { readonly tokens: JoinTokens };

export interface ServiceStatus {
  readonly runningTasks: number;
  readonly desiredTasks: number;
  readonly completedTasks: number;
}

/** One line of a task's output. */
export interface TaskLogLine {
  readonly serviceId: string;
  readonly taskId: string;
  readonly nodeId: string;
  readonly stream: 'stdout' | 'stderr';
  readonly timestamp: string; // RFC 3339 with nanoseconds, as the shim wrote it
  readonly bytes: Uint8Array; // with its final newline, if it had one
}

export interface LogSelector {
  readonly service?: string;
  readonly task?: string;
}

export interface LogOptions {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly follow: boolean;
  readonly tailLines?: number; // absent: all
  readonly sinceMs?: number;
  readonly untilMs?: number;
}

/** The cluster as the Engine API and the dashboard use it: on any manager; `unavailable` elsewhere or without a leader. */
export interface ClusterControl {
  /**
   * Reads are linearizable: they see every change that was answered before they were asked, on whatever manager. With
   * `stale` they are answered at once from what this manager has applied, leader or not. A write whose outcome is not known
   * ends with code `unknown-outcome` and is never repeated by us.
   */
  call<M extends ControlMethod>(
    method: M,
    request: ControlRequest<M>,
    options?: { abort?: AbortSignal | undefined; stale?: boolean | undefined },
  ): Promise<ControlReply<M>>;
  /** Merged output of the selected tasks; a node that cannot answer is named in a final line on stderr, never waited for. */
  logs(selector: LogSelector, options: LogOptions, abort: AbortSignal): AsyncIterable<TaskLogLine>;
  /** Changes of services, tasks and nodes as this manager applies them; ends with code `aborted`. */
  changes(abort: AbortSignal): AsyncIterable<ClusterChange>;
}

export type ClusterChange =
  | {
      readonly kind: 'service';
      readonly action: 'create' | 'update' | 'remove';
      readonly object: Service;
      readonly previous?: Service;
    }
  | {
      readonly kind: 'task';
      readonly action: 'create' | 'update' | 'remove';
      readonly object: Task;
      readonly previous?: Task;
    }
  | {
      readonly kind: 'node';
      readonly action: 'create' | 'update' | 'remove';
      readonly object: Node;
      readonly previous?: Node;
    }
  | {
      readonly kind: 'network';
      readonly action: 'create' | 'update' | 'remove';
      readonly object: Network;
      readonly previous?: Network;
    }
  | { readonly kind: 'resync' };
