// How `docker ps` and inspect say what a container is doing.
import type { ContainerInfo } from '../../runtime/container/contract.ts';
import type { ContainerState } from '../types/container.ts';
import { healthOf } from './health.ts';
import { goTime, humanDuration } from './time.ts';

/** The STATUS column: "Up 5 minutes (healthy)", "Exited (0) 2 seconds ago". */
export function statusText(info: ContainerInfo, nowMs: number): string {
  const since = (ms: number): string => humanDuration(Math.max(0, nowMs - ms));
  switch (info.state) {
    case 'running':
      return `Up ${since(info.startedAtMs)}${healthSuffix(info)}`;
    case 'paused':
      return `Up ${since(info.startedAtMs)} (Paused)`;
    case 'restarting':
      return `Restarting (${info.exitCode}) ${since(info.finishedAtMs)} ago`;
    case 'removing':
      return 'Removal In Progress';
    case 'dead':
      return 'Dead';
    case 'created':
      return 'Created';
    case 'exited':
      return `Exited (${info.exitCode}) ${since(info.finishedAtMs)} ago`;
  }
}

function healthSuffix({ health }: ContainerInfo): string {
  if (!health) return '';
  return health.status === 'starting' ? ' (health: starting)' : ` (${health.status})`;
}

export function stateOf(info: ContainerInfo): ContainerState {
  const running = info.state === 'running' || info.state === 'paused' || info.state === 'restarting';
  return {
    Status: info.state,
    Running: running,
    Paused: info.state === 'paused',
    Restarting: info.state === 'restarting',
    OOMKilled: info.oomKilled,
    Dead: info.state === 'dead',
    Pid: info.pid,
    ExitCode: running && info.state !== 'restarting' ? 0 : info.exitCode,
    Error: info.error,
    StartedAt: goTime(info.startedAtMs),
    FinishedAt: goTime(info.finishedAtMs),
    ...(info.health ? { Health: healthOf(info.health) } : {}),
  };
}
