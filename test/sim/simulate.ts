// One seed from beginning to end: a stretch of chaos, then the healing, after which the group must work again.
import { quorumsOf } from '../../manager/raft/core/membership.ts';
import { hasMajority } from '../../manager/raft/core/quorum.ts';
import { Chaos, drawWeather } from './chaos.ts';
import { type Modules, PRODUCTION } from './modules.ts';
import { Violation } from './oracle.ts';
import { StoreClients } from './store-clients.ts';
import { type SimNode, TICK_MS, World } from './world.ts';

export interface SeedResult {
  readonly seed: number;
  readonly events: number;
  readonly simulatedMs: number;
  readonly committed: number;
  readonly acknowledged: number;
  readonly leaders: number;
  readonly met: ReadonlyMap<string, number>;
  readonly failure: unknown;
  readonly trace: readonly string[];
}

/** After healing the group has this long to elect, commit, and bring everybody up to date. */
const HEALING_MS = 60_000;
const QUIET_MS = 5_000;
/** Commits of which the majority is counted on the disks themselves; each reads whole logs. */
const DISK_CHECK_EVERY = 60;

export interface SimulateOptions {
  readonly modules?: Modules;
  /** The real store as state machine, instead of a list. */
  readonly withStore?: boolean;
}

export async function simulate(seed: number, eventCount: number, options: SimulateOptions = {}): Promise<SeedResult> {
  const { modules = PRODUCTION, withStore = false } = options;
  const world = new World(seed, drawWeather(new World(seed, NO_WEATHER, modules).random('weather')), modules);
  if (withStore) world.storeClients = new StoreClients(world);
  const chaos = new Chaos(world, world.random('chaos'));
  let failure: unknown;
  let events = 0;
  try {
    chaos.begin();
    let checkedAt = 0;
    for (; events < eventCount; events += 1) {
      if (!(await world.step())) break;
      if (world.oracle.commitMax < checkedAt + DISK_CHECK_EVERY) continue;
      checkedAt = world.oracle.commitMax;
      await checkDisks(world);
    }
    chaos.heal();
    events += await converge(world);
  } catch (error) {
    failure = error;
  }
  return {
    seed,
    events,
    simulatedMs: world.events.nowMs,
    committed: world.oracle.commitMax,
    acknowledged: world.oracle.ackedCount,
    leaders: world.oracle.leaderCount,
    met: world.met,
    failure,
    trace: world.trace,
  };
}

const NO_WEATHER = {
  dropRate: 0,
  doubleRate: 0,
  slowRate: 0,
  slowMsMax: 0,
  flushMs: 1,
  flushStallRate: 0,
  flushFailRate: 0,
  snapshotEntries: 100,
  trailingEntries: 10,
  segmentBytes: 10_000,
};

/** What the leader calls committed is on the disks of a majority, whatever their processes said. */
async function checkDisks(world: World): Promise<void> {
  const leader = world.leader();
  const raft = leader?.raft;
  if (!leader || !raft?.isVoter) return;
  const index = raft.committed;
  const term = raft.log.termAt(index);
  // What was committed by the majority of an earlier membership need not be held by one of this.
  if (term !== raft.term || index <= leader.committedBeforeMembership) return;
  const quorums = quorumsOf(raft.membership);
  const holding = new Set<string>();
  for (const id of quorums.flat()) if (await holdsOnDisk(world, world.node(id), index, term)) holding.add(id);
  world.count(quorums.length > 1 ? 'joint majorities counted on disks' : 'majority counted on disks');
  if (!hasMajority(quorums, (id) => holding.has(id))) {
    throw new Violation('committed is durable', `entry ${index} is on the disks of ${[...holding].join()} only`);
  }
}

async function holdsOnDisk(world: World, node: SimNode, index: number, term: number): Promise<boolean> {
  const view = node.disk.durableView();
  if (!(await view.list('.')).includes('format')) return false;
  const found = await world.modules.inspectDirectory(view);
  if (index <= (found.snapshot?.index ?? 0)) return true;
  return found.entries[index - found.base.index - 1]?.term === term;
}

/** Runs on in fair weather until everybody agrees, then makes sure that it stays so. */
async function converge(world: World): Promise<number> {
  const start = world.events.nowMs;
  let events = 0;
  const run = async (until: () => boolean, forMs: number): Promise<boolean> => {
    const endMs = world.events.nowMs + forMs;
    while (world.events.nowMs < endMs) {
      if (until()) return true;
      if (!(await world.step())) throw new Violation('liveness', 'nothing happens any more');
      events += 1;
    }
    return until();
  };
  if (!(await run(() => hasLeader(world), HEALING_MS)))
    throw new Violation('liveness', `no leader: ${describe(world)}`);
  const before = world.oracle.ackedCount;
  let askedAtMs = Number.NEGATIVE_INFINITY;
  const acknowledgedAnew = (): boolean => {
    const leader = world.leader();
    if (leader && world.events.nowMs > askedAtMs + 10 * TICK_MS) {
      askedAtMs = world.events.nowMs;
      world.propose(leader);
    }
    return world.oracle.ackedCount > before;
  };
  if (!(await run(acknowledgedAnew, HEALING_MS)))
    throw new Violation('liveness', `nothing commits: ${describe(world)}`);
  if (!(await run(() => allCaughtUp(world), HEALING_MS)))
    throw new Violation('liveness', `some lag: ${describe(world)}`);
  // What was under way when the world healed has its time to arrive; then nothing may disturb the peace.
  await run(() => false, QUIET_MS);
  const { term } = world.leader()?.raft ?? {};
  await run(() => false, QUIET_MS);
  if (world.leader()?.raft?.term !== term) {
    throw new Violation('liveness', `terms go on growing without a fault: ${term}, ${describe(world)}`);
  }
  judgeStates(world);
  world.met.set('ms to heal', Math.round(world.events.nowMs - start - 2 * QUIET_MS));
  return events;
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
  const leader = world.leader();
  const wanted = leader?.raft?.committed ?? Number.POSITIVE_INFINITY;
  return members(world).every(({ machine, member }) => member !== undefined && machine.index === wanted);
}

function describe(world: World): string {
  return [...world.nodes.values()]
    .map(({ id, raft, machine }) =>
      raft
        ? `${id} ${raft.role} of ${raft.membership.members.map((member) => `${member.id}${member.learner ? '?' : ''}`).join()} term ${raft.term} log ${raft.log.lastIndex} commit ${raft.committed} applied ${machine.index}`
        : `${id} down`,
    )
    .join(' · ');
}
