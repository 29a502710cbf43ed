// The faults that strike a simulated world. Each says whether it struck: some need something that is not always there.
import type { Random } from '../../base/random.ts';
import { pick } from './group-acts.ts';
import { flipSomething } from './bit-flip.ts';
import type { SimNode } from './sim-node.ts';
import type { World } from './world.ts';

export interface Fault {
  readonly kind: string;
  /** It strikes a lone member as well. */
  readonly anywhere?: true;
  readonly strike: (world: World, random: Random) => boolean;
}

export const FAULTS: readonly Fault[] = [
  {
    kind: 'crash',
    anywhere: true,
    strike: (world, random) => onSome(world, random, (node) => crash(world, random, node)),
  },
  {
    kind: 'crash of the leader',
    anywhere: true,
    strike: (world, random) => onLeader(world, (node) => crash(world, random, node)),
  },
  { kind: 'crash in the middle of the disk’s work', anywhere: true, strike: crashInTheMiddle },
  { kind: 'crash of most', anywhere: true, strike: crashMost },
  {
    kind: 'pause',
    anywhere: true,
    strike: (world, random) => onSome(world, random, (node) => node.pause(pauseMs(random))),
  },
  {
    kind: 'pause of the leader',
    anywhere: true,
    strike: (world, random) => onLeader(world, (node) => node.pause(pauseMs(random))),
  },
  { kind: 'skewed clock', anywhere: true, strike: skewClock },
  { kind: 'false suspicion', strike: suspectFalsely },
  { kind: 'isolation', strike: (world, random) => isolate(world, random, someOf(world, random)) },
  { kind: 'isolation of the leader', strike: (world, random) => isolate(world, random, world.leader()) },
  { kind: 'split', strike: split },
  { kind: 'one-way cut', strike: cutOneWay },
  { kind: 'ring', strike: ring },
  { kind: 'bridge', strike: bridge },
  { kind: 'flapping link', strike: flap },
  { kind: 'slow link', strike: slowLink },
  { kind: 'connection reset', strike: resetConnections },
  { kind: 'full disk', anywhere: true, strike: fillDisk },
  { kind: 'flipped bit', strike: flipBit },
  { kind: 'wiped disk', strike: wipe },
];

function someOf(world: World, random: Random): SimNode | undefined {
  const alive = world.alive();
  return alive.length > 0 ? pick(alive, random) : undefined;
}

function onSome(world: World, random: Random, then: (node: SimNode) => void): boolean {
  const node = someOf(world, random);
  if (node) then(node);
  return node !== undefined;
}

function onLeader(world: World, then: (node: SimNode) => void): boolean {
  const node = world.leader();
  if (node) then(node);
  return node !== undefined;
}

// ---- Processes ----

function crash(world: World, random: Random, node: SimNode): void {
  const { events } = world;
  const lastId = node.raft?.leaderId;
  node.crash();
  events.after(20 + random.fraction() * 4_000, () => node.revive());
  if (random.fraction() < 0.5 || lastId !== node.id) return;
  // The others see its connections reset and refused.
  events.after(5, () => {
    world.count('leader suspected');
    for (const other of world.alive()) other.raft?.suspectLeader(node.id);
  });
}

function crashMost(world: World, random: Random): boolean {
  const share = 0.5 + random.fraction() / 2;
  for (const node of world.alive()) if (random.fraction() < share) crash(world, random, node);
  return true;
}

function crashInTheMiddle(world: World, random: Random): boolean {
  return onSome(world, random, (node) =>
    node.disk.afterOperations(1 + random.below(12), () => {
      world.count('crash in the middle');
      crash(world, random, node);
    }),
  );
}

const pauseMs = (random: Random): number => 100 + random.fraction() ** 4 * 30_000;

function skewClock(world: World, random: Random): boolean {
  return onSome(world, random, (node) => {
    node.clockRate = 0.5 * 4 ** random.fraction();
  });
}

function suspectFalsely(world: World, random: Random): boolean {
  const raft = someOf(world, random)?.raft;
  if (raft?.leaderId) raft.suspectLeader(raft.leaderId);
  return raft?.leaderId !== undefined;
}

// ---- Network ----

const aWhile = (random: Random): number => 100 + random.fraction() * 4_000;

function cut(world: World, random: Random, isCut: (from: string, to: string) => boolean): boolean {
  const ids = [...world.nodes.keys()];
  const forMs = aWhile(random);
  const links = ids.flatMap((from) => ids.filter((to) => from !== to && isCut(from, to)).map((to) => [from, to]));
  if (links.length === 0) return false;
  for (const [from = '', to = ''] of links) world.network.cut(from, to, forMs);
  world.note(`cut off for ${Math.round(forMs)} ms: ${links.map((link) => link.join('>')).join(' ')}`);
  return true;
}

function isolate(world: World, random: Random, node: SimNode | undefined): boolean {
  return node !== undefined && cut(world, random, (from, to) => from === node.id || to === node.id);
}

function split(world: World, random: Random): boolean {
  const side = new Set([...world.nodes.keys()].filter(() => random.fraction() < 0.5));
  return cut(world, random, (from, to) => side.has(from) !== side.has(to));
}

function cutOneWay(world: World, random: Random): boolean {
  const [one, other] = [someOf(world, random)?.id, someOf(world, random)?.id];
  return one !== other && cut(world, random, (from, to) => from === one && to === other);
}

/** Nobody sees all: each talks to its neighbours only. */
function ring(world: World, random: Random): boolean {
  const ids = [...world.nodes.keys()];
  return cut(world, random, (from, to) => ![1, ids.length - 1].includes(Math.abs(ids.indexOf(from) - ids.indexOf(to))));
}

/** Two halves that only one member sees both of. */
function bridge(world: World, random: Random): boolean {
  const middle = someOf(world, random)?.id;
  const side = new Set([...world.nodes.keys()].filter(() => random.fraction() < 0.5));
  return cut(world, random, (from, to) => from !== middle && to !== middle && side.has(from) !== side.has(to));
}

function flap(world: World, random: Random): boolean {
  const [one, other] = [someOf(world, random)?.id, someOf(world, random)?.id];
  if (!one || !other || one === other) return false;
  for (let at = 0; at < 10; at += 1) {
    world.events.after(at * 250, () => {
      world.network.cut(one, other, 120);
      world.network.cut(other, one, 120);
    });
  }
  return true;
}

function slowLink(world: World, random: Random): boolean {
  const [one, other] = [someOf(world, random)?.id, someOf(world, random)?.id];
  if (!one || !other || one === other) return false;
  world.network.slow(one, other, 0.5 + random.fraction() * 20, aWhile(random));
  return true;
}

/** What was under way is lost, and both sides see it. */
function resetConnections(world: World, random: Random): boolean {
  const node = someOf(world, random);
  if (!node || world.alive().length < 2) return false;
  for (const other of world.alive()) {
    if (other === node) continue;
    world.network.reset(node.id, other.id);
    world.network.reset(other.id, node.id);
    other.member?.unreachable(node.id);
    node.member?.unreachable(other.id);
  }
  return true;
}

// ---- Disks ----

function fillDisk(world: World, random: Random): boolean {
  return onSome(world, random, (node) => {
    node.disk.isFull = true;
    world.note(`${node.id} has a full disk`);
    world.events.after(aWhile(random), () => {
      node.disk.isFull = false;
    });
  });
}

function flipBit(world: World, random: Random): boolean {
  const node = someOf(world, random);
  if (!node || !world.canSpare([node.id])) return false;
  node.crash();
  world.events.after(aWhile(random), () => node.revive());
  if (!flipSomething(node.disk, random)) return false;
  world.spoil(node.id);
  world.note(`a bit of ${node.id} is flipped`);
  return true;
}

function wipe(world: World, random: Random): boolean {
  const node = someOf(world, random);
  if (!node || !world.canSpare([node.id])) return false;
  world.spoil(node.id);
  node.wipe();
  world.events.after(aWhile(random), () => node.revive());
  return true;
}
