// Compares a JSON value with a schema of the published Engine API description: types, required keys, enumerations.
// A small part of JSON Schema, enough to find a wrong type or a misspelt key.
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly enum?: readonly unknown[];
  readonly allOf?: readonly Schema[];
  readonly 'x-nullable'?: boolean;
}

interface Description {
  readonly definitions: Readonly<Record<string, Schema>>;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

interface Operation {
  readonly responses: Readonly<Record<string, { readonly schema?: Schema }>>;
}

export class EngineDescription {
  readonly #description: Description;

  constructor(path: string) {
    this.#description = parse(readFileSync(path, 'utf8'), { maxAliasCount: -1 }) as Description;
  }

  get operations(): [method: string, path: string][] {
    return Object.entries(this.#description.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method): [string, string] => [method.toUpperCase(), path]),
    );
  }

  allows(method: string, path: string, status: number): boolean {
    return this.#description.paths[path]?.[method.toLowerCase()]?.responses[String(status)] !== undefined;
  }

  hasShape(method: string, path: string, status: number): boolean {
    return this.#description.paths[path]?.[method.toLowerCase()]?.responses[String(status)]?.schema !== undefined;
  }

  /** What is wrong with `value` as an answer of `method path`: nothing, or a sentence for each fault. */
  faults(method: string, path: string, status: number, value: unknown): string[] {
    const operation = this.#description.paths[path]?.[method.toLowerCase()];
    const schema = operation?.responses[String(status)]?.schema;
    if (!schema) return [`the description has no ${status} of ${method} ${path}`];
    return [...this.#check(value, schema, '')];
  }

  *#check(value: unknown, schema: Schema, at: string): Generator<string> {
    if (schema.$ref !== undefined) {
      yield* this.#check(value, this.#resolve(schema.$ref), at);
      return;
    }
    for (const part of schema.allOf ?? []) yield* this.#check(value, part, at);
    // Go writes null for every nil slice, map and pointer; the description rarely says so.
    if (value === null || value === undefined) return;
    if (!hasType(value, schema)) yield `${at}: ${JSON.stringify(value)} is no ${schema.type}`;
    else if (schema.enum && typeof value !== 'object' && !schema.enum.includes(value))
      yield `${at}: ${JSON.stringify(value)} is none of ${schema.enum.join(', ')}`;
    else if (Array.isArray(value))
      for (const [i, item] of value.entries()) yield* this.#check(item, schema.items ?? {}, `${at}[${i}]`);
    else if (typeof value === 'object') yield* this.#checkObject(value as Record<string, unknown>, schema, at);
  }

  *#checkObject(value: Record<string, unknown>, schema: Schema, at: string): Generator<string> {
    const properties = this.#propertiesOf(schema);
    for (const key of schema.required ?? []) if (!(key in value)) yield `${at}.${key} is missing`;
    for (const [key, item] of Object.entries(value)) {
      const known = properties[key];
      if (known) yield* this.#check(item, known, `${at}.${key}`);
      else if (typeof schema.additionalProperties === 'object')
        yield* this.#check(item, schema.additionalProperties, `${at}.${key}`);
    }
  }

  /** Keys that the description has and the value lacks: what a template might ask for in vain. */
  absent(method: string, path: string, status: number, value: object): string[] {
    const schema = this.#description.paths[path]?.[method.toLowerCase()]?.responses[String(status)]?.schema ?? {};
    return [...this.#absent(value as Record<string, unknown>, schema, '')];
  }

  *#absent(value: Record<string, unknown>, schema: Schema, at: string): Generator<string> {
    for (const [key, property] of Object.entries(this.#propertiesOf(schema))) {
      const item = value[key];
      if (!(key in value)) yield `${at}.${key}`;
      else if (typeof item === 'object' && item !== null && !Array.isArray(item)) {
        yield* this.#absent(item as Record<string, unknown>, property, `${at}.${key}`);
      }
    }
  }

  #propertiesOf(schema: Schema): Readonly<Record<string, Schema>> {
    const own = schema.$ref === undefined ? schema : this.#resolve(schema.$ref);
    const parts = (own.allOf ?? []).map((part) => this.#propertiesOf(part));
    return Object.assign({}, ...parts, own.properties) as Readonly<Record<string, Schema>>;
  }

  #resolve(reference: string): Schema {
    const name = reference.replace('#/definitions/', '');
    const schema = this.#description.definitions[name];
    if (!schema) throw new Error(`the description has no ${reference}`);
    return schema;
  }
}

function hasType(value: unknown, { type }: Schema): boolean {
  switch (type ?? 'any') {
    case 'string':
    case 'boolean':
    case 'number':
      return typeof value === type;
    case 'integer':
      return Number.isInteger(value);
    case 'array':
      return Array.isArray(value);
    case 'object':
      return typeof value === 'object' && !Array.isArray(value);
    default:
      return true;
  }
}
