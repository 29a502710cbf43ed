// Values of a compose file as the Engine API takes them: nanoseconds, bytes, nano-CPUs.
import { fail } from '../../base/errors.ts';
import { parseBytes, parseDurationMs } from '../../base/units.ts';

export const nanoseconds = (value: unknown, path: string): number =>
  Math.round(named(path, () => parseDurationMs(String(value))) * 1e6);

export const bytes = (value: unknown, path: string): number =>
  typeof value === 'number' ? value : named(path, () => parseBytes(String(value)));

export function nanoCpus(value: unknown, path: string): number {
  const cpus = Number(value);
  if (!Number.isFinite(cpus) || cpus < 0) fail('invalid', `${path} must be a number of processors such as 0.5`);
  return Math.round(cpus * 1e9);
}

function named<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    return fail('invalid', path, { cause });
  }
}

/** A word, number or truth value of YAML as text. */
export function scalar(value: unknown, path: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return fail('invalid', `${path} must be a single value`);
}
