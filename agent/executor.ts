// What the agent asks of whatever runs tasks. agent/container implements it over the machine's containers; tests over
// nothing at all.
import type { EndpointEntry, NetworkEntry, NetworkServiceEntry } from '../proto/assignment.ts';
import type { GuestRequest, LogOptions } from '../proto/control.ts';
import type { LogRecord } from '../proto/log-record.ts';
import type { NodeDescription, PortConfig, Task, TaskId } from '../proto/objects.ts';
import type { SessionAffinity } from '../proto/session-affinity.ts';
import type { GuestPlaces } from './guests.ts';

export interface Executor {
  describe(): NodeDescription;
  /** The hands on one task. Finds what an earlier life of this process left of it. */
  controller(task: Task): Controller;
  /** Tasks of which something is left on this machine, from this life or an earlier one. */
  held(): readonly TaskId[];
  /** Stops and removes what is left of a task that nobody knows any more. An abort gives up the waiting, not the stop. */
  discard(taskId: TaskId, abort?: AbortSignal): Promise<void>;
  /** Before the first session: makes what connections need that keep their client's address, at this port. */
  openWays(port: number): Promise<void>;
  /** The whole ingress map of this node; resolves when connections follow it. A lower index never overwrites a higher. */
  applyIngress(index: number, targets: readonly IngressTarget[]): Promise<void>;
  /** Machines died: who is connected to one of these addresses through here is told at once. */
  breakConnections(addresses: readonly string[]): Promise<void>;
  /** The addresses of all nodes of the cluster: others are not heard on networks between nodes. None: not known. */
  knowNodes(addresses: readonly string[]): Promise<void>;
  /** The node left its swarm: no ports lead anywhere, and the next index may be any. */
  clearIngress(): Promise<void>;
  /** All that this node has to know of a network; resolves when connections and names follow it. */
  applyNetwork(index: number, picture: NetworkPicture): Promise<void>;
  /** This node is not on the network any more. Code `conflict` while one of its containers is. */
  dropNetwork(networkId: string): Promise<void>;
  /** Networks of the cluster of which this machine has something, from this life or an earlier one. */
  heldNetworks(): readonly string[];
  /** Containers of no service that are on networks of the cluster; the networks by id. */
  guests(): readonly GuestRequest[];
  /** Where such containers get their places from now on; undefined: nowhere. */
  serveGuests(places: GuestPlaces | undefined): void;
}

export interface NetworkPicture {
  /** This node. */
  readonly nodeId: string;
  readonly network: NetworkEntry;
  readonly services: readonly NetworkServiceEntry[];
  readonly endpoints: readonly EndpointEntry[];
}

/** Where one published port leads. */
export interface IngressTarget {
  readonly protocol: PortConfig['protocol'];
  readonly publishedPort: number;
  readonly targetPort: number;
  readonly localTasks: readonly TaskId[];
  /** Used only while there are no local tasks. */
  readonly remotes: readonly {
    readonly address: string;
    /** Where it takes connections with their client's address; absent: it does not. */
    readonly wayPort?: number;
  }[];
  readonly affinity?: SessionAffinity;
}

export interface TaskFacts {
  readonly containerId: string;
  readonly pid: number;
  readonly ports?: readonly PortConfig[];
}

export interface TaskExit {
  readonly exitCode: number;
  /** Why, when the exit code does not say it: unhealthy, out of memory. */
  readonly error?: string;
}

/** Steps of one task, each called once it is its turn. An error's sentence ends up in the task's status. */
export interface Controller {
  /** Everything up to a start: image, container. Does nothing when that is there already. */
  prepare(abort: AbortSignal): Promise<void>;
  /** Starts it; resolves when its process runs. Does nothing when it runs or has run already. */
  start(abort: AbortSignal): Promise<TaskFacts>;
  /** Resolves when it is healthy, or at once without a health check; rejects when it exits or fails before. */
  healthy(abort: AbortSignal): Promise<void>;
  /** Resolves when it has exited. Rejects when it becomes unhealthy: it then still runs, and may get connections. */
  exited(abort: AbortSignal): Promise<TaskExit>;
  /**
   * The stop signal, and force after the grace. Resolves when nothing runs, whatever state it was in; with nothing when
   * it never ran. An abort gives up the waiting, not the stop.
   */
  stop(abort: AbortSignal): Promise<TaskExit | undefined>;
  /** Nothing of it is left. */
  remove(): Promise<void>;
  /** Ends at once when the task never had output. */
  logs(options: LogOptions, abort: AbortSignal): AsyncIterable<LogRecord>;
}
