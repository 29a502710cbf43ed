// The names of all networks, as the networks themselves and others (NameSource) put them. Every change is passed on to
// whoever answers questions.
import type { Endpoint, NameRecord, NameSource } from './contract.ts';
import { NameTable } from './name-table.ts';

/** A change of one network's names; `records` without `removed` replaces all of the owner's. */
export type NameChange =
  | { readonly do: 'set'; readonly networkId: string; readonly owner: string; readonly records: readonly NameRecord[] }
  | {
      readonly do: 'change';
      readonly networkId: string;
      readonly owner: string;
      readonly put: readonly NameRecord[];
      readonly removed: readonly string[];
    }
  | { readonly do: 'drop'; readonly networkId: string; readonly owner: string };

/** Names of running containers change with the next container: clients ask again every time. */
const CONTAINER_TTL_SECONDS = 0;

/** The names under which a container's neighbours find it; the first is what its address is called. */
export function namesOfEndpoint({ names = [], address, address6 }: Endpoint): NameRecord[] {
  const addresses = [address, address6].filter((each) => each !== undefined && each !== '') as string[];
  return names.map((name, index) => ({ name, addresses, reverse: index === 0, ttlSeconds: CONTAINER_TTL_SECONDS }));
}

export class Names implements NameSource {
  readonly #tables = new Map<string, NameTable>();
  readonly #tell: (change: NameChange) => void;

  constructor(tell: (change: NameChange) => void) {
    this.#tell = tell;
  }

  setNames(networkId: string, owner: string, index: number, records: readonly NameRecord[]): void {
    if (this.#table(networkId).set(owner, index, records)) this.#tell({ do: 'set', networkId, owner, records });
  }

  changeNames(
    networkId: string,
    owner: string,
    index: number,
    { put, removed }: { readonly put: readonly NameRecord[]; readonly removed: readonly string[] },
  ): void {
    if (this.#table(networkId).change(owner, index, { put, removed }))
      this.#tell({ do: 'change', networkId, owner, put, removed });
  }

  dropNames(networkId: string, owner: string): void {
    const table = this.#tables.get(networkId);
    if (!table) return;
    table.drop(owner);
    if (table.owners().length === 0) this.#tables.delete(networkId);
    this.#tell({ do: 'drop', networkId, owner });
  }

  namesOf(networkId: string): readonly NameRecord[] {
    return this.#tables.get(networkId)?.all() ?? [];
  }

  /** What makes an empty table equal to ours. */
  snapshot(): NameChange[] {
    return [...this.#tables].flatMap(([networkId, table]) =>
      table.owners().map(({ owner, records }): NameChange => ({ do: 'set', networkId, owner, records })),
    );
  }

  #table(networkId: string): NameTable {
    let table = this.#tables.get(networkId);
    if (!table) this.#tables.set(networkId, (table = new NameTable()));
    return table;
  }
}
