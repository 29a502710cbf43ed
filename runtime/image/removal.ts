// What `rmi` may do, as Docker decides it: which names go, whether the image itself goes, or why not. Pure.
import { familiarTag, parseReference } from './reference.ts';

export interface RemovalCase {
  readonly id: string;
  readonly asked: string; // the reference as it was given
  readonly byId: boolean;
  readonly askedTag: string | undefined; // its tag key, or repository@digest, when it is a name
  readonly tags: readonly string[]; // keys
  readonly digests: readonly string[]; // repository@digest, full form
  readonly containers: readonly { readonly id: string; readonly running: boolean }[];
  readonly hasChildren: boolean;
  readonly force: boolean;
}

export type RemovalPlan =
  | { readonly kind: 'refuse'; readonly reason: string }
  | { readonly kind: 'remove'; readonly untag: readonly string[]; readonly deleteImage: boolean };

export function planRemoval(state: RemovalCase): RemovalPlan {
  return state.byId ? byId(state) : byName(state);
}

function byName(state: RemovalCase): RemovalPlan {
  const { askedTag = '', tags, digests, containers, force } = state;
  const [container] = containers;
  const names = [...tags, ...digests];
  const untag = [askedTag, ...orphanedDigests(state)];
  const rest = names.filter((name) => !untag.includes(name));
  if (!force && rest.length === 0 && container) {
    const reason = `unable to remove repository reference "${state.asked}" (must force) - container ${short(container.id)} is using its referenced image ${short(state.id)}`;
    return { kind: 'refuse', reason: `conflict: ${reason}` };
  }
  // Docker untags in silence and keeps an image that containers or children still need.
  const needed = rest.length > 0 || hardConflict(state) !== undefined || (!force && containers.length > 0);
  return { kind: 'remove', untag, deleteImage: !needed };
}

/** With the last tag of a repository go the digests that it was pulled by. */
function orphanedDigests({ askedTag = '', tags, digests }: RemovalCase): string[] {
  if (askedTag.includes('@')) return [];
  const repository = repositoryOf(askedTag);
  if (tags.some((tag) => tag !== askedTag && repositoryOf(tag) === repository)) return [];
  return digests.filter((digest) => repositoryOf(digest) === repository);
}

const repositoryOf = (name: string): string =>
  name.includes('@') ? name.slice(0, name.indexOf('@')) : name.slice(0, name.lastIndexOf(':'));

function byId(state: RemovalCase): RemovalPlan {
  const hard = hardConflict(state);
  if (hard !== undefined) return refusal(state, `(cannot be forced) - ${hard}`);
  const soft = state.force ? undefined : softConflict(state);
  if (soft !== undefined) return refusal(state, `(must be forced) - ${soft}`);
  return { kind: 'remove', untag: [...state.tags, ...state.digests], deleteImage: true };
}

function hardConflict({ hasChildren, containers }: RemovalCase): string | undefined {
  if (hasChildren) return 'image has dependent child images';
  const running = containers.find((container) => container.running);
  return running && `image is being used by running container ${short(running.id)}`;
}

function softConflict({ tags, containers }: RemovalCase): string | undefined {
  const repositories = new Set(tags.map((tag) => parseReference(familiarTag(tag)).path));
  if (tags.length > 1 || repositories.size > 1) return 'image is referenced in multiple repositories';
  const [container] = containers;
  return container && `image is being used by stopped container ${short(container.id)}`;
}

const refusal = (state: RemovalCase, why: string): RemovalPlan => ({
  kind: 'refuse',
  reason: `conflict: unable to delete ${short(state.id)} ${why}`,
});

const short = (id: string): string => id.replace(/^sha256:/, '').slice(0, 12);
