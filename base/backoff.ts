// Exponential back-off with full jitter (source: the AWS architecture note "Exponential Backoff And Jitter").
import type { Random } from './random.ts';

export interface BackoffPolicy {
  baseMs: number;
  maxMs: number;
}

/** The wait before try number `attempt` (from 0), in milliseconds: at least half of `baseMs`, at most `maxMs`. */
export function backoffMs(attempt: number, policy: BackoffPolicy, random: Random): number {
  const ceilingMs = Math.min(policy.maxMs, policy.baseMs * 2 ** Math.min(attempt, 30));
  return Math.max(policy.baseMs / 2, random.fraction() * ceilingMs);
}
