// /images: list, inspect, tag, delete, load, save, import. What goes to a registry is in registry.ts.
import type { ApiDeps } from '../deps.ts';
import { fail } from '../../base/errors.ts';
import type { Images } from '../../runtime/image/contract.ts';
import { deletedItem, imageHistory, imageInspect, imageSummary } from '../convert/image.ts';
import { parseFilters } from '../filters.ts';
import { notImplemented } from '../faults.ts';
import { progressLines, progressReply } from '../progress.ts';
import { empty, json, stream } from '../reply.ts';
import type { ApiRequest } from '../request.ts';
import type { Routes } from '../routes.ts';
import { isBefore } from '../versions.ts';
import { IMAGE_FILTERS, pruneImages, selectImages } from './image-selection.ts';
import { pullImage } from './registry.ts';

export function addImageRoutes(router: Routes, { runtime, system, clock }: ApiDeps): void {
  const { images, containers } = runtime;

  router.add('GET', '/images/json', async ({ query, version }) => {
    const asked = parseFilters(query.text('filters'), IMAGE_FILTERS);
    const single = isBefore(version, '1.41') ? query.text('filter') : '';
    const filters = single === '' ? asked : asked.with('reference', single);
    const inUse = containers.list().map((info) => info.imageId);
    const rows = selectImages(images, filters, clock.nowMs()).map((image) =>
      imageSummary(image, inUse.filter((id) => id === image.id).length, version),
    );
    return json(200, rows);
  });

  router.add('GET', '/images/{name...}/json', async (request) =>
    json(200, imageInspect(images.get(request.param('name')), system.storageDriver, request.version)),
  );

  router.add('GET', '/images/{name...}/history', async (request) =>
    json(200, imageHistory(images.get(request.param('name')))),
  );

  router.add('POST', '/images/{name...}/tag', async (request) => {
    const repository = request.query.text('repo');
    if (repository === '') fail('invalid', 'invalid reference format');
    const tag = request.query.text('tag');
    await images.tag(request.param('name'), tag === '' ? repository : `${repository}:${tag}`);
    return empty(201);
  });

  router.add('DELETE', '/images/{name...}', async (request) => {
    const removed = await images.remove(request.param('name'), { force: request.query.flag('force') });
    return json(200, removed.map(deletedItem));
  });

  router.add('POST', '/images/load', async (request) =>
    stream(
      'application/json',
      progressLines(async (report) => {
        await images.load(request.body, report, request.abort);
        return [];
      }),
    ),
  );

  router.add('GET', '/images/get', async ({ query }) => save(images, query.list('names')));
  router.add('GET', '/images/{name...}/get', async (request) => save(images, [request.param('name')]));

  router.add('POST', '/images/create', async (request) =>
    request.query.text('fromImage') === ''
      ? await importImage(images, request)
      : await pullImage(runtime.registries, request),
  );

  router.add('POST', '/images/prune', async ({ query }) => {
    const filters = parseFilters(query.text('filters'), ['dangling', 'label', 'label!', 'until']);
    const inUse = new Set(containers.list().map((info) => info.imageId));
    return json(200, await pruneImages(images, inUse, filters, clock.nowMs()));
  });

  router.add('GET', '/images/search', async () => {
    throw notImplemented('searching a registry');
  });
}

async function save(images: Images, names: readonly string[]) {
  for (const name of names) images.get(name);
  return stream('application/x-tar', await images.save(names));
}

async function importImage(images: Images, { query, body, abort }: ApiRequest) {
  const source = query.text('fromSrc');
  if (source === '') fail('invalid', 'either fromImage or fromSrc is required');
  if (source !== '-')
    throw notImplemented(`importing from ${source}`, 'send the archive itself: docker import - < FILE');
  const repository = query.text('repo');
  const tag = query.text('tag');
  const target = tag === '' || repository === '' ? repository : `${repository}:${tag}`;
  const options = { target, changes: query.list('changes'), message: query.text('message') || 'Imported from -' };
  return await progressReply(async () => [{ status: await images.import(body, options, abort) }]);
}
