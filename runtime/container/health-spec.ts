// How a container's health is probed. Zero periods mean: the image's, otherwise Docker's default (30 s, 30 s, 0, 5 s, 3).
export interface HealthCheckSpec {
  readonly test: readonly string[]; // [] inherit · ['NONE'] · ['CMD', …] · ['CMD-SHELL', text]
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
}
