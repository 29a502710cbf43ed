// What the manager's loops know of the store. They depend on these shapes, not on the class behind them.
// The store is the meeting place: loops never call each other; each scans, watches and reconciles.
import type {
  Cluster,
  Guest,
  Keyring,
  Network,
  Node,
  NodeId,
  Service,
  ServiceId,
  Task,
  TaskIdentity,
} from '../../proto/objects.ts';

/** Kind of object → its type. A kind is a line here and an entry in kinds.ts (codec, indices, validator). */
export interface ObjectKinds {
  cluster: Cluster;
  node: Node;
  service: Service;
  task: Task;
  network: Network;
  guest: Guest;
  keyring: Keyring;
}
export type Kind = keyof ObjectKinds;

export interface TableView<T> {
  readonly size: number;
  get(id: string): T | undefined;
  /** By exact name (case-insensitive), for kinds that have one. */
  byName(name: string): T | undefined;
  /** Objects whose id starts with `prefix`. */
  byIdPrefix(prefix: string): readonly T[];
  all(): IterableIterator<T>;
}

export interface TaskView extends TableView<Task> {
  ofService(id: ServiceId): readonly Task[];
  ofNode(id: NodeId): readonly Task[];
  /** Everything in one slot (or on one node, for a global service): the wanted task, its successor, the history. */
  ofSlot(id: ServiceId, identity: TaskIdentity): readonly Task[];
}

type ViewOf<K extends Kind> = K extends 'task' ? TaskView : TableView<ObjectKinds[K]>;

/**
 * A consistent reading at one version; cheap; not to be held across an await. One table for each kind, named by its
 * plural: `clusters`, `nodes`, `services`, `tasks`, `networks`, `guests`, `keyrings`.
 */
export type View = {
  /** Raft index of the last applied change. */
  readonly version: number;
} & { readonly [K in Kind as `${K}s`]: ViewOf<K> };

type Meta = 'version' | 'createdAtMs' | 'updatedAtMs';
/** What a caller writes: the store fills in version and times. */
export type Draft<T> = Omit<T, Meta> & Partial<Pick<T, Meta & keyof T>>;

export interface WritableTable<T> {
  /**
   * Creates or replaces. A draft that carries a version other than the object's present one was read too early, outside
   * this transaction: `out-of-sequence`. A unique name or published ingress port that another object has: `conflict`.
   */
  put(object: Draft<T>): void;
  /** Nothing happens when it is gone already. */
  remove(id: string): void;
}

/** As `View`, with tables to write to. Reads inside see the transaction's own writes. */
export type Transaction = {
  readonly version: number;
} & { readonly [K in Kind as `${K}s`]: ViewOf<K> & WritableTable<ObjectKinds[K]> };

export type Change = {
  [K in Kind]: {
    readonly kind: K;
    readonly action: 'create' | 'update' | 'remove';
    readonly object: ObjectKinds[K];
    readonly previous?: ObjectKinds[K];
    readonly version: number;
    /** True on the last change of a commit. */
    readonly endsCommit: boolean;
  };
}[Kind];

/**
 * `resync`: the reader was far too slow or a snapshot was restored; scan again and go on. One that is merely slow may get
 * several commits as one, with each object once.
 */
export type ChangeOrResync = Change | { readonly kind: 'resync' };

export interface Store {
  view(): View;
  /**
   * Runs `change` on fresh reads, proposes what it wrote and resolves once that is applied here.
   * `change` may run again when the state moved under it, so it must be a pure function of the transaction. Objects it
   * returns are drafts; read the stored ones, with version and times, from `view` afterwards.
   * Nothing written: nothing proposed. Errors: what `change` throws; `unavailable` (not leader, no quorum: nothing was
   * written); `unknown-outcome` (leadership lost on the way: it may yet be committed); `exhausted` (over 1.5 MiB); `conflict` (the
   * same objects were changed by others again and again).
   */
  update<T>(change: (transaction: Transaction) => T, options?: { abort?: AbortSignal | undefined }): Promise<T>;
  /** A view and, without a gap, every later change of these kinds in commit order. Ends with code `aborted`. */
  viewAndWatch(
    kinds: readonly Kind[],
    options: { abort: AbortSignal },
  ): { view: View; changes: AsyncIterable<ChangeOrResync> };
  /**
   * For one who has seen everything up to `version` and was away: what came after, and then every later change, as above.
   * `compacted` when some of it is not remembered here any more: begin anew with `viewAndWatch`. Error `unavailable` when
   * this manager has not got as far as `version` itself.
   */
  watchFrom(
    version: number,
    kinds: readonly Kind[],
    options: { abort: AbortSignal },
  ): AsyncIterable<ChangeOrResync> | 'compacted';
}

/** What the store needs of consensus. */
export interface Proposer {
  /** Resolves with the entry's raft index after this machine has applied it. Errors as in `Store.update`. */
  propose(entry: Uint8Array, options: { abort?: AbortSignal | undefined }): Promise<number>;
}

/** The same shape as in raft's contract: the rooms do not know each other. */
export interface SnapshotChunk {
  readonly kind: string;
  readonly bytes: Uint8Array;
}

/** The store with the side that consensus drives. */
export interface ReplicatedStore extends Store {
  apply(index: number, entry: Uint8Array): void;
  snapshot(): AsyncIterable<SnapshotChunk>;
  restore(index: number, chunks: AsyncIterable<SnapshotChunk>): Promise<void>;
  /** Equal on machines whose applied index and state are equal. For simulators and tests: a pass over all objects. */
  stateDigest(): string;
}
