// A store on a consensus of one, with a clock that moves only when told to.
import type { Clock } from '../../base/clock.ts';
import { ManualClock } from '../../base/manual-clock.ts';
import type { ReplicatedStore } from '../../manager/store/contract.ts';
import { createStore } from '../../manager/store/store.ts';
import { createMemoryProposer, type MemoryProposer } from './memory-proposer.ts';

export function createMemoryStore(): { store: ReplicatedStore; proposer: MemoryProposer; clock: ManualClock };
export function createMemoryStore<C extends Clock>(options: {
  clock: C;
}): { store: ReplicatedStore; proposer: MemoryProposer; clock: C };
export function createMemoryStore(options: { clock: Clock } = { clock: new ManualClock() }): {
  store: ReplicatedStore;
  proposer: MemoryProposer;
  clock: Clock;
} {
  const proposer = createMemoryProposer();
  const store = createStore({ proposer, clock: options.clock });
  proposer.attach(store);
  return { store, proposer, clock: options.clock };
}
