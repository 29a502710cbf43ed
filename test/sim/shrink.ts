// Makes a failing seed smaller: leaves out acts and hazards as long as the same property is still broken, for
// half a minute at most.
import { sentenceOf } from '../../base/errors.ts';
import { simulate, type SeedResult, type SimulateOptions } from './simulate.ts';
import { type Hazard, HAZARDS } from './weather.ts';

export interface Shrunk {
  readonly without: readonly number[];
  readonly fairIn: readonly Hazard[];
  readonly result: SeedResult;
  readonly runs: number;
}

const RUNS_MAX = 60;
const TIME_MAX_MS = 30_000;

export async function shrink(failing: SeedResult, steps: number, options: SimulateOptions): Promise<Shrunk> {
  const property = propertyOf(failing.failure);
  let best = { without: [] as readonly number[], fairIn: [] as readonly Hazard[], result: failing };
  let runs = 0;
  const endMs = performance.now() + TIME_MAX_MS;
  const attempt = async (without: readonly number[], fairIn: readonly Hazard[]): Promise<boolean> => {
    if (runs >= RUNS_MAX || performance.now() > endMs) return false;
    runs += 1;
    const result = await simulate(failing.seed, steps, { ...options, without, fairIn });
    if (result.failure === undefined || propertyOf(result.failure) !== property) return false;
    best = { without, fairIn, result };
    return true;
  };
  for (const hazard of HAZARDS) await attempt(best.without, [...best.fairIn, hazard]);
  for (let size = Math.ceil(best.result.acts / 2); size >= 1; size = Math.floor(size / 2)) {
    for (const part of parts(best.result.acts, size)) {
      const fresh = part.filter((act) => !best.without.includes(act));
      if (fresh.length > 0) await attempt([...best.without, ...fresh], best.fairIn);
    }
  }
  return { ...best, runs };
}

function propertyOf(failure: unknown): string {
  return sentenceOf(failure).split(':')[0] ?? '';
}

function parts(count: number, size: number): number[][] {
  const all = Array.from({ length: count }, (_, at) => at + 1);
  return Array.from({ length: Math.ceil(count / size) }, (_, at) => all.slice(at * size, (at + 1) * size));
}
