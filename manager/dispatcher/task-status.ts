// What agents report becomes the tasks' status in the store. Observed states only rise, and a node speaks for its own
// tasks only; a report that breaks either is dropped here, whoever passed it on.
import { isDeepStrictEqual } from 'node:util';
import type { NodeId, Task, TaskId, TaskStatus } from '../../proto/objects.ts';
import { TASK_STATE } from '../../proto/task-state.ts';
import type { Transaction } from '../store/contract.ts';

export interface TaskReport {
  readonly nodeId: NodeId;
  readonly taskId: TaskId;
  readonly status: TaskStatus;
}

/** States that only managers give. */
const MANAGERS_ONLY: ReadonlySet<TaskStatus['state']> = new Set(['new', 'pending', 'assigned', 'orphaned']);

export function mergeReports(tx: Transaction, reports: readonly TaskReport[]): void {
  for (const report of reports) {
    const task = tx.tasks.get(report.taskId);
    if (task && tells(task, report)) tx.tasks.put({ ...task, status: withStart(report.status, task.status) });
  }
}

/** True when the report may be made by its node and says something new. */
export function tells(task: Task, { nodeId, status }: TaskReport): boolean {
  if (task.nodeId !== nodeId || MANAGERS_ONLY.has(status.state)) return false;
  const [before, after] = [TASK_STATE[task.status.state], TASK_STATE[status.state]];
  if (after !== before) return after > before;
  return status.atMs >= task.status.atMs && !isDeepStrictEqual(withStart(status, task.status), task.status);
}

/** When a task first ran is kept to its end: rollouts judge by it whether it ended too soon. */
function withStart(status: TaskStatus, before: TaskStatus): TaskStatus {
  const runningAtMs =
    before.runningAtMs ?? status.runningAtMs ?? (status.state === 'running' ? status.atMs : undefined);
  return runningAtMs === undefined ? status : { ...status, runningAtMs };
}
