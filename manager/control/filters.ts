// Filters of lists. Within one field any value may match, all fields must.
import type { ObjectFilter } from '../../proto/control.ts';
import type { Labels } from '../../proto/objects.ts';

export interface Filterable {
  readonly id: string;
  readonly names: readonly string[];
  readonly labels: Labels;
}

export function passes(filter: ObjectFilter, object: Filterable): boolean {
  return (
    anyOf(filter.ids, (prefix) => object.id.startsWith(prefix)) &&
    anyOf(filter.names, (prefix) => object.names.some((name) => startsWithAnyCase(name, prefix))) &&
    hasLabels(object.labels, filter.labels)
  );
}

/** True when nothing is asked for, or one of the values is the right one. */
export function anyOf<T>(values: readonly T[] | undefined, matches: (value: T) => boolean): boolean {
  return values === undefined || values.length === 0 || values.some(matches);
}

/** Each is `key` or `key=value`; all must be there. */
export function hasLabels(labels: Labels, wanted: readonly string[] | undefined): boolean {
  return (wanted ?? []).every((text) => {
    const at = text.indexOf('=');
    const key = at < 0 ? text : text.slice(0, at);
    return Object.hasOwn(labels, key) && (at < 0 || labels[key] === text.slice(at + 1));
  });
}

const startsWithAnyCase = (text: string, prefix: string): boolean =>
  text.toLowerCase().startsWith(prefix.toLowerCase());
