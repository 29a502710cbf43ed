// Applying entries. Deterministic: the same entries in the same order give the same state on every machine.
import { assemble, type Interner } from './codec.ts';
import type { Change } from './contract.ts';
import { type Changeset, decodeEntry, type Operation } from './entry.ts';
import { definitionOf, type StoredObject } from './kinds.ts';
import { uniqueKeys } from './table.ts';
import type { State, Tables } from './tables.ts';

export interface Applied {
  readonly changes: Change[];
  /** Numbers of the entry's changesets that were refused because an object or a key had moved. */
  readonly refused: ReadonlySet<number>;
}

export function applyEntry(state: State, interner: Interner, index: number, bytes: Uint8Array): Applied {
  const entry = decodeEntry(index, bytes);
  const changes: Change[] = [];
  const refused = new Set<number>();
  for (const [number, changeset] of entry.changesets.entries()) {
    const objects = decodeChangeset(state.tables, interner, changeset, { index, atMs: entry.atMs });
    if (objects === 'stale' || takesKeys(state.tables, changeset, objects)) refused.add(number);
    else carryOut(state.tables, changeset, objects, index, changes);
  }
  state.version = index;
  return { changes, refused };
}

type Decoded = readonly (StoredObject | undefined)[];

/** The objects to put, by position; `stale` when one of them is not what the writer had read. */
function decodeChangeset(
  tables: Tables,
  interner: Interner,
  changeset: Changeset,
  entry: { index: number; atMs: number },
): Decoded | 'stale' {
  const fresh = changeset.every(({ kind, id, base }) => (tables.of(kind).get(id)?.version ?? 0) === base);
  if (!fresh) return 'stale';
  return changeset.map((operation) => decodeOperation(tables, interner, operation, entry));
}

function decodeOperation(
  tables: Tables,
  interner: Interner,
  operation: Operation,
  { index, atMs }: { index: number; atMs: number },
): StoredObject | undefined {
  if (operation.action === 'remove') return undefined;
  const previous = tables.of(operation.kind).get(operation.id);
  const meta = { version: index, createdAtMs: previous?.createdAtMs ?? atMs, updatedAtMs: atMs };
  return assemble(definitionOf(operation.kind), { previous, shared: operation.shared, interner }, operation.own, meta);
}

/** True when an object outside the changeset holds a unique key of one inside. Inside, the writer has checked. */
function takesKeys(tables: Tables, changeset: Changeset, objects: Decoded): boolean {
  const touched = new Set(changeset.map(({ kind, id }) => `${kind}/${id}`));
  return changeset.some(({ kind }, position) => {
    const object = objects[position];
    if (!object) return false;
    const table = tables.of(kind);
    return uniqueKeys(table.definition, object).some((key) => {
      const owner = table.ownerOf(key);
      return owner !== undefined && !touched.has(`${kind}/${owner}`);
    });
  });
}

function carryOut(tables: Tables, changeset: Changeset, objects: Decoded, version: number, changes: Change[]): void {
  for (const [position, { kind, id }] of changeset.entries()) {
    const table = tables.of(kind);
    const previous = table.get(id);
    const object = objects[position];
    if (object) table.put(object);
    else table.remove(id);
    const action = object ? (previous ? 'update' : 'create') : 'remove';
    const change = { kind, action, object: object ?? previous, version, endsCommit: false };
    changes.push((previous && object ? { ...change, previous } : change) as Change);
  }
}
