// What a member's writes have made durable, by what its disk has answered: nothing may be vouched for beyond that. Kept for
// every message, where counting on the disks themselves is too dear; that they hold what they answered is judged there.
import type { Raft } from '../../manager/raft/core/raft.ts';
import type { HardState, InitialState, Message, Write } from '../../manager/raft/core/types.ts';
import { Violation } from './oracle.ts';

export class Saved {
  #hardState: HardState;
  #last: number;
  #terms = new Map<number, number>();

  constructor({ hardState, base, snapshot, entries }: InitialState) {
    this.#hardState = hardState;
    this.#last = Math.max(base.index, snapshot?.index ?? 0);
    this.#noteEntries(entries);
  }

  done({ snapshot, entries, hardState }: Write): void {
    if (snapshot) {
      this.#last = snapshot.index;
      this.#terms = new Map([[snapshot.index, snapshot.term]]);
    }
    this.#noteEntries(entries);
    this.#hardState = hardState;
  }

  /** A message is about to leave. */
  judge(message: Message, raft: Raft): void {
    if (message.type === 'append-response' && !message.rejected) this.#judgeEntries(message, raft);
    if (message.type === 'vote-response' && message.granted) {
      const { term, vote } = this.#hardState;
      if (term !== message.term || vote !== message.to)
        throw new Violation(
          'votes are durable',
          `${message.from} votes for ${message.to} in ${message.term} too early`,
        );
    }
  }

  #judgeEntries({ from, index, term }: Message & { type: 'append-response' }, raft: Raft): void {
    if (index > this.#last)
      throw new Violation('acknowledged is durable', `${from} has ${index} acknowledged and ${this.#last} written`);
    const written = this.#terms.get(index);
    const inLog = raft.log.termAt(index);
    // What was written for an earlier leader may leave for that leader; for this one it has to be this one's entry.
    if (term !== raft.term || written === undefined || inLog === undefined || written === inLog) return;
    throw new Violation('acknowledged is durable', `${from} has written ${index} of ${written}, not of ${inLog}`);
  }

  #noteEntries(entries: Write['entries']): void {
    for (const { index, term } of entries) this.#terms.set(index, term);
    this.#last = entries.at(-1)?.index ?? this.#last;
  }
}
