// A control room on a store of one, with nodes and a cluster object in it.
import { CodedError, type ErrorCode } from '../../base/errors.ts';
import { silentLog } from '../../base/log.ts';
import type { ManualClock } from '../../base/manual-clock.ts';
import { seededRandom } from '../../base/random.ts';
import type { Control } from '../../manager/control/control.ts';
import { createControl } from '../../manager/control/control.ts';
import type { ReplicatedStore } from '../../manager/store/contract.ts';
import type { Caller, ControlMethod, ControlReply, ControlRequest, ManagerState } from '../../proto/control.ts';
import type { NodeId } from '../../proto/objects.ts';
import { createMemoryStore } from './memory-store.ts';
import { aCluster, aNode, anId } from './objects.ts';
import type { MemoryProposer } from './memory-proposer.ts';

export interface ControlBench {
  readonly store: ReplicatedStore;
  readonly proposer: MemoryProposer;
  readonly clock: ManualClock;
  readonly control: Control;
  /** What the leader sees of the raft group; tests set it. */
  members: ManagerState[];
  call<M extends ControlMethod>(method: M, request: ControlRequest<M>, caller?: Caller): Promise<ControlReply<M>>;
  /** Asserts code and text of the refusal, and that it left the store as it was. */
  refused<M extends ControlMethod>(
    method: M,
    request: ControlRequest<M>,
    code: ErrorCode,
    message: string | RegExp,
  ): Promise<void>;
}

export const OPERATOR: Caller = { id: anId('node', 1), role: 'operator' };

/** Node 1 is the manager, nodes 2 and 3 are workers. */
export async function controlBench(): Promise<ControlBench> {
  const { store, proposer, clock } = createMemoryStore();
  let tokens = 0;
  const bench: ControlBench = {
    store,
    proposer,
    clock,
    members: [managerState(1, { leader: true })],
    control: createControl({
      store,
      clock,
      random: seededRandom(1),
      members: () => bench.members,
      applied: () => new Map(),
      log: silentLog,
      newJoinToken: (_, role) => `SWMTKN-1-${role}-${++tokens}`,
    }),
    call: (method, request, caller = OPERATOR) =>
      bench.control.call(method, JSON.parse(JSON.stringify(request)), { caller }),
    refused: async (method, request, code, message) => {
      const before = store.stateDigest();
      const error: unknown = await bench.call(method, request).then(
        () => new Error(`${method} was accepted`),
        (reason: unknown) => reason,
      );
      if (!(error instanceof CodedError) || error.code !== code || !says(error.message, message)) {
        throw new Error(`${method} was not refused with ${code} '${String(message)}'`, { cause: error });
      }
      if (store.stateDigest() !== before) throw new Error(`the refused ${method} changed the store`);
    },
  };
  await store.update((tx) => {
    tx.clusters.put(aCluster());
    tx.nodes.put(managerNode(1));
    for (const number of [2, 3]) tx.nodes.put(worker(number));
  });
  return bench;
}

const says = (text: string, wanted: string | RegExp): boolean =>
  typeof wanted === 'string' ? text === wanted : wanted.test(text);

export function worker(number: number): ReturnType<typeof aNode> {
  const node = aNode();
  return aNode({
    id: anId('node', number),
    ...(node.description && { description: { ...node.description, hostname: `node${number}` } }),
  });
}

const ADDRESSES = { joinAddress: '10.0.0.1:2377', controlAddress: '10.0.0.1:2378', raftAddress: '10.0.0.1:2379' };

export function managerNode(number: number): ReturnType<typeof aNode> {
  const node = worker(number);
  return { ...node, role: 'manager', spec: { ...node.spec, role: 'manager' }, manager: ADDRESSES };
}

export function managerState(number: number, changes: Partial<ManagerState> = {}): ManagerState {
  return { nodeId: anId('node', number) as NodeId, leader: false, reachable: true, addresses: ADDRESSES, ...changes };
}
