// Removing what is stopped, and knowing which containers' images lost their tag.
import type { Clock } from '../../base/clock.ts';
import { codeOf } from '../../base/errors.ts';
import type { ContainerInfo, Containers } from '../../runtime/container/contract.ts';
import type { Images } from '../../runtime/image/contract.ts';
import { nsToMs, parseTimestampNs } from '../convert/time.ts';
import { parseFilters } from '../filters.ts';
import type { Query } from '../request.ts';

export async function pruneContainers(containers: Containers, query: Query, clock: Clock) {
  const filters = parseFilters(query.text('filters'), ['label', 'label!', 'until']);
  const until = parseTimestampNs(filters.values('until')[0] ?? '', 'until', clock.nowMs());
  const deleted: string[] = [];
  for (const info of containers.list()) {
    if (!['created', 'exited', 'dead'].includes(info.state)) continue;
    if (until !== undefined && info.createdAtMs >= nsToMs(until)) continue;
    if (!filters.matchLabels(info.config.labels)) continue;
    if (await removed(containers, info.id)) deleted.push(info.id);
  }
  return { ContainersDeleted: deleted, SpaceReclaimed: 0 };
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
