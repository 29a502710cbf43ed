// From a manager to the leader's desk, about the agents whose sessions it holds. Statuses are kept, one per task, until
// the leader has stored them; liveness goes along. Sent as soon as there is something and nothing is on its way, so an
// idle cluster waits for nothing and a busy one batches by itself. On the leader the desk is asked directly.
import type { Clock } from '../../base/clock.ts';
import { CodedError, codeOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { encodeJson, parseDescription, parseStatus } from '../../proto/assignment.ts';
import type { RegisterRequest } from '../../proto/gen/shoal/dispatcher/v1/RegisterRequest.ts';
import type { ReportRequest, ReportRequestInput } from '../../proto/gen/shoal/dispatcher/v1/ReportRequest.ts';
import type { NodeId, TaskId } from '../../proto/objects.ts';
import type { LeaderLink } from '../../proto/rpc.ts';
import { Managers } from '../../proto/services.ts';
import type { Desk, ManagerReport, Registration, SessionBeat } from './desk.ts';
import type { TaskReport } from './task-status.ts';

export interface UpstreamDeps {
  readonly leader: LeaderLink;
  readonly desk: Desk;
  readonly managerId: NodeId;
  readonly clock: Clock;
  readonly log: Log;
  /** Sessions held here with something new since they were last asked; all of them for a leader that knows none. */
  readonly beats: (all: boolean) => readonly SessionBeat[];
  /** The raft index that assignments here are derived from. */
  readonly index: () => number;
  /** Changes with the leader. */
  readonly term: () => number;
}

const BEAT_EVERY_MS = 250;
const RETRY_MS = 50;
const REPORTS_PER_CALL = 1_000;
const CALL_WITHIN_MS = 2_000;

export class Upstream {
  readonly #deps: UpstreamDeps;
  #pending = new Map<TaskId, TaskReport>();
  #beatsDue = false;
  /** The term whose leader knows all sessions here; undefined when none may. */
  #toldTerm: number | undefined;
  #toldIndex = 0;
  #wake: (() => void) | undefined;

  constructor(deps: UpstreamDeps) {
    this.#deps = deps;
  }

  /** Asks the leader whether the session may speak for its node. Resolves with a store version that knows it. */
  async register(registration: Registration, abort: AbortSignal): Promise<number> {
    return await this.#deps.leader.run({
      local: (signal) => this.#deps.desk.register(registration, signal),
      remote: async (channel, signal) => {
        const request = {
          ...registration,
          description: encodeJson(registration.description),
          managerId: this.#deps.managerId,
        };
        const options = { withinMs: CALL_WITHIN_MS, abort: signal };
        return (await channel.call(Managers.Register, request, options)).version;
      },
      repeatable: true,
      abort,
    });
  }

  /** Keeps statuses until the leader has stored them. A later status of a task replaces an earlier one. */
  report(reports: readonly TaskReport[]): void {
    for (const report of reports) this.#pending.set(report.taskId, report);
    this.#wake?.();
  }

  /** Liveness or an applied index worth telling at once. */
  beat(): void {
    this.#beatsDue = true;
    this.#wake?.();
  }

  async awaitApplied(exceptNodeId: NodeId, index: number, timeoutMs: number, abort: AbortSignal): Promise<boolean> {
    return await this.#deps.leader.run({
      local: (signal) => this.#deps.desk.awaitApplied(exceptNodeId, index, timeoutMs, signal),
      remote: async (channel, signal) => {
        const options = { withinMs: timeoutMs + RETRY_MS, abort: signal };
        return (await channel.call(Managers.AwaitApplied, { exceptNodeId, index, timeoutMs }, options)).settled;
      },
      repeatable: true,
      abort,
    });
  }

  async run(abort: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    while (!abort.aborted) {
      await this.#somethingToSay(abort);
      try {
        await this.#send(abort);
      } catch (error) {
        if (abort.aborted) break;
        if (!PASSING.has(codeOf(error))) log.warn('the leader refused a report', { error });
        await clock.sleep(RETRY_MS, { abort });
      }
    }
  }

  async #somethingToSay(abort: AbortSignal): Promise<void> {
    if (this.#pending.size > 0 || this.#beatsDue) return;
    await new Promise<void>((resolve, reject) => {
      const timer = this.#deps.clock.after(BEAT_EVERY_MS, () => end(resolve));
      const onAbort = (): void => end(() => reject(new CodedError('aborted', 'the manager stops')));
      const end = (settle: () => void): void => {
        timer.cancel();
        abort.removeEventListener('abort', onAbort);
        this.#wake = undefined;
        settle();
      };
      this.#wake = () => end(resolve);
      if (abort.aborted) onAbort();
      else abort.addEventListener('abort', onAbort, { once: true });
    });
  }

  async #send(abort: AbortSignal): Promise<void> {
    const [term, managerIndex] = [this.#deps.term(), this.#deps.index()];
    const fresh = this.#toldTerm !== term;
    const beats = this.#deps.beats(fresh);
    const reports = [...this.#pending.values()].slice(0, REPORTS_PER_CALL);
    this.#beatsDue = false;
    if (!fresh && beats.length === 0 && reports.length === 0 && managerIndex === this.#toldIndex) return;
    this.#toldTerm = undefined; // until this report is taken
    await this.#deliver({ managerId: this.#deps.managerId, managerIndex, beats, reports }, abort);
    this.#toldTerm = term;
    this.#toldIndex = managerIndex;
    for (const sent of reports) {
      if (this.#pending.get(sent.taskId) === sent) this.#pending.delete(sent.taskId);
    }
  }

  async #deliver(report: ManagerReport, abort: AbortSignal): Promise<void> {
    await this.#deps.leader.run({
      local: (signal) => this.#deps.desk.report(report, signal),
      remote: async (channel, signal) => {
        await channel.call(Managers.Report, toRequest(report), { withinMs: CALL_WITHIN_MS, abort: signal });
      },
      repeatable: true,
      abort,
    });
  }
}

/** What happens while a leader is being elected; the report is simply sent again. */
const PASSING: ReadonlySet<string> = new Set(['unavailable', 'unknown-outcome', 'deadline', 'aborted']);

function toRequest({ managerId, managerIndex, beats, reports }: ManagerReport): ReportRequestInput {
  return {
    managerId,
    managerIndex,
    sessions: beats.map((beat) => ({ ...beat, ageMs: Math.max(0, Math.round(beat.ageMs)) })),
    reports: reports.map(({ nodeId, taskId, status }) => ({ nodeId, report: { taskId, status: encodeJson(status) } })),
  };
}

/** The leader's side of `register`. */
export function parseRegistration(request: RegisterRequest): Registration {
  return { ...request, nodeId: request.nodeId as NodeId, description: parseDescription(request.description) };
}

/** The leader's side of `report`. */
export function parseReport(request: ReportRequest): ManagerReport {
  return {
    managerId: request.managerId as NodeId,
    managerIndex: request.managerIndex,
    beats: request.sessions.map((session) => ({ ...session, nodeId: session.nodeId as NodeId })),
    reports: request.reports.flatMap(({ nodeId, report }) =>
      report ? [{ nodeId: nodeId as NodeId, taskId: report.taskId as TaskId, status: parseStatus(report.status) }] : [],
    ),
  };
}
