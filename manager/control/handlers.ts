// The shape of a handler, and what handlers are given.
import type { Clock } from '../../base/clock.ts';
import type { Random } from '../../base/random.ts';
import type { Caller, ControlMethod, ControlReply, ControlRequest, ManagerState } from '../../proto/control.ts';
import type { Cluster, NodeRole } from '../../proto/objects.ts';
import type { Store } from '../store/contract.ts';
import type { Turns } from './turns.ts';

export interface CallContext {
  readonly caller: Caller;
  readonly abort: AbortSignal | undefined;
}

export type Handlers = {
  readonly [M in ControlMethod]: (request: ControlRequest<M>, context: CallContext) => Promise<ControlReply<M>>;
};

export interface HandlerDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  /** The raft members as the leader sees them now. */
  readonly members: () => readonly ManagerState[];
  /** The index that each node's agent has applied, as this manager knows it while it leads. */
  readonly applied: () => ReadonlyMap<string, number>;
  /** A join token with a fresh secret for the role, pinned to the cluster's root. */
  readonly newJoinToken: (cluster: Cluster, role: NodeRole) => string;
  readonly turns: Turns;
}
