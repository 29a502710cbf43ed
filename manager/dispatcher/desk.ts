// The leader's desk for agents, whichever manager they talk to: decides who may report for a node, writes what they
// report, and notices who has fallen silent. What it remembers begins with each leadership; the rest is in the store.
import { type Clock } from '../../base/clock.ts';
import { CodedError, codeOf, fail } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { ClusterSpec, Node, NodeDescription, NodeId } from '../../proto/objects.ts';
import type { Store, Transaction } from '../store/contract.ts';
import { Liveness } from './liveness.ts';
import { mergeReports, type TaskReport } from './task-status.ts';

export interface Registration {
  readonly nodeId: NodeId;
  readonly sessionId: string;
  readonly previousSessionId: string;
  readonly keyDigest: string;
  readonly description: NodeDescription;
  readonly address: string;
  readonly dataAddress: string;
  readonly dataPort: number;
}

export interface SessionBeat {
  readonly nodeId: NodeId;
  readonly sessionId: string;
  readonly ageMs: number; // since the agent's last message
  readonly appliedIndex: number;
  /** Nothing that was sent waits for its acknowledgement: the agent is as far as its manager. */
  readonly idle: boolean;
  readonly ended: boolean;
}

/** What one manager tells of the sessions it holds: those with something new, and how far it is itself. */
export interface ManagerReport {
  readonly managerId: NodeId;
  readonly managerIndex: number;
  readonly beats: readonly SessionBeat[];
  readonly reports: readonly TaskReport[];
}

export interface DeskDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** The raft index up to which this manager has derived assignments. */
  readonly index: () => number;
}

interface LiveSession extends Pick<SessionBeat, 'sessionId' | 'appliedIndex' | 'idle' | 'ended'> {
  readonly managerId: NodeId | undefined; // undefined until its manager has told of it
}

const CHECK_EVERY_MS = 200;
/** A check that comes this late means that this process stood still, not that the nodes were silent. */
const OWN_PAUSE_MS = 1_000;
const WRITES_PER_TRANSACTION = 200;
/** Then the report is refused, and its manager makes it again. */
const CATCH_UP_MS = 1_000;

export class Desk {
  readonly #deps: DeskDeps;
  readonly #liveness = new Liveness();
  readonly #sessions = new Map<NodeId, LiveSession>();
  readonly #managerIndex = new Map<NodeId, number>();
  readonly #waiters = new Set<() => void>();

  constructor(deps: DeskDeps) {
    this.#deps = deps;
  }

  /** While this manager leads. */
  async run(abort: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    this.#sessions.clear();
    this.#managerIndex.clear();
    this.#restartCounts();
    let lastMs = clock.monotonicMs();
    while (!abort.aborted) {
      await clock.sleep(CHECK_EVERY_MS, { abort });
      const nowMs = clock.monotonicMs();
      if (nowMs - lastMs > CHECK_EVERY_MS + OWN_PAUSE_MS) {
        log.warn('this manager stood still; silence of nodes is counted anew', {
          pausedMs: Math.round(nowMs - lastMs),
        });
        this.#restartCounts();
      }
      lastMs = nowMs;
      try {
        await this.#markSilent(abort);
      } catch (error) {
        if (codeOf(error) !== 'unavailable' && codeOf(error) !== 'unknown-outcome') throw error;
      }
    }
  }

  /** Says that this session speaks for its node from now on; answers with the store's version that knows it. */
  async register(request: Registration, abort?: AbortSignal): Promise<number> {
    const { store, clock, log } = this.#deps;
    await store.update((tx) => this.#admit(tx, request), { abort });
    this.#liveness.hear(request.nodeId, clock.monotonicMs());
    const { nodeId, sessionId } = request;
    this.#sessions.set(nodeId, { sessionId, appliedIndex: 0, idle: false, ended: false, managerId: undefined });
    log.info('node registered', { nodeId, sessionId, address: request.address });
    return store.view().version;
  }

  /** Liveness and statuses from one manager. Resolves when the statuses are stored. */
  async report({ managerId, managerIndex, beats, reports }: ManagerReport, abort?: AbortSignal): Promise<void> {
    const nowMs = this.#deps.clock.monotonicMs();
    this.#managerIndex.set(managerId, managerIndex);
    for (const beat of beats) this.#hear(beat, managerId, nowMs);
    for (const check of this.#waiters) check();
    const back = beats.filter((beat) => !beat.ended && this.#isDown(beat));
    await this.#caughtUp(managerIndex, reports, abort);
    for (let at = 0; at < Math.max(reports.length, back.length); at += WRITES_PER_TRANSACTION) {
      const part = reports.slice(at, at + WRITES_PER_TRANSACTION);
      const returned = back.slice(at, at + WRITES_PER_TRANSACTION);
      await this.#deps.store.update(
        (tx) => {
          mergeReports(tx, part);
          for (const beat of returned) markReady(tx, beat, this.#deps.clock.nowMs());
        },
        { abort },
      );
    }
  }

  /** True once every other ready node has applied `index`; false when `withinMs` passes first. */
  async awaitApplied(exceptNodeId: string, index: number, withinMs: number, abort: AbortSignal): Promise<boolean> {
    if (this.#allApplied(exceptNodeId, index)) return true;
    using deadline = this.#deps.clock.deadline(abort, withinMs);
    return await new Promise<boolean>((resolve) => {
      const done = (answer: boolean): void => {
        this.#waiters.delete(check);
        resolve(answer);
      };
      const check = (): void => {
        if (this.#allApplied(exceptNodeId, index)) done(true);
      };
      this.#waiters.add(check);
      deadline.signal.addEventListener('abort', () => done(false), { once: true });
    });
  }

  /**
   * A follower may have applied an assignment, and its agent carried it out, before this leader's own store has it. Such
   * a report must wait: merged now it would look like one on another node's task, and be lost.
   */
  async #caughtUp(index: number, reports: readonly TaskReport[], abort: AbortSignal | undefined): Promise<void> {
    const { store, clock } = this.#deps;
    const isAhead = (): boolean => {
      const view = store.view();
      return view.version < index && reports.some(({ taskId, nodeId }) => view.tasks.get(taskId)?.nodeId !== nodeId);
    };
    if (!isAhead()) return;
    using deadline = clock.deadline(abort, CATCH_UP_MS);
    for await (const _change of store.viewAndWatch(['task'], { abort: deadline.signal }).changes) {
      if (!isAhead()) return;
    }
  }

  #admit(tx: Transaction, request: Registration): void {
    const { nodeId } = request;
    const node = tx.nodes.get(nodeId) ?? fail('forbidden', `node ${nodeId} is not part of this cluster`);
    const current = node.certificateKeyDigest === request.keyDigest;
    if (!current && node.previousCertificateKeyDigest !== request.keyDigest) {
      fail('forbidden', `the certificate of node ${nodeId} has been replaced`);
    }
    const same = node.sessionId === request.sessionId || node.sessionId === request.previousSessionId;
    if (node.sessionId !== undefined && !same && this.#isAlive(nodeId, node.sessionId)) {
      fail('forbidden', `node ${nodeId} is already represented by another session; is its identity copied?`);
    }
    tx.nodes.put(registered(node, request, current, this.#deps.clock.nowMs()));
  }

  #isAlive(nodeId: NodeId, sessionId: string): boolean {
    const session = this.#sessions.get(nodeId);
    if (session?.sessionId !== sessionId || session.ended) return false;
    return this.#liveness.silentMs(nodeId, this.#deps.clock.monotonicMs()) <= this.#policy().nodeDownAfterMs;
  }

  #hear(beat: SessionBeat, managerId: NodeId, nowMs: number): void {
    const node = this.#deps.store.view().nodes.get(beat.nodeId);
    if (node?.sessionId !== beat.sessionId) return;
    this.#liveness.hear(beat.nodeId, nowMs - beat.ageMs);
    this.#sessions.set(beat.nodeId, { ...beat, managerId });
  }

  #isDown(beat: SessionBeat): boolean {
    const node = this.#deps.store.view().nodes.get(beat.nodeId);
    const lately = beat.ageMs < this.#policy().nodeDownAfterMs;
    return lately && node?.sessionId === beat.sessionId && node.status.state !== 'ready';
  }

  #allApplied(exceptNodeId: string, index: number): boolean {
    if (this.#deps.index() < index) return false;
    for (const node of this.#deps.store.view().nodes.all()) {
      if (node.id === exceptNodeId || node.status.state !== 'ready') continue;
      if (this.#appliedBy(node.id) < index) return false;
    }
    return true;
  }

  /** The index that each node's agent has applied. */
  applied(): ReadonlyMap<NodeId, number> {
    return new Map([...this.#sessions.keys()].map((nodeId) => [nodeId, this.#appliedBy(nodeId)]));
  }

  #appliedBy(nodeId: NodeId): number {
    const session = this.#sessions.get(nodeId);
    if (!session) return 0;
    const managerIndex = session.managerId === undefined ? 0 : (this.#managerIndex.get(session.managerId) ?? 0);
    return session.idle ? Math.max(session.appliedIndex, managerIndex) : session.appliedIndex;
  }

  #restartCounts(): void {
    const nodes = [...this.#deps.store.view().nodes.all()];
    this.#liveness.restart(
      nodes.map((node) => node.id),
      this.#deps.clock.monotonicMs(),
    );
  }

  async #markSilent(abort: AbortSignal): Promise<void> {
    const { store, clock, log } = this.#deps;
    const nodes = [...store.view().nodes.all()];
    this.#forgetAllBut(new Set(nodes.map((node) => node.id)));
    const watched = nodes.filter(isWatched).map((node) => node.id);
    const policy = this.#policy();
    const { down, suspected, spared } = this.#liveness.judge(watched, clock.monotonicMs(), {
      downAfterMs: policy.nodeDownAfterMs,
    });
    if (spared.length > 0) log.warn('many nodes are silent at once; waiting before giving them up', { nodes: spared });
    const fresh = suspected.filter((nodeId) => store.view().nodes.get(nodeId)?.status.state === 'ready');
    if (down.length === 0 && fresh.length === 0) return;
    await store.update(
      (tx) => {
        for (const nodeId of fresh) markSuspected(tx, nodeId, clock.nowMs());
        for (const nodeId of down) markDown(tx, nodeId, clock.nowMs(), policy.orphanAfterMs);
      },
      { abort },
    );
    for (const nodeId of fresh) log.info('node moved', { nodeId, to: 'disconnected', reason: 'a heartbeat is late' });
    for (const nodeId of down) log.warn('node moved', { nodeId, to: 'down', reason: 'no heartbeat' });
  }

  #forgetAllBut(known: ReadonlySet<NodeId>): void {
    for (const nodeId of this.#sessions.keys()) {
      if (known.has(nodeId)) continue;
      this.#sessions.delete(nodeId);
      this.#liveness.forget(nodeId);
    }
  }

  #policy(): ClusterSpec['dispatcher'] {
    const [cluster] = this.#deps.store.view().clusters.all();
    if (!cluster) throw new CodedError('unavailable', 'this manager has not received the cluster yet');
    return cluster.spec.dispatcher;
  }
}

const isWatched = (node: Node): boolean => node.status.state !== 'down';

function registered(node: Node, request: Registration, currentKey: boolean, nowMs: number): Node {
  const { previousCertificateKeyDigest, orphanAtMs: _orphanAtMs, ...kept } = node;
  const wasReady = node.status.state === 'ready';
  return {
    ...kept,
    ...(currentKey || previousCertificateKeyDigest === undefined ? {} : { previousCertificateKeyDigest }),
    sessionId: request.sessionId,
    description: request.description,
    dataAddress: request.dataAddress,
    dataPort: request.dataPort,
    status: { state: 'ready', message: '', address: request.address, sinceMs: wasReady ? node.status.sinceMs : nowMs },
  };
}

function markReady(tx: Transaction, beat: SessionBeat, nowMs: number): void {
  const node = tx.nodes.get(beat.nodeId);
  if (!node || node.sessionId !== beat.sessionId || node.status.state === 'ready') return;
  const { orphanAtMs: _orphanAtMs, ...kept } = node;
  tx.nodes.put({ ...kept, status: { ...node.status, state: 'ready', message: '', sinceMs: nowMs } });
}

/** Not given up, but nothing new goes there and published ports lead elsewhere. */
function markSuspected(tx: Transaction, nodeId: string, nowMs: number): void {
  const node = tx.nodes.get(nodeId);
  if (node?.status.state !== 'ready') return;
  tx.nodes.put({
    ...node,
    status: { ...node.status, state: 'disconnected', message: 'a heartbeat is late', sinceMs: nowMs },
  });
}

function markDown(tx: Transaction, nodeId: string, nowMs: number, orphanAfterMs: number): void {
  const node = tx.nodes.get(nodeId);
  if (!node || !isWatched(node)) return;
  tx.nodes.put({
    ...node,
    status: { ...node.status, state: 'down', message: 'heartbeat failure', sinceMs: nowMs },
    orphanAtMs: nowMs + orphanAfterMs,
  });
}
