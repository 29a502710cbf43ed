// Does the kernel hold the ruleset that was put there? Rules are counted for each chain, elements compared one by one.
import { type Netd, StepError } from './netd.ts';
import { NETLINK_NETFILTER } from './netd-protocol.ts';
import { listElements, listRules } from './nft-read.ts';
import { countRules, emptyRuleset, listSets, type Ruleset } from './ruleset.ts';

export interface TableContent {
  readonly rules: ReadonlyMap<string, number>; // by chain
  readonly sets: ReadonlyMap<string, ReadonlySet<string>>; // elements as nft-read.ts writes them
}

/** Undefined: the table is not there, or not whole. */
export async function readTable(netd: Netd, table: string): Promise<TableContent | undefined> {
  const ask = (doing: string, request: Buffer): Promise<Buffer> => netd.exchange(doing, NETLINK_NETFILTER, request);
  try {
    const chains = listRules.read(await ask('listing rules', listRules.request(table)), table);
    const sets = new Map<string, ReadonlySet<string>>();
    for (const set of listSets(emptyRuleset).keys()) {
      sets.set(set, new Set(listElements.read(await ask('listing elements', listElements.request(table, set)))));
    }
    return { rules: countBy(chains), sets };
  } catch (error) {
    if (error instanceof StepError) return undefined;
    throw error;
  }
}

export function describeDifference(wanted: Ruleset, found: TableContent | undefined): string | undefined {
  if (!found) return 'the packet rules were gone';
  for (const [chain, count] of countRules(wanted)) {
    const has = found.rules.get(chain) ?? 0;
    if (has !== count) return `chain ${chain} had ${has} rules, not ${count}`;
  }
  for (const [set, elements] of listSets(wanted)) {
    const has = found.sets.get(set) ?? new Set();
    const missing = [...elements].filter((element) => !has.has(element)).length;
    const extra = [...has].filter((element) => !elements.has(element)).length;
    if (missing + extra > 0) return `set ${set} lacked ${missing} elements and had ${extra} too many`;
  }
  return undefined;
}

function countBy(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}
