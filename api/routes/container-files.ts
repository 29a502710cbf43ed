// Files of containers: cp, diff, export, commit.
import { fail } from '../../base/errors.ts';
import { committedConfig } from '../convert/commit.ts';
import { Fields } from '../convert/fields.ts';
import { pathStatHeader } from '../convert/file-stat.ts';
import type { ApiDeps } from '../deps.ts';
import { empty, json, stream } from '../reply.ts';
import type { ApiRequest } from '../request.ts';
import type { Routes } from '../routes.ts';

const KIND = { changed: 0, added: 1, deleted: 2 } as const;
const PATH_STAT = 'X-Docker-Container-Path-Stat';

export function addContainerFileRoutes(router: Routes, { runtime }: ApiDeps): void {
  const { files } = runtime.containers;
  const { containers } = runtime;

  router.add('GET', '/containers/{id}/changes', async (request) => {
    const changes = await files.changes(request.param('id'));
    return json(
      200,
      changes.map(({ path, kind }) => ({ Path: path, Kind: KIND[kind] })),
    );
  });

  router.add('GET', '/containers/{id}/export', async (request) =>
    stream('application/octet-stream', await files.export(request.param('id'))),
  );

  router.add('HEAD', '/containers/{id}/archive', async (request) => {
    const path = pathOf(request);
    const stat = await files.stat(request.param('id'), path);
    return empty(200, { [PATH_STAT]: pathStatHeader(path, stat) });
  });

  router.add('GET', '/containers/{id}/archive', async (request) => {
    const path = pathOf(request);
    const { stat, archive } = await files.read(request.param('id'), path);
    return stream('application/x-tar', archive, { [PATH_STAT]: pathStatHeader(path, stat) });
  });

  router.add('PUT', '/containers/{id}/archive', async (request) => {
    const { query, abort, body } = request;
    const options = { keepsKind: query.flag('noOverwriteDirNonDir'), asUser: query.flag('copyUIDGID'), abort };
    await files.write(request.param('id'), pathOf(request), body, options);
    return empty(200);
  });

  router.add('POST', '/commit', async (request) => {
    const { query } = request;
    const info = containers.get(query.text('container') || fail('invalid', 'parameter container is required'));
    const repository = query.text('repo');
    const tag = query.text('tag');
    const commit = {
      target: repository === '' || tag === '' ? repository : `${repository}:${tag}`,
      author: query.text('author'),
      comment: query.text('comment'),
      config: committedConfig(info, new Fields(await request.jsonOrEmpty())),
      changes: query.list('changes'),
      pauses: query.flag('pause', true),
    };
    return json(201, { Id: await files.commit(info.id, commit, request.abort) });
  });
}

function pathOf({ query }: ApiRequest): string {
  return query.text('path') || fail('invalid', "bad parameter: 'path' cannot be empty");
}
