// What one pass over a service writes, collected before any of it is written. Invariant: a plan is a function of the
// store, the clock and the random source; carrying it out is one transaction, so a slot never loses its task half-way.
import type { DesiredState, Service, TaskId } from '../../proto/objects.ts';
import { raisedDesired } from '../../proto/task-state.ts';
import type { Draft, Transaction } from '../store/contract.ts';
import type { PlanTask } from './slots.ts';

export class Plan {
  readonly #tasks = new Map<TaskId, PlanTask>();
  readonly #room: number;
  #service: Service | undefined;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #more = false;

  /** `room`: how many tasks the plan may write; what does not fit is left for the next pass. */
  constructor(room: number) {
    this.#room = room;
  }

  get roomLeft(): number {
    return Math.max(0, this.#room - this.#tasks.size);
  }

  /** True when something was left for the next pass. */
  get more(): boolean {
    return this.#more;
  }

  get isEmpty(): boolean {
    return this.#tasks.size === 0 && this.#service === undefined;
  }

  /** The earliest stored deadline that the service waits for; infinite when there is none. */
  get wakeAtMs(): number {
    return this.#wakeAtMs;
  }

  get tasks(): readonly PlanTask[] {
    return [...this.#tasks.values()];
  }

  get service(): Service | undefined {
    return this.#service;
  }

  put(task: PlanTask): PlanTask {
    this.#tasks.set(task.id, task);
    return task;
  }

  putService(service: Service): void {
    this.#service = service;
  }

  leaveRest(): void {
    this.#more = true;
  }

  wakeAt(atMs: number): void {
    this.#wakeAtMs = Math.min(this.#wakeAtMs, atMs);
  }

  /** Raises the desired state. A task that no node has got ends with that: nobody else would say so. */
  raise(task: PlanTask, asked: DesiredState, nowMs: number): PlanTask {
    const desired = raisedDesired(task.desired, asked);
    if (desired === task.desired) return task;
    const ends = (asked === 'shutdown' || asked === 'remove') && neverHandedOut(task);
    const status = {
      ...task.status,
      state: 'shutdown',
      atMs: nowMs,
      message: 'stopped before it was handed out',
    } as const;
    return this.put({ ...task, desired, ...(ends && { status }) });
  }

  writeTo(transaction: Transaction): void {
    for (const task of this.#tasks.values()) transaction.tasks.put(task);
    if (this.#service) transaction.services.put(this.#service satisfies Draft<Service>);
  }
}

/** No agent has seen it: not yet assigned. A global service's task has its node from birth, so the state tells. */
const neverHandedOut = (task: PlanTask): boolean => task.status.state === 'new' || task.status.state === 'pending';
