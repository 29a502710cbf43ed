// Where nodes are found by IPv6: each has an address on the link between nodes that is made of the port at which that link
// is heard and of the address by which the others know it. Nobody has to be told it, and no other wire has it. Pure.
import { addressBytes6, type Subnet6 } from './addresses.ts';

/** `Snode` where a prefix of one's own has its random digits. */
const NODES6 = 0xfd53_6e6f_6465n << 80n;

/** What all of them begin with. */
export const NODES6_BYTES = addressBytes6(NODES6).subarray(0, 6);

/** All nodes whose link is heard at this port. */
export const nodesAt = (port: number): Subnet6 => ({ base: NODES6 | (BigInt(port) << 64n), prefixLength: 64 });

/** A node's address. Its last four bytes are those by which frames find the node. */
export const nodeSix = ({ address, port }: { readonly address: number; readonly port: number }): bigint =>
  nodesAt(port).base | BigInt(address);

/** The node that has it. */
export const nodeOfSix = (address: bigint): number => Number(address & 0xffff_ffffn);

/** Tasks' addresses on a machine's default bridge; `tag` is the daemon's own. */
export const tasksSubnet = (tag: string): Subnet6 => ({
  base: (0xfd53_7461n << 96n) | (BigInt(`0x${tag}`) << 64n),
  prefixLength: 64,
});
