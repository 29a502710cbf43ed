// What the kernel of a sandbox is to know, of a state that was handed in: who is where, who answers for what. Pure.
import { parseAddress } from './addresses.ts';
import type { OverlayState } from './contract.ts';
import { type ConnectionFilter, NETLINK_ROUTE, type Step } from './netd-protocol.ts';
import { MessageWriter } from './netlink.ts';
import { type Row, rowKey } from './overlay-messages.ts';
import { type OverlayRules, type Six, sixOf } from './overlay-ruleset.ts';

const ROWS_PER_STEP = 1_000;
const FEW = 16;

export interface Wanted {
  readonly rows: ReadonlyMap<string, Row>;
  readonly rules: OverlayRules;
}

export function wantedOf(
  state: OverlayState,
  { gateway, six }: { readonly gateway: number; readonly six?: Six | undefined },
): Wanted {
  const rows: Row[] = [];
  for (const { address: text, node } of state.endpoints) {
    if (!node) continue;
    const address = parseAddress(text);
    rows.push({ kind: 'neighbour', address }, { kind: 'port', address });
    if (six) rows.push({ kind: 'neighbour6', address: sixOf(six, address), of: address });
    rows.push({ kind: 'tunnel', address, node: parseAddress(node.address), port: node.port });
  }
  const services = new Map<number, readonly number[]>();
  const byClient = new Set<number>();
  for (const { virtualAddress, targets, affinity } of state.services) {
    const address = parseAddress(virtualAddress);
    rows.push({ kind: 'virtual', address });
    if (six) rows.push({ kind: 'virtual6', address: sixOf(six, address), of: address });
    if (affinity) byClient.add(address);
    services.set(
      address,
      [...new Set(targets.map((target) => parseAddress(target)))].sort((a, b) => a - b),
    );
  }
  const local = new Set(state.endpoints.flatMap(({ address, node }) => (node ? [] : [parseAddress(address)])));
  const rules = { services, byClient, local, gateway, ...(six && { six }) };
  return { rows: new Map(rows.map((row) => [rowKey(row), row])), rules };
}

/** A part of a sentence for each kind of row that is not as it should be. */
export function rowDifferences(wanted: ReadonlyMap<string, Row>, there: ReadonlyMap<string, Row>): string[] {
  return Object.entries(WORDS).flatMap(([kind, words]) => {
    const missing = [...wanted].filter(([key, row]) => row.kind === kind && !there.has(key)).length;
    const extra = [...there].filter(([key, row]) => row.kind === kind && !wanted.has(key)).length;
    return missing + extra > 0 ? [`lacked ${missing} ${words} and had ${extra} too many`] : [];
  });
}

const WORDS = {
  neighbour: 'neighbours',
  neighbour6: 'IPv6 neighbours',
  tunnel: 'ways to nodes',
  port: 'bridge entries',
  virtual: 'virtual addresses',
  virtual6: 'virtual IPv6 addresses',
} as const satisfies Record<Row['kind'], string>;

export const isWay = (row: Row): boolean => row.kind !== 'virtual' && row.kind !== 'virtual6';

/** The kernel has one row for each address of this kind: a new one took its place. */
export function isReplaced(row: Row, wanted: ReadonlyMap<string, Row>): boolean {
  if (row.kind !== 'tunnel') return false;
  const neighbour = rowKey({ kind: 'neighbour', address: row.address });
  return wanted.has(neighbour);
}

export function* stepsOf(
  rows: readonly Row[],
  write: (writer: MessageWriter, row: Row) => void,
  where: string,
): Generator<Step, void, void> {
  for (let at = 0; at < rows.length; at += ROWS_PER_STEP) {
    const writer = new MessageWriter();
    for (const row of rows.slice(at, at + ROWS_PER_STEP)) write(writer, row);
    yield { do: 'netlink', family: NETLINK_ROUTE, where, messages: writer.finish() };
  }
}

/** Connections to these are cut: whoever is gone, or whose node is. */
export function lostIn(before: OverlayState, after: OverlayState): ConnectionFilter[] {
  const alive = new Set(after.endpoints.flatMap(({ address, lost }) => (lost ? [] : [address])));
  const gone = before.endpoints.filter(({ address, lost }) => !lost && !alive.has(address));
  return gone.map(({ address }) => ({ serverAddress: parseAddress(address) }));
}

/**
 * Datagrams that reach these by a service's address move on. Where many were replaced at once and none stayed, all that go
 * to that address do: one filter instead of hundreds, each of which would be looked for. A client that began in the moment
 * between may lose its first datagram then.
 */
export function withdrawnIn(before: OverlayState, after: OverlayState): ConnectionFilter[] {
  const now = new Map(after.services.map(({ virtualAddress, targets }) => [virtualAddress, new Set(targets)]));
  return before.services.flatMap(({ virtualAddress, targets }): ConnectionFilter[] => {
    const asked = { protocol: 'udp', askedAddress: parseAddress(virtualAddress) } as const;
    const withdrawn = targets.filter((target) => !now.get(virtualAddress)?.has(target));
    if (withdrawn.length > FEW && withdrawn.length === targets.length) return [asked];
    return withdrawn.map((target) => ({ ...asked, serverAddress: parseAddress(target) }));
  });
}

/** The same by IPv6. */
export function filterInSix(filter: ConnectionFilter, six: Six): ConnectionFilter {
  const { askedAddress, serverAddress } = filter;
  return {
    ...filter,
    ...(typeof askedAddress === 'number' && { askedAddress: sixOf(six, askedAddress) }),
    ...(typeof serverAddress === 'number' && { serverAddress: sixOf(six, serverAddress) }),
  };
}
