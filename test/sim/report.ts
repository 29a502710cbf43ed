// What the seeds of a run amount to, as figures, and whether the run as a whole proves anything: a simulator that never
// reaches a branch says nothing about it.
import { COMMITTED_MIN, FAULT_KINDS_MIN, type SeedResult } from './simulate.ts';

/** A seed's result as it travels between threads. */
export type SeedFigures = Omit<SeedResult, 'failure' | 'trace'> & { readonly failure: string | undefined };

/** Recovery, refusal and progress: what a run of many seeds must have met. */
export const MUST_BE_MET = [
  'acknowledged',
  'append rejected',
  'begun anew',
  'crash',
  'crash in the middle',
  'data key rotated',
  'disk full',
  'earlier epoch refused',
  'failed: leadership-lost',
  'failed: too-much-uncommitted',
  'failed: transferring',
  'later epoch followed',
  'joint majorities counted on disks',
  'leader asked to go',
  'log truncated',
  'majority counted on disks',
  'membership changed',
  'message cut off',
  'message delayed',
  'message doubled',
  'message lost',
  'message lost by a reset',
  'names lost by a crash',
  'older term',
  'pages dropped by a failed flush',
  'pre-vote held off',
  'promotion',
  'promotion refused: change-in-progress',
  'promotion refused: not-caught-up',
  'read',
  'removed member returns',
  'removed refused',
  'replacement begun',
  'replacement refused: is-leader',
  'replacement refused: not-caught-up',
  'snapshot broken off',
  'snapshot made',
  'snapshot received',
  'snapshot restored',
  'start refused',
  'stranger refused',
  'torn end cut off',
  'transaction acknowledged',
  'transaction runs again',
  'transfer',
  'two leaders at once',
  'waiting for space',
  'wiped',
  'writes lost or torn by a crash',
] as const;

/** So many seeds meet all of that. */
export const SEEDS_THAT_MEET_ALL = 100;

export class Tally {
  seeds = 0;
  steps = 0;
  committed = 0;
  acknowledged = 0;
  leaders = 0;
  simulatedMs = 0;
  committedMin = Number.POSITIVE_INFINITY;
  faultKindsMin = Number.POSITIVE_INFINITY;
  readonly failed: SeedFigures[] = [];
  readonly met = new Map<string, number>();
  readonly #startMs = performance.now();

  get elapsedMs(): number {
    return performance.now() - this.#startMs;
  }

  /** Returns what is wrong with it. */
  add(result: SeedFigures): string | undefined {
    this.seeds += 1;
    this.steps += result.steps;
    this.committed += result.committed;
    this.acknowledged += result.acknowledged;
    this.leaders += result.leaders;
    this.simulatedMs += result.simulatedMs;
    for (const [what, times] of result.met) this.met.set(what, (this.met.get(what) ?? 0) + times);
    const failure = result.failure ?? tooLittle(result);
    if (failure !== undefined) {
      this.failed.push({ ...result, failure });
      return `seed ${result.seed} failed: ${failure}`;
    }
    this.committedMin = Math.min(this.committedMin, result.committed);
    this.faultKindsMin = Math.min(this.faultKindsMin, result.faultKinds);
    return undefined;
  }

  /** What a run of this many seeds should have met and did not. */
  missed(): string[] {
    return this.seeds < SEEDS_THAT_MEET_ALL ? [] : MUST_BE_MET.filter((what) => !this.met.has(what));
  }
}

function tooLittle({ committed, faultKinds, met }: SeedFigures): string | undefined {
  if (met.has('majority lost for good')) return undefined;
  if (committed < COMMITTED_MIN) return `it committed ${committed} entries; a seed has to commit ${COMMITTED_MIN}`;
  if (faultKinds < FAULT_KINDS_MIN) return `it met ${faultKinds} kinds of fault; a seed has to meet ${FAULT_KINDS_MIN}`;
  return undefined;
}

export function report(tally: Tally): string {
  const seconds = tally.elapsedMs / 1_000;
  return [
    `${tally.seeds} seeds, ${tally.steps} steps in ${seconds.toFixed(1)} s (${Math.round(tally.steps / seconds)}/s), ` +
      `${(tally.simulatedMs / 60_000).toFixed(1)} simulated minutes`,
    `${tally.committed} entries committed, ${tally.acknowledged} writes acknowledged, ${tally.leaders} terms with a leader`,
    `every seed: ${tally.committedMin} or more entries committed, ${tally.faultKindsMin} or more kinds of fault`,
    ...[...tally.met].sort().map(([what, times]) => `  ${what}: ${times}`),
  ].join('\n');
}
