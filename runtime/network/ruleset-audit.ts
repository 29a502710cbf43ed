// Does the kernel hold the ruleset that was put there? Row by row: the rules of every chain in their order, by the marks
// they carry, and the elements of every set.
import { type Netd, StepError } from './netd.ts';
import { NETLINK_NETFILTER } from './netd-protocol.ts';
import { listElements, listRules } from './nft-read.ts';
import { emptyRuleset, listRows, listSets, type Ruleset } from './ruleset.ts';

const SHOWN_MAX = 3;

export interface TableContent {
  readonly rules: ReadonlyMap<string, readonly string[]>; // marks by chain
  readonly sets: ReadonlyMap<string, ReadonlySet<string>>; // elements as nft-read.ts writes them
}

/** Undefined: the table is not there, or not whole. */
export async function readTable(netd: Netd, table: string): Promise<TableContent | undefined> {
  const ask = (doing: string, request: Buffer): Promise<Buffer> => netd.exchange(doing, NETLINK_NETFILTER, request);
  try {
    const rows = listRules.read(await ask('listing rules', listRules.request(table)), table);
    const rules = new Map<string, string[]>();
    for (const { chain, mark } of rows) rules.set(chain, [...(rules.get(chain) ?? []), mark]);
    const sets = new Map<string, ReadonlySet<string>>();
    for (const set of listSets(emptyRuleset).keys()) {
      sets.set(set, new Set(listElements.read(await ask('listing elements', listElements.request(table, set)))));
    }
    return { rules, sets };
  } catch (error) {
    if (error instanceof StepError) return undefined;
    throw error;
  }
}

/** A sentence for each difference; none: the kernel has what is wanted. */
export function describeDifferences(wanted: Ruleset, found: TableContent | undefined): string[] {
  if (!found) return ['the packet rules were gone'];
  const rows = listRows(wanted);
  const chains = new Set([...rows.keys(), ...found.rules.keys()]);
  return [
    ...[...chains].flatMap((chain) => chainDifferences(chain, rows.get(chain) ?? [], found.rules.get(chain) ?? [])),
    ...[...listSets(wanted)].flatMap(([set, elements]) =>
      setDifferences(set, elements, found.sets.get(set) ?? new Set()),
    ),
  ];
}

function chainDifferences(chain: string, wanted: readonly string[], has: readonly string[]): string[] {
  if (wanted.length === has.length && wanted.every((mark, index) => mark === has[index])) return [];
  const missing = wanted.filter((mark) => !has.includes(mark)).length;
  const foreign = has.filter((mark) => !wanted.includes(mark)).length;
  if (missing + foreign === 0) return [`chain ${chain} had its rules in another order`];
  return [`chain ${chain} lacked ${missing} of ${wanted.length} rules and had ${foreign} that are not ours`];
}

function setDifferences(set: string, wanted: ReadonlySet<string>, has: ReadonlySet<string>): string[] {
  const missing = [...wanted].filter((element) => !has.has(element));
  const extra = [...has].filter((element) => !wanted.has(element));
  if (missing.length + extra.length === 0) return [];
  const which = [...missing, ...extra].slice(0, SHOWN_MAX).join(', ');
  return [`set ${set} lacked ${missing.length} elements and had ${extra.length} too many: ${which}`];
}
