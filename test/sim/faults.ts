// Telling the faults that a simulated disk was asked for from errors that are bugs.
const CODES: readonly unknown[] = ['EIO', 'ENOSPC'];

export function isDiskFault(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return ('code' in error && CODES.includes(error.code)) || isDiskFault(error.cause);
}

/** What production says of a directory that it must not go on with: it was wiped, or something durable is damaged. */
export function isRefusalToStart(error: unknown): boolean {
  return (
    error instanceof Error &&
    /holds no consensus log|is damaged|log is missing|data key|that the log builds on/.test(error.message)
  );
}
