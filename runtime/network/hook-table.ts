// The table for the administrator's own rules on packets to and from containers, as DOCKER-USER is in iptables. We make it
// where it is missing, empty, and never change or remove a rule in it. Its chain comes before ours: what is dropped there
// stays dropped. Documented in docs/networking.md. Pure.
import { NftBatch } from './nft-messages.ts';

/** Not of one daemon: its name is what people write. Ours begin with `shoal_`. */
export const HOOK_TABLE = 'shoal-user';
const BEFORE_OURS = -5;

export function planHook(): Buffer {
  const batch = new NftBatch(HOOK_TABLE);
  batch.addTable();
  batch.addBaseChain('forward', { type: 'filter', hook: 'forward', priority: BEFORE_OURS });
  return batch.finish();
}
