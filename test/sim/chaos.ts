// What happens to the simulated world: clients' work, changes of the group, and faults. Each seed has its own subset of
// faults, because all at once find less than some at a time. Every act draws from a stream of its own, so that one act can
// be left out of a failing seed without changing what the others do.
import type { Random } from '../../base/random.ts';
import { FAULTS, type Fault } from './fault-acts.ts';
import { changeGroup, removeSpoilt } from './group-acts.ts';
import { planNewBeginning } from './new-beginning.ts';
import type { World } from './world.ts';
import { FAIR } from './weather.ts';

const MEMBERS_MAX = 7;
/** So many kinds of fault are met before any comes again. */
const KINDS_MIN = 4;

export interface ChaosOptions {
  /** Acts, by their number, that do not happen. */
  readonly without?: ReadonlySet<number>;
}

export class Chaos {
  readonly #world: World;
  readonly #random: Random;
  readonly #without: ReadonlySet<number>;
  readonly #sizeWanted: number;
  readonly #faults: readonly { fault: Fault; weight: number }[];
  readonly #kindsMet = new Set<string>();
  #acts = 0;
  #round = 0;
  #rages = false;

  constructor(world: World, options: ChaosOptions = {}) {
    this.#world = world;
    this.#random = world.random('chaos');
    this.#without = options.without ?? new Set();
    this.#sizeWanted = 1 + this.#random.below(MEMBERS_MAX);
    const shuffledFaults = shuffled(FAULTS, this.#random);
    const count = KINDS_MIN + this.#random.below(FAULTS.length - KINDS_MIN + 1);
    this.#faults = enough(shuffledFaults, count).map((fault) => ({ fault, weight: 1 + this.#random.below(4) }));
  }

  /** Acts so far: numbers up to this can be left out. */
  get actCount(): number {
    return this.#acts;
  }
  get kindsMet(): number {
    return this.#kindsMet.size;
  }

  /** The first member starts, and with it the work. */
  begin(): void {
    this.#world.node('n1').boot('bootstrap');
    planNewBeginning(this.#world, () => this.#rages);
    this.unleash();
  }

  unleash(): void {
    this.#round += 1;
    this.#rages = true;
    this.#every(
      () => this.#random.fraction() * 25,
      () => this.#clientWork(),
    );
    this.#every(
      () => 200 + this.#random.fraction() * 1_500,
      () => this.#act((random) => this.#fault(random)),
    );
    this.#every(
      () => 100 + this.#random.fraction() * 1_200,
      () => this.#act((random) => this.#changeGroup(random)),
    );
  }

  /** Faults end, links heal, everybody who is down comes back, except those of `heldDown`. */
  heal(heldDown: ReadonlySet<string> = new Set()): void {
    this.#round += 1;
    this.#rages = false;
    const { weather, network, nodes } = this.#world;
    this.#world.weather = { ...weather, ...FAIR };
    network.heal();
    for (const node of nodes.values()) {
      node.clockRate = 1;
      node.disk.isFull = false;
      node.isHeldDown = heldDown.has(node.id);
      if (node.isHeldDown && node.member) node.crash();
      node.revive();
    }
    this.#world.note(heldDown.size > 0 ? `healed without ${[...heldDown].join()}` : 'healed');
    const round = this.#round;
    this.#removeSpoilt(round);
  }

  /** Somebody looks after members whose disks are gone. */
  #removeSpoilt(round: number): void {
    if (round !== this.#round) return;
    removeSpoilt(this.#world);
    this.#world.events.after(500, () => this.#removeSpoilt(round));
  }

  #every(intervalMs: () => number, act: () => void): void {
    const round = this.#round;
    const again = (): void =>
      this.#world.events.after(intervalMs(), () => {
        if (round !== this.#round) return;
        act();
        again();
      });
    again();
  }

  #act(then: (random: Random) => void): void {
    this.#acts += 1;
    if (this.#without.has(this.#acts)) return;
    then(this.#world.random(`act ${this.#acts}`));
  }

  #clientWork(): void {
    // A leader that was deposed and does not know it yet is where stale answers come from.
    const leaders = this.#world.alive().filter(({ raft }) => raft?.role === 'leader');
    if (leaders.length > 1) {
      this.#world.count('two leaders at once');
      for (const leader of leaders) this.#world.read(leader);
    }
    const alive = this.#world.alive();
    const any = alive[this.#random.below(Math.max(1, alive.length))];
    const leader = this.#world.leader();
    // An operator who does not wait until a new leader has found its feet.
    if (leader?.raft && leader.raft.log.termAt(leader.raft.committed) !== leader.raft.term) {
      this.#act((random) => this.#changeGroup(random));
    }
    const node = this.#random.fraction() < 0.8 ? leader : any;
    if (!node) return;
    if (this.#random.fraction() < 0.25) this.#world.read(node);
    else for (let more = this.#random.below(4); more >= 0; more -= 1) this.#world.propose(node);
  }

  #fault(random: Random): void {
    const fresh = this.#faults.filter(({ fault }) => !this.#kindsMet.has(fault.kind));
    const from = this.#kindsMet.size < KINDS_MIN && fresh.length > 0 ? fresh : this.#faults;
    let at = random.below(from.reduce((sum, { weight }) => sum + weight, 0));
    for (const { fault, weight } of from) {
      at -= weight;
      if (at >= 0) continue;
      if (!fault.strike(this.#world, random)) return;
      this.#kindsMet.add(fault.kind);
      return this.#world.count(`fault: ${fault.kind}`);
    }
  }

  #changeGroup(random: Random): void {
    const atOnce = random.fraction() < 0.3 ? 3 : 1;
    for (let change = 0; change < atOnce; change += 1) changeGroup(this.#world, random, this.#sizeWanted);
  }
}

/** The first `count`, and as many more as it takes that a group of any size meets enough kinds. */
function enough(faults: readonly Fault[], count: number): Fault[] {
  const isAnywhere = ({ anywhere }: Fault): boolean => anywhere === true;
  const drawn = faults.slice(0, count);
  const lacking = Math.max(0, KINDS_MIN - drawn.filter(isAnywhere).length);
  return [...drawn, ...faults.slice(count).filter(isAnywhere).slice(0, lacking)];
}

function shuffled<T>(all: readonly T[], random: Random): T[] {
  const keyed = all.map((one) => ({ one, key: random.fraction() }));
  return keyed.sort((a, b) => a.key - b.key).map(({ one }) => one);
}
