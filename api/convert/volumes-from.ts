// --volumes-from: the bind mounts and volumes of other containers, as mounts of the new one.
import { fail, sentenceOf } from '../../base/errors.ts';
import type { Json } from '../../base/parse.ts';
import type { ContainerInfo, ContainerMount, Containers } from '../../runtime/container/contract.ts';
import { Fields } from './fields.ts';

export function volumesFrom(body: Json, containers: Pick<Containers, 'get'>): ContainerMount[] {
  return new Fields(body)
    .object('HostConfig')
    .texts('VolumesFrom')
    .flatMap((text) => {
      const [reference = '', mode = 'rw', ...rest] = text.split(':');
      const words = mode.split(',');
      if (reference === '' || rest.length > 0 || words.some((word) => !['ro', 'rw', 'z', 'Z'].includes(word))) {
        fail('invalid', `invalid volumes-from specification: ${text}`);
      }
      return mountsOf(named(containers, reference), words.includes('ro'));
    });
}

/** Not code `not-found`: clients take that for a missing image. */
function named(containers: Pick<Containers, 'get'>, reference: string): ContainerInfo {
  try {
    return containers.get(reference);
  } catch (error) {
    return fail('invalid', sentenceOf(error));
  }
}

/** A named volume of the other container is shared by its name, which also keeps it from being removed. */
function mountsOf({ mounts }: ContainerInfo, readOnly: boolean): ContainerMount[] {
  return mounts
    .filter(({ type }) => type !== 'tmpfs')
    .map((mount) => ({
      type: mount.type,
      source: mount.type === 'volume' ? mount.name : mount.source,
      target: mount.target,
      readOnly: readOnly || mount.readOnly,
      propagation: mount.propagation,
      tmpfsOptions: '',
      noCopy: true,
      createSource: false,
    }));
}
