// What goes to a registry: pulling (/images/create?fromImage), pushing, /distribution, and /auth.
import { codeOf, type ErrorCode, fail, sentenceOf } from '../../base/errors.ts';
import type { Platform } from '../../base/platform.ts';
import type { Registries } from '../../runtime/registry/contract.ts';
import type { ApiDeps } from '../deps.ts';
import { Fault } from '../faults.ts';
import { progressReply } from '../progress.ts';
import { parseRegistryAuth, registryAuthOf } from '../../proto/registry-auth.ts';
import { json, type Reply } from '../reply.ts';
import type { ApiRequest } from '../request.ts';
import type { Routes } from '../routes.ts';

const NAME_LENGTH_MAX = 1_000;

export function addRegistryRoutes(router: Routes, { runtime }: ApiDeps): void {
  const { registries } = runtime;

  router.add('POST', '/images/{name...}/push', async (request) => {
    const tag = request.query.text('tag');
    const name = bounded(request.param('name'));
    const reference = tag === '' ? name : `${name}:${tag}`;
    const options = { auth: authOf(request), abort: request.abort, allTags: tag === '' };
    return await progressReply(async (report) => {
      await registries.push(reference, { ...options, report });
      return [];
    });
  });

  router.add('GET', '/distribution/{name...}/json', async (request) => {
    const options = { auth: authOf(request), abort: request.abort };
    const found = await asDockerFails(registries.resolve(bounded(request.param('name')), options));
    const { mediaType, digest, sizeBytes } = found.descriptor;
    return json(200, {
      Descriptor: { mediaType, digest, size: sizeBytes },
      Platforms: found.platforms.map(platformJson),
    });
  });

  router.add('POST', '/auth', async (request) => {
    const auth = registryAuthOf(await request.json()) ?? fail('invalid', 'username is required');
    const { identityToken } = await asDockerFails(registries.login(auth, request.abort), LOGIN_STATUS);
    return json(200, { Status: 'Login Succeeded', IdentityToken: identityToken });
  });
}

/** POST /images/create with fromImage. Without a tag it means all of them. */
export async function pullImage(registries: Registries, request: ApiRequest): Promise<Reply> {
  const { query, abort } = request;
  const tag = query.text('tag');
  const name = bounded(query.text('fromImage'));
  const reference = tag === '' ? name : `${name}${tag.includes(':') ? '@' : ':'}${tag}`;
  const allTags = tag === '' && !/[:@][^/]*$/.test(name);
  const options = { auth: authOf(request), abort, allTags, platform: query.text('platform') };
  return await asDockerFails(
    progressReply(async (report) => {
      await registries.pull(reference, { ...options, report });
      return [];
    }),
  );
}

const authOf = (request: ApiRequest) => parseRegistryAuth(request.header('x-registry-auth'));

function bounded(name: string): string {
  return name.length > NAME_LENGTH_MAX ? fail('invalid', 'invalid reference format') : name;
}

function platformJson({ os, architecture, variant, osVersion }: Platform): object {
  return {
    architecture,
    os,
    ...(osVersion === undefined ? {} : { 'os.version': osVersion }),
    ...(variant === '' ? {} : { variant }),
  };
}

/** dockerd tells apart what is wrong with the request and what is not there; all else that a registry does is 500. */
const OWN_STATUS: readonly ErrorCode[] = ['invalid', 'not-found', 'not-implemented', 'aborted'];
const LOGIN_STATUS: readonly ErrorCode[] = [...OWN_STATUS, 'unauthenticated'];

async function asDockerFails<T>(work: Promise<T>, kept: readonly ErrorCode[] = OWN_STATUS): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const code = codeOf(error);
    throw kept.includes(code) ? error : new Fault(500, code, sentenceOf(error));
  }
}
