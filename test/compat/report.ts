// Compares what two engines answered and says what differs, and why. Pure: the engines have been asked before.
import type { Listed } from './differences/listed.ts';
import type { Views } from './raw.ts';

/** A request whose every difference is listed: each line with what explains it. */
export interface Explained {
  readonly request: string;
  readonly lines: readonly { readonly line: string; readonly entry: Listed }[];
}

export interface Report {
  readonly equal: number;
  readonly listed: readonly Explained[];
  readonly unlisted: readonly { readonly request: string; readonly lines: readonly string[] }[];
  /** Entries of the list that nothing differs by any more. */
  readonly unused: readonly Listed[];
}

export function compare(theirs: Views, ours: Views, list: readonly Listed[]): Report {
  const used = new Set<Listed>();
  const listed: Explained[] = [];
  const unlisted: Report['unlisted'][number][] = [];
  for (const [request, expected] of theirs) {
    const lines = differencesOf(expected, ours.get(request) ?? ['was not asked']);
    if (lines.length === 0) continue;
    const entries = list.filter((entry) => isOf(entry, request) && entry.request.test(request));
    const explained = lines.flatMap((line) => {
      const entry = entries.find((each) => each.lines.test(line));
      return entry ? [{ line, entry }] : [];
    });
    for (const { entry } of explained) used.add(entry);
    const without = lines.filter((line) => !explained.some((each) => each.line === line));
    if (without.length > 0) unlisted.push({ request, lines: without });
    else listed.push({ request, lines: explained });
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
