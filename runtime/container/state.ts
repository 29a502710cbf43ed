// Which state may follow which. Every change of state goes through `move`.
import { invariant } from '../../base/assert.ts';
import type { ContainerState } from './contract.ts';

const NEXT = {
  created: ['running', 'created', 'removing'],
  running: ['paused', 'restarting', 'exited'],
  paused: ['running', 'restarting', 'exited'],
  restarting: ['running', 'restarting', 'exited', 'removing'],
  exited: ['running', 'exited', 'restarting', 'removing'], // restarting: by its policy when the daemon starts
  removing: ['dead', 'removing'],
  dead: ['removing'],
} as const satisfies Record<ContainerState, readonly ContainerState[]>;

export function move(from: ContainerState, to: ContainerState): ContainerState {
  const allowed: readonly ContainerState[] = NEXT[from];
  invariant(allowed.includes(to), `a container may go from ${from} to ${to}`);
  return to;
}

/** A process is there. */
export const isAlive = (state: ContainerState): boolean => state === 'running' || state === 'paused';

/** Docker counts a container that waits for its restart as running. */
export const isUp = (state: ContainerState): boolean => isAlive(state) || state === 'restarting';
