// Sizes of containers and volumes, which take a walk over their files: only for who asks, a few at a time.
import { codeOf } from '../base/errors.ts';
import { inParallel } from '../base/parallel.ts';
import type { ContainerInfo } from '../runtime/container/contract.ts';
import type { Runtime, VolumeInfo } from '../runtime/contract.ts';
import type { Sizes } from './convert/container-summary.ts';

const AT_ONCE = 4;

/** By id. What is removed meanwhile has none. */
export async function sizesOf(
  { containers }: Runtime,
  infos: readonly Pick<ContainerInfo, 'id'>[],
  abort: AbortSignal,
): Promise<ReadonlyMap<string, Sizes>> {
  return await each(
    infos,
    ({ id }) => id,
    (id) => containers.files.sizes(id),
    abort,
  );
}

/** By name. One with options is not measured: its files may be another machine's. */
export async function volumeSizes({ volumes }: Runtime, abort: AbortSignal): Promise<ReadonlyMap<string, number>> {
  return await each(
    volumes.list().filter(isOwn),
    ({ name }) => name,
    (name) => volumes.sizeBytes(name),
    abort,
  );
}

/** As Docker, which counts and prunes only volumes whose files are below its own root. */
export const isOwn = ({ options }: Pick<VolumeInfo, 'options'>): boolean => Object.keys(options).length === 0;

async function each<Item, Size>(
  items: readonly Item[],
  keyOf: (item: Item) => string,
  measure: (key: string) => Promise<Size>,
  abort: AbortSignal,
): Promise<Map<string, Size>> {
  const sizes = new Map<string, Size>();
  await inParallel(items, AT_ONCE, abort, async (item) => {
    try {
      sizes.set(keyOf(item), await measure(keyOf(item)));
    } catch (error) {
      if (codeOf(error) !== 'not-found') throw error;
    }
  });
  return sizes;
}
