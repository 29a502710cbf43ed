// Docker's ways of writing time: RFC 3339 with nanoseconds, Unix seconds with a fraction, integer nanoseconds.
import { fail } from '../../base/errors.ts';
import { parseDurationMs } from '../../base/units.ts';

export const ZERO_TIME = '0001-01-01T00:00:00Z';

/** RFC 3339 as Go writes it, trailing zeros cut; 0 is Go's zero time. */
export function goTime(ms: number): string {
  if (ms === 0) return ZERO_TIME;
  const text = new Date(Math.floor(ms)).toISOString();
  return text.replace(/\.?0*Z$/, 'Z');
}

export const nanosFromMs = (ms: number): number => Math.round(ms * 1e6);
export const msFromNanos = (nanos: number): number => nanos / 1e6;
export const unixSeconds = (ms: number): number => Math.floor(ms / 1000);

/** A `since` or `until`: Unix seconds with fraction, RFC 3339, or a Go duration back from now. Undefined when absent. */
export function parseTimestampNs(text: string, name: string, nowMs: number): bigint | undefined {
  if (text === '') return undefined;
  const seconds = /^(-?\d+)(?:\.(\d{1,9}))?$/.exec(text);
  if (seconds?.[1] !== undefined) {
    return BigInt(seconds[1]) * 1_000_000_000n + BigInt((seconds[2] ?? '').padEnd(9, '0'));
  }
  if (/^\d{4}-\d{2}-\d{2}/.test(text)) return rfc3339Ns(text, name);
  try {
    return BigInt(Math.round((nowMs - parseDurationMs(text)) * 1e6));
  } catch (cause) {
    return fail('invalid', `invalid value for ${name}: '${text}' is neither a time nor a duration`, { cause });
  }
}

function rfc3339Ns(text: string, name: string): bigint {
  const fraction = /\.(\d{1,9})/.exec(text)?.[1] ?? '';
  const wholeSeconds = text.replace(/\.\d+/, '');
  const ms = Date.parse(/T.*(Z|[+-]\d\d:\d\d)$/.test(wholeSeconds) ? wholeSeconds : `${wholeSeconds}Z`);
  if (Number.isNaN(ms)) fail('invalid', `invalid value for ${name}: '${text}' is not a time`);
  return BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, '0'));
}

export const nsToMs = (ns: bigint): number => Number(ns / 1_000_000n);

/** How `docker ps` says how long ago something was (after Docker's units.HumanDuration). */
export function humanDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 1) return 'Less than a second';
  if (seconds === 1) return '1 second';
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 1) return 'About a minute';
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.round(ms / 3_600_000);
  if (hours === 1) return 'About an hour';
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.floor(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(hours / 24 / 365)} years`;
}
