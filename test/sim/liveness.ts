// What must come about when the faults have ended: a leader, progress, everybody up to date, and then peace.
import { NO_MEMBERS, quorumsOf } from '../../manager/raft/core/membership.ts';
import { hasMajority } from '../../manager/raft/core/quorum.ts';
import { Violation } from './oracle.ts';
import { type SimNode, TICK_MS } from './sim-node.ts';
import type { World } from './world.ts';

/** A leader has to be there within so many ticks of the last one waking up; the rest within more of them. */
const ELECTION_TICKS_MAX = 400;
const PROGRESS_TICKS_MAX = 400;
const CATCH_UP_TICKS_MAX = 1_200;
const QUIET_MS = 5_000;
/** Pauses that had begun before the healing. */
const WAKING_MS_MAX = 60_000;

export class Liveness {
  readonly #world: World;
  readonly #onStep: () => void;

  /** `onStep` counts. */
  constructor(world: World, onStep: () => void) {
    this.#world = world;
    this.#onStep = onStep;
  }

  /** Runs on until the group works again and `committedAtLeast` is reached. Throws a Violation if it does not. */
  async demand({ everybody, committedMin = 0 }: { everybody: boolean; committedMin?: number }): Promise<void> {
    const world = this.#world;
    const startMs = world.events.nowMs;
    await this.#until(() => [...world.nodes.values()].every((node) => !node.isPaused), WAKING_MS_MAX);
    if (!this.#canDecide()) return world.count('majority lost for good');
    await this.#orFail(() => hasLeader(world), ELECTION_TICKS_MAX, 'no leader');
    await this.#orFail(this.#progress(committedMin), PROGRESS_TICKS_MAX, 'nothing commits');
    if (!everybody) return;
    await this.#orFail(() => hasLeader(world) && allCaughtUp(world), CATCH_UP_TICKS_MAX, 'some lag');
    // What was under way when the world healed has its time to arrive; then nothing may disturb the peace.
    await this.#until(() => false, QUIET_MS);
    const { term } = world.leader()?.raft ?? {};
    await this.#until(() => false, QUIET_MS);
    if (world.leader()?.raft?.term !== term) throw this.#violation(`terms go on growing without a fault: ${term}`);
    world.met.set('ms to heal', Math.round(world.events.nowMs - startMs - 2 * QUIET_MS));
    judgeStates(world);
  }

  /** Lets some time pass. */
  async pass(ms: number): Promise<void> {
    await this.#until(() => false, ms);
  }

  /** By the newest membership there is, enough members are not gone for good. */
  #canDecide(): boolean {
    const known = [...this.#world.nodes.values()].filter(({ lastMembership }) => lastMembership !== undefined);
    return known.every(({ lastMembership, isLost }) => {
      const quorums = quorumsOf(lastMembership ?? NO_MEMBERS);
      if (isLost || quorums.flat().length === 0) return true;
      return hasMajority(quorums, (id) => !this.#world.isSpoilt(id) && !this.#world.nodes.get(id)?.isHeldDown);
    });
  }

  #progress(committedMin: number): () => boolean {
    const world = this.#world;
    const before = world.oracle.ackedCount;
    let askedAtMs = Number.NEGATIVE_INFINITY;
    return () => {
      const leader = world.leader();
      if (leader && world.events.nowMs > askedAtMs + 4 * TICK_MS) {
        askedAtMs = world.events.nowMs;
        world.propose(leader);
      }
      return world.oracle.ackedCount > before && world.oracle.commitMax >= committedMin;
    };
  }

  async #orFail(until: () => boolean, ticks: number, otherwise: string): Promise<void> {
    if (!(await this.#until(until, ticks * TICK_MS))) throw this.#violation(`${otherwise} within ${ticks} ticks`);
  }

  async #until(holds: () => boolean, forMs: number): Promise<boolean> {
    const { events } = this.#world;
    const endMs = events.nowMs + forMs;
    while (events.nowMs < endMs) {
      if (holds()) return true;
      if (!(await this.#world.step())) throw this.#violation('nothing happens any more');
      this.#onStep();
    }
    return holds();
  }

  #violation(what: string): Violation {
    return new Violation('liveness', `${what}: ${describeNodes(this.#world)}`);
  }
}

function judgeStates(world: World): void {
  const digests = new Set<string>();
  for (const { id, machine } of members(world)) {
    world.oracle.finalState(id, machine.applied);
    world.storeClients?.judge(machine);
    digests.add(machine.digest());
  }
  if (digests.size > 1) throw new Violation('state machine safety', 'the states differ although all is applied');
}

function members(world: World): SimNode[] {
  return (world.leader()?.raft?.membership.members ?? []).map(({ id }) => world.node(id));
}

function hasLeader(world: World): boolean {
  const raft = world.leader()?.raft;
  return raft !== undefined && raft.log.termAt(raft.committed) === raft.term;
}

function allCaughtUp(world: World): boolean {
  const wanted = world.leader()?.raft?.committed ?? Number.POSITIVE_INFINITY;
  return members(world).every(({ machine, member }) => member !== undefined && machine.index === wanted);
}

function describeNodes(world: World): string {
  return [...world.nodes.values()].map((node) => describeNode(world, node)).join(' · ');
}

function describeNode(world: World, { id, raft, machine }: SimNode): string {
  if (!raft) return `${id} ${world.isSpoilt(id) ? 'lost' : 'down'}`;
  const { members, outgoing } = raft.membership;
  const names = members.map((member) => `${member.id}${member.learner ? '?' : ''}`).join();
  return (
    `${id} ${raft.role} of ${names}${outgoing ? ` after ${outgoing.join()}` : ''} term ${raft.term} ` +
    `log ${raft.log.lastIndex} commit ${raft.committed} applied ${machine.index}`
  );
}
