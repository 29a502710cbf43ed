// /containers: what answers at once. Streams are in container-streams.ts, files in container-files.ts.
import type { ApiDeps } from '../deps.ts';
import { containerInspect } from '../convert/container-inspect.ts';
import { CONTAINER_FILTERS, containerSummary, selectContainers } from '../convert/container-summary.ts';
import type { NetworkFacts } from '../convert/attachment.ts';
import { parseContainerConfig, requireContainerName } from '../convert/container-config.ts';
import { askedAt, requirePlatform } from '../convert/asked-at.ts';
import { Fields } from '../convert/fields.ts';
import { linkCalled, linksShown, namesByLinks, withLinkedIds } from '../convert/links.ts';
import { parseLimitChange, parseRestart, refuseUnsupportedResources } from '../convert/host-limits.ts';
import { volumesFrom } from '../convert/volumes-from.ts';
import { parseFilters } from '../filters.ts';
import { CodedError, codeOf, fail, sentenceOf } from '../../base/errors.ts';
import type { ContainerConfig } from '../../runtime/container/contract.ts';
import { networkToJoin } from '../cluster-network.ts';
import { Fault, notImplemented } from '../faults.ts';
import { empty, json } from '../reply.ts';
import type { ApiRequest } from '../request.ts';
import type { Routes } from '../routes.ts';
import { isBefore } from '../versions.ts';
import { sizesOf } from '../sizes.ts';
import { containersWithoutImage, pruneContainers } from './container-prune.ts';

const NO_CONTENT = empty(204);

export function addContainerRoutes(router: Routes, deps: ApiDeps): void {
  const { runtime, system, clock } = deps;
  const { containers } = runtime;

  router.add('GET', '/containers/json', async ({ query, version, abort }) => {
    const filters = parseFilters(query.text('filters'), CONTAINER_FILTERS);
    const options = { all: query.flag('all'), limit: query.integer('limit') ?? 0 };
    const chosen = selectContainers(containers, filters, options);
    const untagged = containersWithoutImage(runtime.images, chosen);
    const sizes = query.flag('size') ? await sizesOf(runtime, chosen, abort) : undefined;
    const networks = networkFacts(runtime, version);
    const linkNames = namesByLinks(containers.list(), containers);
    return json(
      200,
      chosen.map((info) =>
        containerSummary(info, {
          tagStillThere: !untagged.has(info.id),
          nowMs: clock.nowMs(),
          sizes: sizes?.get(info.id),
          linkNames: linkNames.get(info.id) ?? [],
          ...networks,
        }),
      ),
    );
  });

  router.add('POST', '/containers/create', async (request) => {
    const body = await request.json();
    const name = request.query.text('name');
    const config = askedAt(request.version, parseContainerConfig(body, name, volumesFrom(body, containers)));
    requirePlatform(request.query.text('platform'), config.image, runtime.images, system.architecture);
    checkLinks({ get: (reference) => containers.get(reference) }, config);
    await checkNetworks(deps, config, request.abort);
    const { id, warnings } = await containers.create(withLinkedIds(config, containers));
    return json(201, { Id: id, Warnings: warnings });
  });

  router.add('GET', '/containers/{id}/json', async (request) => {
    const info = containers.get(request.param('id'));
    const sizes = request.query.flag('size') ? await sizesOf(runtime, [info], request.abort) : undefined;
    return json(
      200,
      containerInspect(
        info,
        { ...system, ...networkFacts(runtime, request.version), links: linksShown(info, containers) },
        sizes?.get(info.id),
      ),
    );
  });

  router.add('POST', '/containers/{id}/start', async (request) => {
    refuseHostConfig(request);
    if (request.query.text('checkpoint') !== '') throw notImplemented('checkpoints');
    await startAsDocker(containers.start(request.param('id')));
    return NO_CONTENT;
  });

  router.add('POST', '/containers/{id}/stop', async (request) => {
    await containers.stop(request.param('id'), stopOptions(request));
    return NO_CONTENT;
  });

  router.add('POST', '/containers/{id}/restart', async (request) => {
    await containers.restart(request.param('id'), stopOptions(request));
    return NO_CONTENT;
  });

  router.add('POST', '/containers/{id}/kill', async (request) => {
    const id = request.param('id');
    await sayingFirst(`cannot kill container: ${id}`, containers.kill(id, request.query.text('signal') || 'SIGKILL'));
    return NO_CONTENT;
  });

  router.add('POST', '/containers/{id}/pause', async (request) => {
    await containers.pause(request.param('id'));
    return NO_CONTENT;
  });

  router.add('POST', '/containers/{id}/unpause', async (request) => {
    const { id, state } = containers.get(request.param('id'));
    // Docker's status, and the contract's: no conflict here.
    if (state !== 'paused') throw new Fault(500, 'conflict', `Container ${id} is not paused`);
    await containers.unpause(id);
    return NO_CONTENT;
  });

  router.add('POST', '/containers/{id}/rename', async (request) => {
    const name = request.query.text('name');
    if (name === '' || name === '/') fail('invalid', 'Neither old nor new names may be empty');
    const id = containers.get(request.param('id')).id;
    const renaming = async (): Promise<void> =>
      containers.rename(id, requireContainerName(`/${name.replace(/^\//, '')}`));
    await sayingFirst('Error when allocating new name', renaming());
    return NO_CONTENT;
  });

  router.add('DELETE', '/containers/{id...}', async (request) => {
    const { query } = request;
    const name = request.param('id');
    const link = linkCalled(name, containers);
    if (query.flag('link')) await removeLink(name, containers);
    else await containers.remove(link?.other.id ?? name, { force: query.flag('force'), volumes: query.flag('v') });
    return NO_CONTENT;
  });

  router.add('GET', '/containers/{id}/top', async (request) => {
    const { titles, processes } = await containers.top(request.param('id'), request.query.text('ps_args') || '-ef');
    return json(200, { Titles: titles, Processes: processes });
  });

  router.add('POST', '/containers/{id}/update', async (request) => {
    const body = new Fields(await request.json());
    containers.get(request.param('id'));
    refuseUnsupportedResources(body);
    const restart = body.object('RestartPolicy').text('Name') === '' ? {} : { restart: parseRestart(body) };
    await containers.update(request.param('id'), { limits: parseLimitChange(body), ...restart });
    return json(200, { Warnings: [] });
  });

  router.add('POST', '/containers/{id}/resize', async (request) => {
    await containers.resize(request.param('id'), sizeOf(request));
    return empty(200);
  });

  router.add('POST', '/containers/prune', async ({ query, abort }) =>
    json(200, await pruneContainers(runtime, query, clock, abort)),
  );
}

/** `parent/alias` names a link; Docker's status for a container's own name is 500. */
async function removeLink(name: string, containers: ApiDeps['runtime']['containers']): Promise<void> {
  const link = linkCalled(name, containers);
  if (link) return await containers.unlink(link.parent.id, link.alias);
  containers.get(name);
  throw new Fault(500, 'conflict', 'Conflict, cannot remove the default link name of the container');
}

export function networkFacts({ networks }: ApiDeps['runtime'], version: string): NetworkFacts {
  const ids = new Map(networks.list().map(({ name, id }) => [name, id]));
  return { networkId: (name) => ids.get(name), version };
}

export function sizeOf({ query }: ApiRequest): { rows: number; columns: number } {
  const limits = { min: 0, max: 65_535 };
  return { rows: query.requiredInteger('h', limits), columns: query.requiredInteger('w', limits) };
}

function stopOptions({ query, version }: ApiRequest): { signal?: string; graceMs?: number } {
  const seconds = query.integer('t', { min: -1 });
  const signal = isBefore(version, '1.42') ? '' : query.text('signal');
  return {
    ...(seconds === undefined ? {} : { graceMs: seconds < 0 ? WAIT_FOR_EVER_MS : seconds * 1000 }),
    ...(signal === '' ? {} : { signal }),
  };
}

/** Before 1.24 a start could bring a host configuration: who still sends one must not think that it was heard. */
function refuseHostConfig(request: ApiRequest): void {
  if (Number(request.header('content-length')) <= 7) return; // `{}`, `null` and the like
  fail('invalid', 'starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24');
}

const OF_THE_CONTAINER =
  /^(driver failed programming|Cannot link to a non running container: |can't join IPC of |cannot join PID namespace: )|unable to find (user|group) /;

/**
 * A port that is taken is no conflict of the container's state: 409 has another meaning to clients. Nor is the request
 * to start wrong where what its container names is not there or does not run.
 */
async function startAsDocker(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    const isOfContainer = OF_THE_CONTAINER.test(sentenceOf(error));
    throw isOfContainer ? new Fault(500, codeOf(error), sentenceOf(error)) : error;
  }
}

/** Docker says what it was about to do before it says what was wrong, but for what it finds wrong in the words alone. */
async function sayingFirst(what: string, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (codeOf(error) === 'not-modified' || /^(invalid signal|renaming)/i.test(sentenceOf(error))) throw error;
    throw new CodedError(codeOf(error), `${what}: ${sentenceOf(error)}`);
  }
}

/** `--timeout -1`: no SIGKILL. The longest that a timer can hold. */
const WAIT_FOR_EVER_MS = 2 ** 31 - 1;

function checkLinks(
  { get }: { get: (reference: string) => unknown },
  { network, attachments = [] }: ContainerConfig,
): void {
  if (network !== 'bridge') return;
  for (const { to } of attachments.flatMap(({ links }) => links)) {
    try {
      get(to);
    } catch (error) {
      fail('invalid', `could not get container for ${to}: ${sentenceOf(error)}`);
    }
  }
}

/** What the cluster allows nobody to join. A network that is not there may come until the start. */
async function checkNetworks(deps: ApiDeps, config: ContainerConfig, abort: AbortSignal): Promise<void> {
  if (config.network.startsWith('container:')) return;
  await deps.swarm.opened;
  if (deps.swarm.info().state !== 'active') return;
  const networks = config.attachments?.map((each) => each.network) ?? [config.network];
  try {
    await Promise.all(networks.map((network) => networkToJoin(deps, network, abort))); // one wait for all
  } catch (error) {
    if (codeOf(error) !== 'not-found') throw error;
  }
}
