// What both ends of a pair come to by themselves where the kernel encrypts: their addresses inside, and their keys. Pure.
// Inside, in the namespace of the tunnel, a node has one address for each network. Other than in the tunnel (`inner`) it is
// the same on all nodes, as here the address is part of what is sealed, and the kernel checks whose it is.
import { createHash, hkdfSync } from 'node:crypto';
import { fail } from '../../base/errors.ts';
import type { Step } from './netd-protocol.ts';
import { MessageWriter } from './netlink.ts';

/** A node, as one that the kernel encrypts for. */
export interface KernelEnd {
  readonly id: string;
  /** Where its packets come from, and go to. */
  readonly address: number;
  /**
   * 32 hex digits, at random. What the kernel has counted under a key is lost with its state, and what was recorded would be
   * taken again: so keys are made of the lives of both ends, and a node whose kernel lost a state begins a new one.
   */
  readonly life: string;
}

export interface KernelRing {
  /** What may be received. */
  readonly keys: readonly { readonly id: number; readonly secret: string }[];
  /** What is sent under. */
  readonly sendId: number;
}

// 128/2 for ESP, 64/3 for WireGuard, so that either has its routes: the tunnel has 10/8.
const FIRST = 0x8000_0000;
const COUNT = 2 ** 30;
const FIRST_WIREGUARD = 0x4000_0000;
const COUNT_WIREGUARD = 2 ** 29;

export const insideAddress = (networkId: string, nodeId: string): number =>
  FIRST + (insideNumber(networkId, nodeId) % COUNT);

export const wireguardAddress = (networkId: string, nodeId: string): number =>
  FIRST_WIREGUARD + (insideNumber(networkId, nodeId) % COUNT_WIREGUARD);

const insideNumber = (networkId: string, nodeId: string): number =>
  createHash('sha256').update(`shoal inside ${networkId} ${nodeId}`).digest().readUInt32BE(0);

/**
 * Who of a network's nodes has another one's address: of two, the one whose id comes later. All nodes find the same ones,
 * as all know who is on the network.
 */
export function doubled(
  networkId: string,
  nodeIds: Iterable<string>,
  addressOf: typeof insideAddress = insideAddress,
): Map<string, string> {
  const owners = new Map<number, string>();
  const found = new Map<string, string>();
  for (const id of [...new Set(nodeIds)].sort()) {
    const owner = owners.get(addressOf(networkId, id));
    if (owner === undefined) owners.set(addressOf(networkId, id), id);
    else found.set(id, owner);
  }
  return found;
}

/** Of one of a network's keys, for one use of it. */
export function derivedKey(
  { networkId, secret, keyId }: { readonly networkId: string; readonly secret: string; readonly keyId: number },
  use: 'shoal esp' | 'shoal wireguard own' | 'shoal wireguard pair',
  about: readonly (string | number)[],
  bytes: number,
): Buffer {
  const text = [networkId, ...about, keyId].join(' ');
  return Buffer.from(hkdfSync('sha256', Buffer.from(secret, 'hex'), use, text, bytes));
}

/** What a key for the packets of this end is made of. */
export function aboutEnd({ id, address, life }: KernelEnd): (string | number)[] {
  if (/^[0-9a-f]{32}$/.test(life)) return [id, address, life];
  return fail('invalid', `node ${id} has not said in which life it is`);
}

/** None where nothing is said. */
export function netlinkStep(family: number, where: string, write: (writer: MessageWriter) => void): Step[] {
  const writer = new MessageWriter();
  write(writer);
  return writer.count === 0 ? [] : [{ do: 'netlink', family, where, messages: writer.finish() }];
}
