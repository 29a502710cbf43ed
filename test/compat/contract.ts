// What the published description of the Engine API says of one path of an answer: proof that a difference is the other
// engine's age. The description is not ours to copy: SHOAL_ENGINE_API names the file.
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly allOf?: readonly Schema[];
  readonly 'x-nullable'?: boolean;
}

interface Operation {
  readonly responses: Readonly<Record<string, { readonly schema?: Schema }>>;
}

interface Description {
  readonly definitions: Readonly<Record<string, Schema>>;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

/** Of a path that leads through a table with free keys, nothing is said of the key: what stands there is content. */
export type Described = Field | 'free' | 'not described';

interface Field {
  readonly types: readonly string[];
  readonly nullable: boolean;
  readonly isTable: boolean;
}

export class Contract {
  readonly #description: Description;

  constructor(path: string) {
    this.#description = parse(readFileSync(path, 'utf8'), { maxAliasCount: -1 }) as Description;
  }

  /** The described path that a request's path is one of: the one that says most of it. */
  templateOf(method: string, path: string): string | undefined {
    const bare = path.replace(/\?.*/, '');
    const segments = length(bare);
    return Object.keys(this.#description.paths)
      .filter((template) => pattern(template).test(bare))
      .toSorted((a, b) => fixed(b) - fixed(a) || Math.abs(length(a) - segments) - Math.abs(length(b) - segments))
      .find((template) => this.#description.paths[template]?.[method.toLowerCase()]);
  }

  /** Whether this request may be answered so. Undefined where the description does not have the operation. */
  allows(method: string, path: string, status: number): boolean | undefined {
    const operation = this.#operation(method, path);
    return operation && Object.hasOwn(operation.responses, String(status));
  }

  /** `at` as facts.ts writes paths: `.A[].B`, and `.` for the whole. */
  at(method: string, path: string, at: string): Described {
    const responses = this.#operation(method, path)?.responses ?? {};
    const schema = (responses['200'] ?? responses['201'])?.schema;
    return schema === undefined ? 'not described' : this.#walk(schema, at === '.' ? '' : at);
  }

  #operation(method: string, path: string): Operation | undefined {
    const template = this.templateOf(method, path);
    return template === undefined ? undefined : this.#description.paths[template]?.[method.toLowerCase()];
  }

  #walk(schema: Schema, rest: string): Described {
    const own = this.#merged(schema);
    if (rest === '') return fieldOf(own);
    if (rest.startsWith('[]')) return own.items ? this.#walk(own.items, rest.slice(2)) : 'not described';
    const keys = Object.keys(own.properties ?? {}).filter((key) => isAt(rest, key));
    const key = keys.toSorted((a, b) => b.length - a.length)[0];
    if (key !== undefined) return this.#walk(own.properties?.[key] ?? {}, rest.slice(1 + key.length));
    if (typeof own.additionalProperties === 'object') return this.#inTable(own.additionalProperties, rest);
    return own.type === 'object' && own.properties === undefined ? 'free' : 'not described';
  }

  /** Free keys may hold dots, so that the rest of the path begins at some later dot, or at a bracket, or is nothing. */
  #inTable(values: Schema, rest: string): Described {
    const ends = [...rest.matchAll(/[.[]/g)].map(({ index }) => index).filter((index) => index > 0);
    for (const end of ends) {
      const found = this.#walk(values, rest.slice(end));
      if (found !== 'not described') return found;
    }
    return typesOf(this.#merged(values)).includes('object') && ends.length > 0 ? 'not described' : 'free';
  }

  #merged({ $ref, allOf = [], ...own }: Schema): Schema {
    const parts = [...($ref === undefined ? [] : [this.#resolve($ref)]), ...allOf].map((part) => this.#merged(part));
    return parts.reduce<Schema>((all, part) => ({ ...part, ...all, ...joined(part, all) }), own);
  }

  #resolve(reference: string): Schema {
    const schema = this.#description.definitions[reference.replace('#/definitions/', '')];
    if (!schema) throw new Error(`the description has no ${reference}`);
    return schema;
  }
}

const fieldOf = (schema: Schema): Field => ({
  types: typesOf(schema),
  nullable: schema['x-nullable'] === true,
  isTable: typeof schema.additionalProperties === 'object',
});

const joined = (part: Schema, all: Schema): Pick<Schema, 'properties'> =>
  part.properties || all.properties ? { properties: { ...part.properties, ...all.properties } } : {};

const pattern = (template: string): RegExp =>
  new RegExp(`^${template.replaceAll('.', String.raw`\.`).replaceAll(/\{\w+\}/g, '.*')}$`);
const fixed = (template: string): number => template.replaceAll(/\{\w+\}/g, '').length;
const length = (template: string): number => template.split('/').length;
const isAt = (rest: string, key: string): boolean =>
  rest.startsWith(`.${key}`) && /^($|[.[])/.test(rest.slice(1 + key.length));

function typesOf({ type, properties, items }: Schema): string[] {
  if (type === 'integer') return ['number'];
  return [type ?? (properties ? 'object' : items ? 'array' : 'any')];
}
