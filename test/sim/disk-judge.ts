// Counting on the disks themselves, not by what their processes said: what a leader calls committed lies on those of a
// majority, as they would be after a loss of power.
import { quorumsOf } from '../../manager/raft/core/membership.ts';
import { hasMajority } from '../../manager/raft/core/quorum.ts';
import { Violation } from './oracle.ts';
import { LIMITS, type SimNode } from './sim-node.ts';
import type { World } from './world.ts';

export async function judgeDisks(world: World): Promise<void> {
  const leader = world.leader();
  const raft = leader?.raft;
  if (!leader || !raft?.isVoter) return;
  judgeBounds(leader);
  const index = raft.committed;
  const term = raft.log.termAt(index);
  // What was committed by the majority of an earlier membership need not be held by one of this.
  if (term !== raft.term || index <= leader.committedBeforeMembership) return;
  const quorums = quorumsOf(raft.membership);
  const holding = new Set<string>();
  const isHeld = (): boolean => hasMajority(quorums, (id) => holding.has(id));
  for (const id of new Set(quorums.flat())) {
    if (isHeld()) break; // reading the others would only take time
    if (await holdsOnDisk(world, world.node(id), index, term)) holding.add(id);
  }
  world.count(quorums.length > 1 ? 'joint majorities counted on disks' : 'majority counted on disks');
  if (!isHeld()) {
    throw new Violation('committed is durable', `entry ${index} is on the disks of ${[...holding].join()} only`);
  }
}

async function holdsOnDisk(world: World, node: SimNode, index: number, term: number): Promise<boolean> {
  // A disk that was spoilt after it had acknowledged is the fault, not a broken promise.
  if (world.isSpoilt(node.id)) return true;
  const view = node.disk.durableView();
  if (!(await view.list('.')).includes('format')) return false;
  const found = await world.modules.inspectDirectory(view);
  if (index <= (found.snapshot?.index ?? 0)) return true;
  return found.entries[index - found.base.index - 1]?.term === term;
}

/** Room that a batch may take beyond a bound that was not reached before it. */
const SLACK_BYTES = 4_000;

/** What a leader holds for others is bounded. */
function judgeBounds({ id, raft }: SimNode): void {
  if (!raft?.leading) return;
  const { log } = raft;
  const uncommitted = log.bytesBetween(log.committed, log.lastIndex);
  if (uncommitted > LIMITS.uncommittedBytesMax + SLACK_BYTES)
    throw new Violation('bounded memory', `${id} holds ${uncommitted} uncommitted bytes`);
  for (const { id: to } of raft.membership.members) {
    const { messages, bytes } = raft.leading.progressOf(to)?.inflight ?? { messages: 0, bytes: 0 };
    if (messages <= LIMITS.inflightMessagesMax && bytes <= LIMITS.inflightBytesMax + SLACK_BYTES) continue;
    throw new Violation('bounded memory', `${id} has ${messages} appends of ${bytes} bytes under way to ${to}`);
  }
}
