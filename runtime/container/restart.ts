// When a container that exited comes back. Pure; Docker's rules: the delay doubles from 100 ms to a minute, and a run
// of ten seconds starts it anew.
import type { RestartRule } from './contract.ts';

export interface ExitedRun {
  readonly rule: RestartRule;
  readonly exitCode: number;
  readonly ranMs: number;
  readonly restartCount: number;
  readonly stoppedByHand: boolean;
  readonly previousDelayMs: number; // 0: none yet
}

const FIRST_DELAY_MS = 100;
const DELAY_MAX_MS = 60_000;
const GOOD_RUN_MS = 10_000;

export function restartDelayMs(run: ExitedRun): number | 'never' {
  if (run.stoppedByHand || !isWanted(run)) return 'never';
  if (run.previousDelayMs === 0 || run.ranMs >= GOOD_RUN_MS) return FIRST_DELAY_MS;
  return Math.min(run.previousDelayMs * 2, DELAY_MAX_MS);
}

function isWanted({ rule, exitCode, restartCount }: ExitedRun): boolean {
  switch (rule.name) {
    case 'no':
      return false;
    case 'always':
    case 'unless-stopped':
      return true;
    case 'on-failure':
      return exitCode !== 0 && (rule.attemptsMax === 0 || restartCount < rule.attemptsMax);
  }
}

/** What the daemon brings back when it starts and finds the container down. */
export function comesBackAtBoot(
  rule: RestartRule,
  last: { exitCode: number; stoppedByHand: boolean; wasUp: boolean },
): boolean {
  switch (rule.name) {
    case 'no':
      return false;
    case 'always':
      return true;
    case 'unless-stopped':
      return !last.stoppedByHand;
    case 'on-failure':
      return last.wasUp && !last.stoppedByHand && last.exitCode !== 0;
  }
}
