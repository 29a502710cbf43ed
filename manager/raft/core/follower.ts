// Following a leader: taking its entries, its commit index and its snapshots into the log, and answering for that.
import type { Outgoing } from './leader.ts';
import type { RaftLog } from './log.ts';
import type { MembershipHistory } from './membership-history.ts';
import type { Append, Heartbeat, MemberId, SnapshotMessage } from './types.ts';
import type { Writes } from './writes.ts';

export interface FollowerDeps {
  readonly log: RaftLog;
  readonly memberships: MembershipHistory;
  readonly writes: Writes;
  readonly isTermDurable: () => boolean;
  readonly send: (message: Outgoing) => void;
  /** For what must not be said before it is durable. */
  readonly vouch: (message: Outgoing) => void;
}

export class Follower {
  readonly #deps: FollowerDeps;

  constructor(deps: FollowerDeps) {
    this.#deps = deps;
  }

  onAppend(message: Append): void {
    const { log } = this.#deps;
    const { prevIndex, prevTerm, entries, from: to } = message;
    if (prevIndex < log.committed) return this.#accept(to, log.committed);
    if (!log.matches(prevIndex, prevTerm)) return this.#reject(message);
    const last = Math.max(prevIndex, log.merge(entries));
    log.commitTo(Math.min(message.commit, last));
    this.#accept(to, last);
  }

  onHeartbeat({ from: to, commit, round }: Heartbeat): void {
    const { log, isTermDurable, send, vouch } = this.#deps;
    log.commitTo(Math.min(commit, log.lastIndex));
    const answer: Outgoing = { type: 'heartbeat-response', to, round };
    // The answer vouches for the term only; once that is durable it need not wait behind a slow disk.
    if (isTermDurable()) send(answer);
    else vouch(answer);
  }

  onSnapshot({ from: to, snapshot }: SnapshotMessage): void {
    const { log, memberships, writes } = this.#deps;
    if (snapshot.index <= log.committed) return this.#accept(to, log.committed);
    if (log.matches(snapshot.index, snapshot.term)) {
      log.commitTo(snapshot.index);
      return this.#accept(to, log.committed);
    }
    log.restore(snapshot);
    writes.restore(snapshot);
    memberships.restore(snapshot);
    this.#accept(to, snapshot.index);
  }

  /** Tells a leader of an earlier term that there is a newer one, which PreVote would otherwise hide from it. */
  onDeposed(to: MemberId): void {
    this.#deps.vouch({ type: 'append-response', to, index: 0, rejected: true, hintIndex: 0, hintTerm: 0 });
  }

  #accept(to: MemberId, index: number): void {
    this.#deps.vouch({ type: 'append-response', to, index, rejected: false, hintIndex: 0, hintTerm: 0 });
  }

  #reject({ prevIndex, prevTerm, from: to }: Append): void {
    const { log, vouch } = this.#deps;
    const hintIndex = log.lastIndexWithin(prevIndex, prevTerm);
    const hintTerm = log.termAt(hintIndex) ?? 0;
    vouch({ type: 'append-response', to, index: prevIndex, rejected: true, hintIndex, hintTerm });
  }
}
