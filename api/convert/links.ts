// Links of the default bridge, as inspect and ps show them: elsewhere they are names in their network, shown with it.
import { codeOf } from '../../base/errors.ts';
import type { ContainerConfig, ContainerInfo, Containers } from '../../runtime/container/contract.ts';

type Known = Pick<Containers, 'get'>;

/** `/other:/own/alias` for each. */
export function linksShown(info: ContainerInfo, known: Known): string[] | null {
  const links = linksOf(info, known).map(({ alias, other }) => `/${other.name}:/${info.name}/${alias}`);
  return links.length > 0 ? links : null;
}

/** The names that containers have in others, by their ids: `/own/alias`. */
export function namesByLinks(all: readonly ContainerInfo[], known: Known): ReadonlyMap<string, readonly string[]> {
  const names = new Map<string, string[]>();
  for (const info of all) {
    for (const { alias, other } of linksOf(info, known)) {
      names.set(other.id, [...(names.get(other.id) ?? []), `/${info.name}/${alias}`]);
    }
  }
  return names;
}

/** Whose link it is, `parent/alias`, and who is behind it; undefined where there is none. */
export function linkCalled(
  name: string,
  known: Known,
): { parent: ContainerInfo; alias: string; other: ContainerInfo } | undefined {
  const [, reference = '', alias = ''] = /^\/?([^/]+)\/(.+)$/.exec(name) ?? [];
  const parent = found(reference, known);
  const other = parent && linksOf(parent, known).find((link) => link.alias === alias)?.other;
  return parent && other && { parent, alias, other };
}

/** With who is linked by its id, so that it may be renamed. */
export function withLinkedIds(config: ContainerConfig, known: Known): ContainerConfig {
  const attachments = config.attachments?.map((attachment) =>
    attachment.network === 'bridge'
      ? { ...attachment, links: attachment.links.map(({ to, alias }) => ({ to: found(to, known)?.id ?? to, alias })) }
      : attachment,
  );
  return attachments ? { ...config, attachments } : config;
}

function linksOf({ attachments }: ContainerInfo, known: Known): { alias: string; other: ContainerInfo }[] {
  const links = attachments.find(({ network }) => network === 'bridge')?.links ?? [];
  return links.flatMap(({ to, alias }) => {
    const other = found(to, known);
    return other ? [{ alias, other }] : [];
  });
}

function found(reference: string, known: Known): ContainerInfo | undefined {
  try {
    return known.get(reference);
  } catch (error) {
    if (['not-found', 'invalid'].includes(codeOf(error))) return undefined;
    throw error;
  }
}
