// /_ping, /version, /info, /system/df, /auth: the daemon itself.
import type { ApiDeps } from '../deps.ts';
import { systemInfo } from '../convert/system-info.ts';
import { imageSummary } from '../convert/image.ts';
import { containerSummary } from '../convert/container-summary.ts';
import { notImplemented } from '../faults.ts';
import { empty, json, type Reply } from '../reply.ts';
import type { Routes } from '../routes.ts';
import { swarmInfoJson } from './swarm-info.ts';
import type { SwarmInfo } from '../deps.ts';
import { versionJson } from '../convert/version.ts';
import { volumeJson } from '../convert/volume.ts';

const NO_CACHE = { 'Cache-Control': 'no-cache, no-store, must-revalidate', Pragma: 'no-cache' };

export function addSystemRoutes(router: Routes, deps: ApiDeps): void {
  const { runtime, swarm, system, clock } = deps;

  const pingHeaders = (): Record<string, string> => ({
    ...NO_CACHE,
    'Builder-Version': '1',
    Swarm: swarmHeader(swarm.info()),
    'Content-Type': 'text/plain; charset=utf-8',
  });
  router.add('HEAD', '/_ping', async () => empty(200, pingHeaders()));
  router.add(
    'GET',
    '/_ping',
    async (): Promise<Reply> => ({ kind: 'bytes', status: 200, headers: pingHeaders(), body: 'OK' }),
  );

  router.add('GET', '/version', async () => json(200, versionJson(system)));

  router.add('GET', '/info', async ({ abort }) =>
    json(200, systemInfo(deps, await swarmInfoJson(swarm, clock, abort))),
  );

  router.add('GET', '/system/df', async ({ version }) => {
    const images = runtime.images.list();
    const containers = runtime.containers.list();
    return json(200, {
      LayersSize: images.reduce((sum, image) => sum + image.sizeBytes, 0),
      Images: images.map((image) =>
        imageSummary(image, containers.filter((info) => info.imageId === image.id).length, version),
      ),
      Containers: containers.map((info) => ({ ...containerSummary(info, true, clock.nowMs()), SizeRw: 0 })),
      Volumes: runtime.volumes.list().map((volume) => ({
        ...volumeJson(volume),
        UsageData: { RefCount: volume.usedBy.length, Size: -1 },
      })),
      BuildCache: [],
    });
  });

  router.add('POST', '/auth', async () => {
    throw notImplemented('logging in to a registry');
  });
}

/** What /_ping says of the swarm, so that a client need not ask /info. */
function swarmHeader(info: SwarmInfo): string {
  if (info.state !== 'active') return info.state;
  return info.controlAvailable ? 'active/manager' : 'active/worker';
}
