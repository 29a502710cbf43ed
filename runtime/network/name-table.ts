// What names mean in one network: the union of what several owners put. Pure; the resolver asks it for every question.
// Invariant: an owner's records carry the index of its last change, and a lower index changes nothing.
import type { NameRecord } from './contract.ts';

interface OwnerNames {
  index: number;
  readonly records: Map<string, NameRecord>; // by lower-case name
}

const key = (name: string): string => name.toLowerCase();

export class NameTable {
  readonly #owners = new Map<string, OwnerNames>();
  readonly #byName = new Map<string, Map<string, NameRecord>>(); // name → owner → record
  readonly #byAddress = new Map<string, Set<string>>(); // address → names in the order they came

  /** False: it was older than what is there. */
  set(owner: string, index: number, records: readonly NameRecord[]): boolean {
    const before = this.#owners.get(owner);
    if (before && index < before.index) return false;
    const kept = new Set(records.map((record) => key(record.name)));
    const removed = [...(before?.records.keys() ?? [])].filter((name) => !kept.has(name));
    return this.change(owner, index, { put: records, removed });
  }

  change(
    owner: string,
    index: number,
    { put, removed }: { readonly put: readonly NameRecord[]; readonly removed: readonly string[] },
  ): boolean {
    const names = this.#owners.get(owner) ?? { index, records: new Map<string, NameRecord>() };
    if (index < names.index) return false;
    names.index = index;
    this.#owners.set(owner, names);
    for (const name of removed) this.#remove(owner, names, key(name));
    for (const record of put) {
      this.#remove(owner, names, key(record.name));
      this.#put(owner, names, record);
    }
    return true;
  }

  drop(owner: string): void {
    const names = this.#owners.get(owner);
    if (!names) return;
    for (const name of [...names.records.keys()]) this.#remove(owner, names, name);
    this.#owners.delete(owner);
  }

  /** Everything that is put for the name; nothing: nobody knows it. */
  find(name: string): readonly NameRecord[] {
    const found = this.#byName.get(key(name));
    return found ? [...found.values()] : [];
  }

  /** The names of an address, those that were put first in front. */
  reverse(address: string): readonly string[] {
    return [...(this.#byAddress.get(address) ?? [])];
  }

  /** For each owner what it put, to fill another table alike. */
  owners(): { readonly owner: string; readonly index: number; readonly records: readonly NameRecord[] }[] {
    return [...this.#owners].map(([owner, { index, records }]) => ({ owner, index, records: [...records.values()] }));
  }

  all(): readonly NameRecord[] {
    return [...this.#byName.values()].flatMap((owners) => [...owners.values()]);
  }

  #put(owner: string, names: OwnerNames, record: NameRecord): void {
    const name = key(record.name);
    names.records.set(name, record);
    let owners = this.#byName.get(name);
    if (!owners) this.#byName.set(name, (owners = new Map<string, NameRecord>()));
    owners.set(owner, record);
    if (!record.reverse) return;
    for (const address of record.addresses) {
      let known = this.#byAddress.get(address);
      if (!known) this.#byAddress.set(address, (known = new Set<string>()));
      known.add(record.name);
    }
  }

  #remove(owner: string, names: OwnerNames, name: string): void {
    const record = names.records.get(name);
    if (!record) return;
    names.records.delete(name);
    const owners = this.#byName.get(name);
    owners?.delete(owner);
    if (owners?.size === 0) this.#byName.delete(name);
    for (const address of record.reverse ? record.addresses : []) this.#forgetReverse(address, record.name);
  }

  /** Unless another owner put the same name for the same address. */
  #forgetReverse(address: string, name: string): void {
    const others = this.find(name);
    if (others.some((other) => other.reverse && other.addresses.includes(address))) return;
    const known = this.#byAddress.get(address);
    known?.delete(name);
    if (known?.size === 0) this.#byAddress.delete(address);
  }
}
