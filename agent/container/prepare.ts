// Everything of a task up to its start: the image it means, the volumes it asks for, its container.
import { codeOf, fail } from '../../base/errors.ts';
import { Scope } from '../../base/scope.ts';
import type { Mount, Task } from '../../proto/objects.ts';
import type { ContainerMount } from '../../runtime/container/contract.ts';
import type { Runtime, Volumes } from '../../runtime/contract.ts';
import type { Image, Images } from '../../runtime/image/contract.ts';
import { containerConfig } from './convert.ts';
import type { TemplateContext } from './template.ts';

/** Resolves with the container's id. What fails leaves nothing behind that was not there before. */
export async function createTaskContainer(
  task: Task,
  runtime: Pick<Runtime, 'containers' | 'images' | 'volumes'>,
  node: TemplateContext['node'],
): Promise<string> {
  const config = containerConfig(task, node);
  const image = imageFor(task, runtime.images);
  await using undo = new Scope();
  const asked = task.spec.runtime.container.mounts;
  const mounts = await Promise.all(
    config.mounts.map((mount, at) => withVolume(mount, asked[at], runtime.volumes, undo)),
  );
  const { id } = await runtime.containers.create({ ...config, image, mounts });
  undo.handOver();
  return id;
}

/**
 * How the runtime is to be asked for the image: by its tag where that means what it meant to the service, otherwise by
 * what it meant. Another image under the same tag is not a stand-in: a rollout would claim a version that does not run.
 */
export function imageFor({ spec: { runtime, imageDigest } }: Task, images: Pick<Images, 'get'>): string {
  const { image } = runtime.container;
  const tagged = find(images, image);
  if (imageDigest === undefined) return tagged ? image : fail('not-found', noSuchImage(image));
  if (tagged?.id === imageDigest) return image;
  if (find(images, imageDigest)) return imageDigest;
  const other = tagged ? '; this node has another image of that name' : '';
  return fail('not-found', `${noSuchImage(image)} (${imageDigest.slice(0, 'sha256:'.length + 12)})${other}`);
}

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
  const isTagged = /:[^/]+$/.test(image);
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
