// What a member has to say, until the driver takes it. Two kinds: what may leave at once, and what vouches for something
// that is not durable yet and leaves with the next write, or when there is nothing left to write.
import type { Entry, Message, Ready, Write } from './types.ts';

export class Outbox {
  #messages: Message[] = [];
  #afterWrite: Message[] = [];
  #reads: { token: number; index: number }[] = [];

  send(...messages: readonly Message[]): void {
    this.#messages.push(...messages);
  }

  vouch(...messages: readonly Message[]): void {
    this.#afterWrite.push(...messages);
  }

  confirm(read: { token: number; index: number }): void {
    this.#reads.push(read);
  }

  /** What was about to be vouched for in an earlier term must not reach that term's leader after we moved on. */
  termEnded(): void {
    this.#afterWrite = [];
  }

  leadershipEnded(): void {
    this.#reads = [];
  }

  /** Everything there is to do, or undefined. While an earlier write is under way nothing is vouched for. */
  take(write: Write | undefined, committed: readonly Entry[], isWriting: boolean): Ready | undefined {
    const mayVouch = write !== undefined || !isWriting;
    const [messages, afterWrite, reads] = [this.#messages, mayVouch ? this.#afterWrite : [], this.#reads];
    if (!write && messages.length + afterWrite.length + committed.length + reads.length === 0) return undefined;
    this.#messages = [];
    this.#reads = [];
    // A list of its own for each write, even an empty one: what is vouched for later must not leave with this write.
    if (mayVouch) this.#afterWrite = [];
    return write
      ? { messages, write, messagesAfterWrite: afterWrite, committed, reads }
      : { messages: [...messages, ...afterWrite], write, messagesAfterWrite: [], committed, reads };
  }
}
