// Errors at the HTTP border: one table from code to status. A route overrules it by throwing a Fault.
import { CodedError, codeOf, type ErrorCode, sentenceOf } from '../base/errors.ts';

export const HTTP_STATUS = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  'not-found': 404,
  'not-modified': 304,
  conflict: 409,
  'out-of-sequence': 400,
  exhausted: 503,
  unavailable: 503,
  'unknown-outcome': 500,
  deadline: 504,
  aborted: 499, // nobody reads it: the client went away
  'not-implemented': 501,
  internal: 500,
} as const satisfies Record<ErrorCode, number>;

/** An error with a status of its own, where Docker's differs from the table. */
export class Fault extends CodedError {
  readonly status: number;

  constructor(status: number, code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
    this.status = status;
  }
}

export function statusOf(error: unknown): number {
  return error instanceof Fault ? error.status : HTTP_STATUS[codeOf(error)];
}

export function messageOf(error: unknown): string {
  return sentenceOf(error);
}

export const bodyTooLarge = (bytesMax: number): Fault =>
  new Fault(413, 'invalid', `the request body is larger than ${bytesMax} bytes`);

/** For what is planned and missing: a sentence that says so. */
export const notImplemented = (what: string, wayOut = ''): CodedError =>
  new CodedError('not-implemented', `${what} is not implemented yet${wayOut === '' ? '' : `: ${wayOut}`}`);
