// What the seeds of a run amount to, as figures.
import type { SeedResult } from './simulate.ts';

export class Tally {
  seeds = 0;
  events = 0;
  committed = 0;
  acknowledged = 0;
  leaders = 0;
  simulatedMs = 0;
  readonly failed: number[] = [];
  readonly met = new Map<string, number>();
  readonly #startMs = performance.now();

  get elapsedMs(): number {
    return performance.now() - this.#startMs;
  }

  add(result: SeedResult): void {
    this.seeds += 1;
    this.events += result.events;
    this.committed += result.committed;
    this.acknowledged += result.acknowledged;
    this.leaders += result.leaders;
    this.simulatedMs += result.simulatedMs;
    if (result.failure !== undefined) this.failed.push(result.seed);
    for (const [what, times] of result.met) this.met.set(what, (this.met.get(what) ?? 0) + times);
  }
}

export function report(tally: Tally): string {
  const seconds = tally.elapsedMs / 1_000;
  const lines = [
    `${tally.seeds} seeds, ${tally.events} events in ${seconds.toFixed(1)} s (${Math.round(tally.events / seconds)}/s), ` +
      `${(tally.simulatedMs / 60_000).toFixed(1)} simulated minutes`,
    `${tally.committed} entries committed, ${tally.acknowledged} writes acknowledged, ${tally.leaders} terms with a leader`,
    ...[...tally.met].sort().map(([what, times]) => `  ${what}: ${times}`),
    tally.failed.length === 0 ? 'no seed failed' : `FAILED seeds: ${tally.failed.join(', ')}`,
  ];
  return lines.join('\n');
}
