// Compares what two engines answered and says what differs, and why. Pure: the engines have been asked before.
import type { Listed } from './differences.ts';
import type { Views } from './raw.ts';

export interface Report {
  readonly equal: number;
  /** Requests whose every difference is listed. */
  readonly listed: readonly {
    readonly request: string;
    readonly lines: readonly string[];
    readonly reasons: readonly string[];
  }[];
  readonly unlisted: readonly { readonly request: string; readonly lines: readonly string[] }[];
  /** Entries of the list that nothing differs by any more. */
  readonly unused: readonly Listed[];
}

export function compare(theirs: Views, ours: Views, list: readonly Listed[]): Report {
  const used = new Set<Listed>();
  const listed: Report['listed'][number][] = [];
  const unlisted: Report['unlisted'][number][] = [];
  for (const [request, expected] of theirs) {
    const lines = differencesOf(expected, ours.get(request) ?? ['was not asked']);
    if (lines.length === 0) continue;
    const entries = list.filter((entry) => isOf(entry, request) && entry.request.test(request));
    const reasons = lines.map((line) => entries.find((entry) => entry.lines.test(line)));
    for (const entry of reasons) if (entry) used.add(entry);
    const without = lines.filter((_, index) => !reasons[index]);
    if (without.length > 0) unlisted.push({ request, lines: without });
    else
      listed.push({ request, lines, reasons: [...new Set(reasons.flatMap((entry) => (entry ? [entry.reason] : [])))] });
  }
  const unused = list.filter((entry) => !entry.sometimes && !used.has(entry));
  return { equal: theirs.size - listed.length - unlisted.length, listed, unlisted, unused };
}

const isOf = ({ part = 'requests' }: Listed, request: string): boolean => request.startsWith(`${part}: `);

function differencesOf(theirs: readonly string[], ours: readonly string[]): string[] {
  return [
    ...new Set([
      ...theirs.filter((line) => !ours.includes(line)).map((line) => `- ${line}`),
      ...ours.filter((line) => !theirs.includes(line)).map((line) => `+ ${line}`),
    ]),
  ];
}
