// Parsing at the border: whatever arrives is `unknown` until one of these has named it.
// Every failure is code `invalid` and names the field by its path.
import { fail } from './errors.ts';

export type Json = Readonly<Record<string, unknown>>;

export function parseJson(text: string, what = 'body'): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    return fail('invalid', `${what} is not valid JSON`, { cause });
  }
}

export function asObject(value: unknown, path: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) fail('invalid', `${path} must be an object`);
  return value as Json;
}

export function asString(value: unknown, path: string, limits: { lengthMax?: number } = {}): string {
  if (typeof value !== 'string') fail('invalid', `${path} must be a string`);
  if (value.length > (limits.lengthMax ?? 1_000_000)) fail('invalid', `${path} is longer than ${limits.lengthMax}`);
  return value;
}

export function asBoolean(value: unknown, path: string): boolean {
  if (typeof value !== 'boolean') fail('invalid', `${path} must be true or false`);
  return value;
}

export function asNumber(value: unknown, path: string, limits: { min?: number; max?: number } = {}): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) fail('invalid', `${path} must be a number`);
  if (limits.min !== undefined && value < limits.min) fail('invalid', `${path} must be at least ${limits.min}`);
  if (limits.max !== undefined && value > limits.max) fail('invalid', `${path} must be at most ${limits.max}`);
  return value;
}

export function asInteger(value: unknown, path: string, limits: { min?: number; max?: number } = {}): number {
  const number = asNumber(value, path, limits);
  if (!Number.isInteger(number)) fail('invalid', `${path} must be a whole number`);
  return number;
}

export function asArray<T>(value: unknown, path: string, item: (value: unknown, path: string) => T): T[] {
  if (!Array.isArray(value)) fail('invalid', `${path} must be a list`);
  return value.map((entry: unknown, index) => item(entry, `${path}[${index}]`));
}

export function asMap<T>(value: unknown, path: string, item: (value: unknown, path: string) => T): Record<string, T> {
  const entries = Object.entries(asObject(value, path)).map(([key, entry]) => [key, item(entry, `${path}.${key}`)]);
  return Object.fromEntries(entries) as Record<string, T>;
}

export function asOneOf<const T extends string>(value: unknown, path: string, choices: readonly T[]): T {
  const text = asString(value, path);
  const choice = choices.find((candidate) => candidate === text);
  return choice ?? fail('invalid', `${path} must be one of ${choices.join(', ')}, not '${text}'`);
}

/** Undefined for an absent or null value, otherwise what `parse` makes of it. */
export function optional<T>(value: unknown, path: string, parse: (value: unknown, path: string) => T): T | undefined {
  return value === undefined || value === null ? undefined : parse(value, path);
}
