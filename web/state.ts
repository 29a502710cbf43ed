// The cluster as the page knows it: a pure function of the feed's messages.
import type {
  FeedMessage,
  ManagerView,
  NodeView,
  ServiceView,
  TaskView,
  ViewChange,
} from '../api/types/dashboard-feed.ts';

export interface ClusterState {
  readonly nodes: ReadonlyMap<string, NodeView>;
  readonly services: ReadonlyMap<string, ServiceView>;
  readonly tasks: ReadonlyMap<string, TaskView>;
  readonly managers: ReadonlyMap<string, ManagerView>;
  readonly trouble: string;
  readonly known: boolean;
}

export const EMPTY: ClusterState = {
  nodes: new Map(),
  services: new Map(),
  tasks: new Map(),
  managers: new Map(),
  trouble: '',
  known: false,
};

export function apply(state: ClusterState, message: FeedMessage): ClusterState {
  switch (message.type) {
    case 'state':
      return {
        nodes: byId(message.nodes),
        services: byId(message.services),
        tasks: byId(message.tasks),
        managers: managersById(message.managers),
        trouble: '',
        known: true,
      };
    case 'changes':
      return { ...state, ...changed(state, message.changes), trouble: '' };
    case 'managers':
      return { ...state, managers: managersById(message.managers), trouble: '' };
    case 'trouble':
      return { ...state, trouble: message.message };
  }
}

function changed(
  state: ClusterState,
  changes: readonly ViewChange[],
): Pick<ClusterState, 'nodes' | 'services' | 'tasks'> {
  const nodes = new Map(state.nodes);
  const services = new Map(state.services);
  const tasks = new Map(state.tasks);
  for (const change of changes) {
    switch (change.kind) {
      case 'node':
        put(nodes, change.id, change.view);
        break;
      case 'service':
        put(services, change.id, change.view);
        break;
      case 'task':
        put(tasks, change.id, change.view);
        break;
    }
  }
  return { nodes, services, tasks };
}

function put<T>(map: Map<string, T>, id: string, view: T | undefined): void {
  if (view) map.set(id, view);
  else map.delete(id);
}

const byId = <T extends { readonly id: string }>(list: readonly T[]): Map<string, T> =>
  new Map(list.map((item) => [item.id, item]));
const managersById = (list: readonly ManagerView[]): Map<string, ManagerView> =>
  new Map(list.map((item) => [item.nodeId, item]));

const OVER = new Set(['complete', 'shutdown', 'failed', 'rejected', 'orphaned']);

/** Boxes: what is wanted, and what still runs although it is not wanted any more. */
export function isShown(task: TaskView): boolean {
  return isWanted(task) || (!OVER.has(task.state) && task.state === 'running');
}

export const isWanted = (task: TaskView): boolean => task.desired === 'running' || task.desired === 'ready';
export const isDown = (node: NodeView): boolean => node.state !== 'ready';

/** The part of the image that tells versions apart. */
export const versionOf = (image: string): string => /:([^:@/]+)(?:@.*)?$/.exec(image)?.[1] ?? 'latest';

/** A service's hue, the same everywhere and always. */
export function hueOf(name: string): number {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.charCodeAt(0)) % 3600;
  return (sum * 137) % 360;
}
