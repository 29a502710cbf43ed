// The judge: sees all nodes, knows what must never happen, and throws when it did. After every step it looks at the node
// that took the step. The properties are those of figure 3 of the Raft paper and what clients rely on.
import { crc32 } from 'node:zlib';
import { decodeChange } from '../../manager/raft/core/membership.ts';
import type { Raft } from '../../manager/raft/core/raft.ts';
import type { Entry, Message, SnapshotMeta } from '../../manager/raft/core/types.ts';
import type { Applied } from './sim-machine.ts';

export class Violation extends Error {
  constructor(property: string, detail: string) {
    super(`${property}: ${detail}`);
    this.name = 'Violation';
  }
}

interface NodeView {
  /** Rolling hash of the log up to each index, with the entry that was hashed. */
  hashes: Map<number, { entry: Entry; hash: number }>;
  lastIndex: number;
  leaderTerm: number;
  leaderLast: number;
  commit: number;
}

export class Oracle {
  readonly #lagMax: number;
  readonly #lastIndexOf: (id: string) => number | undefined;
  readonly #leaders = new Map<number, string>();
  readonly #views = new Map<string, NodeView>();
  /** Log matching: what the log up to an entry hashes to, by index and term. */
  readonly #prefixes = new Map<string, number>();
  readonly #votes = new Map<string, string>();
  readonly #terms = new Map<string, number>();
  /** What is committed, by index. */
  readonly #committed = new Map<number, { term: number; hash: number }>();
  readonly #applied: (string | undefined)[] = [];
  readonly #acked = new Map<string, number>();
  #commitMax = 0;
  #ackedMax = 0;

  /** `lagMax`: by how much a learner may lag that gets a vote. `lastIndexOf`: how far a member's log really goes, while it is up. */
  constructor(lagMax: number, lastIndexOf: (id: string) => number | undefined) {
    this.#lagMax = lagMax;
    this.#lastIndexOf = lastIndexOf;
  }

  get commitMax(): number {
    return this.#commitMax;
  }

  get ackedMax(): number {
    return this.#ackedMax;
  }

  get ackedCount(): number {
    return this.#acked.size;
  }

  get leaderCount(): number {
    return this.#leaders.size;
  }

  /** A process begins with nothing but its disk. It may not know less of terms than it ever said to others. */
  restarted(id: string, raft: Raft): void {
    this.#views.delete(id);
    const said = this.#terms.get(id) ?? 0;
    if (raft.term < said)
      throw new Violation('term survives restarts', `${id} said ${said} and came back with ${raft.term}`);
  }

  /** What those who were left out had in this term and later ones counts for nobody any more. */
  begunAnew(term: number): void {
    for (const key of this.#prefixes.keys()) if (Number(key.split('/')[1]) >= term) this.#prefixes.delete(key);
    for (const other of this.#leaders.keys()) if (other >= term) this.#leaders.delete(other);
  }

  sent(message: Message): void {
    const { from, term, type } = message;
    if (type === 'pre-vote-request' || type === 'pre-vote-response') return;
    this.#terms.set(from, Math.max(this.#terms.get(from) ?? 0, term));
    if (type === 'vote-response' && message.granted) this.#voted(from, term, message.to);
    if (type === 'vote-request') this.#voted(from, term, from);
  }

  /** It has not voted, but was found ready to. */
  wouldVote(voter: string, term: number, candidate: string): void {
    const before = this.#votes.get(`${voter}/${term}`) ?? candidate;
    if (before !== candidate)
      throw new Violation('one vote a term', `${voter} has forgotten its vote for ${before} in ${term}`);
  }

  #voted(voter: string, term: number, candidate: string): void {
    const key = `${voter}/${term}`;
    const before = this.#votes.get(key) ?? candidate;
    if (before !== candidate)
      throw new Violation('one vote a term', `${voter} voted for ${before} and ${candidate} in ${term}`);
    this.#votes.set(key, candidate);
  }

  /** Returns true when the highest committed index grew. */
  check(id: string, raft: Raft): boolean {
    const view = this.#viewOf(id);
    this.#checkLog(id, raft, view);
    this.#checkLeader(id, raft, view);
    return this.#checkCommit(id, raft, view);
  }

  applied(id: string, { index, text }: Applied): void {
    const known = this.#applied[index];
    if (known !== undefined && known !== text) {
      throw new Violation('state machine safety', `${id} applied '${text}' at ${index}, others '${known}'`);
    }
    this.#applied[index] = text;
  }

  /** A snapshot is what a replay of everything up to its index would be. */
  restored(id: string, { index: upTo }: SnapshotMeta, applied: readonly Applied[]): void {
    for (const one of applied) this.applied(id, one);
    const last = applied.at(-1)?.index ?? 0;
    if (last > upTo) throw new Violation('snapshots end at their index', `${id} has ${last} in one of ${upTo}`);
    let known = 0;
    for (let index = 1; index <= upTo; index += 1) if (this.#applied[index] !== undefined) known += 1;
    if (known !== applied.length)
      throw new Violation('snapshots hold everything', `${id} has ${applied.length} of ${known} up to ${upTo}`);
  }

  acknowledged(text: string, index: number): void {
    if (this.#applied[index] !== text) throw new Violation('acknowledged is applied', `'${text}' at ${index}`);
    const before = this.#acked.get(text);
    if (before !== undefined) throw new Violation('acknowledged once', `'${text}' at ${before} and ${index}`);
    this.#acked.set(text, index);
    this.#ackedMax = Math.max(this.#ackedMax, index);
  }

  readAnswered(index: number, ackedMaxAtStart: number): void {
    if (index < ackedMaxAtStart) {
      throw new Violation(
        'reads are not stale',
        `a read at ${index} misses what was acknowledged at ${ackedMaxAtStart}`,
      );
    }
  }

  /** At the end: whoever has applied so far holds every acknowledged operation exactly once. */
  finalState(id: string, applied: readonly Applied[]): void {
    const at = new Map<string, number>();
    for (const { index, text } of applied) {
      if (at.has(text)) throw new Violation('applied once', `${id} applied '${text}' at ${at.get(text)} and ${index}`);
      at.set(text, index);
    }
    for (const [text, index] of this.#acked) {
      if (at.get(text) !== index)
        throw new Violation('acknowledged is never lost', `${id} lacks '${text}' of ${index}`);
    }
  }

  committedTerm(index: number): number | undefined {
    return this.#committed.get(index)?.term;
  }

  #viewOf(id: string): NodeView {
    const known = this.#views.get(id);
    if (known) return known;
    const view: NodeView = { hashes: new Map(), lastIndex: 0, leaderTerm: 0, leaderLast: 0, commit: 0 };
    this.#views.set(id, view);
    return view;
  }

  #checkLog(id: string, raft: Raft, view: NodeView): void {
    const { log } = raft;
    // Or an entry that is cut off and comes back would hide what was different before it meanwhile.
    for (let gone = view.lastIndex; gone > log.lastIndex; gone -= 1) view.hashes.delete(gone);
    let at = log.lastIndex;
    const fresh: Entry[] = [];
    while (at > log.base.index) {
      const entry = log.slice(at, 0, at)[0];
      if (!entry) throw new Violation('log has no holes', `${id} at ${at}`);
      if (view.hashes.get(at)?.entry === entry) break;
      fresh.push(entry);
      at -= 1;
    }
    if (raft.role === 'leader') {
      for (const entry of fresh)
        if (entry.kind === 'membership' && entry.term === raft.term) this.#checkChange(id, raft, entry);
    }
    let hash = this.#hashBefore(id, raft, view, at);
    for (const entry of fresh.reverse()) {
      hash = crc32(entry.bytes, crc32(`${entry.index}/${entry.term}/${entry.kind}/${hash}`));
      view.hashes.set(entry.index, { entry, hash });
      this.#matchPrefix(id, entry.index, entry.term, hash);
    }
    view.lastIndex = log.lastIndex;
  }

  /** A leader begins a change when the one before is applied and something of its term committed, with a learner that knows the log. */
  #checkChange(id: string, raft: Raft, entry: Entry): void {
    if (raft.log.termAt(raft.committed) !== raft.term)
      throw new Violation('changes wait for an entry of the term', `${id} begins one at ${entry.index}`);
    const change = decodeChange(entry.bytes);
    const has = this.#lastIndexOf(change.id) ?? Number.POSITIVE_INFINITY;
    if ((change.op === 'promote' || change.op === 'replace') && has < entry.index - 1 - this.#lagMax)
      throw new Violation('only who has caught up gets a vote', `${change.id} has ${has} of ${entry.index - 1}`);
    if (raft.log.lastIndex === raft.applied) return;
    const open = raft.log.slice(raft.applied + 1, Number.POSITIVE_INFINITY).filter(({ kind }) => kind === 'membership');
    if (open.length > 1) {
      throw new Violation('one change of the membership at once', `${id} has ${open.map(({ index }) => index).join()}`);
    }
  }

  #hashBefore(id: string, raft: Raft, view: NodeView, at: number): number {
    if (at === 0) return 0;
    if (at > raft.log.base.index) return view.hashes.get(at)?.hash ?? 0;
    const { index, term } = raft.log.base;
    if (index === 0) return 0;
    const hash = this.#prefixes.get(`${index}/${term}`);
    if (hash === undefined)
      throw new Violation('snapshots hold what was logged', `${id} begins after ${index} of ${term}`);
    return hash;
  }

  #matchPrefix(id: string, index: number, term: number, hash: number): void {
    const key = `${index}/${term}`;
    const known = this.#prefixes.get(key);
    if (known !== undefined && known !== hash)
      throw new Violation('log matching', `${id} differs up to ${index} of term ${term}`);
    this.#prefixes.set(key, hash);
  }

  #checkLeader(id: string, raft: Raft, view: NodeView): void {
    if (raft.role !== 'leader') return;
    const { term, log } = raft;
    if (!raft.isVoter) throw new Violation('only voters lead', `${id} leads in ${term} and is none`);
    const other = this.#leaders.get(term);
    if (other !== undefined && other !== id)
      throw new Violation('election safety', `${other} and ${id} lead in term ${term}`);
    if (view.leaderTerm === term) {
      if (log.lastIndex < view.leaderLast)
        throw new Violation('leader append-only', `${id} went back to ${log.lastIndex}`);
    } else {
      this.#leaders.set(term, id);
      this.#checkCompleteness(id, raft);
    }
    view.leaderTerm = term;
    view.leaderLast = log.lastIndex;
  }

  #checkCompleteness(id: string, raft: Raft): void {
    const index = this.#commitMax;
    if (index === 0 || index < raft.log.base.index) return;
    const committed = this.#committed.get(index);
    if (raft.log.termAt(index) !== committed?.term) {
      throw new Violation(
        'leader completeness',
        `${id} leads in ${raft.term} without entry ${index} of ${committed?.term}`,
      );
    }
  }

  #checkCommit(id: string, raft: Raft, view: NodeView): boolean {
    const { committed } = raft;
    if (committed < view.commit)
      throw new Violation('commit never goes back', `${id} from ${view.commit} to ${committed}`);
    const leads = raft.role === 'leader' && view.commit > 0;
    if (leads && committed > view.commit && raft.log.termAt(committed) !== raft.term) {
      throw new Violation(
        'only own entries are counted',
        `${id} commits ${committed} of an earlier term in ${raft.term}`,
      );
    }
    let grew = false;
    for (let index = Math.max(view.commit, raft.log.base.index) + 1; index <= committed; index += 1) {
      grew = this.#commit(id, raft, view, index) || grew;
    }
    view.commit = committed;
    return grew;
  }

  #commit(id: string, raft: Raft, view: NodeView, index: number): boolean {
    const term = raft.log.termAt(index) ?? 0;
    const hash = view.hashes.get(index)?.hash ?? 0;
    const known = this.#committed.get(index);
    if (known && (known.term !== term || known.hash !== hash)) {
      throw new Violation('committed entries never change', `${id} has ${term} at ${index}, others ${known.term}`);
    }
    if (known) return false;
    this.#committed.set(index, { term, hash });
    this.#commitMax = Math.max(this.#commitMax, index);
    return true;
  }
}
