// What a member's directory should hold after each of its writes, and the writes themselves, drawn from a seed.
import { createHash } from 'node:crypto';
import { type Random, seededRandom } from '../../base/random.ts';
import type { Entry, HardState, SnapshotMeta } from '../../manager/raft/core/types.ts';
import type { Storage } from '../../manager/raft/storage.ts';

export type Step =
  | { readonly kind: 'append'; readonly from: number; readonly term: number; readonly count: number }
  | { readonly kind: 'vote'; readonly term: number; readonly vote: string }
  | { readonly kind: 'snapshot'; readonly index: number }
  | { readonly kind: 'install'; readonly index: number; readonly term: number }
  | { readonly kind: 'rotate-key' }
  | { readonly kind: 'restart' };

/** Everything that must survive: of entries only those after the snapshot, as older ones may be forgotten. */
export interface State {
  readonly hardState: HardState;
  readonly snapshot: { readonly index: number; readonly term: number } | undefined;
  /** Terms of the entries from 1 on; 0 where a received snapshot has replaced them. Content follows from index and term. */
  readonly terms: readonly number[];
}

export const EMPTY: State = {
  hardState: { term: 0, vote: undefined, commit: 0 },
  snapshot: undefined,
  terms: [],
};

/** The content of an entry, some of them larger than a sector. */
export function bytesOf(index: number, term: number): Buffer {
  const digest = createHash('sha256').update(`${index}/${term}`).digest();
  return Buffer.concat(Array.from({ length: index % 7 === 0 ? 40 : 1 }, () => digest));
}

export function entryOf(index: number, term: number): Entry {
  return { index, term, kind: 'data', bytes: bytesOf(index, term) };
}

export function nextStep(state: State, random: Random): Step {
  const { hardState, terms, snapshot } = state;
  const last = terms.length;
  const dice = random.fraction();
  if (dice < 0.6 || last === 0) return append(state, random);
  if (dice < 0.75) return { kind: 'vote', term: hardState.term + 1, vote: `n${random.below(3)}` };
  if (dice < 0.87 && hardState.commit > (snapshot?.index ?? 0)) return { kind: 'snapshot', index: hardState.commit };
  if (dice < 0.91) return { kind: 'install', index: last + 1 + random.below(5), term: Math.max(1, hardState.term) };
  if (dice < 0.95) return { kind: 'rotate-key' };
  return { kind: 'restart' };
}

/** New entries, or, in a later term, some in the place of such as were not committed. */
function append({ hardState, terms }: State, random: Random): Step {
  const replaces = random.fraction() < 0.2 && terms.length > hardState.commit;
  const term = Math.max(1, replaces ? hardState.term + 1 : hardState.term);
  const from = replaces ? hardState.commit + 1 + random.below(terms.length - hardState.commit) : terms.length + 1;
  return { kind: 'append', from, term, count: 1 + random.below(4) };
}

export function after(state: State, step: Step): State {
  switch (step.kind) {
    case 'append': {
      const kept = state.terms.slice(0, step.from - 1);
      const terms = [...kept, ...Array.from({ length: step.count }, () => step.term)];
      return { ...state, terms, hardState: hardStateAfter(state, step) };
    }
    case 'vote':
      return { ...state, hardState: hardStateAfter(state, step) };
    case 'snapshot':
      return { ...state, snapshot: { index: step.index, term: state.terms[step.index - 1] ?? 0 } };
    case 'install':
      return {
        hardState: hardStateAfter(state, step),
        snapshot: { index: step.index, term: step.term },
        terms: Array.from({ length: step.index }, (_, at) => (at === step.index - 1 ? step.term : 0)),
      };
    case 'rotate-key':
    case 'restart':
      return state;
  }
}

function hardStateAfter({ hardState }: State, step: Extract<Step, { kind: 'append' | 'vote' | 'install' }>): HardState {
  switch (step.kind) {
    case 'append':
      return {
        term: step.term,
        vote: step.term === hardState.term ? hardState.vote : undefined,
        commit: Math.max(hardState.commit, step.from - 1),
      };
    case 'vote':
      return { ...hardState, term: step.term, vote: step.vote };
    case 'install':
      return { term: step.term, vote: undefined, commit: step.index };
  }
}

export async function carryOut(storage: Storage, state: State, step: Step): Promise<void> {
  const next = after(state, step);
  switch (step.kind) {
    case 'append': {
      const entries = Array.from({ length: step.count }, (_, at) => entryOf(step.from + at, step.term));
      return storage.save({ snapshot: undefined, entries, hardState: next.hardState });
    }
    case 'vote':
      return storage.save({ snapshot: undefined, entries: [], hardState: next.hardState });
    case 'snapshot': {
      const writer = await writeSnapshot(storage, metaOf(step.index, state.terms[step.index - 1] ?? 0));
      await storage.publishOwn(writer);
      return storage.forgetUpTo(Math.max(0, step.index - 3));
    }
    case 'install': {
      const snapshot = metaOf(step.index, step.term);
      await storage.stage(await writeSnapshot(storage, snapshot));
      return storage.save({ snapshot, entries: [], hardState: next.hardState });
    }
    case 'rotate-key':
      return storage.rekey({ nodeKeys: NODE_KEYS, rotate: true });
    case 'restart':
      return;
  }
}

export const NODE_KEYS = [Buffer.alloc(32, 5)];

const metaOf = (index: number, term: number): SnapshotMeta => ({
  index,
  term,
  membership: { members: [{ id: 'n1', address: '192.0.2.1:1', learner: false }], removed: [] },
});

async function writeSnapshot(storage: Storage, meta: SnapshotMeta) {
  const writer = await storage.beginSnapshot(meta);
  for (const kind of ['first', 'second']) await writer.write({ kind, bytes: bytesOf(meta.index * 7, meta.term) });
  await writer.finish();
  return writer;
}

/** What a recovered directory amounts to, comparable by `sameState`; throws when an entry's content is not its own. */
export function stateOf(initial: {
  readonly hardState: HardState;
  readonly base: { readonly index: number };
  readonly entries: readonly Entry[];
  readonly snapshot: { readonly index: number; readonly term: number } | undefined;
}): State {
  const terms = Array.from({ length: initial.base.index }, () => 0);
  for (const { index, term, bytes } of initial.entries) {
    if (Buffer.compare(bytes, bytesOf(index, term)) !== 0) throw new Error(`entry ${index} has another's content`);
    terms[index - 1] = term;
  }
  const { hardState, snapshot } = initial;
  return { hardState, terms, snapshot: snapshot && { index: snapshot.index, term: snapshot.term } };
}

/** Entries at or before the snapshot need not be there. */
export function keyOf({ hardState, snapshot, terms }: State): string {
  const { term, vote, commit } = hardState;
  const at = snapshot ? [snapshot.index, snapshot.term] : null;
  return JSON.stringify([term, vote ?? null, commit, at, terms.length, terms.slice(snapshot?.index ?? 0)]);
}

export const randomOf = (seed: number): Random => seededRandom(seed);
