// An object as text and back. Its own fields and its shared fields (kinds.ts) are two JSON texts; version and times are
// not in either: they come from the entry or the chunk around them.
import { invariant } from '../../base/assert.ts';
import type { ObjectMeta } from '../../proto/objects.ts';
import type { Shared } from './entry.ts';
import type { StoredObject } from './kinds.ts';

/** The part of a kind's definition that is needed here. */
interface Sharing {
  readonly sharedFields: readonly string[];
}

type Fields = Readonly<Record<string, unknown>>;

const META: readonly string[] = ['version', 'createdAtMs', 'updatedAtMs'];

export function ownText(definition: Sharing, object: StoredObject): string {
  const own: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(object)) {
    if (!META.includes(key) && !definition.sharedFields.includes(key)) own[key] = value;
  }
  return JSON.stringify(own);
}

/** Texts of shared fields. Objects that come one after another mostly share them, so the last text of each is kept. */
export class SharedTexts {
  readonly #last = new Map<unknown, { readonly object: StoredObject; readonly text: string }>();

  /** '' for kinds that share nothing. */
  of(definition: Sharing, object: StoredObject): string {
    const [first] = definition.sharedFields;
    if (first === undefined) return '';
    const key: unknown = Reflect.get(object, first);
    const last = this.#last.get(key);
    if (last && sharesWith(definition, object, last.object)) return last.text;
    const text = JSON.stringify(sharedPart(definition, object));
    this.#last.set(key, { object, text });
    return text;
  }
}

/** True when `object` was made from `previous` without touching what they share. */
export function sharesWith(definition: Sharing, object: StoredObject, previous: StoredObject): boolean {
  return definition.sharedFields.every((field) => Reflect.get(object, field) === Reflect.get(previous, field));
}

function sharedPart(definition: Sharing, object: StoredObject): Fields {
  const shared: Record<string, unknown> = {};
  for (const field of definition.sharedFields) {
    const value: unknown = Reflect.get(object, field);
    if (value !== undefined) shared[field] = value;
  }
  return shared;
}

/** An object from its texts; `same` takes the shared fields from the object that it replaces. */
export function assemble(
  definition: Sharing,
  from: { previous: StoredObject | undefined; shared: Shared; interner: Interner },
  own: string,
  meta: ObjectMeta,
): StoredObject {
  const object = JSON.parse(own) as Record<string, unknown>;
  const shared = sharedOf(from);
  for (const field of definition.sharedFields) {
    const value: unknown = Reflect.get(shared, field);
    if (value !== undefined) object[field] = value;
  }
  object['version'] = meta.version;
  object['createdAtMs'] = meta.createdAtMs;
  object['updatedAtMs'] = meta.updatedAtMs;
  return object as unknown as StoredObject;
}

function sharedOf(from: { previous: StoredObject | undefined; shared: Shared; interner: Interner }): object {
  if ('text' in from.shared) return from.interner.parse(from.shared.text);
  invariant(from.previous, 'only an object that is replaced can pass on its shared fields');
  return from.previous;
}

const TEXTS_MAX = 4096;

/** Shared fields by their text, so that equal ones are one object in memory. The least recently used texts are forgotten. */
export class Interner {
  readonly #known = new Map<string, Fields>();

  parse(text: string): Fields {
    if (text === '') return NOTHING;
    const fields = this.#known.get(text) ?? (JSON.parse(text) as Fields);
    this.#known.delete(text);
    this.#known.set(text, fields);
    if (this.#known.size > TEXTS_MAX) this.#known.delete(this.#known.keys().next().value as string);
    return fields;
  }
}

const NOTHING: Fields = {};
