// All tables together, and the live view on them.
import type { Kind, View } from './contract.ts';
import { KINDS, type StoredObject } from './kinds.ts';
import { Table, TaskTable } from './table.ts';

export class Tables {
  readonly cluster = new Table(KINDS.cluster);
  readonly node = new Table(KINDS.node);
  readonly service = new Table(KINDS.service);
  readonly task = new TaskTable(KINDS.task);
  readonly network = new Table(KINDS.network);

  of(kind: Kind): Table<StoredObject> {
    return this[kind] as unknown as Table<StoredObject>;
  }
}

/** What the store applies to: the tables (swapped whole by a restore) and the index they stand at. */
export interface State {
  tables: Tables;
  version: number;
}

export class LiveView implements View {
  readonly #state: State;

  constructor(state: State) {
    this.#state = state;
  }

  get version(): number {
    return this.#state.version;
  }

  get clusters(): View['clusters'] {
    return this.#state.tables.cluster;
  }

  get nodes(): View['nodes'] {
    return this.#state.tables.node;
  }

  get services(): View['services'] {
    return this.#state.tables.service;
  }

  get tasks(): View['tasks'] {
    return this.#state.tables.task;
  }

  get networks(): View['networks'] {
    return this.#state.tables.network;
  }
}
