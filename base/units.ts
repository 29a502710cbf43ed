// Durations and sizes as people and Go programs write them.
import { fail } from './errors.ts';

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

/** Reads Go's duration syntax (`1h2m3.5s`, `300ms`, `0`) into milliseconds. */
export function parseDurationMs(text: string): number {
  if (text === '0') return 0;
  const sign = text.startsWith('-') ? -1 : 1;
  const body = text.replace(/^[+-]/, '');
  const parts = [...body.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/g)];
  if (body === '' || parts.map((part) => part[0]).join('') !== body) {
    fail('invalid', `'${text}' is not a duration such as 1.5s or 2m`);
  }
  return sign * parts.reduce((sum, [, count, unit]) => sum + Number(count) * (UNIT_MS[unit ?? ''] ?? 0), 0);
}

const SIZE_STEPS: Readonly<Record<string, number>> = { '': 0, b: 0, k: 1, m: 2, g: 3, t: 4, p: 5 };

/** Reads `512`, `64m`, `1.5gb`, `2GiB` into bytes, in steps of 1024 as Docker's flags do. */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([bkmgtp]?)(?:i?b)?$/i.exec(text.trim());
  const step = SIZE_STEPS[match?.[2]?.toLowerCase() ?? ''];
  if (!match || step === undefined) fail('invalid', `'${text}' is not a size such as 64m or 1.5g`);
  return Math.round(Number(match[1]) * 1024 ** step);
}

/** A byte count as `docker images` writes it: decimal steps, three significant digits. */
export function humanBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${Number(value.toPrecision(3))}${units[unit]}`;
}
