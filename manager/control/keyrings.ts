// Whoever is shown the door takes the keys of encrypted networks along: they go out of use, all that are known by then.
// The ring turns as ever, so that nodes which still hear of it lose nothing; only faster.
import { keyPeriodMs } from '../../proto/network-plan.ts';
import type { Keyring } from '../../proto/objects.ts';
import type { Transaction } from '../store/contract.ts';

/** Between two such turns: time enough for every node that has a manager to hear of the first. */
const GAP_MS = 5_000;
/** Nothing of today is in a ring of three after as many turns. */
const TURNS = 3;

/** In the transaction that takes the node out, so that no change of leaders comes in between. */
export function turnKeysSoon(tx: Transaction, nowMs: number): void {
  for (const ring of tx.keyrings.all()) {
    const network = tx.networks.get(ring.id);
    if (network) tx.keyrings.put(hurried(ring, keyPeriodMs(network.spec.options), nowMs));
  }
}

export function hurried(ring: Keyring, periodMs: number, nowMs: number): Keyring {
  const soonest = Math.max(nowMs, ring.updatedAtMs + gapMs(periodMs));
  return { ...ring, hurriedTurns: TURNS, turnAtMs: Math.min(ring.turnAtMs, soonest) };
}

export const gapMs = (periodMs: number): number => Math.min(GAP_MS, periodMs);
