// What a leader knows of one other member's log, and how much it may have under way to it.
// `probe`: one append at a time until it is known where the logs agree. `replicate`: a window of appends, optimistic.
// `snapshot`: nothing until the snapshot has arrived or failed.
import type { RaftLimits } from './types.ts';

export type ProgressState = 'probe' | 'replicate' | 'snapshot';

export class Progress {
  match = 0;
  next: number;
  state: ProgressState = 'probe';
  /** Probe only: an append is under way; the next waits for its answer or a heartbeat's. */
  paused = false;
  /** Snapshot only: its index. */
  pendingSnapshot = 0;
  /** The leader's tick at which the member last answered. */
  heardAtTick: number;
  /** The highest heartbeat round that it answered. */
  ackedRound = 0;
  #inflight: { last: number; bytes: number }[] = [];
  #inflightBytes = 0;

  constructor(next: number, tick: number) {
    this.next = next;
    this.heardAtTick = tick;
  }

  /** Appends that are under way, as far as they are counted. */
  get inflight(): { readonly messages: number; readonly bytes: number } {
    return { messages: this.#inflight.length, bytes: this.#inflightBytes };
  }

  isPaused(limits: RaftLimits): boolean {
    switch (this.state) {
      case 'probe':
        return this.paused;
      case 'replicate':
        return this.#inflight.length >= limits.inflightMessagesMax || this.#inflightBytes >= limits.inflightBytesMax;
      case 'snapshot':
        return true;
    }
  }

  /** An append up to `last` left. */
  sent(last: number, bytes: number): void {
    if (this.state === 'probe') {
      this.paused = true;
      return;
    }
    if (bytes === 0) return;
    this.next = last + 1;
    this.#inflight.push({ last, bytes });
    this.#inflightBytes += bytes;
  }

  /** The member's log matches ours up to `index`; false if that is no news. */
  matched(index: number): boolean {
    this.#free(index);
    const news = index > this.match;
    if (news) {
      this.match = index;
      this.paused = false;
    }
    this.next = Math.max(this.next, index + 1);
    return news;
  }

  /** The member refused an append after `rejectedIndex`; false if the refusal is a late one. */
  rejected(rejectedIndex: number, retryFrom: number): boolean {
    if (this.state === 'replicate') {
      if (rejectedIndex <= this.match) return false;
      this.becomeProbe();
      return true;
    }
    if (this.state === 'snapshot' || this.next - 1 !== rejectedIndex) return false;
    this.next = Math.max(Math.min(rejectedIndex, retryFrom + 1), this.match + 1);
    this.paused = false;
    return true;
  }

  /** A heartbeat was answered: whatever was under way may be lost, so let one more append go. */
  heartbeatAnswered(limits: RaftLimits): void {
    const full = this.state === 'replicate' && this.isPaused(limits);
    if (full) this.#free(this.#inflight[0]?.last ?? 0);
    this.paused = false;
  }

  becomeProbe(): void {
    this.next = Math.max(this.match, this.state === 'snapshot' ? this.pendingSnapshot : 0) + 1;
    this.#become('probe');
  }

  becomeReplicate(): void {
    this.#become('replicate');
    this.next = this.match + 1;
  }

  becomeSnapshot(index: number): void {
    this.#become('snapshot');
    this.pendingSnapshot = index;
  }

  snapshotFailed(): void {
    this.pendingSnapshot = 0;
    this.becomeProbe();
    this.paused = true;
  }

  #become(state: ProgressState): void {
    this.state = state;
    this.paused = false;
    this.pendingSnapshot = 0;
    this.#inflight = [];
    this.#inflightBytes = 0;
  }

  #free(upTo: number): void {
    while (this.#inflight.length > 0 && (this.#inflight[0]?.last ?? 0) <= upTo) {
      this.#inflightBytes -= this.#inflight.shift()?.bytes ?? 0;
    }
  }
}
