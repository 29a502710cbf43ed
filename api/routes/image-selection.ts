// Which images a list or a prune means.
import { codeOf, fail } from '../../base/errors.ts';
import type { Image, Images } from '../../runtime/image/contract.ts';
import { deletedItem } from '../convert/image.ts';
import { nsToMs, parseTimestampNs } from '../convert/time.ts';
import type { Filters } from '../filters.ts';
import type { ImageDeleteItem } from '../types/image.ts';

export const IMAGE_FILTERS = ['before', 'dangling', 'label', 'label!', 'reference', 'since', 'until'];

export function selectImages(images: Images, filters: Filters, nowMs: number): Image[] {
  const times = (key: string): number[] => filters.values(key).map((name) => images.get(name).createdAtMs);
  const afterMs = Math.max(-Infinity, ...times('since'));
  const beforeMs = Math.min(untilMs(filters, nowMs), ...times('before'));
  const dangling = filters.flag('dangling');
  return images
    .list()
    .filter((image) => dangling === undefined || dangling === (image.tags.length === 0))
    .filter((image) => image.createdAtMs > afterMs && image.createdAtMs < beforeMs)
    .filter((image) => filters.matchLabels(image.config.labels))
    .flatMap((image) => byReference(image, filters.values('reference')))
    .sort((a, b) => b.createdAtMs - a.createdAtMs);
}

/** The image with the names alone that were asked for; not at all when it has none of them. */
function byReference(image: Image, patterns: readonly string[]): Image[] {
  if (patterns.length === 0) return [image];
  const isAsked = (name: string): boolean => patterns.some((pattern) => isReference(name, pattern));
  const tags = image.tags.filter(isAsked);
  const digests = image.digests.filter(isAsked);
  return tags.length + digests.length > 0 ? [{ ...image, tags, digests }] : [];
}

function untilMs(filters: Filters, nowMs: number): number {
  const ns = parseTimestampNs(filters.values('until')[0] ?? '', 'until', nowMs);
  return ns === undefined ? Infinity : nsToMs(ns);
}

/** `busybox`, `busy*`, `*:latest`, `team/app:1.*`: without a tag any tag matches. */
function isReference(name: string, pattern: string): boolean {
  const glob = (text: string): RegExp =>
    new RegExp(
      `^${text
        .replace(/[.+^${}()|[\]\\]/g, '\\$&')
        .replace(/\*/g, '[^/]*')
        .replace(/\?/g, '[^/]')}$`,
    );
  const bare = name.replace(/(@.*|:[^/:]*)$/, '');
  return glob(pattern).test(name) || glob(pattern).test(bare);
}

/** Without `dangling=false` only images that no tag names; never one that a container uses. */
export async function pruneImages(images: Images, inUse: ReadonlySet<string>, filters: Filters, nowMs: number) {
  if (filters.values('dangling').length > 1) fail('invalid', `invalid filter 'dangling'`);
  const alsoTagged = filters.flag('dangling') === false;
  const olderThanMs = untilMs(filters, nowMs);
  const deleted: ImageDeleteItem[] = [];
  let bytes = 0;
  for (const image of images.list()) {
    if (inUse.has(image.id) || image.createdAtMs >= olderThanMs || !filters.matchLabels(image.config.labels)) continue;
    if (image.tags.length > 0 && !alsoTagged) continue;
    const items = await removedItems(images, image);
    if (items.length > 0) bytes += image.sizeBytes;
    deleted.push(...items);
  }
  return { ImagesDeleted: deleted, SpaceReclaimed: bytes };
}

async function removedItems(images: Images, image: Image): Promise<ImageDeleteItem[]> {
  try {
    const names = image.tags.length > 0 ? image.tags : [image.id];
    const items: ImageDeleteItem[] = [];
    for (const name of names) items.push(...(await images.remove(name, { force: false })).map(deletedItem));
    return items;
  } catch (error) {
    if (['conflict', 'not-found'].includes(codeOf(error))) return [];
    throw error;
  }
}
