// Proposals and reads of one turn of the event loop go to the worker together: one message, one log write, one round.
// Requests that came in the same turn are called back one by one, so the end of the turn is waited for, not of the call.
import { pack, type ToWorker } from './worker-protocol.ts';

export class Outbox {
  readonly #post: (message: ToWorker, transfer: readonly ArrayBuffer[]) => void;
  #proposals: { id: number; entry: Uint8Array }[] = [];
  #reads: number[] = [];
  #scheduled = false;

  constructor(post: (message: ToWorker, transfer: readonly ArrayBuffer[]) => void) {
    this.#post = post;
  }

  propose(id: number, entry: Uint8Array): void {
    this.#proposals.push({ id, entry });
    this.#schedule();
  }

  read(id: number): void {
    this.#reads.push(id);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    const proposals = this.#proposals;
    const reads = this.#reads;
    this.#proposals = [];
    this.#reads = [];
    if (proposals.length > 0) {
      const payloads = pack(proposals.map(({ entry }) => entry));
      this.#post({ type: 'propose', ids: proposals.map(({ id }) => id), payloads }, [payloads.bytes.buffer]);
    }
    if (reads.length > 0) this.#post({ type: 'read', ids: reads }, []);
  }
}
