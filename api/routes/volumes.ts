// /volumes.
import { codeOf } from '../../base/errors.ts';
import type { VolumeInfo } from '../../runtime/contract.ts';
import { Fields } from '../convert/fields.ts';
import { requireVolumeName } from '../convert/container-mounts.ts';
import { volumeJson } from '../convert/volume.ts';
import type { ApiDeps } from '../deps.ts';
import { notImplemented } from '../faults.ts';
import { type Filters, matchesName, parseFilters } from '../filters.ts';
import { empty, json } from '../reply.ts';
import type { Routes } from '../routes.ts';
import { isOwn } from '../sizes.ts';
import { isBefore } from '../versions.ts';
import { publishPrune } from './container-prune.ts';

export function addVolumeRoutes(router: Routes, { runtime }: ApiDeps): void {
  const { volumes } = runtime;

  router.add('GET', '/volumes', async ({ query }) => {
    const filters = parseFilters(query.text('filters'), ['dangling', 'driver', 'label', 'label!', 'name']);
    const chosen = volumes.list().filter((volume) => matches(volume, filters));
    return json(200, { Volumes: chosen.map(volumeJson), Warnings: null });
  });

  router.add('POST', '/volumes/create', async (request) => {
    const body = new Fields(await request.jsonOrEmpty());
    body.refuse('ClusterVolumeSpec', 'cluster volumes are');
    const name = body.text('Name');
    if (name !== '') requireVolumeName(name);
    const driver = body.text('Driver') || 'local';
    const labels = body.textMap('Labels');
    const volume = await volumes.create({ name, driver, labels, options: body.textMap('DriverOpts') });
    return json(201, volumeJson(volume));
  });

  router.add('GET', '/volumes/{name}', async (request) => json(200, volumeJson(volumes.get(request.param('name')))));

  router.add('PUT', '/volumes/{name}', async (request) => {
    volumes.get(request.param('name'));
    throw notImplemented('updating cluster volumes');
  });

  router.add('DELETE', '/volumes/{name}', async (request) => {
    await volumes.remove(request.param('name'), { force: request.query.flag('force') });
    return empty(204);
  });

  // Since 1.42 only anonymous volumes are pruned unless `all` is asked for.
  router.add('POST', '/volumes/prune', async ({ query, version }) => {
    const filters = parseFilters(query.text('filters'), ['all', 'label', 'label!']);
    const alsoNamed = filters.flag('all') ?? isBefore(version, '1.42');
    const deleted: string[] = [];
    let bytes = 0;
    for (const volume of volumes.list()) {
      if (volume.usedBy.length > 0 || !isOwn(volume) || !filters.matchLabels(volume.labels)) continue;
      if (!volume.anonymous && !alsoNamed) continue;
      try {
        const size = await volumes.sizeBytes(volume.name);
        await volumes.remove(volume.name, { force: false });
        deleted.push(volume.name);
        bytes += size;
      } catch (error) {
        if (!['conflict', 'not-found'].includes(codeOf(error))) throw error; // taken or gone meanwhile
      }
    }
    publishPrune(runtime, 'volume', bytes);
    return json(200, { VolumesDeleted: deleted, SpaceReclaimed: bytes });
  });
}

function matches(volume: VolumeInfo, filters: Filters): boolean {
  const dangling = filters.flag('dangling');
  return (
    filters.some('name', (name) => matchesName(name, volume.name)) &&
    filters.some('driver', (driver) => volume.driver === driver) &&
    (dangling === undefined || dangling === (volume.usedBy.length === 0)) &&
    filters.matchLabels(volume.labels)
  );
}
