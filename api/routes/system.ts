// /_ping, /version, /info, /system/df: the daemon itself.
import { fail } from '../../base/errors.ts';
import type { ContainerInfo } from '../../runtime/container/contract.ts';
import type { Image } from '../../runtime/image/contract.ts';
import type { ApiDeps } from '../deps.ts';
import { systemInfo } from '../convert/system-info.ts';
import { imageSummary } from '../convert/image.ts';
import { containerSummary, type Sizes } from '../convert/container-summary.ts';
import { empty, json, type Reply } from '../reply.ts';
import type { Routes } from '../routes.ts';
import { networkFacts } from './containers.ts';
import { swarmInfoJson } from './swarm-info.ts';
import type { SwarmInfo } from '../deps.ts';
import { versionJson } from '../convert/version.ts';
import { isOwn, sizesOf, volumeSizes } from '../sizes.ts';
import { volumeJson } from '../convert/volume.ts';
import { isBefore } from '../versions.ts';

const NO_CACHE = { 'Cache-Control': 'no-cache, no-store, must-revalidate', Pragma: 'no-cache' };

export function addSystemRoutes(router: Routes, deps: ApiDeps): void {
  const { swarm, system } = deps;

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

  router.add('GET', '/system/df', async ({ query, version, abort }) =>
    json(200, await diskUse(deps, isBefore(version, '1.42') ? [] : query.list('type'), version, abort)),
  );
}

export function addInfoRoutes(router: Routes, deps: ApiDeps): void {
  const { swarm, clock } = deps;
  router.add('GET', '/info', async ({ version, abort }) =>
    json(200, await systemInfo(deps, await swarmInfoJson(swarm, clock, abort), version)),
  );
}

/** Everything, or the asked kinds alone. */
async function diskUse(
  { runtime, clock }: ApiDeps,
  kinds: readonly string[],
  version: string,
  abort: AbortSignal,
): Promise<object> {
  const wants = (kind: string): boolean => kinds.length === 0 || kinds.includes(kind);
  const unknown = kinds.find((kind) => !['container', 'image', 'volume', 'build-cache'].includes(kind));
  if (unknown !== undefined) fail('invalid', `unknown object type: ${unknown}`);
  const images = runtime.images.list();
  const containers = runtime.containers.list();
  const users = (image: Image): number => containers.filter((info) => info.imageId === image.id).length;
  const sizes = wants('container') ? await sizesOf(runtime, containers, abort) : new Map<string, Sizes>();
  const used = wants('volume') ? await volumeSizes(runtime, abort) : new Map<string, number>();
  const volumes = runtime.volumes
    .list()
    .filter(isOwn)
    .map((volume) => ({
      ...volumeJson(volume),
      UsageData: { RefCount: volume.usedBy.length, Size: used.get(volume.name) ?? -1 },
    }));
  const networks = networkFacts(runtime, version);
  const summary = (info: ContainerInfo) =>
    containerSummary(info, { tagStillThere: true, nowMs: clock.nowMs(), sizes: sizes.get(info.id), ...networks });
  return {
    ...(wants('image') ? { LayersSize: images.reduce((sum, image) => sum + image.sizeBytes, 0) } : {}),
    ...(wants('image') ? { Images: images.map((image) => imageSummary(image, users(image), version)) } : {}),
    ...(wants('container')
      ? {
          Containers: containers.map((info) => summary(info)),
        }
      : {}),
    ...(wants('volume') ? { Volumes: volumes } : {}),
    ...(wants('build-cache') ? { BuildCache: [] } : {}),
    ...(isBefore(version, '1.42') ? { BuilderSize: 0 } : {}),
  };
}

/** What /_ping says of the swarm, so that a client need not ask /info. */
function swarmHeader(info: SwarmInfo): string {
  if (info.state !== 'active') return info.state;
  return info.controlAvailable ? 'active/manager' : 'active/worker';
}
