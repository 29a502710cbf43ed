// Requests that wait for the worker's answer, by number. Each ends once: answered, failed, or given up by its caller.
import { CodedError, codeOf, type ErrorCode, fail } from '../../base/errors.ts';

type Kind = 'write' | 'read' | 'change';

interface Waiting {
  readonly kind: Kind;
  readonly resolve: (value: number) => void;
  readonly reject: (error: unknown) => void;
}

const WAITING_MAX = 100_000;

export class Requests {
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;

  /** Calls `send` with a new number and waits for its answer. */
  async begin(kind: Kind, abort: AbortSignal | undefined, send: (id: number) => void): Promise<number> {
    if (abort?.aborted) throw givenUp('read', abort.reason);
    if (this.#waiting.size >= WAITING_MAX) fail('exhausted', 'too many requests are waiting for consensus; try again');
    this.#last += 1;
    const id = this.#last;
    const onAbort = (): void => this.#take(id)?.reject(givenUp(kind, abort?.reason));
    abort?.addEventListener('abort', onAbort, { once: true });
    try {
      return await new Promise<number>((resolve, reject) => {
        this.#waiting.set(id, { kind, resolve, reject });
        send(id);
      });
    } finally {
      abort?.removeEventListener('abort', onAbort);
    }
  }

  resolve(id: number, value: number): void {
    this.#take(id)?.resolve(value);
  }

  fail(ids: readonly number[], code: ErrorCode, message: string): void {
    for (const id of ids) this.#take(id)?.reject(new CodedError(code, message));
  }

  /** Nobody will answer any more. */
  failAll(reason: string): void {
    for (const [id, { kind }] of [...this.#waiting]) {
      this.fail([id], kind === 'read' ? 'unavailable' : 'unknown-outcome', `${reason}; ${outcomeOf(kind)}`);
    }
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }
}

const outcomeOf = (kind: Kind): string => (kind === 'read' ? 'nothing was read' : 'it may yet be committed');

/** A caller that ran out of time must know that its write may still happen; one that went away need not. */
function givenUp(kind: Kind, cause: unknown): CodedError {
  if (codeOf(cause) !== 'deadline') return new CodedError('aborted', 'the caller went away', { cause });
  return kind === 'read'
    ? new CodedError('deadline', 'the managers did not answer in time', { cause })
    : new CodedError('unknown-outcome', `the managers did not answer in time; ${outcomeOf(kind)}`, { cause });
}
