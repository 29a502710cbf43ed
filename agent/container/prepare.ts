// Everything of a task up to its start: the image it means, the volumes it asks for, its container.
import { codeOf, fail, sentenceOf } from '../../base/errors.ts';
import { Scope } from '../../base/scope.ts';
import type { Mount, Task } from '../../proto/objects.ts';
import type { ContainerMount } from '../../runtime/container/contract.ts';
import type { Runtime, Volumes } from '../../runtime/contract.ts';
import type { Image, Images } from '../../runtime/image/contract.ts';
import { containerConfig } from './convert.ts';
import type { ImagePulls } from './image-pulls.ts';
import type { TemplateContext } from './template.ts';

/** Resolves with the container's id. What fails leaves nothing behind that was not there before. */
export async function createTaskContainer(
  task: Task,
  image: string,
  runtime: Pick<Runtime, 'containers' | 'volumes' | 'networks'>,
  node: TemplateContext['node'],
): Promise<string> {
  const config = containerConfig(task, node, (id) => runtime.networks.get(id).internal);
  await using undo = new Scope();
  const asked = task.spec.runtime.container.mounts;
  const mounts = await Promise.all(
    config.mounts.map((mount, at) => withVolume(mount, asked[at], runtime.volumes, undo)),
  );
  const { id } = await runtime.containers.create({ ...config, image, mounts });
  undo.handOver();
  return id;
}

export interface ImageSources {
  readonly images: Pick<Images, 'get'>;
  readonly pulls: Pick<ImagePulls, 'pull'>;
}

/**
 * How the runtime is to be asked for the image, which is fetched when it is not here: by its name where that means what
 * it meant to the service, otherwise by what it meant. Another image under the same name is not a stand-in: a rollout
 * would claim a version that does not run.
 */
export async function imageFor({ spec }: Task, { images, pulls }: ImageSources, abort: AbortSignal): Promise<string> {
  const { image } = spec.runtime.container;
  const { imageDigest, registryAuth } = spec;
  const here = find(images, image);
  if (here && (imageDigest === undefined || here.id === imageDigest)) return image;
  if (imageDigest !== undefined && find(images, imageDigest)) return imageDigest;
  // Fetching would take the name away from an image that somebody else may mean by it.
  if (here)
    fail('not-found', `${noSuchImage(image)} (${short(imageDigest)}); this node has another image of that name`);
  const id = await pulled(image, pulls.pull(image, registryAuth, abort), abort);
  if (imageDigest === undefined || id === imageDigest) return image;
  return fail(
    'not-found',
    `${noSuchImage(image)} (${short(imageDigest)}); its registry has another image of that name`,
  );
}

async function pulled(image: string, pull: Promise<string>, abort: AbortSignal): Promise<string> {
  try {
    return await pull;
  } catch (error) {
    abort.throwIfAborted();
    return fail('not-found', `${noSuchImage(image)}: ${sentenceOf(error)}`);
  }
}

const short = (digest = ''): string => digest.slice(0, 'sha256:'.length + 12);

function find(images: Pick<Images, 'get'>, reference: string): Image | undefined {
  try {
    return images.get(reference);
  } catch (error) {
    if (codeOf(error) === 'not-found') return undefined;
    throw error;
  }
}

/** Docker names the tag even when it was left out. */
function noSuchImage(image: string): string {
  const isTagged = /[:@][^/]+$/.test(image);
  return `No such image: ${isTagged ? image : `${image}:latest`}`;
}

/** Labels, options and driver of a volume only count when it is made; one that is there already is taken as it is. */
async function withVolume(
  mount: ContainerMount,
  asked: Mount | undefined,
  volumes: Pick<Volumes, 'create' | 'remove'>,
  undo: Scope,
): Promise<ContainerMount> {
  if (mount.type !== 'volume' || !(asked?.volumeLabels || asked?.volumeDriver)) return mount;
  const { name } = await volumes.create({
    name: mount.source,
    driver: asked.volumeDriver?.name ?? '',
    labels: asked.volumeLabels ?? {},
    options: asked.volumeDriver?.options ?? {},
  });
  if (mount.source === '') undo.defer(() => volumes.remove(name, { force: true }));
  return { ...mount, source: name };
}
