// What does not exist yet: secrets, configs, plugins, builds, checkpoints. Lists are empty, the rest says so.
import { fail } from '../../base/errors.ts';
import type { ApiDeps } from '../deps.ts';
import { notImplemented } from '../faults.ts';
import { json } from '../reply.ts';
import type { Routes } from '../routes.ts';

export function addAbsentRoutes(router: Routes, { swarm }: ApiDeps): void {
  const missing = (method: string, path: string, what: string): void =>
    router.add(method, path, async () => {
      throw notImplemented(what);
    });

  for (const [kind, kinds] of [
    ['secret', 'secrets'],
    ['config', 'configs'],
  ] as const) {
    router.add('GET', `/${kinds}`, async () => {
      swarm.control();
      return json(200, []);
    });
    missing('POST', `/${kinds}/create`, `creating ${kinds}`);
    for (const [method, path] of [
      ['GET', `/${kinds}/{id}`],
      ['DELETE', `/${kinds}/{id}`],
      ['POST', `/${kinds}/{id}/update`],
    ] as const) {
      router.add(method, path, async (request) => {
        swarm.control();
        return fail('not-found', `${kind} ${request.param('id')} not found`);
      });
    }
  }

  router.add('GET', '/plugins', async () => json(200, []));
  router.add('GET', '/plugins/{name...}/json', async (request) => noPlugin(request.param('name')));
  for (const action of ['enable', 'disable', 'set', 'push', 'upgrade']) {
    router.add('POST', `/plugins/{name...}/${action}`, async (request) => noPlugin(request.param('name')));
  }
  router.add('DELETE', '/plugins/{name...}', async (request) => noPlugin(request.param('name')));
  missing('GET', '/plugins/privileges', 'installing plugins');
  missing('POST', '/plugins/pull', 'installing plugins');
  missing('POST', '/plugins/create', 'creating plugins');

  missing('POST', '/build', 'building images');
  missing('POST', '/build/cancel', 'building images');
  router.add('POST', '/build/prune', async () => json(200, { CachesDeleted: [], SpaceReclaimed: 0 }));
  missing('POST', '/session', 'BuildKit sessions');
  missing('POST', '/grpc', 'BuildKit');

  for (const method of ['GET', 'POST']) missing(method, '/containers/{id}/checkpoints', 'checkpoints');
  missing('DELETE', '/containers/{id}/checkpoints/{checkpoint}', 'checkpoints');
}

const noPlugin = (name: string): never => fail('not-found', `plugin "${name}" not found`);
