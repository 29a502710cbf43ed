// Statuses on their way to a manager. While a session is open each goes out in the next turn of the event loop, together
// with others of that turn; without one they are not kept: a new session begins by telling everything.
import type { TaskId, TaskStatus } from '../proto/objects.ts';

export interface StatusReport {
  readonly taskId: TaskId;
  readonly status: TaskStatus;
}

type Send = (reports: readonly StatusReport[]) => void;

const REPORTS_PER_MESSAGE = 1_000;

export class Reporter {
  #pending = new Map<TaskId, TaskStatus>();
  #send: Send | undefined;
  #scheduled = false;

  report(taskId: TaskId, status: TaskStatus): void {
    if (!this.#send) return;
    this.#pending.set(taskId, status);
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
        if (this.#send === send) this.#send = undefined;
      },
    };
  }

  #flush(): void {
    this.#scheduled = false;
    const reports = [...this.#pending].map(([taskId, status]) => ({ taskId, status }));
    this.#pending.clear();
    if (this.#send) sendInParts(this.#send, reports);
  }
}

function sendInParts(send: Send, reports: readonly StatusReport[]): void {
  for (let at = 0; at < reports.length; at += REPORTS_PER_MESSAGE) send(reports.slice(at, at + REPORTS_PER_MESSAGE));
}
