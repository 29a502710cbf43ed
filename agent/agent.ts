// The agent of one node: keeps a session with some manager, does what it is assigned, and goes on with that when there is
// no manager. Many can run in one process.
import { Background } from '../base/background.ts';
import { backoffMs } from '../base/backoff.ts';
import type { Clock } from '../base/clock.ts';
import { CodedError, codeOf, sentenceOf } from '../base/errors.ts';
import { newId } from '../base/id.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import type { Credentials } from '../proto/credentials.ts';
import type { ClusterNews } from '../proto/gen/shoal/dispatcher/v1/ClusterNews.ts';
import type { OpenStream } from '../proto/gen/shoal/dispatcher/v1/OpenStream.ts';
import { encodeLogRecord, parseLogOptions } from '../proto/log-record.ts';
import type { NodePath } from '../proto/node-path.ts';
import type { NodeRole, TaskId } from '../proto/objects.ts';
import type { AskNode } from './ask-node.ts';
import type { Executor } from './executor.ts';
import { Guests } from './guests.ts';
import type { AgentMemory, LocalDb } from './local-db.ts';
import type { Remotes } from './remotes.ts';
import { Reporter } from './reporter.ts';
import { AgentSession, type SessionEvents } from './session.ts';
import { serveStream } from './streams.ts';
import { Worker } from './worker.ts';

export interface AgentOptions {
  readonly credentials: Credentials;
  readonly executor: Executor;
  readonly db: LocalDb;
  readonly memory: AgentMemory;
  readonly remotes: Remotes;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Where other nodes reach this one's published ports; '': where the manager sees it. */
  readonly dataAddress: string;
  readonly dataPort: number;
  /** Absent: nobody asks whether other nodes are reached. */
  readonly askNode?: AskNode;
  /** The managers want this node's certificate to say so. */
  readonly onRole: (role: NodeRole) => void;
}

export interface AgentState {
  readonly connectedTo: string | undefined;
  /** Why there is no session; '' while there is one. */
  readonly error: string;
}

const BACKOFF = { baseMs: 100, maxMs: 8_000 } as const;
const SPREAD_MS = 200;

export class Agent {
  readonly #options: AgentOptions;
  readonly #worker: Worker;
  readonly #reporter: Reporter;
  readonly #guests: Guests;
  readonly #background: Background;
  #session: AgentSession | undefined;
  #sessionId: string; // the last one that a manager took
  #nextSessionId: string | undefined;
  #error = 'not connected yet';
  #waiting: AbortController | undefined; // for the next attempt

  constructor(options: AgentOptions) {
    const { log, db, remotes, credentials } = options;
    this.#options = options;
    this.#reporter = new Reporter(options.clock);
    this.#guests = new Guests(options);
    this.#sessionId = options.memory.sessionId;
    this.#background = new Background({ onFailure: (name, error) => log.error('agent part failed', { name, error }) });
    this.#worker = new Worker({
      ...options,
      nodeId: credentials.identity.nodeId,
      report: (taskId, status) => this.#reporter.report(taskId, status),
      changed: () => db.touch(),
      onReached: () => this.#waiting?.abort(),
      awaitOthers: (index, withinMs) => this.#session?.awaitOthers(index, withinMs) ?? Promise.resolve(true),
    });
    db.keep(() => ({ sessionId: this.#sessionId, managers: remotes.addresses(), ...this.#worker.memory() }));
  }

  get state(): AgentState {
    return { connectedTo: this.#session?.address, error: this.#error };
  }

  paths(): readonly NodePath[] {
    return this.#worker.paths();
  }

  /** Takes up the tasks of an earlier life and connects. */
  start(): void {
    const { executor, memory } = this.#options;
    this.#worker.restore(memory);
    this.#guests.restore(executor.guests());
    executor.serveGuests(this.#guests);
    this.#background.run('sessions', (abort) => this.#sessions(abort));
  }

  /** Leaves the tasks running. */
  async stop(): Promise<void> {
    this.#options.executor.serveGuests(undefined);
    await this.#background.stop();
    await this.#worker.stop();
    await this.#options.db.flush();
  }

  /** Stops and removes every task: the node leaves its cluster. */
  async stopAndRemoveTasks(): Promise<void> {
    this.#options.executor.serveGuests(undefined);
    await this.#background.stop();
    await this.#worker.removeAll();
  }

  async #sessions(abort: AbortSignal): Promise<void> {
    const { remotes, random, log } = this.#options;
    await this.#openWays();
    let failures = 0;
    while (!abort.aborted) {
      const address = remotes.next();
      let welcomed = false;
      try {
        if (address === undefined) throw new CodedError('unavailable', 'no manager is known');
        await this.#oneSession(address, abort, () => {
          welcomed = true;
          remotes.succeeded(address);
        });
      } catch (error) {
        if (abort.aborted) break;
        this.#error = sentenceOf(error);
        log.info('session ended', { address, code: codeOf(error), reason: this.#error });
        if (address !== undefined) remotes.failed(address);
        failures = welcomed ? 0 : failures + 1;
      }
      // Every known manager is tried once before the waits begin to grow.
      const round = Math.max(0, failures - remotes.addresses().length);
      if (await this.#pause(backoffMs(round, BACKOFF, random), abort)) failures = 0;
    }
  }

  /** True: it was cut short, as a node is reached again that was not. Nodes that all see that do not all come at once. */
  async #pause(waitMs: number, abort: AbortSignal): Promise<boolean> {
    const { clock, random } = this.#options;
    this.#waiting = new AbortController();
    const early = this.#waiting.signal;
    try {
      await clock.sleep(waitMs, { abort: AbortSignal.any([abort, early]) });
      return false;
    } catch (error) {
      if (abort.aborted || !early.aborted) throw error;
      await clock.sleep(random.fraction() * SPREAD_MS, { abort });
      return true;
    } finally {
      this.#waiting = undefined;
    }
  }

  /** Before any manager is told what this node can do. */
  async #openWays(): Promise<void> {
    const { executor, dataPort, log } = this.#options;
    try {
      if (dataPort > 0) await executor.openWays(dataPort);
    } catch (error) {
      log.warn('ways to other nodes could not be opened', { error: sentenceOf(error) });
    }
  }

  async #oneSession(address: string, abort: AbortSignal, onWelcome: () => void): Promise<never> {
    const { credentials, executor, dataAddress, dataPort, random, db } = this.#options;
    const previousSessionId = this.#sessionId;
    // The same until a manager has taken it: it may have, and its answer got lost.
    const sessionId = (this.#nextSessionId ??= newId<'session'>(random));
    let reporting: Disposable | undefined;
    let placing: Disposable | undefined;
    const events: SessionEvents = {
      onWelcome: (session) => {
        this.#session = session;
        this.#sessionId = sessionId;
        this.#nextSessionId = undefined;
        this.#error = '';
        db.touch();
        onWelcome();
        placing = this.#guests.connect((guests) => session.setGuests(guests));
        reporting = this.#reporter.attach((reports) => session.sendStatuses(reports), this.#worker.statuses());
      },
      onNews: (news) => this.#learn(news),
      onAssignments: (assignments) => this.#worker.assign(assignments),
      onOpenStream: (open) => this.#serve(open),
    };
    try {
      this.#worker.beginSession();
      const { appliedIndex } = this.#worker;
      const description = executor.describe();
      const greeting = { sessionId, previousSessionId, description, dataAddress, dataPort, appliedIndex };
      const deps = { ...this.#options, credentials, describe: () => executor.describe() };
      return await AgentSession.run(address, greeting, deps, events, abort);
    } finally {
      reporting?.[Symbol.dispose]();
      placing?.[Symbol.dispose]();
      this.#session = undefined;
    }
  }

  #learn({ managerAddresses, role }: ClusterNews): void {
    this.#options.remotes.learn(managerAddresses);
    this.#options.db.touch();
    if (role === 'manager' || role === 'worker') this.#options.onRole(role);
  }

  #serve(open: OpenStream): void {
    const { credentials, log } = this.#options;
    const sources = { logs: (request: OpenStream, abort: AbortSignal) => this.#logs(request, abort) };
    const session = this.#session;
    this.#background.run(`stream ${open.kind}`, async (abort) => {
      try {
        await serveStream(open, { credentials, log, sources }, abort);
      } catch (error) {
        session?.refuseStream(open.streamId, sentenceOf(error));
      }
    });
  }

  async *#logs(open: OpenStream, abort: AbortSignal): AsyncGenerator<Uint8Array> {
    const controller = this.#worker.controllerOf(open.taskId as TaskId);
    if (!controller) return;
    for await (const record of controller.logs(parseLogOptions(open.request), abort)) yield encodeLogRecord(record);
  }
}
