// Changes of the simulated group: it grows and shrinks towards the wanted size, members replace each other and come back,
// leadership moves.
import type { Random } from '../../base/random.ts';
import { NO_MEMBERS, votersOf } from '../../manager/raft/core/membership.ts';
import type { SimNode } from './sim-node.ts';
import type { World } from './world.ts';

const NODES_EVER_MAX = 16;

export function changeGroup(world: World, random: Random, sizeWanted: number): void {
  const leader = world.leader();
  const { raft, member } = leader ?? {};
  if (!leader || !raft || !member) return;
  const { members } = raft.membership;
  const learner = members.find((one) => one.learner);
  const spoilt = members.filter(({ id }) => world.isSpoilt(id));
  if (learner) admit(world, random, leader, learner.id);
  else if (spoilt.length > 0) removeSpoilt(world);
  else if (members.length < sizeWanted) grow(world, random, leader);
  else if (random.fraction() < 0.25 && members.length > 1) remove(world, leader, pick(members, random).id);
  else if (random.fraction() < 0.3) transfer(world, random, leader);
  else if (random.fraction() < 0.4) void pick(world.alive(), random).rotateKey();
}

/** A member whose disk is gone holds the group up until it is taken out. */
export function removeSpoilt(world: World): void {
  const leader = world.leader();
  const gone = leader?.raft?.membership.members.find(({ id }) => world.isSpoilt(id));
  if (leader && gone) remove(world, leader, gone.id);
}

/** A new node, or one that was removed and comes back with the log that it had. */
function grow(world: World, random: Random, leader: SimNode): void {
  const removed = (leader.raft?.membership.removed ?? []).filter((id) => !world.isSpoilt(id));
  const returns = removed.length > 0 && random.fraction() < 0.4;
  if (!returns && world.nodes.size >= NODES_EVER_MAX) return;
  const id = returns ? pick(removed, random) : `n${world.nodes.size + 1}`;
  const result = leader.member?.proposeChange({ op: 'add-learner', id, address: id });
  if (!result || 'refusal' in result) return world.count(`change refused: ${result?.refusal}`);
  if (returns) world.count('removed member returns');
  world.node(id).boot('join');
  world.note(`${leader.id} adds ${id}`);
}

/** A learner is given up, takes somebody's place, or gets a vote beside the others. */
function admit(world: World, random: Random, leader: SimNode, id: string): void {
  const chance = random.fraction();
  const others = votersOf(leader.raft?.membership ?? NO_MEMBERS);
  if (chance < 0.05 || world.isSpoilt(id)) return remove(world, leader, id);
  if (chance < 0.6 || others.length < 2) {
    const result = leader.member?.proposeChange({ op: 'promote', id });
    return world.count(result && 'refusal' in result ? `promotion refused: ${result.refusal}` : 'promotion');
  }
  const replaces = pick(others, random);
  const result = leader.member?.proposeChange({ op: 'replace', id, replaces });
  if (!result || 'refusal' in result) return world.count(`replacement refused: ${result?.refusal}`);
  world.count('replacement begun');
  world.note(`${leader.id} replaces ${replaces} by ${id}`);
}

function remove(world: World, leader: SimNode, id: string): void {
  // A member that works is not taken out while one that does not still counts.
  if (!world.isSpoilt(id) && !world.canSpare([id])) return;
  const result = leader.member?.proposeChange({ op: 'remove', id });
  if (result && !('refusal' in result)) world.note(`${leader.id} removes ${id}`);
  else if (result && id === leader.id && result.refusal === 'is-leader') handOver(world, leader);
}

function handOver(world: World, leader: SimNode): void {
  const successor = leader.raft?.leading?.successor();
  if (successor) leader.raft?.transferLeadership(successor);
  world.count('leader asked to go');
  leader.member?.pump();
}

function transfer(world: World, random: Random, leader: SimNode): void {
  const others = votersOf(leader.raft?.membership ?? NO_MEMBERS).filter((id) => id !== leader.id);
  if (others.length === 0) return;
  const refusal = leader.raft?.transferLeadership(pick(others, random));
  world.count(refusal ? `transfer refused: ${refusal}` : 'transfer');
  leader.member?.pump();
}

export function pick<T>(from: readonly T[], random: Random): T {
  const one = from[random.below(from.length)];
  if (one === undefined) throw new Error('nothing to pick from');
  return one;
}
