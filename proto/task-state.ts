// The order of task states. Source of the numbers: SwarmKit's task model, whose gaps leave room for growth.
import type { DesiredState, Task, TaskState } from './objects.ts';

export const TASK_STATE = {
  new: 0,
  pending: 64,
  assigned: 192,
  accepted: 256,
  preparing: 320,
  ready: 384,
  starting: 448,
  running: 512,
  complete: 576,
  shutdown: 640,
  failed: 704,
  rejected: 768,
  orphaned: 832,
} as const satisfies Record<TaskState, number>;

export const DESIRED_STATE = {
  ready: 384,
  running: 512,
  complete: 576,
  shutdown: 640,
  remove: 800,
} as const satisfies Record<DesiredState, number>;

/** True when `a` comes strictly after `b`. */
export const isAfter = (a: TaskState, b: TaskState): boolean => TASK_STATE[a] > TASK_STATE[b];

/** Nothing runs any more and nothing will: complete, shutdown, failed, rejected, orphaned. */
export const isTerminal = (state: TaskState): boolean => TASK_STATE[state] > TASK_STATE.running;

/** The managers want it running (or prepared for that), whatever it is doing now. */
export const isWanted = (task: Pick<Task, 'desired'>): boolean => DESIRED_STATE[task.desired] <= DESIRED_STATE.running;

/** Never lowers: the higher of the present and the asked desired state. */
export function raisedDesired(present: DesiredState, asked: DesiredState): DesiredState {
  return DESIRED_STATE[asked] > DESIRED_STATE[present] ? asked : present;
}

/** The agent has finished with it or never had it: its container, if any, is stopped. */
export const isStopped = (task: Pick<Task, 'status' | 'nodeId'>): boolean =>
  isTerminal(task.status.state) || task.nodeId === undefined;
