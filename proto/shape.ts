// Shapes: an object's parser as a table of its fields' parsers. The compiler refuses a table that lacks a field of the
// type, so a new field cannot be forgotten at the border.
import { fail } from '../base/errors.ts';
import { asArray, asBoolean, asInteger, asMap, asNumber, asObject, asOneOf, asString } from '../base/parse.ts';

export type Parser<T> = (value: unknown, path: string) => T;

type Optional<T, K extends keyof T> = object extends Pick<T, K> ? true : false;
export type Shape<T> = {
  readonly [K in keyof T]-?: Optional<T, K> extends true ? Parser<T[K] | undefined> : Parser<T[K]>;
};

/** Fields that the shape does not name are left out: they come from a newer machine. */
export function object<T extends object>(shape: Shape<T>): Parser<T> {
  const fields = Object.entries<Parser<unknown>>(shape);
  return (value, path) => {
    const json = asObject(value, path);
    const result: Record<string, unknown> = {};
    for (const [name, parse] of fields) {
      const field = parse(Object.hasOwn(json, name) ? json[name] : undefined, path === '' ? name : `${path}.${name}`);
      if (field !== undefined) result[name] = field;
    }
    return result as T;
  };
}

/** One of several shapes, told apart by their `kind`. */
export function union<T extends { readonly kind: string }>(
  shapes: {
    readonly [K in T['kind']]: Parser<Extract<T, { readonly kind: K }>>;
  },
): Parser<T> {
  const kinds = Object.keys(shapes) as T['kind'][];
  return (value, path) => shapes[asOneOf(asObject(value, path)['kind'], `${path}.kind`, kinds)](value, path);
}

export const maybe =
  <T>(parse: Parser<T>): Parser<T | undefined> =>
  (value, path) =>
    value === undefined || value === null ? undefined : parse(value, path);

export const list =
  <T>(item: Parser<T>, limits: { lengthMax: number } = { lengthMax: 10_000 }): Parser<readonly T[]> =>
  (value, path) => {
    const items = asArray(value, path, item);
    return items.length > limits.lengthMax ? fail('invalid', `${path} has more than ${limits.lengthMax} items`) : items;
  };

export const oneOf =
  <const T extends string>(...choices: readonly T[]): Parser<T> =>
  (value, path) =>
    asOneOf(value, path, choices);

/** Exactly this value: what tells the members of a union apart. */
export const exactly =
  <const T extends string>(wanted: T): Parser<T> =>
  (value, path) =>
    asOneOf(value, path, [wanted]);

export const integer =
  (limits: { min?: number; max?: number } = {}): Parser<number> =>
  (value, path) =>
    asInteger(value, path, { min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER, ...limits });

export const text: Parser<string> = (value, path) => asString(value, path);
export const flag: Parser<boolean> = asBoolean;
/** Finite; periods and ratios may have fractions. */
export const decimal: Parser<number> = (value, path) => asNumber(value, path);
export const texts: Parser<readonly string[]> = list(text);
export const labels: Parser<Readonly<Record<string, string>>> = (value, path) => asMap(value, path, text);
