// Coded errors: what callers decide on (`code`) and what people read (`message`).
// Translation to HTTP, gRPC and exit codes happens once, at each border, from the code.

export type ErrorCode =
  | 'invalid' // the request is wrong whatever the state: malformed, out of range
  | 'unauthenticated' // we do not know who asks
  | 'forbidden' // we know who asks, and they may not
  | 'not-found'
  | 'not-modified' // already so: HTTP 304
  | 'conflict' // the state forbids it now: in use, running, name taken
  | 'out-of-sequence' // the object changed since the caller read it
  | 'exhausted' // a bound was reached: queue, pool, size
  | 'unavailable' // nobody can answer now: no leader, no quorum, not a manager
  | 'unknown-outcome' // a write that may or may not have been committed; never retried in silence
  | 'deadline' // time ran out
  | 'aborted' // the caller went away
  | 'not-implemented'
  | 'internal'; // a bug or a broken machine

export class CodedError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'CodedError';
    this.code = code;
  }
}

/** Throws; for use in expressions: `table.get(id) ?? fail('not-found', …)`. */
export function fail(code: ErrorCode, message: string, options?: { cause?: unknown }): never {
  throw new CodedError(code, message, options);
}

const FULL: readonly string[] = ['ENOSPC', 'EDQUOT'];

/** The code of anything thrown: `exhausted` for a full disk, `internal` for what else nobody coded. */
export function codeOf(error: unknown): ErrorCode {
  if (error instanceof CodedError) return error.code;
  if (error instanceof Error && error.name === 'AbortError') return 'aborted';
  return FULL.includes(errnoOf(error) ?? '') ? 'exhausted' : 'internal';
}

/** The sentence for a person: the message and the messages of its causes, outermost first. */
export function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `: ${sentenceOf(error.cause)}`;
  return `${error.message}${cause}`;
}

/** Nobody's mistake, and people look for these words. */
export const isDiskFull = (error: unknown): boolean =>
  FULL.includes(errnoOf(error) ?? '') || /no space left|disk quota/i.test(sentenceOf(error));

/** The `errno` name (`ENOENT`, …) of a system error, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
