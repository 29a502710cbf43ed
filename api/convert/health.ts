// Health checks between Docker's nanoseconds and ours, for containers and services alike.
import type { HealthCheckSpec } from '../../runtime/container/contract.ts';
import { fail } from '../../base/errors.ts';
import type { Health, HealthConfig } from '../types/container.ts';
import type { Fields } from './fields.ts';
import { goTime, nanosFromMs } from './time.ts';
import type { HealthState } from '../../runtime/container/contract.ts';

const PERIOD_MS_MIN = 1; // Docker's

export function parseHealthCheck(health: Fields | undefined): HealthCheckSpec | undefined {
  if (!health) return undefined;
  const test = health.texts('Test');
  if (test.length > 0 && !['NONE', 'CMD', 'CMD-SHELL'].includes(test[0] ?? '')) {
    fail('invalid', `${health.path('Test')}: unknown health check type '${test[0]}', must be NONE, CMD or CMD-SHELL`);
  }
  return {
    test,
    intervalMs: periodMs(health, 'Interval'),
    timeoutMs: periodMs(health, 'Timeout'),
    startPeriodMs: periodMs(health, 'StartPeriod'),
    startIntervalMs: periodMs(health, 'StartInterval'),
    retries: health.integer('Retries', { min: 0 }),
  };
}

function periodMs(health: Fields, key: string): number {
  const ms = health.durationMs(key);
  if (ms !== 0 && ms < PERIOD_MS_MIN) fail('invalid', `${key} in Healthcheck cannot be less than 1ms`);
  return ms;
}

/** Go leaves zero values out. */
export function healthConfigOf(check: HealthCheckSpec): HealthConfig {
  return {
    ...(check.test.length > 0 ? { Test: [...check.test] } : {}),
    ...(check.intervalMs > 0 ? { Interval: nanosFromMs(check.intervalMs) } : {}),
    ...(check.timeoutMs > 0 ? { Timeout: nanosFromMs(check.timeoutMs) } : {}),
    ...(check.startPeriodMs > 0 ? { StartPeriod: nanosFromMs(check.startPeriodMs) } : {}),
    ...(check.startIntervalMs > 0 ? { StartInterval: nanosFromMs(check.startIntervalMs) } : {}),
    ...(check.retries > 0 ? { Retries: check.retries } : {}),
  };
}

export function healthOf(state: HealthState): Health {
  return {
    Status: state.status,
    FailingStreak: state.failingStreak,
    Log: state.log.map((probe) => ({
      Start: goTime(probe.startMs),
      End: goTime(probe.endMs),
      ExitCode: probe.exitCode,
      Output: probe.output,
    })),
  };
}
