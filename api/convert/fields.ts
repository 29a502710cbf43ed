// Readers for Docker's JSON, where Go's zero values and null both mean "not set".
import { fail } from '../../base/errors.ts';
import {
  asArray,
  asBoolean,
  asInteger,
  asMap,
  asNumber,
  asObject,
  asString,
  type Json,
  optional,
} from '../../base/parse.ts';
import { msFromNanos } from './time.ts';

/** One JSON object with the path it came from, so that every refusal names its field. */
export class Fields {
  readonly #json: Json;
  readonly #path: string;

  constructor(json: Json, path = '') {
    this.#json = json;
    this.#path = path;
  }

  get json(): Json {
    return this.#json;
  }

  path(key: string): string {
    return this.#path === '' ? key : `${this.#path}.${key}`;
  }

  raw(key: string): unknown {
    return this.#json[key];
  }

  has(key: string): boolean {
    return this.#json[key] !== undefined && this.#json[key] !== null;
  }

  text(key: string, whenAbsent = ''): string {
    return optional(this.raw(key), this.path(key), asString) ?? whenAbsent;
  }

  flag(key: string, whenAbsent = false): boolean {
    return optional(this.raw(key), this.path(key), asBoolean) ?? whenAbsent;
  }

  integer(key: string, limits: { min?: number; max?: number } = {}, whenAbsent = 0): number {
    return optional(this.raw(key), this.path(key), (value, path) => asInteger(value, path, limits)) ?? whenAbsent;
  }

  number(key: string, limits: { min?: number; max?: number } = {}, whenAbsent = 0): number {
    return optional(this.raw(key), this.path(key), (value, path) => asNumber(value, path, limits)) ?? whenAbsent;
  }

  /** Nanoseconds in, milliseconds out. */
  durationMs(key: string, whenAbsentMs = 0): number {
    return this.has(key) ? msFromNanos(this.number(key, { min: 0 })) : whenAbsentMs;
  }

  texts(key: string): string[] {
    return this.textsOrAbsent(key) ?? [];
  }

  textsOrAbsent(key: string): string[] | undefined {
    return optional(this.raw(key), this.path(key), (value, path) => asArray(value, path, asString));
  }

  /** Go's strslice: a string stands for a list of one. */
  wordsOrAbsent(key: string): string[] | undefined {
    const value = this.raw(key);
    return typeof value === 'string' ? [value] : this.textsOrAbsent(key);
  }

  textMap(key: string): Record<string, string> {
    return optional(this.raw(key), this.path(key), (value, path) => asMap(value, path, asString)) ?? {};
  }

  object(key: string): Fields {
    return this.objectOrAbsent(key) ?? new Fields({}, this.path(key));
  }

  objectOrAbsent(key: string): Fields | undefined {
    return optional(this.raw(key), this.path(key), (value, path) => new Fields(asObject(value, path), path));
  }

  objects(key: string): Fields[] {
    const read = (value: unknown, path: string): Fields => new Fields(asObject(value, path), path);
    return optional(this.raw(key), this.path(key), (value, path) => asArray(value, path, read)) ?? [];
  }

  lists(key: string): string[][] {
    const read = (value: unknown, path: string): string[] => asArray(value, path, asString);
    return optional(this.raw(key), this.path(key), (value, path) => asArray(value, path, read)) ?? [];
  }

  keys(key: string): string[] {
    return Object.keys(this.object(key).json);
  }

  /** For what we cannot do yet: asking for it is refused instead of being forgotten. */
  refuse(key: string, what: string): void {
    if (!isNothing(this.raw(key))) fail('not-implemented', `${this.path(key)}: ${what} not implemented yet`);
  }
}

function isNothing(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === 0 || value === false) return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === 'object' && Object.values(value).every(isNothing);
}
