// The `filters` query: JSON in Docker's newer form {"label":["a"]} and older form {"label":{"a":true}}.
import { fail } from '../base/errors.ts';
import { asObject, asString, parseJson } from '../base/parse.ts';

export class Filters {
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(values: ReadonlyMap<string, readonly string[]>) {
    this.#values = values;
  }

  /** The same with one more value to choose from. */
  with(key: string, value: string): Filters {
    return new Filters(new Map([...this.#values, [key, [...this.values(key), value]]]));
  }

  values(key: string): readonly string[] {
    return this.#values.get(key) ?? [];
  }

  has(key: string): boolean {
    return this.values(key).length > 0;
  }

  /** Nothing was asked under `key`, or one of the asked values satisfies `test`. */
  some(key: string, test: (value: string) => boolean): boolean {
    const values = this.values(key);
    return values.length === 0 || values.some(test);
  }

  every(key: string, test: (value: string) => boolean): boolean {
    return this.values(key).every(test);
  }

  /** `label=k`, `label=k=v` (all must hold), `label!=…` (none may hold). */
  matchLabels(labels: Readonly<Record<string, string>>): boolean {
    const holds = (wanted: string): boolean => {
      const at = wanted.indexOf('=');
      const key = at < 0 ? wanted : wanted.slice(0, at);
      return Object.hasOwn(labels, key) && (at < 0 || labels[key] === wanted.slice(at + 1));
    };
    return this.every('label', holds) && this.every('label!', (wanted) => !holds(wanted));
  }

  /** A yes/no filter; undefined when not asked. */
  flag(key: string): boolean | undefined {
    const [value] = this.values(key);
    if (value === undefined) return undefined;
    if (['1', 'true', 'True', 'TRUE', 't', 'T'].includes(value)) return true;
    if (['0', 'false', 'False', 'FALSE', 'f', 'F'].includes(value)) return false;
    return fail('invalid', `invalid filter '${key}=[${this.values(key).join(' ')}]'`);
  }
}

/** Unknown keys are refused, so that a misspelt filter never selects everything; but where Docker takes any. */
export function parseFilters(text: string, known: readonly string[] | 'any'): Filters {
  if (text === '') return new Filters(new Map());
  const entries = Object.entries(asObject(parseJson(text, 'filters'), 'filters'));
  for (const [key] of entries) if (known !== 'any' && !known.includes(key)) fail('invalid', `invalid filter '${key}'`);
  return new Filters(new Map(entries.map(([key, value]) => [key, valuesOf(value, `filters.${key}`)])));
}

function valuesOf(value: unknown, path: string): string[] {
  if (Array.isArray(value)) return value.map((entry: unknown) => asString(entry, path));
  const table = Object.entries(asObject(value, path));
  return table.filter(([, on]) => on === true).map(([entry]) => entry);
}

/** A name filter is a regular expression where it is a valid one, otherwise a plain part of the name. */
export function matchesName(pattern: string, name: string): boolean {
  if (name === pattern) return true;
  try {
    return new RegExp(pattern).test(name);
  } catch {
    return name.includes(pattern);
  }
}
