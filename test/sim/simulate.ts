// One seed from beginning to end. A step is one delivered event: a message, a finished flush, a tick, a client's request.
// `safety`: faults all the time; at the end they stop, and what was promised must be there.
// `liveness`: faults for a while, then a majority is healed and must work again, then everybody; and once more.
import { Chaos } from './chaos.ts';
import { judgeDisks } from './disk-judge.ts';
import { Liveness } from './liveness.ts';
import { type Modules, PRODUCTION } from './modules.ts';
import { StoreClients } from './store-clients.ts';
import { Violation } from './oracle.ts';
import type { Hazard } from './weather.ts';
import { World } from './world.ts';

export type Mode = 'safety' | 'liveness';

export interface SeedResult {
  readonly seed: number;
  readonly steps: number;
  readonly simulatedMs: number;
  readonly committed: number;
  readonly acknowledged: number;
  readonly leaders: number;
  readonly faultKinds: number;
  /** Acts of chaos, which can be left out one by one. */
  readonly acts: number;
  readonly met: ReadonlyMap<string, number>;
  readonly failure: unknown;
  readonly trace: readonly string[];
}

/** Commits after which the majority is counted on the disks themselves; it reads whole logs. */
const DISK_CHECK_EVERY = 60;
/** Every seed commits at least so many entries. */
export const COMMITTED_MIN = 100;
/** And meets so many kinds of fault, even if it takes more steps. */
export const FAULT_KINDS_MIN = 3;
const LIVENESS_ROUND_STEPS = 2_500;

export interface SimulateOptions {
  readonly mode?: Mode | undefined;
  readonly modules?: Modules | undefined;
  /** The real store as state machine, instead of a list. */
  readonly withStore?: boolean | undefined;
  /** Acts that are left out, and parts of the weather that are fair: for understanding a failure. */
  readonly without?: readonly number[] | undefined;
  readonly fairIn?: readonly Hazard[] | undefined;
}

export async function simulate(seed: number, stepsMax: number, options: SimulateOptions = {}): Promise<SeedResult> {
  const world = new World(seed, options.modules ?? PRODUCTION, options.fairIn);
  if (options.withStore) world.storeClients = new StoreClients(world);
  const chaos = new Chaos(world, { without: new Set(options.without) });
  const run = new Run(world, chaos);
  let failure: unknown;
  try {
    chaos.begin();
    if (options.mode === 'liveness') await run.inRounds(stepsMax);
    else await run.forSteps(stepsMax);
    chaos.heal();
    await run.liveness.demand({ everybody: true, committedMin: COMMITTED_MIN });
    await judgeDisks(world);
  } catch (error) {
    failure = error;
  }
  return {
    seed,
    steps: run.steps,
    simulatedMs: world.events.nowMs,
    committed: world.oracle.commitMax,
    acknowledged: world.oracle.ackedCount,
    leaders: world.oracle.leaderCount,
    faultKinds: chaos.kindsMet,
    acts: chaos.actCount,
    met: world.met,
    failure,
    trace: world.trace,
  };
}

class Run {
  readonly #world: World;
  readonly #chaos: Chaos;
  readonly liveness: Liveness;
  steps = 0;
  #disksJudgedAt = 0;

  constructor(world: World, chaos: Chaos) {
    this.#world = world;
    this.#chaos = chaos;
    this.liveness = new Liveness(world, () => {
      this.steps += 1;
    });
  }

  async forSteps(count: number): Promise<void> {
    const world = this.#world;
    const end = this.steps + count;
    while (this.steps < end || this.#chaos.kindsMet < FAULT_KINDS_MIN) {
      if (!(await world.step())) return;
      this.steps += 1;
      if (world.oracle.commitMax < this.#disksJudgedAt + DISK_CHECK_EVERY) continue;
      this.#disksJudgedAt = world.oracle.commitMax;
      await judgeDisks(world);
    }
  }

  async inRounds(stepsMax: number): Promise<void> {
    const random = this.#world.random('liveness');
    while (this.steps < stepsMax) {
      await this.forSteps(LIVENESS_ROUND_STEPS);
      // A minority stays away; who remains must do without it.
      const ids = [...this.#world.nodes.keys()].filter((id) => !this.#world.isSpoilt(id));
      const away: string[] = [];
      for (const id of ids) if (random.fraction() < 0.4 && this.#world.canSpare([...away, id])) away.push(id);
      if (random.fraction() < 0.5) {
        this.#chaos.heal(new Set(away));
        await this.liveness.demand({ everybody: false });
      } else await this.#withoutContactTo(away);
      this.#chaos.heal();
      await this.liveness.demand({ everybody: true });
      await this.#deafFor();
      this.#world.count('healed and alive');
      this.#chaos.unleash();
    }
  }

  /** Some are cut off from everybody, and go on for themselves. They must not start terms that the others will have to follow. */
  async #withoutContactTo(away: readonly string[]): Promise<void> {
    const world = this.#world;
    this.#chaos.heal();
    const ids = [...world.nodes.keys()];
    for (const one of away) {
      for (const other of ids) {
        world.network.cutForLong(one, other);
        world.network.cutForLong(other, one);
      }
    }
    await this.liveness.demand({ everybody: false });
    await this.liveness.pass(1_000); // what was decided before they were cut off
    const terms = away.map((id) => world.node(id).raft?.term);
    await this.liveness.pass(5_000);
    for (const [at, id] of away.entries()) {
      const { term } = world.node(id).raft ?? {};
      if (terms[at] !== undefined && term !== undefined && term > terms[at])
        throw new Violation('who is alone starts no terms', `${id} went from ${terms[at]} to ${term}`);
    }
    if (away.length > 0) world.count('cut off and quiet');
  }

  /** One member does not hear the leader, the others do: the leader stays. */
  async #deafFor(): Promise<void> {
    const world = this.#world;
    const leader = world.leader();
    // The others must be a majority without it.
    const other = world.alive().find((node) => node.raft?.isVoter && node !== leader && world.canSpare([node.id]));
    if (!leader?.raft || !other) return;
    const { term } = leader.raft;
    world.network.cutForLong(leader.id, other.id);
    await this.liveness.pass(5_000);
    if (leader.raft?.role !== 'leader' || leader.raft.term !== term)
      throw new Violation(
        'a live leader is not disturbed',
        `${other.id} did not hear ${leader.id}, which leads no more`,
      );
    world.count('deaf and quiet');
    world.network.heal();
    await this.liveness.demand({ everybody: true });
  }
}
