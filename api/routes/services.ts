// /services: declared work.
import { codeOf } from '../../base/errors.ts';
import { madeUpName } from '../../base/made-up-name.ts';
import type { Service, ServiceSpec } from '../../proto/objects.ts';
import { parseRegistryAuth } from '../../proto/registry-auth.ts';
import type { Images } from '../../runtime/image/contract.ts';
import { serviceJson } from '../convert/service.ts';
import { withNetworksByName } from '../convert/service-networks.ts';
import { parseServiceSpec } from '../convert/service-spec.ts';
import type { ApiDeps } from '../deps.ts';
import { parseFilters } from '../filters.ts';
import { fail } from '../../base/errors.ts';
import { empty, json } from '../reply.ts';
import type { ApiRequest } from '../request.ts';
import type { Routes } from '../routes.ts';
import { taskLogs } from './task-logs.ts';

const SERVICE_FILTERS = ['id', 'label', 'mode', 'name', 'runtime'];

export function addServiceRoutes(router: Routes, { swarm, runtime, clock, random }: ApiDeps): void {
  router.add('GET', '/services', async (request) => {
    const { query, reading, readingHeaders } = request;
    const filters = parseFilters(query.text('filters'), SERVICE_FILTERS);
    const filter = {
      ids: filters.values('id'),
      names: filters.values('name'),
      labels: filters.values('label'),
      modes: filters.values('mode'),
    };
    const wantsStatus = query.flag('status');
    const { services, status } = await swarm.control().call('ListServices', { filter, status: wantsStatus }, reading);
    return json(
      200,
      services.map((service) => serviceJson(service, status[service.id])),
      readingHeaders,
    );
  });

  router.add('POST', '/services/create', async (request) => {
    const spec = withNetworksByName(parseServiceSpec(await request.json()), runtime.networks);
    const named = spec.name === '' ? { ...spec, name: madeUpName(random) } : spec;
    const pinned = withAuth(withDigest(named, digestHere(runtime.images, spec)), authGiven(request));
    const { service, warnings } = await swarm
      .control()
      .call('CreateService', { spec: pinned }, { abort: request.abort });
    return json(201, { ID: service.id, ...(warnings.length > 0 ? { Warnings: warnings } : {}) });
  });

  router.add('GET', '/services/{id}', async (request) => {
    const { reading, readingHeaders } = request;
    const { service } = await swarm.control().call('GetService', { service: request.param('id') }, reading);
    return json(200, serviceJson(service), readingHeaders);
  });

  router.add('POST', '/services/{id}/update', async (request) => {
    const { query, abort } = request;
    const version = query.requiredInteger('version', { min: 0 });
    const rollback = query.text('rollback');
    if (rollback !== '' && rollback !== 'none' && rollback !== 'previous') {
      fail('invalid', `unrecognized rollback option ${rollback}`);
    }
    const asked = withNetworksByName(parseServiceSpec(await request.json()), runtime.networks);
    const control = swarm.control();
    const { service } = await control.call('GetService', { service: request.param('id') }, { abort });
    const digest = digestAfter(service, asked, runtime.images);
    const spec = withAuth(
      withDigest(asked, digest),
      authGiven(request) ?? authKept(service, query.text('registryAuthFrom')),
    );
    const update = {
      service: service.id,
      version,
      spec,
      rollback: rollback === 'previous' ? 'previous' : 'none',
    } as const;
    const { warnings } = await control.call('UpdateService', update, { abort });
    return json(200, { Warnings: warnings.length > 0 ? warnings : null });
  });

  router.add('DELETE', '/services/{id}', async (request) => {
    await swarm.control().call('RemoveService', { service: request.param('id') }, { abort: request.abort });
    return empty(200);
  });

  router.add('GET', '/services/{id}/logs', async (request) => {
    const control = swarm.control();
    const { service } = await control.call('GetService', { service: request.param('id') }, { abort: request.abort });
    const terminal = service.spec.task.runtime.container.tty ?? false;
    return taskLogs(request, control, { service: service.id }, { terminal, nowMs: clock.nowMs() });
  });
}

/**
 * What the image's tag means now, as far as this machine knows. It belongs to the moment of create, or of an update
 * that names another image or forces one: a scale through a node that has the image must not look like a new one.
 */
function digestAfter(service: Service, asked: ServiceSpec, images: Images): string | undefined {
  const present = service.spec.task;
  const sameImage = present.runtime.container.image === asked.task.runtime.container.image;
  if (sameImage && present.forceUpdate === asked.task.forceUpdate) return present.imageDigest;
  return digestHere(images, asked) ?? (sameImage ? present.imageDigest : undefined);
}

function digestHere(images: Images, spec: ServiceSpec): string | undefined {
  // A name with a digest says itself what it means, on every machine.
  if (spec.task.runtime.container.image.includes('@')) return undefined;
  try {
    return images.get(spec.task.runtime.container.image).id;
  } catch (error) {
    if (['not-found', 'invalid'].includes(codeOf(error))) return undefined;
    throw error;
  }
}

const withDigest = (spec: ServiceSpec, imageDigest: string | undefined): ServiceSpec =>
  imageDigest === undefined ? spec : { ...spec, task: { ...spec.task, imageDigest } };

/** Undefined when the client names nobody. */
function authGiven(request: ApiRequest): string | undefined {
  const header = request.header('x-registry-auth');
  return parseRegistryAuth(header) ? header : undefined;
}

/** Without credentials of its own an update goes on with those of the specification, or of the one before. */
function authKept(service: Service, from: string): string | undefined {
  if (from !== '' && from !== 'spec' && from !== 'previous-spec') {
    fail('invalid', `unsupported registryAuthFrom value: ${from}`);
  }
  return (from === 'previous-spec' ? service.previousSpec : service.spec)?.task.registryAuth;
}

const withAuth = (spec: ServiceSpec, registryAuth: string | undefined): ServiceSpec =>
  registryAuth === undefined ? spec : { ...spec, task: { ...spec.task, registryAuth } };
