// The majority is lost for good, and an operator begins anew with the voter whose log goes furthest. Everything that was
// ever acknowledged is in that one, because a majority had it; whoever was left out stays away for good.
import { quorumsOf } from '../../manager/raft/core/membership.ts';
import type { SimNode } from './sim-node.ts';
import type { World } from './world.ts';

/** In so many of the seeds. */
const SHARE = 0.2;
const EARLIEST_MS = 3_000;
const WITHIN_MS = 40_000;
const AGAIN_AFTER_MS = 500;

/** `rages`: not while what has healed is being judged. */
export function planNewBeginning(world: World, rages: () => boolean): void {
  const random = world.random('new beginning');
  if (random.fraction() >= SHARE) return;
  const dies = random.fraction() < 0.5 ? 1 + random.below(40) : undefined;
  const attempt = (): void => {
    const beginning = rages() ? begin(world, dies) : Promise.resolve(false);
    beginning.then(
      (hasBegun) => {
        if (!hasBegun) world.events.after(AGAIN_AFTER_MS, attempt);
      },
      (error: unknown) => world.fail(error),
    );
  };
  world.events.after(EARLIEST_MS + random.fraction() * WITHIN_MS, attempt);
}

/** `dies`: the survivor's process ends after so many operations of its disk, perhaps while it takes over. */
async function begin(world: World, dies: number | undefined): Promise<boolean> {
  const leader = world.leader();
  const voters = new Set((leader?.memberships() ?? []).flatMap((membership) => quorumsOf(membership).flat()));
  if (voters.size < 2 || [...voters].some((id) => world.isSpoilt(id))) return false;
  for (const node of world.nodes.values()) node.crash();
  const survivor = await furthest(world, voters);
  if (!survivor) return false;
  for (const node of world.nodes.values()) {
    if (node === survivor) continue;
    node.isLost = true;
    world.spoil(node.id);
  }
  world.note(`all but ${survivor.id} are lost; it begins anew`);
  if (dies !== undefined)
    survivor.disk.afterOperations(dies, () => {
      survivor.crash();
      world.events.after(AGAIN_AFTER_MS, () => survivor.revive());
    });
  survivor.takeOver();
  return true;
}

async function furthest(world: World, voters: ReadonlySet<string>): Promise<SimNode | undefined> {
  let best: { node: SimNode; term: number; index: number } | undefined;
  for (const id of voters) {
    const node = world.node(id);
    const disk = node.disk.durableView();
    if (!(await disk.list('.')).includes('format')) continue;
    const { entries, base } = await world.modules.inspectDirectory(disk);
    const { term, index } = entries.at(-1) ?? base;
    if (!best || term > best.term || (term === best.term && index > best.index)) best = { node, term, index };
  }
  return best?.node;
}
