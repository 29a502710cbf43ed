// Randomness is handed in, so that a simulated run replays from its seed.
import { randomBytes } from 'node:crypto';

export interface Random {
  /** `length` unpredictable (or, seeded, reproducible) bytes. */
  bytes(length: number): Uint8Array;
  /** An integer from 0 to below `bound`. */
  below(bound: number): number;
  /** A number from 0 to below 1. */
  fraction(): number;
}

export const systemRandom: Random = {
  bytes: (length) => randomBytes(length),
  below: (bound) => Math.floor(systemRandom.fraction() * bound),
  fraction: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
};

/**
 * A reproducible source; not for secrets. Algorithm: xoshiro128** by Blackman and Vigna, state filled by splitmix32.
 */
export function seededRandom(seed: number): Random {
  let mix = seed >>> 0;
  const splitmix = (): number => {
    mix = (mix + 0x9e3779b9) >>> 0;
    let z = mix;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  let [a, b, c, d] = [splitmix(), splitmix(), splitmix(), splitmix()];
  const rotate = (x: number, k: number): number => (x << k) | (x >>> (32 - k));
  const next = (): number => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = rotate(d, 11);
    return result;
  };
  const fraction = (): number => next() / 2 ** 32;
  return {
    fraction,
    below: (bound) => Math.floor(fraction() * bound),
    bytes: (length) => Uint8Array.from({ length }, () => next() & 0xff),
  };
}
