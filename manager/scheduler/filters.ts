// Filters: may a task run on a node? The first that says no is the reason, and each can put it into words.
// The words are Docker's, since people and programs look for them in a task's error.
import { matchesConstraints } from '../../proto/constraints.ts';
import type { TaskId } from '../../proto/objects.ts';
import type { NodeEntry } from './node-ledger.ts';
import type { PlacementRequest } from './request.ts';

export interface Filter {
  readonly name:
    | 'ready'
    | 'resources'
    | 'constraints'
    | 'platform'
    | 'host-ports'
    | 'bridge-ports'
    | 'replicas-per-node';
  /** What can turn its no into a yes: a change of the node only, or also a task that ends there. */
  readonly yieldsTo: 'node' | 'task';
  /** `instead`: a task on the node that makes way for the one that asks. */
  accepts(entry: NodeEntry, request: PlacementRequest, instead?: TaskId): boolean;
  explain(nodes: number): string;
}

/** The kernel gives a bridge 1023 ports; that of a network between nodes has one for the way to them. */
const BRIDGE_TASKS_MAX = 1_022;

const onNodes = (nodes: number): string => (nodes === 1 ? 'on 1 node' : `on ${nodes} nodes`);

export const FILTERS: readonly Filter[] = [
  {
    name: 'ready',
    yieldsTo: 'node',
    accepts: ({ node }) => node.status.state === 'ready' && node.spec.availability === 'active',
    explain: (nodes) => `${nodes === 1 ? '1 node' : `${nodes} nodes`} not available for new tasks`,
  },
  {
    name: 'resources',
    yieldsTo: 'task',
    accepts: (entry, { reservations }, instead) => {
      if (reservations.nanoCpus === 0 && reservations.memoryBytes === 0) return true;
      const free = entry.free(instead);
      return reservations.nanoCpus <= free.nanoCpus && reservations.memoryBytes <= free.memoryBytes;
    },
    explain: (nodes) => `insufficient resources ${onNodes(nodes)}`,
  },
  {
    name: 'constraints',
    yieldsTo: 'node',
    accepts: ({ node }, { constraints }) => constraints !== undefined && matchesConstraints(constraints, node),
    explain: (nodes) => `scheduling constraints not satisfied ${onNodes(nodes)}`,
  },
  {
    name: 'platform',
    yieldsTo: 'node',
    accepts: ({ node }, { platforms }) => {
      const own = node.description?.platform;
      if (platforms.length === 0 || !own) return true;
      return platforms.some((wanted) => suits(wanted.os, own.os) && suits(wanted.architecture, own.architecture));
    },
    explain: (nodes) => `unsupported platform ${onNodes(nodes)}`,
  },
  {
    name: 'host-ports',
    yieldsTo: 'task',
    accepts: (entry, { hostPorts }, instead) => !hostPorts.some((port) => entry.isPortTaken(port, instead)),
    explain: (nodes) => `host-mode port already in use ${onNodes(nodes)}`,
  },
  {
    name: 'bridge-ports',
    yieldsTo: 'task',
    accepts: (entry, { bridges }, instead) =>
      bridges.every((network) => entry.bridgePortsOf(network, instead) < BRIDGE_TASKS_MAX),
    explain: (nodes) => `a network's bridge has its ${BRIDGE_TASKS_MAX} containers ${onNodes(nodes)}`,
  },
  {
    name: 'replicas-per-node',
    yieldsTo: 'task',
    accepts: (entry, { serviceId, replicasPerNodeMax }) =>
      replicasPerNodeMax === 0 || entry.tasksWantedOf(serviceId) < replicasPerNodeMax,
    explain: () => 'max replicas per node limit exceed',
  },
];

/** The kernel, Docker's images and people name the same machine differently. */
const SAME_ARCHITECTURE: Readonly<Record<string, string>> = { x86_64: 'amd64', aarch64: 'arm64', armv7l: 'arm' };
const plainName = (name: string): string => SAME_ARCHITECTURE[name.toLowerCase()] ?? name.toLowerCase();
const suits = (wanted: string, own: string): boolean => wanted === '' || plainName(wanted) === plainName(own);

/** The first filter that refuses the node, or undefined when it may be taken. */
export function refusalOf(entry: NodeEntry, request: PlacementRequest, instead?: TaskId): Filter | undefined {
  return FILTERS.find((filter) => !filter.accepts(entry, request, instead));
}

/** `no suitable node (scheduling constraints not satisfied on 2 nodes; 1 node not available for new tasks)`. */
export function explain(refusals: ReadonlyMap<Filter, number>): string {
  const parts = [...refusals]
    .sort(([a, countA], [b, countB]) => countB - countA || FILTERS.indexOf(a) - FILTERS.indexOf(b))
    .map(([filter, count]) => filter.explain(count));
  return parts.length === 0 ? 'no suitable node' : `no suitable node (${parts.join('; ')})`;
}
