// What happens to the simulated world: clients' work, changes of the group, and faults. Each seed has its own weather and
// its own subset of faults, because all at once find less than some at a time.
import type { Random } from '../../base/random.ts';
import { NO_MEMBERS, votersOf } from '../../manager/raft/core/membership.ts';
import type { SimNode, Weather, World } from './world.ts';

type Act = (chaos: Chaos) => void;

const MEMBERS_MAX = 7;
const NODES_EVER_MAX = 16;

export function drawWeather(random: Random): Weather {
  const some = (rate: number, max: number): number => (random.fraction() < rate ? random.fraction() * max : 0);
  return {
    dropRate: some(0.6, 0.25),
    doubleRate: some(0.5, 0.05),
    slowRate: some(0.6, 0.08),
    slowMsMax: 2_000,
    flushMs: 0.2 + random.fraction() * 8,
    flushStallRate: some(0.4, 0.01),
    flushFailRate: some(0.4, 0.002),
    snapshotEntries: 20 + random.below(150),
    trailingEntries: random.below(60),
    segmentBytes: 2_000 + random.below(30_000),
  };
}

export const FAIR: Omit<Weather, 'snapshotEntries' | 'trailingEntries' | 'segmentBytes'> = {
  dropRate: 0,
  doubleRate: 0,
  slowRate: 0,
  slowMsMax: 0,
  flushMs: 2,
  flushStallRate: 0,
  flushFailRate: 0,
};

export class Chaos {
  readonly #world: World;
  readonly #random: Random;
  readonly #sizeWanted: number;
  readonly #acts: readonly { act: Act; weight: number }[];
  #ids = 1;
  #isOver = false;

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
    this.#sizeWanted = 1 + random.below(MEMBERS_MAX);
    this.#acts = FAULTS.filter(() => random.fraction() < 0.6).map((act) => ({ act, weight: 1 + random.below(4) }));
  }

  begin(): void {
    const first = this.#world.node('n1');
    first.boot('bootstrap');
    const { events } = this.#world;
    this.#every(
      () => this.#random.fraction() * 25,
      () => this.#clientWork(),
    );
    this.#every(
      () => 200 + this.#random.fraction() * 1_500,
      () => this.#fault(),
    );
    this.#every(
      () => 100 + this.#random.fraction() * 1_200,
      () => {
        const atOnce = this.#random.fraction() < 0.3 ? 3 : 1;
        for (let change = 0; change < atOnce; change += 1) this.#changeGroup();
      },
    );
    events.after(0, () => undefined);
  }

  /** Faults end, links heal, everybody who is down comes back. */
  heal(): void {
    this.#isOver = true;
    const { weather, cut, nodes } = this.#world;
    this.#world.weather = { ...weather, ...FAIR };
    cut.clear();
    for (const node of nodes.values()) {
      node.clockRate = 1;
      node.revive();
    }
    this.#world.note('healed');
  }

  #every(intervalMs: () => number, act: () => void): void {
    this.#world.events.after(intervalMs(), () => {
      if (this.#isOver) return;
      act();
      this.#every(intervalMs, act);
    });
  }

  #clientWork(): void {
    // A leader that was deposed and does not know it yet is where stale answers come from.
    const leaders = this.#world.alive().filter(({ raft }) => raft?.role === 'leader');
    if (leaders.length > 1) {
      this.#world.count('two leaders at once');
      for (const leader of leaders) this.#world.read(leader);
    }
    const node = this.#random.fraction() < 0.8 ? this.#world.leader() : this.#any();
    if (!node) return;
    if (this.#random.fraction() < 0.25) this.#world.read(node);
    else for (let more = this.#random.below(4); more >= 0; more -= 1) this.#world.propose(node);
  }

  #fault(): void {
    const total = this.#acts.reduce((sum, { weight }) => sum + weight, 0);
    let at = this.#random.below(Math.max(1, total));
    for (const { act, weight } of this.#acts) {
      at -= weight;
      if (at < 0) return act(this);
    }
  }

  /** Grows or shrinks the group towards the wanted size, and sometimes replaces a member or moves leadership. */
  #changeGroup(): void {
    const leader = this.#world.leader();
    const raft = leader?.raft;
    if (!leader?.member || !raft) return;
    const { members } = raft.membership;
    const learner = members.find((member) => member.learner);
    if (learner) this.#admit(leader, learner.id);
    else if (members.length < this.#sizeWanted) this.#grow(leader);
    else if (this.#random.fraction() < 0.25 && members.length > 1) this.#shrink(leader);
    else if (this.#random.fraction() < 0.2) this.#transfer(leader);
  }

  /** A new node, or one that was removed and comes back with the log that it had. */
  #grow(leader: SimNode): void {
    const removed = leader.raft?.membership.removed ?? [];
    const returns = removed.length > 0 && this.#random.fraction() < 0.4;
    if (!returns && this.#ids >= NODES_EVER_MAX) return;
    const id = returns ? this.#pick(removed) : `n${this.#ids + 1}`;
    const result = leader.member?.proposeChange({ op: 'add-learner', id, address: id });
    if (!result || 'refusal' in result) return this.#world.count(`change refused: ${result?.refusal}`);
    if (returns) this.#world.count('removed member returns');
    else this.#ids += 1;
    this.#world.node(id).boot('join');
    this.#world.note(`${leader.id} adds ${id}`);
  }

  /** A learner is given up, takes somebody's place, or gets a vote beside the others. */
  #admit(leader: SimNode, id: string): void {
    const chance = this.#random.fraction();
    const others = votersOf(leader.raft?.membership ?? NO_MEMBERS);
    if (chance < 0.05) leader.member?.proposeChange({ op: 'remove', id });
    else if (chance < 0.6 || others.length < 2) leader.member?.proposeChange({ op: 'promote', id });
    else {
      const replaces = this.#pick(others);
      const result = leader.member?.proposeChange({ op: 'replace', id, replaces });
      if (!result || 'refusal' in result) return;
      this.#world.count('replacement begun');
      this.#world.note(`${leader.id} replaces ${replaces} by ${id}`);
    }
  }

  #shrink(leader: SimNode): void {
    const members = leader.raft?.membership.members ?? [];
    const { id } = this.#pick(members);
    const result = leader.member?.proposeChange({ op: 'remove', id });
    if (result && !('refusal' in result)) this.#world.note(`${leader.id} removes ${id}`);
  }

  #transfer(leader: SimNode): void {
    const others = votersOf(leader.raft?.membership ?? NO_MEMBERS).filter((id) => id !== leader.id);
    if (others.length === 0) return;
    const to = this.#pick(others);
    const refusal = leader.raft?.transferLeadership(to);
    this.#world.count(refusal ? `transfer refused: ${refusal}` : 'transfer');
    leader.member?.pump();
  }

  // ---- Faults ----

  crashOne(): void {
    const node = this.#any();
    if (node) this.#crash(node);
  }

  crashLeader(): void {
    const node = this.#world.leader();
    if (node) this.#crash(node);
  }

  crashMost(): void {
    const share = 0.5 + this.#random.fraction() / 2;
    for (const node of this.#world.alive()) if (this.#random.fraction() < share) this.#crash(node);
  }

  #crash(node: SimNode): void {
    const { events } = this.#world;
    const lastId = node.raft?.leaderId;
    node.crash();
    events.after(20 + this.#random.fraction() * 4_000, () => node.revive());
    if (this.#random.fraction() < 0.5 || lastId !== node.id) return;
    // The others see its connections reset and refused.
    events.after(5, () => {
      this.#world.count('leader suspected');
      for (const other of this.#world.alive()) other.raft?.suspectLeader(node.id);
    });
  }

  pauseOne(): void {
    const node = this.#random.fraction() < 0.5 ? this.#world.leader() : this.#any();
    node?.pause(100 + this.#random.fraction() * 3_000);
  }

  skewClock(): void {
    const node = this.#any();
    if (node) node.clockRate = 0.6 + this.#random.fraction() * 0.9;
  }

  suspectFalsely(): void {
    const node = this.#any();
    if (node?.raft?.leaderId) node.raft.suspectLeader(node.raft.leaderId);
  }

  isolateOne(): void {
    const node = this.#random.fraction() < 0.5 ? this.#world.leader() : this.#any();
    if (node) this.#separate((id) => id === node.id, 'isolated');
  }

  split(): void {
    const side = new Set([...this.#world.nodes.keys()].filter(() => this.#random.fraction() < 0.5));
    this.#separate((id) => side.has(id), 'split');
  }

  cutOneWay(): void {
    const [from, to] = [this.#any(), this.#any()];
    if (!from || !to || from === to) return;
    this.#cutFor([`${from.id}>${to.id}`], 'one-way cut');
  }

  /** Nobody sees all: a ring in which each talks to its neighbours only. */
  ring(): void {
    const ids = [...this.#world.nodes.keys()];
    const links = ids.flatMap((from, a) =>
      ids.filter((_, b) => ![1, ids.length - 1].includes(Math.abs(a - b))).map((to) => `${from}>${to}`),
    );
    this.#cutFor(links, 'ring');
  }

  #separate(isInside: (id: string) => boolean, what: string): void {
    const ids = [...this.#world.nodes.keys()];
    const links = ids.flatMap((from) =>
      ids.filter((to) => isInside(from) !== isInside(to)).map((to) => `${from}>${to}`),
    );
    this.#cutFor(links, what);
  }

  #cutFor(links: readonly string[], what: string): void {
    this.#world.count(what);
    this.#world.note(`${what}: ${links.length} links`);
    for (const link of links) this.#world.cut.add(link);
    this.#world.events.after(100 + this.#random.fraction() * 4_000, () => {
      for (const link of links) this.#world.cut.delete(link);
    });
  }

  #any(): SimNode | undefined {
    const alive = this.#world.alive();
    return alive.length > 0 ? this.#pick(alive) : undefined;
  }

  #pick<T>(from: readonly T[]): T {
    const one = from[this.#random.below(from.length)];
    if (one === undefined) throw new Error('nothing to pick from');
    return one;
  }
}

const FAULTS: readonly Act[] = [
  (chaos) => chaos.crashOne(),
  (chaos) => chaos.crashLeader(),
  (chaos) => chaos.crashMost(),
  (chaos) => chaos.pauseOne(),
  (chaos) => chaos.skewClock(),
  (chaos) => chaos.suspectFalsely(),
  (chaos) => chaos.isolateOne(),
  (chaos) => chaos.split(),
  (chaos) => chaos.cutOneWay(),
  (chaos) => chaos.ring(),
];
