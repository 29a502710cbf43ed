// Who speaks to whom through the tunnel, and under which keys. Both ends come to the same answer by themselves: the keys
// of a pair of nodes are made of the network's, so that a node which is not on the network has none of them. Pure.
import { createHash, hkdfSync } from 'node:crypto';
import { fail } from '../../base/errors.ts';
import { formatAddress, parseAddress } from './addresses.ts';
import type { OverlayEncryption } from './contract.ts';

/** One other node on one network. */
export interface TunnelPair {
  readonly tag: string; // 16 hex digits, the same at both ends
  readonly inner: number; // stands for the node on VXLAN links
  readonly address: string;
  readonly port: number;
  readonly role: 0 | 1;
  readonly keys: readonly { readonly id: number; readonly secret: string }[];
  readonly sendId: number;
}

export interface TunnelPeer {
  readonly id: string;
  readonly address: string;
  readonly port: number;
}

/** The tunnel's own port is the one above that of clear VXLAN. */
export const tunnelPort = (vxlanPort: number): number => vxlanPort + 1;

const ID_BITS = 24; // of a key, on the wire

export function tunnelPair(
  network: { readonly id: string },
  { nodeId, keys, sendId }: OverlayEncryption,
  peer: TunnelPeer,
  inner = innerAddress(peer.id),
): TunnelPair {
  const [low, high] = nodeId < peer.id ? [nodeId, peer.id] : [peer.id, nodeId];
  const about = `${network.id} ${low} ${high}`;
  return {
    tag: createHash('sha256').update(`shoal pair ${about}`).digest('hex').slice(0, 16),
    inner,
    address: formatAddress(parseAddress(peer.address, `the data path address of node ${peer.id}`)),
    port: portOf(peer),
    role: nodeId === low ? 0 : 1,
    keys: keys.map(({ id, secret }) => ({ id: id % 2 ** ID_BITS, secret: derived(secret, `${about} ${id}`) })),
    sendId: sendId % 2 ** ID_BITS,
  };
}

/** It becomes a word of a line to the tunnel: what another node says of itself is not taken on trust. */
function portOf({ id, port }: TunnelPeer): number {
  const own = tunnelPort(port);
  if (Number.isInteger(own) && own > 1 && own <= 65_535) return own;
  return fail('invalid', `the data path port of node ${id}, ${port}, leaves none above it for the tunnel`);
}

function derived(secret: string, about: string): string {
  return Buffer.from(hkdfSync('sha256', Buffer.from(secret, 'hex'), 'shoal overlay', about, 32)).toString('hex');
}

/** In 10/8 of the tunnel's namespace, where nobody else lives. 10.0.0.1 is the node itself. */
export function innerAddress(nodeId: string): number {
  return FIRST_INNER + (createHash('sha256').update(nodeId).digest().readUInt32BE(0) % INNERS);
}

const FIRST_INNER = 0x0a000002;
const INNERS = 2 ** 24 - 4;

/**
 * One for each node of a network. They mean something on this node alone: of two whose ids lead to the same, the second
 * takes the next that is free, and who has one keeps it.
 */
export function innerAddresses(
  nodeIds: Iterable<string>,
  before: ReadonlyMap<string, number> = new Map(),
): Map<string, number> {
  const ids = new Set(nodeIds);
  const given = new Map([...before].filter(([id]) => ids.has(id)));
  const taken = new Set(given.values());
  for (const id of [...ids].sort()) {
    if (given.has(id)) continue;
    let inner = innerAddress(id);
    while (taken.has(inner)) inner = FIRST_INNER + ((inner - FIRST_INNER + 1) % INNERS);
    taken.add(inner);
    given.set(id, inner);
  }
  return given;
}

/** All pairs of one network, as the tunnel reads them. */
export function tunnelLines(vni: number, pairs: readonly TunnelPair[]): string {
  const lines = pairs.flatMap(({ tag, inner, address, port, role, keys, sendId }) => [
    `pair ${tag} ${vni} ${formatAddress(inner)} ${address} ${port} ${role}`,
    ...keys.map(({ id, secret }) => `key ${id} ${secret}`),
    `send ${sendId}`,
  ]);
  return [`begin ${vni}`, ...lines, 'commit', ''].join('\n');
}

export interface TunnelCounts {
  readonly sent: number;
  readonly received: number;
  /** Packets that waited until the other end had answered. */
  readonly waited: number;
  readonly dropped: number;
  /** Came twice. */
  readonly replayed: number;
  /** Are not what the other end has sealed, or were sealed with a key that is not known here. */
  readonly altered: number;
  /** Meant an earlier tunnel. */
  readonly stale: number;
  /** The other end has answered. */
  readonly open: boolean;
}

/** By tag of the pair. */
export function readCounts(lines: readonly string[]): Map<string, TunnelCounts> {
  const counts = new Map<string, TunnelCounts>();
  for (const line of lines) {
    const [word, tag = '', ...fields] = line.split(' ');
    if (word !== 'count') continue;
    const [sent = 0, received = 0, waited = 0, dropped = 0, replayed = 0, altered = 0, stale = 0, open = 0] =
      fields.map(Number);
    counts.set(tag, { sent, received, waited, dropped, replayed, altered, stale, open: open === 1 });
  }
  return counts;
}
