// Structural equality of plain data: what travels as JSON. A key that is undefined counts as absent.

export function equalData(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) return Array.isArray(a) && Array.isArray(b) && equalLists(a, b);
  const [left, right] = [presentKeys(a), presentKeys(b)];
  return left.length === right.length && left.every((key) => key in b && equalData(valueOf(a, key), valueOf(b, key)));
}

function equalLists(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, index) => equalData(item, b[index]));
}

const presentKeys = (object: object): string[] =>
  Object.entries(object)
    .filter(([, value]) => value !== undefined)
    .map(([key]) => key);

const valueOf = (object: object, key: string): unknown => (object as Readonly<Record<string, unknown>>)[key];
