// One kind's objects with their indices. Objects are immutable; an update swaps the whole object.
// Invariant: indices are a function of the objects; an update that leaves a key as it was does not touch its index.
import type { NodeId, ServiceId, Task, TaskIdentity } from '../../proto/objects.ts';
import type { TableView, TaskView } from './contract.ts';
import { type KindDefinition, type StoredObject, slotKey } from './kinds.ts';

export class Table<T extends StoredObject> implements TableView<T> {
  readonly definition: KindDefinition<T>;
  readonly #objects = new Map<string, T>();
  readonly #owners = new Map<string, string>();
  readonly #indices: ReadonlyMap<string, Index<T>>;

  constructor(definition: KindDefinition<T>) {
    this.definition = definition;
    this.#indices = new Map(Object.entries(definition.indices).map(([name, keyOf]) => [name, new Index(keyOf)]));
  }

  get size(): number {
    return this.#objects.size;
  }

  get(id: string): T | undefined {
    return this.#objects.get(id);
  }

  byName(name: string): T | undefined {
    const owner = this.#owners.get(nameKey(name));
    return owner === undefined ? undefined : this.#objects.get(owner);
  }

  byIdPrefix(prefix: string): readonly T[] {
    const found: T[] = [];
    for (const [id, object] of this.#objects) if (id.startsWith(prefix)) found.push(object);
    return found;
  }

  all(): IterableIterator<T> {
    return this.#objects.values();
  }

  /** Objects with this key in the named index, in the order in which they got it. */
  by(index: string, key: string): T[] {
    const ids = this.#indices.get(index)?.get(key);
    if (ids === undefined) return [];
    if (typeof ids === 'string') return [this.#objects.get(ids) as T];
    return Array.from(ids, (id) => this.#objects.get(id) as T);
  }

  /** The object that holds a unique key. */
  ownerOf(key: string): string | undefined {
    return this.#owners.get(key);
  }

  put(object: T): void {
    const previous = this.#objects.get(object.id);
    this.#objects.set(object.id, object);
    if (previous) for (const key of uniqueKeys(this.definition, previous)) this.#disown(key, object.id);
    for (const key of uniqueKeys(this.definition, object)) this.#owners.set(key, object.id);
    for (const index of this.#indices.values()) index.move(previous, object);
  }

  remove(id: string): void {
    const previous = this.#objects.get(id);
    if (!previous) return;
    this.#objects.delete(id);
    for (const key of uniqueKeys(this.definition, previous)) this.#disown(key, id);
    for (const index of this.#indices.values()) index.move(previous, undefined);
  }

  /** Another object may have taken the key over in the same commit. */
  #disown(key: string, id: string): void {
    if (this.#owners.get(key) === id) this.#owners.delete(key);
  }
}

export class TaskTable extends Table<Task> implements TaskView {
  ofService(id: ServiceId): readonly Task[] {
    return this.by('service', id);
  }

  ofNode(id: NodeId): readonly Task[] {
    return this.by('node', id);
  }

  ofSlot(id: ServiceId, identity: TaskIdentity): readonly Task[] {
    return this.by('slot', slotKey(id, identity));
  }
}

export const nameKey = (name: string): string => `name ${name.toLowerCase()}`;

export function uniqueKeys<T extends StoredObject>(definition: KindDefinition<T>, object: T): readonly string[] {
  const name = definition.name(object);
  const keys = definition.unique(object);
  return name ? [nameKey(name), ...keys] : keys;
}

/** Key → ids. A lone id is kept as itself: most slots have one task, and a Set costs 200 bytes. */
class Index<T extends StoredObject> {
  readonly #keyOf: (object: T) => string | undefined;
  readonly #ids = new Map<string, string | Set<string>>();

  constructor(keyOf: (object: T) => string | undefined) {
    this.#keyOf = keyOf;
  }

  get(key: string): string | ReadonlySet<string> | undefined {
    return this.#ids.get(key);
  }

  move(from: T | undefined, to: T | undefined): void {
    const oldKey = from && this.#keyOf(from);
    const newKey = to && this.#keyOf(to);
    if (oldKey === newKey) return;
    if (from && oldKey !== undefined) this.#delete(oldKey, from.id);
    if (to && newKey !== undefined) this.#add(newKey, to.id);
  }

  #add(key: string, id: string): void {
    const ids = this.#ids.get(key);
    if (ids === undefined) this.#ids.set(key, id);
    else if (typeof ids === 'string') this.#ids.set(key, new Set([ids, id]));
    else ids.add(id);
  }

  #delete(key: string, id: string): void {
    const ids = this.#ids.get(key);
    if (ids === undefined) return;
    if (typeof ids === 'string') this.#ids.delete(key);
    else if (ids.delete(id) && ids.size === 0) this.#ids.delete(key);
  }
}
