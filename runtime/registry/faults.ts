// A registry's refusals as our errors, in the words that dockerd uses for them. Pure but for reading the body's bytes.
import { CodedError, type ErrorCode } from '../../base/errors.ts';
import { type Json, parseJson } from '../../base/parse.ts';

/** An error that a registry answered with; `detail` is its own code, such as MANIFEST_UNKNOWN. */
export class RegistryFault extends CodedError {
  readonly status: number;
  readonly detail: string;
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    facts: { status: number; detail: string; retryAfterMs?: number | undefined },
  ) {
    super(code, message);
    this.status = facts.status;
    this.detail = facts.detail;
    this.retryAfterMs = facts.retryAfterMs;
  }
}

const CODES: Readonly<Record<number, ErrorCode>> = {
  400: 'invalid',
  401: 'unauthenticated',
  403: 'forbidden',
  404: 'not-found',
  429: 'exhausted',
};

const MESSAGE_LENGTH_MAX = 1_000;

export function registryFault(
  answer: { status: number; body: Buffer; retryAfter: string | undefined },
  request: { method: string; url: string },
): RegistryFault {
  const { status } = answer;
  const code = CODES[status] ?? 'unavailable';
  const [first] = errorsIn(answer.body);
  const facts = { status, detail: first?.code ?? '', retryAfterMs: retryAfterMs(answer.retryAfter) };
  if (first)
    return new RegistryFault(code, `${first.code.toLowerCase().replaceAll('_', ' ')}: ${first.message}`, facts);
  if (status === 401) return new RegistryFault(code, 'unauthorized: authentication required', facts);
  return new RegistryFault(
    code,
    `unexpected status from ${request.method} request to ${withoutQuery(request.url)}: ${status}`,
    facts,
  );
}

/** Upload locations and storage links carry secrets in their query. */
export const withoutQuery = (url: string): string => url.replace(/\?.*$/s, '');

function errorsIn(body: Buffer): { code: string; message: string }[] {
  try {
    const json = parseJson(body.toString('utf8')) as Json | null;
    const errors = Array.isArray(json?.['errors']) ? (json['errors'] as Json[]) : [];
    return errors.flatMap((error) => {
      const [code, message] = [error?.['code'], error?.['message']];
      if (typeof code !== 'string') return [];
      return [
        { code: code.slice(0, 100), message: typeof message === 'string' ? message.slice(0, MESSAGE_LENGTH_MAX) : '' },
      ];
    });
  } catch {
    return []; // an HTML page of some proxy
  }
}

/** Seconds only: nobody dates it. */
function retryAfterMs(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) * 1_000 : undefined;
}

/** Worth another try: the registry is busy or broken, or the way to it. */
export function isPassing(error: unknown): boolean {
  if (error instanceof RegistryFault) return error.status === 429 || error.status === 408 || error.status >= 500;
  return error instanceof CodedError && (error.code === 'unavailable' || error.code === 'deadline');
}

/** dockerd's sentences for a pull, by which clients know what to do next. `name` and `full` are familiar forms. */
export function pullFault(error: unknown, { name, full }: { name: string; full: string }): unknown {
  if (!(error instanceof RegistryFault)) return error;
  const because = error.message;
  switch (error.detail) {
    case 'DENIED':
      return new CodedError(
        'not-found',
        `pull access denied for ${name}, repository does not exist or may require 'docker login': ${because}`,
      );
    case 'MANIFEST_UNKNOWN':
      return new CodedError('not-found', `manifest for ${full} not found: ${because}`);
    case 'NAME_UNKNOWN':
      return new CodedError('not-found', `repository ${name} not found: ${because}`);
    default:
      return error;
  }
}
