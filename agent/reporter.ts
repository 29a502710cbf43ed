// Statuses on their way to a manager. While a session is open, those that somebody may wait for (it runs, it ended) go out
// in the next turn of the event loop. Steps on the way there are for people to look at: they go along with the next of
// those, or after a while, for each message is a commit on three machines. Without a session nothing is kept: a new one
// begins by telling everything.
import type { Clock, Timer } from '../base/clock.ts';
import type { TaskId, TaskStatus } from '../proto/objects.ts';
import { isTerminal } from '../proto/task-state.ts';

export interface StatusReport {
  readonly taskId: TaskId;
  readonly status: TaskStatus;
}

type Send = (reports: readonly StatusReport[]) => void;

const REPORTS_PER_MESSAGE = 1_000;
/** A step on the way is told at the latest after this: no loop of the managers waits for one. */
const STEP_WITHIN_MS = 10;

export class Reporter {
  readonly #clock: Clock;
  #pending = new Map<TaskId, TaskStatus>();
  #send: Send | undefined;
  #scheduled = false;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  report(taskId: TaskId, status: TaskStatus): void {
    if (!this.#send) return;
    this.#pending.set(taskId, status);
    if (status.state !== 'running' && !isTerminal(status.state)) {
      this.#timer ??= this.#clock.after(STEP_WITHIN_MS, () => this.#flush());
      return;
    }
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#flush());
  }

  /** From now on reports go here, after all that is known. Dispose it when the session is over. */
  attach(send: Send, known: readonly StatusReport[]): Disposable {
    this.#pending.clear();
    this.#send = send;
    sendInParts(send, known);
    return {
      [Symbol.dispose]: () => {
        if (this.#send !== send) return;
        this.#send = undefined;
        this.#timer?.cancel();
        this.#timer = undefined;
      },
    };
  }

  #flush(): void {
    this.#scheduled = false;
    this.#timer?.cancel();
    this.#timer = undefined;
    const reports = [...this.#pending].map(([taskId, status]) => ({ taskId, status }));
    this.#pending.clear();
    if (this.#send) sendInParts(this.#send, reports);
  }
}

function sendInParts(send: Send, reports: readonly StatusReport[]): void {
  for (let at = 0; at < reports.length; at += REPORTS_PER_MESSAGE) send(reports.slice(at, at + REPORTS_PER_MESSAGE));
}
