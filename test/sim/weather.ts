// How hostile a simulated world is. Each seed draws its own weather, and leaves some of it out: all at once finds less.
import type { Random } from '../../base/random.ts';

export interface Weather {
  readonly dropRate: number;
  readonly doubleRate: number;
  readonly slowRate: number;
  /** Of the heavy tail that slow messages are drawn from. */
  readonly slowMsMax: number;
  readonly flushMs: number;
  readonly flushStallRate: number;
  readonly flushFailRate: number;
  readonly snapshotEntries: number;
  readonly trailingEntries: number;
  readonly segmentBytes: number;
}

export function drawWeather(random: Random): Weather {
  const some = (rate: number, max: number): number => (random.fraction() < rate ? random.fraction() * max : 0);
  return {
    dropRate: some(0.6, 0.25),
    doubleRate: some(0.5, 0.05),
    slowRate: some(0.6, 0.08),
    slowMsMax: 2_000,
    flushMs: 0.2 + random.fraction() * 8,
    flushStallRate: some(0.4, 0.01),
    flushFailRate: some(0.4, 0.002),
    snapshotEntries: 20 + random.below(150),
    trailingEntries: random.below(60),
    segmentBytes: 2_000 + random.below(30_000),
  };
}

export const FAIR = {
  dropRate: 0,
  doubleRate: 0,
  slowRate: 0,
  slowMsMax: 0,
  flushMs: 2,
  flushStallRate: 0,
  flushFailRate: 0,
} as const satisfies Partial<Weather>;

/** Parts of the weather that can be made fair one by one, for a failure to be understood. */
export const HAZARDS = ['dropRate', 'doubleRate', 'slowRate', 'flushStallRate', 'flushFailRate'] as const;
export type Hazard = (typeof HAZARDS)[number];
