// Takes one task from assigned to its end, one state per step, and never back. What is wanted may rise at any moment:
// that interrupts a wait, not a step. Failing before the start is a rejection, after it a failure.
import type { Clock } from '../base/clock.ts';
import { CodedError, codeOf, sentenceOf } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Task, TaskState, TaskStatus } from '../proto/objects.ts';
import { isTerminal, isWanted, raisedDesired, TASK_STATE } from '../proto/task-state.ts';
import type { Controller, TaskExit, TaskFacts } from './executor.ts';

export interface TaskRunnerDeps {
  readonly controller: Controller;
  readonly clock: Clock;
  readonly log: Log;
  /** A state was reached. */
  readonly report: (status: TaskStatus) => void;
  /** Connections may come: called when it is healthy, before that is reported. */
  readonly enterService: (task: Task) => Promise<void>;
  /** No new connections come any more: called before the stop signal, and when it ended by itself. */
  readonly leaveService: (task: Task, why: 'stop' | 'ended') => Promise<void>;
}

type Step = () => Promise<TaskStatus | 'wait'>;

export class TaskRunner {
  readonly #deps: TaskRunnerDeps;
  #task: Task;
  #status: TaskStatus;
  #facts: TaskFacts | undefined;
  #wanted = new AbortController(); // aborted when what is wanted rises
  #serving: boolean;

  constructor(task: Task, status: TaskStatus, deps: TaskRunnerDeps) {
    this.#task = task;
    this.#status = status;
    this.#deps = deps;
    this.#serving = serves(task, status);
  }

  get task(): Task {
    return this.#task;
  }

  get status(): TaskStatus {
    return this.#status;
  }

  get controller(): Controller {
    return this.#deps.controller;
  }

  /** A newer version of the task arrived. */
  update(task: Task): void {
    const desired = raisedDesired(this.#task.desired, task.desired);
    const rises = desired !== this.#task.desired;
    this.#task = { ...task, desired };
    if (rises) this.#interrupt();
  }

  /** Runs until the task has ended or `abort`. The container outlives an abort: that is how a daemon stops. */
  async run(abort: AbortSignal): Promise<void> {
    while (!isTerminal(this.#status.state) && !abort.aborted) {
      const next = await this.#advance(AbortSignal.any([abort, this.#wanted.signal]), abort);
      if (next !== 'wait') this.#move(next);
    }
  }

  #interrupt(): void {
    this.#wanted.abort(new CodedError('aborted', 'something else is wanted of the task'));
    this.#wanted = new AbortController();
  }

  #move(status: TaskStatus): void {
    if (TASK_STATE[status.state] <= TASK_STATE[this.#status.state]) return;
    this.#deps.log.debug('task moved', { taskId: this.#task.id, from: this.#status.state, to: status.state });
    this.#status = status;
    this.#deps.report(status);
  }

  async #advance(interrupted: AbortSignal, abort: AbortSignal): Promise<TaskStatus | 'wait'> {
    try {
      if (!isWanted(this.#task)) return await this.#shutdown(abort);
      return await this.#steps(interrupted)[this.#status.state]();
    } catch (error) {
      if (codeOf(error) === 'aborted' && (interrupted.aborted || abort.aborted)) return 'wait';
      return await this.#broken(error, abort);
    }
  }

  #steps(interrupted: AbortSignal): Record<TaskState, Step> {
    const { controller } = this.#deps;
    const ended: Step = () => Promise.resolve('wait');
    const accept: Step = () => Promise.resolve(this.#at('accepted', 'accepted'));
    return {
      new: accept,
      pending: accept,
      assigned: accept,
      accepted: () => Promise.resolve(this.#at('preparing', 'preparing')),
      preparing: async () => {
        await controller.prepare(interrupted);
        return this.#at('ready', 'prepared');
      },
      ready: async () => {
        if (this.#task.desired !== 'ready') return this.#at('starting', 'starting');
        await aborted(interrupted);
        return 'wait';
      },
      starting: () => this.#start(interrupted),
      running: () => this.#follow(interrupted),
      complete: ended,
      shutdown: ended,
      failed: ended,
      rejected: ended,
      orphaned: ended,
    };
  }

  async #start(interrupted: AbortSignal): Promise<TaskStatus> {
    const { controller } = this.#deps;
    this.#facts = await controller.start(interrupted);
    await controller.healthy(interrupted);
    await this.#enter();
    return this.#at('running', 'started');
  }

  /** Also the way back in after a restart of the daemon: a running task is taken up where it is. */
  async #follow(interrupted: AbortSignal): Promise<TaskStatus> {
    this.#facts ??= await this.#deps.controller.start(interrupted);
    await this.#enter();
    const exit = await this.#deps.controller.exited(interrupted);
    await this.#leave('ended');
    return this.#ended(exit);
  }

  async #shutdown(abort: AbortSignal): Promise<TaskStatus | 'wait'> {
    await this.#leave('stop');
    const exit = await this.#stop(abort);
    if (exit === 'given up') return 'wait';
    return { ...this.#at('shutdown', 'shutdown'), ...(exit ? { exitCode: exit.exitCode } : {}) };
  }

  async #broken(cause: unknown, abort: AbortSignal): Promise<TaskStatus | 'wait'> {
    const error = sentenceOf(cause).slice(0, ERROR_LENGTH_MAX);
    const started = TASK_STATE[this.#status.state] >= TASK_STATE.starting;
    this.#deps.log.info('task failed', { taskId: this.#task.id, in: this.#status.state, error });
    await this.#leave('ended');
    const exit = started ? await this.#stop(abort) : undefined;
    if (exit === 'given up') return 'wait';
    const state = started ? 'failed' : 'rejected';
    return { ...this.#at(state, state === 'failed' ? 'failed' : 'rejected'), error, ...exitCodeOf(exit, cause) };
  }

  /** Tries until nothing of the task runs: a task that is said to have ended has, so its slot never runs twice. */
  async #stop(abort: AbortSignal): Promise<TaskExit | 'given up' | undefined> {
    while (!abort.aborted) {
      try {
        return await this.#deps.controller.stop(abort);
      } catch (error) {
        if (abort.aborted) break;
        this.#deps.log.error('a task could not be stopped yet', { taskId: this.#task.id, error });
        await this.#deps.clock.sleep(STOP_RETRY_MS, { abort }).catch(() => undefined);
      }
    }
    return 'given up';
  }

  #ended({ exitCode, error }: TaskExit): TaskStatus {
    if (exitCode === 0 && error === undefined) return { ...this.#at('complete', 'finished'), exitCode };
    const why = error ?? `task: non-zero exit (${exitCode})`;
    return { ...this.#at('failed', 'failed'), error: why, exitCode };
  }

  async #enter(): Promise<void> {
    if (this.#serving) return;
    this.#serving = true;
    await this.#deps.enterService(this.#task);
  }

  async #leave(why: 'stop' | 'ended'): Promise<void> {
    if (!this.#serving) return;
    this.#serving = false;
    await this.#deps.leaveService(this.#task, why);
  }

  #at(state: TaskState, message: string): TaskStatus {
    return { state, atMs: this.#deps.clock.nowMs(), message, ...this.#facts };
  }
}

const STOP_RETRY_MS = 1_000;

/** Statuses travel and are stored; a stack of causes has no need to be longer. */
const ERROR_LENGTH_MAX = 1_000;

/** Connections may be led to it: by this life or, before it was found again, by a former one. */
export const serves = (task: Task, status: TaskStatus): boolean => status.state === 'running' && isWanted(task);

/** An exit that a step failed with. */
export class ExitError extends CodedError {
  readonly exitCode: number;

  constructor(message: string, exitCode: number, options?: { cause?: unknown }) {
    super('internal', message, options);
    this.exitCode = exitCode;
  }
}

function exitCodeOf(exit: TaskExit | undefined, cause: unknown): { exitCode?: number } {
  if (cause instanceof ExitError) return { exitCode: cause.exitCode };
  return exit ? { exitCode: exit.exitCode } : {};
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const onAbort = (): void => reject(new CodedError('aborted', 'something else is wanted'));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}
