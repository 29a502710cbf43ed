// Managers come and go: what the operator wants (spec.role) becomes membership in the raft group, and from that follows
// the certificate (see ca/issuer.ts). In: certificate first, then learner, then voter. Out: from the raft group first,
// certificate afterwards, so that nobody counts a voter that may not speak any more.
import { DirtySet } from '../base/dirty-set.ts';
import { CodedError, codeOf, fail } from '../base/errors.ts';
import { together } from '../base/together.ts';
import type { ManagerAddresses, Node, NodeId } from '../proto/objects.ts';
import { turnKeysSoon } from './control/keyrings.ts';
import type { LeaderLoop, LeaderLoopOptions } from './leader-loops.ts';
import type { Consensus } from './raft/contract.ts';
import type { Store, View } from './store/contract.ts';

type Membership = Pick<Consensus, 'status' | 'addMember' | 'removeMember' | 'transferLeadership'>;

const RETRY_MS = 500;
const STEP_WITHIN_MS = 5_000;

/** Makes a manager a member; on the leader. Asking again is harmless. */
export async function admitManager(
  { nodeId, addresses, logId }: { nodeId: NodeId; addresses: ManagerAddresses; logId: string },
  { store, consensus }: { store: Store; consensus: Membership },
  abort: AbortSignal,
): Promise<void> {
  const node = store.view().nodes.get(nodeId) ?? fail('forbidden', `node ${nodeId} is not part of this cluster`);
  if (node.spec.role !== 'manager') fail('forbidden', `node ${nodeId} is not to be a manager`);
  const members = consensus.status().members;
  const isMember = members.some((member) => member.nodeId === nodeId);
  if (isMember && node.raftLogId !== undefined && node.raftLogId !== logId) {
    fail(
      'forbidden',
      `node ${nodeId} is a manager already, and its log is gone: what it voted is lost. Remove it (node rm --force) and ` +
        'join it as a new node',
    );
  }
  // Before it is a member: if the rest of this breaks off, the same log may go on.
  await store.update(
    (tx) => {
      const current = tx.nodes.get(nodeId);
      if (current && current.raftLogId !== logId) tx.nodes.put({ ...current, raftLogId: logId });
    },
    { abort },
  );
  const voter = members.find((member) => member.nodeId === nodeId && !member.learner);
  if (voter?.raftAddress !== addresses.raftAddress) {
    await consensus.addMember({ nodeId, raftAddress: addresses.raftAddress }, { abort });
  }
  await store.update(
    (tx) => {
      const current = tx.nodes.get(nodeId) ?? fail('forbidden', `node ${nodeId} was removed meanwhile`);
      tx.nodes.put({ ...current, role: 'manager', manager: addresses });
    },
    { abort },
  );
}

/** Takes members out that should not be any, while this manager leads. */
export function rolesLoop(consensus: Membership, selfId: NodeId): LeaderLoop {
  return {
    name: 'roles',
    run: async (store, options) => {
      using dirty = new DirtySet<'members'>(options.clock);
      dirty.add('members');
      const follow = async (abort: AbortSignal): Promise<void> => {
        for await (const _change of store.viewAndWatch(['node'], { abort }).changes) dirty.add('members');
      };
      const work = async (abort: AbortSignal): Promise<void> => {
        for (;;) {
          await dirty.take(abort);
          const settled = await reconcile(store, consensus, selfId, { ...options, abort });
          if (!settled) dirty.addAt('members', options.clock.nowMs() + RETRY_MS);
        }
      };
      await together(options.abort, [follow, work]);
    },
  };
}

/** True when nothing is left to do. */
async function reconcile(
  store: Store,
  consensus: Membership,
  selfId: NodeId,
  { abort, log, clock }: LeaderLoopOptions,
): Promise<boolean> {
  const surplus = surplusMembers(store.view(), consensus);
  for (const nodeId of surplus) {
    using deadline = clock.deadline(abort, STEP_WITHIN_MS);
    try {
      if (nodeId === selfId) {
        if (surplus.length > 1) continue;
        log.info('a leader that is demoted hands over first', { nodeId });
        await consensus.transferLeadership();
        return false;
      }
      await dismiss(nodeId, { store, consensus, nowMs: clock.nowMs() }, deadline.signal);
      log.info('manager left the raft group', { nodeId });
    } catch (error) {
      if (abort.aborted) throw error;
      if (codeOf(error) !== 'conflict' && codeOf(error) !== 'unavailable') throw error;
      log.warn('a manager can not leave the raft group yet', { nodeId, error });
    }
  }
  return surplus.length === 0;
}

/** It had the keys of all encrypted networks, and from now on is to have those of its own. */
async function dismiss(
  nodeId: NodeId,
  { store, consensus, nowMs }: { store: Store; consensus: Membership; nowMs: number },
  abort: AbortSignal,
): Promise<void> {
  if (consensus.status().members.some((member) => member.nodeId === nodeId)) {
    await consensus.removeMember(nodeId, { abort });
  }
  await store.update(
    (tx) => {
      const node = tx.nodes.get(nodeId);
      if (!node?.manager || node.spec.role === 'manager') return;
      const { manager: _manager, ...rest } = node;
      tx.nodes.put({ ...rest, role: 'worker' });
      turnKeysSoon(tx, nowMs);
    },
    { abort },
  );
}

function surplusMembers(view: View, consensus: Membership): NodeId[] {
  const demoted = [...view.nodes.all()].filter(isDemoted).map((node) => node.id);
  const unknown = consensus.status().members.flatMap(({ nodeId }) => (view.nodes.get(nodeId) ? [] : [nodeId]));
  return [...demoted, ...unknown];
}

const isDemoted = (node: Node): boolean => node.spec.role === 'worker' && node.manager !== undefined;

/** A manager that leaves by itself is demoted and taken out before it is told that it may go. */
export async function dismissManager(
  nodeId: NodeId,
  { store, consensus }: { store: Store; consensus: Membership },
  abort: AbortSignal,
): Promise<void> {
  const voters = consensus.status().members.filter((member) => !member.learner);
  if (voters.length <= 1) throw new CodedError('conflict', 'the last manager can not be taken out');
  await store.update(
    (tx) => {
      const node = tx.nodes.get(nodeId);
      if (node) tx.nodes.put({ ...node, spec: { ...node.spec, role: 'worker' } });
    },
    { abort },
  );
}
