// A transaction: reads of the present state with its own writes laid over them, and the changeset they come to.
// Nothing outside sees a write before its entry is applied.
import { invariant } from '../../base/assert.ts';
import { fail } from '../../base/errors.ts';
import type { Task } from '../../proto/objects.ts';
import { ownText, SharedTexts, sharesWith } from './codec.ts';
import type { Draft, Kind, TableView, Transaction, WritableTable } from './contract.ts';
import type { Changeset, Operation, Shared } from './entry.ts';
import { KIND_NAMES, type KindDefinition, type StoredObject, slotKey } from './kinds.ts';
import { Table, uniqueKeys } from './table.ts';
import { type State, withTables } from './tables.ts';

export interface OpenTransaction {
  readonly transaction: Transaction;
  /** What was written. The transaction is over: later writes are refused. */
  readonly finish: () => Changeset;
}

export function openTransaction(state: State, nowMs: number): OpenTransaction {
  const { tables, version } = state;
  const opened = new Map<Kind, WritableView<StoredObject>>();
  const open = (kind: Kind): WritableView<StoredObject> => {
    const present = opened.get(kind);
    if (present) return present;
    const view = new (kind === 'task' ? WritableTasks : WritableView)(kind, tables.of(kind), nowMs);
    opened.set(kind, view);
    return view;
  };
  return {
    transaction: withTables({ version: () => version, table: open }) as Transaction,
    finish: () => KIND_NAMES.flatMap((kind) => opened.get(kind)?.finish() ?? []),
  };
}

class WritableView<T extends StoredObject> implements TableView<T>, WritableTable<T> {
  readonly #kind: Kind;
  readonly #definition: KindDefinition<T>;
  readonly #base: Table<T>;
  readonly #nowMs: number;
  readonly #written: Table<T>;
  readonly #removed = new Set<string>();
  readonly #texts = new SharedTexts();
  #created = 0;
  #finished = false;

  constructor(kind: Kind, base: Table<T>, nowMs: number) {
    this.#kind = kind;
    this.#definition = base.definition;
    this.#base = base;
    this.#nowMs = nowMs;
    this.#written = new Table(base.definition);
  }

  get size(): number {
    return this.#base.size - this.#removed.size + this.#created;
  }

  get(id: string): T | undefined {
    return this.#written.get(id) ?? (this.#removed.has(id) ? undefined : this.#base.get(id));
  }

  byName(name: string): T | undefined {
    return this.#written.byName(name) ?? this.#ifVisible(this.#base.byName(name));
  }

  byIdPrefix(prefix: string): readonly T[] {
    return this.#overlaid(this.#base.byIdPrefix(prefix), this.#written.byIdPrefix(prefix));
  }

  *all(): IterableIterator<T> {
    for (const object of this.#base.all()) if (this.#ifVisible(object)) yield object;
    yield* this.#written.all();
  }

  by(index: string, key: string): readonly T[] {
    return this.#overlaid(this.#base.by(index, key), this.#written.by(index, key));
  }

  put(draft: Draft<T>): void {
    invariant(!this.#finished, `${this.#kind} written after its transaction ended`);
    const given = draft as unknown as Partial<StoredObject> & { id: string };
    const present = this.get(given.id);
    if (given === present) return;
    const committed = this.#base.get(given.id);
    const base = committed?.version ?? 0;
    if (given.version !== undefined && given.version !== base) this.#refuseStale(given.id, given.version, base);
    const object = {
      ...given,
      version: base,
      createdAtMs: committed?.createdAtMs ?? this.#nowMs,
      updatedAtMs: this.#nowMs,
    } as unknown as T;
    this.#definition.check(object, present);
    this.#refuseTaken(object);
    if (!committed && !this.#written.get(object.id)) this.#created += 1;
    this.#removed.delete(object.id);
    this.#written.put(object);
  }

  remove(id: string): void {
    invariant(!this.#finished, `${this.#kind} removed after its transaction ended`);
    const written = this.#written.get(id) !== undefined;
    this.#written.remove(id);
    if (this.#base.get(id)) this.#removed.add(id);
    else if (written) this.#created -= 1;
  }

  finish(): Operation[] {
    this.#finished = true;
    const operations: Operation[] = [];
    for (const id of this.#removed) {
      operations.push({ action: 'remove', kind: this.#kind, id, base: this.#base.get(id)?.version ?? 0 });
    }
    for (const object of this.#written.all()) operations.push(this.#putOperation(object));
    return operations;
  }

  #putOperation(object: T): Operation {
    const { id, version: base } = object;
    const own = ownText(this.#definition, object);
    return { action: 'put', kind: this.#kind, id, base, own, shared: this.#shared(object) };
  }

  #shared(object: T): Shared {
    const committed = this.#base.get(object.id);
    if (this.#definition.sharedFields.length > 0 && committed && sharesWith(this.#definition, object, committed)) {
      return { same: true };
    }
    return { text: this.#texts.of(this.#definition, object) };
  }

  #ifVisible(object: T | undefined): T | undefined {
    return object && !this.#removed.has(object.id) && !this.#written.get(object.id) ? object : undefined;
  }

  #overlaid(base: readonly T[], written: readonly T[]): readonly T[] {
    if (this.#written.size === 0 && this.#removed.size === 0) return base;
    return [...base.filter((object) => this.#ifVisible(object)), ...written];
  }

  #refuseStale(id: string, version: number, base: number): never {
    const now = base === 0 ? 'it is gone now' : `it is at ${base} now`;
    return fail('out-of-sequence', `${this.#kind} ${id} was read at version ${version}, ${now}`);
  }

  #refuseTaken(object: T): void {
    for (const key of uniqueKeys(this.#definition, object)) {
      const baseOwner = this.#base.ownerOf(key);
      const owner =
        this.#written.ownerOf(key) ?? this.#ifVisible(baseOwner ? this.#base.get(baseOwner) : undefined)?.id;
      if (owner !== undefined && owner !== object.id) {
        fail('conflict', `${this.#kind} ${object.id}: ${key} is taken by ${this.#kind} ${owner}`);
      }
    }
  }
}

class WritableTasks extends WritableView<StoredObject> {
  ofService(id: string): readonly StoredObject[] {
    return this.by('service', id);
  }

  ofNode(id: string): readonly StoredObject[] {
    return this.by('node', id);
  }

  ofSlot(id: string, identity: Task['identity']): readonly StoredObject[] {
    return this.by('slot', slotKey(id, identity));
  }
}
