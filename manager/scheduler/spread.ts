// The order in which suitable nodes are taken: branches of the spread preferences evenly, then within a branch nodes
// that keep failing last, fewest tasks of this service, fewest tasks.
import { attributeOf } from '../../proto/constraints.ts';
import type { ServiceId } from '../../proto/objects.ts';
import { Heap } from './heap.ts';
import type { NodeEntry } from './node-ledger.ts';

export interface SpreadOptions {
  readonly serviceId: ServiceId;
  readonly spreadOver: readonly string[];
  readonly nowMs: number;
  /** Whether the node may take one more. */
  readonly accepts: (entry: NodeEntry) => boolean;
}

/** A tree of branches over the suitable nodes; each take returns the next node and expects the caller to fill it. */
export class Spread {
  readonly #root: Branch;
  readonly #options: SpreadOptions;

  constructor(suitable: readonly NodeEntry[], options: SpreadOptions) {
    this.#options = options;
    this.#root = grow(suitable, options.spreadOver, options);
  }

  /** The node for the next task, or undefined when none is left. `fill` puts the task there before the next take. */
  take(fill: (entry: NodeEntry) => void): NodeEntry | undefined {
    return this.#takeFrom(this.#root, fill);
  }

  #takeFrom(branch: Branch, fill: (entry: NodeEntry) => void): NodeEntry | undefined {
    const taken = branch.kind === 'leaf' ? this.#takeLeast(branch, fill) : this.#takeBranch(branch, fill);
    if (taken) branch.tasks += 1;
    return taken;
  }

  #takeBranch(branch: Fork, fill: (entry: NodeEntry) => void): NodeEntry | undefined {
    const open = branch.branches.filter((child) => !child.full).sort((a, b) => a.tasks - b.tasks);
    for (const child of open) {
      const taken = this.#takeFrom(child, fill);
      if (taken) return taken;
      child.full = true;
    }
    return undefined;
  }

  #takeLeast(leaf: Leaf, fill: (entry: NodeEntry) => void): NodeEntry | undefined {
    for (let entry = leaf.nodes.peek(); entry; entry = leaf.nodes.peek()) {
      if (this.#options.accepts(entry)) {
        fill(entry);
        leaf.nodes.settleLeast();
        return entry;
      }
      leaf.nodes.pop();
    }
    return undefined;
  }
}

type Branch = Leaf | Fork;
interface Leaf {
  readonly kind: 'leaf';
  readonly nodes: Heap<NodeEntry>;
  tasks: number;
  full: boolean;
}
interface Fork {
  readonly kind: 'fork';
  readonly branches: readonly Branch[];
  tasks: number;
  full: boolean;
}

function grow(entries: readonly NodeEntry[], spreadOver: readonly string[], options: SpreadOptions): Branch {
  const tasks = entries.reduce((sum, entry) => sum + entry.tasksWantedOf(options.serviceId), 0);
  const [key, ...rest] = spreadOver;
  if (key === undefined) return { kind: 'leaf', nodes: new Heap(entries, byLoad(options)), tasks, full: false };
  const groups = new Map<string, NodeEntry[]>();
  for (const entry of entries) {
    const value = attributeOf(entry.node, key) ?? ''; // nodes without it form one branch
    const group = groups.get(value);
    if (group) group.push(entry);
    else groups.set(value, [entry]);
  }
  return {
    kind: 'fork',
    branches: [...groups.values()].map((group) => grow(group, rest, options)),
    tasks,
    full: false,
  };
}

function byLoad({ serviceId, nowMs }: SpreadOptions): (a: NodeEntry, b: NodeEntry) => number {
  const faulty = (entry: NodeEntry): number => Number(entry.isFaultyFor(serviceId, nowMs));
  return (a, b) =>
    faulty(a) - faulty(b) ||
    a.tasksWantedOf(serviceId) - b.tasksWantedOf(serviceId) ||
    a.tasksWanted - b.tasksWanted ||
    (a.node.id < b.node.id ? -1 : 1);
}
