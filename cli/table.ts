// Tables as docker prints them: no borders, three spaces between columns, each as wide as its widest cell.
const GAP = '   ';

export function table(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [headers, ...rows];
  const widths = headers.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]): string =>
    headers
      .map((_, column) => (row[column] ?? '').padEnd(widths[column] ?? 0))
      .join(GAP)
      .trimEnd();
  return all.map(line).join('\n');
}

export const shortened = (text: string, length: number): string =>
  text.length > length ? `${text.slice(0, length - 1)}…` : text;
