// Published ports on this node: what the managers say of the others, and what the agent knows of its own tasks, which is
// fresher. One change is applied at a time; those that come meanwhile are applied together.
// Invariant: a task is in the map only between `enter` and `leave`, and `leave` resolves when the kernel has let go.
import { invariant } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';
import { sentenceOf } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { IngressEntry } from '../proto/assignment.ts';
import type { NodeId, Task, TaskId } from '../proto/objects.ts';
import type { Executor, IngressTarget } from './executor.ts';

export interface IngressDeps {
  readonly executor: Pick<Executor, 'applyIngress' | 'breakConnections'>;
  readonly nodeId: NodeId;
  readonly clock: Clock;
  readonly log: Log;
  /** Resolves when every other ready node has applied the index, or `withinMs` has passed. */
  readonly awaitOthers: (index: number, withinMs: number) => Promise<boolean>;
  /** Nodes that this one does not reach at the moment. */
  readonly isSuspected: (nodeAddress: string) => boolean;
}

const RETRY_MS = 500;
const APPLY_WITHIN_MS = 2_000;
const OTHERS_WITHIN_MS = 1_000;

interface Serving {
  readonly serviceId: string;
  /** A map that leads to it was asked for, whatever the managers say of its service now. */
  inMap: boolean;
}

export class Ingress {
  readonly #deps: IngressDeps;
  #entries = new Map<string, IngressEntry>();
  readonly #serving = new Map<TaskId, Serving>();
  #index = 0;
  #wanted = 0; // counts changes
  #applied = 0; // up to which change the executor has the map
  #applying = false;
  #waiters: { readonly change: number; readonly done: () => void }[] = [];

  constructor(deps: IngressDeps) {
    this.#deps = deps;
  }

  /** The managers' side, as of `index`. */
  assign(index: number, change: (entries: Map<string, IngressEntry>) => void): void {
    const entries = new Map(this.#entries);
    change(entries);
    const lost = newlyLost(this.#entries, entries);
    this.#entries = entries;
    this.#index = Math.max(this.#index, index);
    this.#changed();
    if (lost.length > 0) void this.#breakConnections(lost);
  }

  /**
   * What a former life knew, until a manager has spoken. The kernel still leads connections to the tasks that served
   * then: they stay in the map, or there would be a gap until each is found again.
   */
  restore(index: number, entries: readonly IngressEntry[], serving: readonly Task[]): void {
    invariant(this.#index === 0, 'ingress is restored before anything is assigned');
    for (const { id, serviceId } of serving) this.#serving.set(id, { serviceId, inMap: false });
    this.assign(index, (map) => {
      for (const entry of entries) map.set(entry.serviceId, entry);
    });
  }

  /** Addresses of nodes that connections may be passed on to. */
  *nodes(): Iterable<string> {
    for (const { nodes } of this.#entries.values()) {
      for (const { nodeId, address } of nodes) if (nodeId !== this.#deps.nodeId) yield address;
    }
  }

  /** Nodes came under suspicion, or out of it. */
  review(addresses: ReadonlySet<string>): void {
    if ([...this.nodes()].some((address) => addresses.has(address))) this.#changed();
  }

  entries(): readonly IngressEntry[] {
    return [...this.#entries.values()];
  }

  async enter(task: Task): Promise<void> {
    this.resume(task);
    await this.settled();
  }

  /** As `enter`, for one that has entered in a former life; does not wait. */
  resume({ id, serviceId }: Task): void {
    if (this.#serving.has(id)) return;
    this.#serving.set(id, { serviceId, inMap: false });
    if (this.#entries.has(serviceId)) this.#changed();
  }

  async leave(task: Task, why: 'stop' | 'ended'): Promise<void> {
    const serving = this.#serving.get(task.id);
    this.#serving.delete(task.id);
    if (!serving?.inMap) return;
    this.#changed();
    const others = [...this.#serving.values()].some(({ serviceId }) => serviceId === task.serviceId);
    // With none left here, connections that reach other nodes must have stopped coming this way too.
    const elsewhere =
      why === 'stop' && !others ? this.#deps.awaitOthers(task.version, OTHERS_WITHIN_MS) : Promise.resolve(true);
    const [, settled] = await Promise.all([this.settled(), elsewhere]);
    if (!settled) this.#deps.log.warn('other nodes may still send connections here', { taskId: task.id });
  }

  /** Resolves when everything asked so far is in force; or after a while all the same, as a stop must not hang. */
  async settled(): Promise<void> {
    if (this.#applied >= this.#wanted) return;
    const change = this.#wanted;
    await new Promise<void>((resolve) => {
      const timer = this.#deps.clock.after(APPLY_WITHIN_MS, () => {
        this.#deps.log.warn('published ports are late', { withinMs: APPLY_WITHIN_MS });
        resolve();
      });
      const done = (): void => {
        timer.cancel();
        resolve();
      };
      this.#waiters.push({ change, done });
    });
  }

  /** New connections must not go there any more before the old ones are cut: their clients come back at once. */
  async #breakConnections(addresses: readonly string[]): Promise<void> {
    try {
      await this.settled();
      await this.#deps.executor.breakConnections(addresses);
    } catch (error) {
      this.#deps.log.warn('connections to lost nodes could not be cut', { addresses, error: sentenceOf(error) });
    }
  }

  #changed(): void {
    this.#wanted += 1;
    if (!this.#applying) void this.#applyAll();
  }

  async #applyAll(): Promise<void> {
    this.#applying = true;
    while (this.#applied < this.#wanted) {
      const change = this.#wanted;
      try {
        await this.#deps.executor.applyIngress(this.#index, this.#targets());
        this.#applied = change;
      } catch (error) {
        this.#deps.log.error('published ports could not be applied', { error: sentenceOf(error) });
        await this.#deps.clock.sleep(RETRY_MS);
        continue;
      }
      const due = this.#waiters.filter((waiter) => waiter.change <= change);
      this.#waiters = this.#waiters.filter((waiter) => waiter.change > change);
      for (const { done } of due) done();
    }
    this.#applying = false;
  }

  #targets(): IngressTarget[] {
    return [...this.#entries.values()].flatMap((entry) => {
      const localTasks = this.#localTasks(entry);
      const all = entry.nodes.filter(({ nodeId }) => nodeId !== this.#deps.nodeId);
      const reached = all.filter(({ address }) => !this.#deps.isSuspected(address));
      const others = reached.length > 0 ? reached : all;
      const remotes = others.map(({ address, wayPort }) => ({ address, ...(wayPort !== undefined && { wayPort }) }));
      return entry.ports.map(({ protocol, publishedPort, targetPort }) => ({
        protocol,
        publishedPort,
        targetPort,
        localTasks,
        remotes,
        ...(entry.affinity && { affinity: entry.affinity }),
      }));
    });
  }

  #localTasks({ serviceId, ports }: IngressEntry): TaskId[] {
    return [...this.#serving].flatMap(([id, serving]) => {
      if (serving.serviceId !== serviceId || ports.length === 0) return [];
      serving.inMap = true;
      return [id];
    });
  }
}

type Entries = ReadonlyMap<string, IngressEntry>;

function newlyLost(before: Entries, after: Entries): string[] {
  const known = new Set([...before.values()].flatMap(({ lost }) => lost));
  const lost = new Set([...after.values()].flatMap((entry) => entry.lost));
  return [...lost].filter((address) => !known.has(address));
}
