// Names in the kernel that belong to one daemon, so that several in one network namespace never touch each other's.
import { createHash } from 'node:crypto';
import type { Subnet6 } from './addresses.ts';
import { tasksSubnet } from './way-addresses.ts';

export interface Instance {
  readonly table: string; // nf_tables
  readonly bridge: string; // the default network's
  readonly wayLink: string; // to other nodes
  readonly wayMark: number; // of packets on their way into it, two bits free at its end; also the number of its routes' table
  readonly vethPrefix: string;
  readonly tasks6: Subnet6; // of tasks on the default bridge
  readonly linkZone: Buffer; // that clients of a link have while they are here (ruleset-link-local.ts)
  readonly linkGroup: number; // all its links, for deletion in one go
}

/** Derived from the data root: a daemon that starts again finds what is its own. */
export function instanceOf(dataRoot: string): Instance {
  const tag = createHash('sha256').update(dataRoot).digest('hex');
  return {
    table: `shoal_${tag.slice(0, 8)}`,
    bridge: `shoal-${tag.slice(0, 8)}`,
    wayLink: `sw${tag.slice(0, 8)}`,
    // Never a node's number in its MAC address: that ends in other than zero (ways.ts).
    wayMark: 0x5a_0000 | ((Number.parseInt(tag.slice(0, 4), 16) & 0x3fff) << 2),
    vethPrefix: `sv${tag.slice(0, 5)}`,
    tasks6: tasksSubnet(tag.slice(0, 8)),
    linkZone: Buffer.from(`7e80${tag.slice(0, 4)}`, 'hex'),
    linkGroup: 0x5300_0000 | Number.parseInt(tag.slice(0, 6), 16),
  };
}

/** At most 15 characters, the kernel's limit. */
export const vethName = (instance: Instance, sandboxId: string): string =>
  `${instance.vethPrefix}${sandboxId.slice(0, 8)}`;

/**
 * Of the link of an encrypted network that the kernel carries; also the link's index, so that a later daemon finds it. Far
 * above those that kernels give out.
 */
export function espInterfaceId({ table }: Instance, networkId: string): number {
  return 0x2000_0000 + (createHash('sha256').update(`${table} ${networkId}`).digest().readUInt32BE(0) % 0x2000_0000);
}

/** Likewise, of the first of the four links that a network has by WireGuard. */
export function wireguardFirstIndex({ table }: Instance, networkId: string): number {
  return (
    0x1000_0000 + 4 * (createHash('sha256').update(`${table} ${networkId}`).digest().readUInt32BE(0) % 0x0400_0000)
  );
}

// Above those that kernels give out by themselves, and those that swarms publish.
const PORTS_FIRST = 61_440;
const PORTS_BLOCKS = 1_024;

/** The first of four ports; the next attempt is for where somebody else has one of them. */
export function wireguardPort({ table }: Instance, networkId: string, attempt: number): number {
  const wanted = createHash('sha256').update(`port ${table} ${networkId}`).digest().readUInt32BE(0);
  return PORTS_FIRST + 4 * ((wanted + attempt) % PORTS_BLOCKS);
}

/** Of whichever daemon. */
export const isWayLink = (name: string): boolean => /^sw[0-9a-f]{8}$/.test(name);
