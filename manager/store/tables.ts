// All tables together, and the live view on them. Both follow from the kinds.
import type { Kind, View } from './contract.ts';
import { definitionOf, KIND_NAMES, KINDS, type StoredObject } from './kinds.ts';
import { Table, TaskTable } from './table.ts';

export class Tables {
  readonly #tables = new Map<Kind, Table<StoredObject>>(KIND_NAMES.map((kind) => [kind, newTable(kind)]));

  of(kind: Kind): Table<StoredObject> {
    return this.#tables.get(kind) as Table<StoredObject>;
  }
}

function newTable(kind: Kind): Table<StoredObject> {
  return kind === 'task'
    ? (new TaskTable(KINDS.task) as unknown as Table<StoredObject>)
    : new Table(definitionOf(kind));
}

/** What the store applies to: the tables (swapped whole by a restore) and the index they stand at. */
export interface State {
  tables: Tables;
  version: number;
}

/** Always the present state. */
export function liveView(state: State): View {
  return withTables({
    version: () => state.version,
    table: (kind) => state.tables.of(kind),
  }) as View;
}

/** An object with `version` and one property for each kind, named by its plural. */
export function withTables(source: { version: () => number; table: (kind: Kind) => unknown }): object {
  const tables = KIND_NAMES.map((kind) => [`${kind}s`, { get: () => source.table(kind), enumerable: true }] as const);
  return Object.defineProperties(
    {},
    { version: { get: source.version, enumerable: true }, ...Object.fromEntries(tables) },
  );
}
