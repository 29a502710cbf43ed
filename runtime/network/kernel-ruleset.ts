// The packet rules of the namespace of the tunnel where the kernel encrypts. A node that is on one network shall not speak
// in another: out of a network's link come VXLAN packets with that network's number, and nothing else. Pure.
import { compare, loadMeta, loadPayload } from './nft-expressions.ts';
import { type Expression, NftBatch } from './nft-messages.ts';
import { VXLAN_PORT } from './overlay-messages.ts';
import { accept, drop, link, portBytes, protocolBytes } from './ruleset-parts.ts';

export const KERNEL_TABLE = 'shoal_sealed';
/** Of WireGuard's links; each table says what goes for its own ones. */
export const WIREGUARD_TABLE = 'shoal_sealed_wg';

/** Two for each link, and one that lets nothing pass through. */
export const ruleCount = (links: number): number => 2 * links + 1;

export interface SealedLink {
  readonly name: string;
  readonly vni: number;
}

/** All of it, in the place of what was there. Nothing is passed on from one link to another. */
export function planKernelRules(links: readonly SealedLink[], table = KERNEL_TABLE): Buffer {
  const batch = new NftBatch(table);
  batch.addTable();
  batch.deleteTable();
  batch.addTable();
  batch.addBaseChain('input', { type: 'filter', hook: 'input', priority: 0 });
  batch.addBaseChain('forward', { type: 'filter', hook: 'forward', priority: 0 });
  for (const rule of links.flatMap(rulesOf)) batch.addRule('input', rule);
  batch.addRule('forward', [drop]);
  return batch.finish();
}

/** What is too short to have a number has another one: a rule that can not read what it asks for does not hold. */
function rulesOf({ name, vni }: SealedLink): Expression[][] {
  const outOf = link('iifname', 'equal', name);
  const isOfNetwork = [
    ...[loadMeta('l4proto'), compare('equal', protocolBytes('udp').subarray(0, 1))],
    ...[loadPayload('destinationPort'), compare('equal', portBytes(VXLAN_PORT).subarray(0, 2))],
    ...[loadPayload('vxlanNetwork'), compare('equal', vniBytes(vni))],
  ];
  return [
    [...outOf, ...isOfNetwork, accept],
    [...outOf, drop],
  ];
}

function vniBytes(vni: number): Buffer {
  const bytes = Buffer.alloc(3);
  bytes.writeUIntBE(vni, 0, 3);
  return bytes;
}
