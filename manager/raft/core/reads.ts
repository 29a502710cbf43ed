// Linearizable reads (ReadIndex). A read takes the commit index at its start and waits until a majority has answered a
// heartbeat round begun after it: then no newer leader can have committed anything that the read misses.
// Rounds only grow and belong to one term, so a late answer to an earlier round confirms nothing that came after it.
interface WaitingRead {
  readonly token: number;
  readonly index: number;
  readonly round: number;
}

export class Reads {
  /** Asked for before the leader had committed anything of its own term; its commit index may still be behind. */
  #early: number[] = [];
  #waiting: WaitingRead[] = [];

  get size(): number {
    return this.#early.length + this.#waiting.length;
  }

  addEarly(token: number): void {
    this.#early.push(token);
  }

  add(token: number, index: number, round: number): void {
    this.#waiting.push({ token, index, round });
  }

  /** The early ones, to be added properly now. */
  takeEarly(): number[] {
    const tokens = this.#early;
    this.#early = [];
    return tokens;
  }

  /** A majority has answered `round`: takes the reads that this confirms. */
  confirm(round: number): { token: number; index: number }[] {
    const confirmed = this.#waiting.filter((read) => read.round <= round);
    this.#waiting = this.#waiting.filter((read) => read.round > round);
    return confirmed.map(({ token, index }) => ({ token, index }));
  }
}
