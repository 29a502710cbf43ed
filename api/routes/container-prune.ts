// Removing what is stopped, and knowing which containers' images lost their tag.
import type { Clock } from '../../base/clock.ts';
import { codeOf } from '../../base/errors.ts';
import type { ContainerInfo, Containers } from '../../runtime/container/contract.ts';
import type { Runtime } from '../../runtime/contract.ts';
import type { Images } from '../../runtime/image/contract.ts';
import { nsToMs, parseTimestampNs } from '../convert/time.ts';
import { parseFilters } from '../filters.ts';
import type { Query } from '../request.ts';
import { sizesOf } from '../sizes.ts';

export async function pruneContainers(runtime: Runtime, query: Query, clock: Clock, abort: AbortSignal) {
  const { containers } = runtime;
  const filters = parseFilters(query.text('filters'), ['label', 'label!', 'until']);
  const until = parseTimestampNs(filters.values('until')[0] ?? '', 'until', clock.nowMs());
  const deleted: string[] = [];
  let bytes = 0;
  for (const info of containers.list()) {
    if (!['created', 'exited', 'dead'].includes(info.state)) continue;
    if (until !== undefined && info.createdAtMs >= nsToMs(until)) continue;
    if (!filters.matchLabels(info.config.labels)) continue;
    const size = (await sizesOf(runtime, [info], abort)).get(info.id);
    if (!(await removed(containers, info.id))) continue;
    deleted.push(info.id);
    bytes += size?.ownBytes ?? 0;
  }
  publishPrune(runtime, 'container', bytes);
  return { ContainersDeleted: deleted, SpaceReclaimed: bytes };
}

export function publishPrune({ events }: Runtime, type: 'container' | 'volume', bytes: number): void {
  events.publish({ type, action: 'prune', id: '', attributes: { reclaimed: String(bytes) }, scope: 'local' });
}

/** False when somebody started or removed it meanwhile: then it is not ours to remove. */
async function removed(containers: Containers, id: string): Promise<boolean> {
  try {
    await containers.remove(id, { force: false, volumes: false });
    return true;
  } catch (error) {
    if (['conflict', 'not-found'].includes(codeOf(error))) return false;
    throw error;
  }
}

/** Ids of containers whose image reference no longer leads to their image: ps then shows the image's id. */
export function containersWithoutImage(images: Images, chosen: readonly ContainerInfo[]): ReadonlySet<string> {
  const idByReference = new Map<string, string>();
  for (const { imageReference } of chosen) {
    if (!idByReference.has(imageReference)) idByReference.set(imageReference, imageIdOf(images, imageReference));
  }
  return new Set(chosen.filter((info) => idByReference.get(info.imageReference) !== info.imageId).map(({ id }) => id));
}

function imageIdOf(images: Images, reference: string): string {
  try {
    return images.get(reference).id;
  } catch (error) {
    if (codeOf(error) === 'not-found' || codeOf(error) === 'invalid') return '';
    throw error;
  }
}
