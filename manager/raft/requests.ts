// Requests that wait for the worker's answer, by number. Each ends once: answered, failed, or given up by its caller.
import type { Clock } from '../../base/clock.ts';
import { CodedError, codeOf, type ErrorCode, fail } from '../../base/errors.ts';

type Kind = 'write' | 'read' | 'change';

interface Waiting {
  readonly kind: Kind;
  readonly untilMs: number;
  readonly resolve: (value: number) => void;
  readonly reject: (error: unknown) => void;
}

const WAITING_MAX = 100_000;
/** However patient the caller: after this it is told that nobody knows. */
const WITHIN_MS = { write: 30_000, read: 30_000, change: 120_000 } as const satisfies Record<Kind, number>;

export class Requests {
  readonly #waiting = new Map<number, Waiting>();
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #last = 0;

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

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
        this.#waiting.set(id, { kind, untilMs: this.#clock.monotonicMs() + WITHIN_MS[kind], resolve, reject });
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

  /** Gives up what has waited too long; called now and then. */
  expire(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [id, { kind, untilMs }] of [...this.#waiting]) {
      if (untilMs <= nowMs)
        this.#take(id)?.reject(givenUp(kind, new CodedError('deadline', 'the disks or the network are stuck')));
    }
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
