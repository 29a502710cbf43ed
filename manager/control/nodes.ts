// Nodes: read, change role, availability and labels, remove. Roles here are wishes; certificates and raft follow.
// Invariant: the cluster keeps a manager, and a reachable majority of managers.
// Source of rules and wording: SwarmKit's control API.
import { fail } from '../../base/errors.ts';
import type { ControlReply, ControlRequest, ManagerState } from '../../proto/control.ts';
import type { Node, NodeSpec, Task } from '../../proto/objects.ts';
import { isTerminal } from '../../proto/task-state.ts';
import { checkNodeSpec } from '../../proto/validate.ts';
import type { Transaction, View } from '../store/contract.ts';
import { anyOf, hasLabels, passes } from './filters.ts';
import type { Handlers, HandlerDeps } from './handlers.ts';
import { turnKeysSoon } from './keyrings.ts';
import { findNode } from './references.ts';

export function nodeHandlers(deps: HandlerDeps): Pick<Handlers, 'GetNode' | 'ListNodes' | 'UpdateNode' | 'RemoveNode'> {
  const { store, turns, members } = deps;
  return {
    GetNode: async ({ node }) => withManager(findNode(store.view(), node), members()),
    ListNodes: async (request) => ({ nodes: listNodes(store.view(), request), managers: members() }),
    UpdateNode: (request, { abort }) => turns.run(() => updateNode(deps, request, abort), abort),
    RemoveNode: (request, { abort }) => turns.run(() => removeNode(deps, request, abort), abort),
  };
}

function withManager(node: Node, members: readonly ManagerState[]): ControlReply<'GetNode'> {
  const manager = members.find((member) => member.nodeId === node.id);
  return manager ? { node, manager } : { node };
}

function listNodes(view: View, { filter }: ControlRequest<'ListNodes'>): readonly Node[] {
  return [...view.nodes.all()].filter(
    (node) =>
      passes(filter, {
        id: node.id,
        names: [node.spec.name, node.description?.hostname ?? ''],
        labels: node.description?.engine.labels ?? {},
      }) &&
      anyOf(filter.roles, (role) => role === node.spec.role) &&
      anyOf(filter.memberships, (membership) => membership === 'accepted') &&
      hasLabels(node.spec.labels, filter.nodeLabels),
  );
}

async function updateNode(
  { store, members }: HandlerDeps,
  { node: text, version, spec }: ControlRequest<'UpdateNode'>,
  abort: AbortSignal | undefined,
): Promise<ControlReply<'UpdateNode'>> {
  checkNodeSpec(spec);
  const id = await store.update(
    (tx) => {
      const node = findNode(tx, text);
      if (node.version !== version) fail('out-of-sequence', 'update out of sequence');
      if (isDemotion(node, spec)) checkDemotion(tx, node, members());
      tx.nodes.put({ ...node, spec });
      return node.id;
    },
    { abort },
  );
  return { node: store.view().nodes.get(id) ?? fail('not-found', `node ${id} not found`) };
}

const isDemotion = (node: Node, spec: NodeSpec): boolean => node.spec.role === 'manager' && spec.role === 'worker';

function checkDemotion(view: View, node: Node, members: readonly ManagerState[]): void {
  const others = [...view.nodes.all()].filter((other) => other.spec.role === 'manager' && other.id !== node.id);
  if (others.length === 0) fail('invalid', 'attempting to demote the last manager of the swarm');
  const rest = members.filter((member) => member.nodeId !== node.id);
  const reachable = rest.filter((member) => member.reachable).length;
  const needed = Math.floor(rest.length / 2) + 1;
  if (members.length > 1 && reachable < needed) {
    fail(
      'invalid',
      `can't remove member from the raft: this would result in a loss of quorum: ` +
        `of the ${rest.length} managers left ${reachable} would be reachable, ${needed} are needed`,
    );
  }
}

/** So many tasks are given up in one transaction: one of thousands would be over the limit of an entry. */
const GIVEN_UP_AT_ONCE = 500;

/**
 * A node of many tasks goes in several transactions, the node itself in the last. If the caller loses patience between
 * two, the removal can be repeated and goes on from there.
 */
async function removeNode(
  { store, clock, members }: HandlerDeps,
  { node: text, force }: ControlRequest<'RemoveNode'>,
  abort: AbortSignal | undefined,
): Promise<Record<string, never>> {
  for (let removed = false; !removed; ) {
    removed = await store.update(
      (tx) => {
        const node = findNode(tx, text);
        checkRemoval(node, force, members());
        const open = tx.tasks.ofNode(node.id).filter((task) => !isTerminal(task.status.state));
        for (const task of open.slice(0, GIVEN_UP_AT_ONCE)) giveUp(tx, task, clock.nowMs());
        if (open.length <= GIVEN_UP_AT_ONCE) removeWithGuests(tx, node, clock.nowMs());
        else keepAway(tx, node);
        return open.length <= GIVEN_UP_AT_ONCE;
      },
      { abort },
    );
  }
  return {};
}

/** Nobody will ever say of its containers that they are gone. */
function removeWithGuests(tx: Transaction, node: Node, nowMs: number): void {
  for (const guest of tx.guests.all()) if (guest.nodeId === node.id) tx.guests.remove(guest.id);
  turnKeysSoon(tx, nowMs);
  tx.nodes.remove(node.id);
}

/** Nothing new is to be placed on a node that is being removed by force. */
function keepAway(tx: Transaction, node: Node): void {
  if (node.spec.availability !== 'drain') tx.nodes.put({ ...node, spec: { ...node.spec, availability: 'drain' } });
}

function checkRemoval(node: Node, force: boolean, members: readonly ManagerState[]): void {
  const inRaft = node.manager !== undefined || members.some((member) => member.nodeId === node.id);
  if (node.spec.role === 'manager' || inRaft) {
    fail(
      'invalid',
      `node ${node.id} is a cluster manager and is a member of the raft cluster. ` +
        'It must be demoted to worker before removal',
    );
  }
  if (node.status.state === 'ready' && !force) fail('invalid', `node ${node.id} is not down and can't be removed`);
}

/** Nobody will ever report on it again: its slot gets a successor, its record may be reaped. */
function giveUp(tx: Transaction, task: Task, nowMs: number): void {
  const message = 'Task belonged to a node that has been deleted';
  tx.tasks.put({ ...task, status: { ...task.status, state: 'orphaned', atMs: nowMs, message } });
}
