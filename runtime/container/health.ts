// Health probes of a running container, with Docker's rules: a probe is a command inside; the streak of failures counts
// only after the start period; within it probes come every start-interval until the first success.
import type { Clock } from '../../base/clock.ts';
import { codeOf, sentenceOf } from '../../base/errors.ts';
import type { ProcessSpec, Shim } from '../native/contract.ts';
import type { Container } from './container.ts';
import type { HealthCheckSpec, HealthState } from './contract.ts';
import { processEnv } from './launch-request.ts';
import { hasProbe } from './launch.ts';
import { linkVariables } from './links.ts';
import { type ContainerParts, publishContainer } from './parts.ts';
import { raceAbort } from './race.ts';
import { confinement } from './security.ts';
import { securityOfContainer } from './security-of.ts';
import { SIGKILL } from './signals.ts';

export interface ProbeResult {
  readonly startMs: number;
  readonly endMs: number;
  readonly exitCode: number;
  readonly output: string;
}

const DEFAULTS = { intervalMs: 30_000, timeoutMs: 30_000, startPeriodMs: 0, startIntervalMs: 5_000, retries: 3 };
const LOG_LENGTH = 5;
const OUTPUT_BYTES_MAX = 4096;
const KILL_MS = 2_000;

export function withDefaults(spec: HealthCheckSpec): HealthCheckSpec {
  return {
    test: spec.test,
    intervalMs: spec.intervalMs || DEFAULTS.intervalMs,
    timeoutMs: spec.timeoutMs || DEFAULTS.timeoutMs,
    startPeriodMs: spec.startPeriodMs || DEFAULTS.startPeriodMs,
    startIntervalMs: spec.startIntervalMs || DEFAULTS.startIntervalMs,
    retries: spec.retries || DEFAULTS.retries,
  };
}

export function nextProbeMs(spec: HealthCheckSpec, health: HealthState, upMs: number): number {
  return upMs < spec.startPeriodMs && health.status === 'starting' ? spec.startIntervalMs : spec.intervalMs;
}

/** Pure: what one more result makes of a container's health. */
export function withResult(
  health: HealthState,
  spec: HealthCheckSpec,
  result: ProbeResult,
  startedAtMs: number,
): HealthState {
  const log = [...health.log, result].slice(-LOG_LENGTH);
  if (result.exitCode === 0) return { status: 'healthy', failingStreak: 0, log };
  const isStarting = health.status === 'starting' && result.startMs - startedAtMs < spec.startPeriodMs;
  const failingStreak = isStarting ? health.failingStreak : health.failingStreak + 1;
  return { status: failingStreak >= spec.retries ? 'unhealthy' : health.status, failingStreak, log };
}

/** Probes until the returned function is called. */
export function watchHealth(container: Container, parts: ContainerParts, shim: Shim): () => void {
  const { healthCheck } = container.record.config;
  if (!healthCheck || !hasProbe(healthCheck)) return () => undefined;
  const spec = withDefaults(healthCheck);
  const controller = new AbortController();
  parts.background.run(`health ${container.id.slice(0, 12)}`, async (ended) => {
    const abort = AbortSignal.any([controller.signal, ended]);
    try {
      await probeForEver(container, parts, shim, spec, abort);
    } catch (error) {
      if (!abort.aborted || codeOf(error) !== 'aborted') throw error;
    }
  });
  return () => controller.abort();
}

async function probeForEver(
  container: Container,
  parts: ContainerParts,
  shim: Shim,
  spec: HealthCheckSpec,
  abort: AbortSignal,
): Promise<void> {
  while (!abort.aborted) {
    const { health, startedAtMs } = container.status;
    if (!health) return;
    await parts.clock.sleep(nextProbeMs(spec, health, parts.clock.nowMs() - startedAtMs), { abort });
    if (container.state === 'paused') continue;
    const result = await probe(shim, probeProcess(container, parts, spec), {
      spec,
      clock: parts.clock,
      id: parts.random,
    });
    if (abort.aborted) return;
    await take(container, parts, spec, result);
  }
}

async function take(
  container: Container,
  parts: ContainerParts,
  spec: HealthCheckSpec,
  result: ProbeResult,
): Promise<void> {
  const { health: before, startedAtMs } = container.status;
  if (!before) return;
  const health = withResult(before, spec, result, startedAtMs);
  container.change({ health });
  if (health.status === before.status) return;
  publishContainer(parts, container, `health_status: ${health.status}`);
  await container.save();
}

function probeProcess(container: Container, parts: ContainerParts, { test }: HealthCheckSpec): ProcessSpec {
  const { config } = container.record;
  const [kind, ...rest] = test;
  const security = securityOfContainer(container, parts);
  return {
    args: kind === 'CMD-SHELL' ? ['/bin/sh', '-c', ...rest] : rest,
    env: processEnv({ ...config, terminal: false }, container.id.slice(0, 12), linkVariables(container, parts)),
    workingDirectory: config.workingDirectory || '/',
    user: config.user,
    groups: config.groups,
    terminal: false,
    capabilities: security.capabilities,
    noNewPrivileges: security.noNewPrivileges,
    ...confinement(security),
    ...(security.seccomp && { seccomp: security.seccomp }),
    rlimits: config.ulimits,
    oomScoreAdjustment: config.oomScoreAdjustment,
  };
}

/** One command inside, with its time limit. Never rejects: a probe that can not run is a failed one. */
export async function probe(
  shim: Pick<Shim, 'exec'>,
  process: ProcessSpec,
  options: { spec: HealthCheckSpec; clock: Clock; id: { bytes(length: number): Uint8Array } },
): Promise<ProbeResult> {
  const { spec, clock } = options;
  const startMs = clock.nowMs();
  const output = new Head();
  const finish = (exitCode: number, text = output.text()): ProbeResult => ({
    startMs,
    endMs: clock.nowMs(),
    exitCode,
    output: text,
  });
  try {
    const execId = Buffer.from(options.id.bytes(32)).toString('hex');
    const running = await shim.exec(process, { stdin: false, execId });
    const stdio = await running.attach({ stdin: false, stdout: true, stderr: true });
    const read = readAll(stdio.output, output);
    using deadline = clock.deadline(undefined, spec.timeoutMs);
    const exit = await raceAbort(Promise.all([running.exited, read]), deadline.signal);
    if (exit) return finish(exit[0].exitCode);
    await running.signal(SIGKILL);
    using last = clock.deadline(undefined, KILL_MS);
    await raceAbort(running.exited, last.signal);
    stdio.detach();
    return finish(
      -1,
      `Health check exceeded timeout (${spec.timeoutMs / 1000}s)${output.text() && `: ${output.text()}`}`,
    );
  } catch (error) {
    return finish(-1, sentenceOf(error));
  }
}

async function readAll(frames: AsyncIterable<{ bytes: Buffer }>, into: Head): Promise<void> {
  for await (const { bytes } of frames) into.add(bytes);
}

/** The first bytes of an output; the rest is read and dropped, so that the command does not block. */
class Head {
  #parts: Buffer[] = [];
  #length = 0;

  add(bytes: Buffer): void {
    const part = bytes.subarray(0, OUTPUT_BYTES_MAX - this.#length);
    if (part.length === 0) return;
    this.#parts.push(Buffer.from(part));
    this.#length += part.length;
  }

  text(): string {
    return Buffer.concat(this.#parts).toString('utf8');
  }
}
