// What a container's volumes have mounted while it runs, or while somebody looks into its files.
import { CodedError, codeOf, sentenceOf } from '../../base/errors.ts';
import { Scope } from '../../base/scope.ts';
import type { Container } from './container.ts';
import type { ContainerParts } from './parts.ts';

type Parts = Pick<ContainerParts, 'volumes'>;

/** Undoing what was done so far is the scope's. */
export async function mountVolumes(container: Container, parts: Parts, holder: string, undo: Scope): Promise<void> {
  for (const { name, source } of volumesOf(container)) {
    if (!parts.volumes.needsMount(name)) continue;
    try {
      await parts.volumes.mountFor(name, holder);
    } catch (error) {
      throw new CodedError(codeOf(error), `error while mounting volume '${source}': ${sentenceOf(error)}`);
    }
    undo.defer(() => parts.volumes.unmountFor(name, holder));
  }
}

export async function unmountVolumes(container: Container, parts: Parts, holder: string): Promise<void> {
  await using undo = new Scope(); // all are tried
  for (const { name } of volumesOf(container)) undo.defer(() => parts.volumes.unmountFor(name, holder));
}

/** Of a container that an earlier daemon started. */
export function noteVolumeMounts(container: Container, parts: Parts): void {
  for (const { name } of volumesOf(container)) parts.volumes.noteMounted(name, container.id);
}

export const needsVolumeMounts = (container: Container, parts: Parts): boolean =>
  volumesOf(container).some(({ name }) => parts.volumes.needsMount(name));

const volumesOf = ({ record }: Container) => record.mounts.filter(({ type }) => type === 'volume');
