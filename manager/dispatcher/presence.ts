// Which nodes have a running task of each service: counted per change, so that an ingress entry is read, not searched.
import type { NodeId, ServiceId, Task } from '../../proto/objects.ts';
import { isWanted } from '../../proto/task-state.ts';

export class Presence {
  readonly #counts = new Map<ServiceId, Map<NodeId, number>>();

  /** Takes a change of one task into account; true when a node came to have a task of the service, or has none left. */
  move(before: Task | undefined, after: Task | undefined): boolean {
    const [was, is] = [serves(before), serves(after)];
    const task = after ?? before;
    if (was === is || !task?.nodeId) return false;
    return is ? this.#add(task.serviceId, task.nodeId) : this.#drop(task.serviceId, task.nodeId);
  }

  nodesOf(service: ServiceId): readonly NodeId[] {
    return [...(this.#counts.get(service)?.keys() ?? [])];
  }

  servicesOn(node: NodeId): readonly ServiceId[] {
    return [...this.#counts].flatMap(([service, nodes]) => (nodes.has(node) ? [service] : []));
  }

  #add(service: ServiceId, node: NodeId): boolean {
    const nodes = this.#counts.get(service) ?? new Map<NodeId, number>();
    const count = nodes.get(node) ?? 0;
    this.#counts.set(service, nodes.set(node, count + 1));
    return count === 0;
  }

  #drop(service: ServiceId, node: NodeId): boolean {
    const nodes = this.#counts.get(service);
    const count = nodes?.get(node) ?? 0;
    if (!nodes || count === 0) return false;
    if (count > 1) return nodes.set(node, count - 1) && false;
    nodes.delete(node);
    if (nodes.size === 0) this.#counts.delete(service);
    return true;
  }
}

/** Takes connections and shall go on doing so. Running means healthy: an agent reports it only then. */
const serves = (task: Task | undefined): boolean => task?.status.state === 'running' && isWanted(task);
