// A consensus of one that commits at once: for tests of everything that needs a store but not raft.
import { CodedError } from '../../base/errors.ts';
import type { Proposer, ReplicatedStore } from '../../manager/store/contract.ts';

export interface MemoryProposer extends Proposer {
  /** The store that entries are applied to. */
  attach(store: Pick<ReplicatedStore, 'apply'>): void;
  /** Every entry so far, to be replayed elsewhere. */
  readonly entries: readonly { readonly index: number; readonly entry: Uint8Array }[];
  /** Proposals wait until `release`, as if the quorum were slow. */
  hold(): void;
  /** Commits what waits, first come first, or loses it with `error`. */
  release(error?: CodedError): void;
  /** Somebody else's entries were applied up to `index`; ours come after. */
  skipTo(index: number): void;
  /** Until told otherwise, proposals fail with this. */
  refuse(error: CodedError | undefined): void;
}

export function createMemoryProposer(): MemoryProposer {
  const entries: { index: number; entry: Uint8Array }[] = [];
  const held: { commit: () => void; lose: (error: CodedError) => void }[] = [];
  let holding = false;
  let last = 0;
  let refusal: CodedError | undefined;
  let store: Pick<ReplicatedStore, 'apply'> | undefined;

  const commit = (entry: Uint8Array): number => {
    if (!store) throw new CodedError('internal', 'no store is attached to the memory proposer');
    const index = ++last;
    entries.push({ index, entry });
    store.apply(index, entry);
    return index;
  };
  return {
    entries,
    attach: (it) => {
      store = it;
    },
    hold: () => {
      holding = true;
    },
    release: (error) => {
      holding = false;
      for (const { commit: go, lose } of held.splice(0)) {
        if (error) lose(error);
        else go();
      }
    },
    skipTo: (index) => {
      last = index;
    },
    refuse: (error) => {
      refusal = error;
    },
    propose: async (entry) => {
      if (refusal) throw refusal;
      if (!holding) return commit(entry);
      return await new Promise((resolve, reject) => held.push({ commit: () => resolve(commit(entry)), lose: reject }));
    },
  };
}
