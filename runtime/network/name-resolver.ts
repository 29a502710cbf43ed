// What a question of one container is answered: from the names of its networks, or by asking further up. Pure.
import { isIPv4 } from 'node:net';
import { addressBytes, addressBytes6, formatAddress6, parseAddress, parseAddress6 } from './addresses.ts';
import type { NameRecord, Upstream } from './contract.ts';
import { addressOfReverse, type AnswerRecord, CODE, type ExtraRecord, TYPE } from './dns-wire.ts';
import type { NameTable } from './name-table.ts';

/** What one container sees. */
export interface Scope {
  /** The first one's answer to a name counts. */
  readonly networks: readonly { readonly id: string; readonly name: string }[];
  /** Names of its own for other names. */
  readonly links: Readonly<Record<string, string>>;
  readonly upstreams: readonly Upstream[]; // none: the machine's
  /** False: all its networks are internal, and no question leaves the machine for it. */
  readonly forwards: boolean;
}

export type Answer =
  | { readonly do: 'forward' }
  | {
      readonly do: 'answer';
      readonly code: number;
      readonly records: readonly AnswerRecord[];
      readonly extra?: readonly ExtraRecord[];
    };

export class NameResolver {
  readonly #tables: ReadonlyMap<string, NameTable>;
  #turn = 0;

  constructor(tables: ReadonlyMap<string, NameTable>) {
    this.#tables = tables;
  }

  answer(scope: Scope, name: string, type: number): Answer {
    if (type === TYPE.ptr) return this.#reverse(scope, name);
    if (type === TYPE.srv) return this.#service(scope, name);
    const records = this.#find(scope, scope.links[name] ?? name);
    if (records.length === 0) return elsewhere(scope);
    return { do: 'answer', code: CODE.ok, records: this.#inTurn(addressRecords(records, type)) };
  }

  /** The same question again begins with the next address. */
  #inTurn(records: AnswerRecord[]): AnswerRecord[] {
    if (records.length < 2) return records;
    this.#turn = (this.#turn + 1) % 0x1_0000_0000;
    const from = this.#turn % records.length;
    return [...records.slice(from), ...records.slice(0, from)];
  }

  /** `web`, or `web.backend` where the network is called backend. */
  #find(scope: Scope, name: string): readonly NameRecord[] {
    for (const { id } of scope.networks) {
      const found = this.#tables.get(id)?.find(name) ?? [];
      if (found.length > 0) return found;
    }
    for (const network of scope.networks) {
      const suffix = `.${network.name.toLowerCase()}`;
      if (!name.endsWith(suffix)) continue;
      const found = this.#tables.get(network.id)?.find(name.slice(0, -suffix.length)) ?? [];
      if (found.length > 0) return found;
    }
    return [];
  }

  #reverse(scope: Scope, name: string): Answer {
    const text = addressOfReverse(name);
    const address = text?.includes(':') ? formatAddress6(parseAddress6(text)) : text;
    for (const network of address === undefined ? [] : scope.networks) {
      const [first] = this.#tables.get(network.id)?.reverse(address as string) ?? [];
      if (first === undefined) continue;
      const record = { type: TYPE.ptr, target: `${first}.${network.name}`, ttlSeconds: 0 } as const;
      return { do: 'answer', code: CODE.ok, records: [record] };
    }
    return elsewhere(scope);
  }

  #service(scope: Scope, name: string): Answer {
    const [, service, protocol, owner = ''] = /^_([^.]+)\._(tcp|udp)\.(.+)$/.exec(name) ?? [];
    const found = service === undefined ? [] : this.#find(scope, owner);
    if (found.length === 0) return elsewhere(scope);
    const ports = found
      .flatMap((record) => (record.ports ?? []).map((port) => ({ ...port, ttlSeconds: record.ttlSeconds })))
      .filter((port) => port.service.toLowerCase() === service && port.protocol === protocol);
    const records = ports.map(({ port, ttlSeconds }) => ({ type: TYPE.srv, target: owner, port, ttlSeconds }) as const);
    const addresses = ports.length > 0 ? addressRecords(found, TYPE.any) : [];
    const extra = addresses.flatMap((record) =>
      'data' in record ? [{ name: owner, data: record.data, ttlSeconds: record.ttlSeconds }] : [],
    );
    return { do: 'answer', code: CODE.ok, records, extra };
  }
}

function elsewhere(scope: Scope): Answer {
  return scope.forwards ? { do: 'forward' } : { do: 'answer', code: CODE.failed, records: [] };
}

/** No record of the type that was asked for is an answer, too: the name is there. */
function addressRecords(records: readonly NameRecord[], type: number): AnswerRecord[] {
  const seen = new Set<string>();
  const found: AnswerRecord[] = [];
  for (const { addresses, ttlSeconds } of records) {
    for (const address of addresses) {
      const kind = isIPv4(address) ? TYPE.a : TYPE.aaaa;
      if ((type !== kind && type !== TYPE.any) || seen.has(address)) continue;
      seen.add(address);
      const data = kind === TYPE.a ? addressBytes(parseAddress(address)) : addressBytes6(parseAddress6(address));
      found.push({ type: kind, data, ttlSeconds });
    }
  }
  return found;
}
