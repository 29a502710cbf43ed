// One connection of the agent to a manager: greeting, heartbeats, assignments in, statuses out. Ends with a reason; the
// agent then opens the next one, perhaps elsewhere.
import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import type { Clock } from '../base/clock.ts';
import { CodedError, fail } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { agreeOnProtocol, encodeJson, parseGuestPlaces, PROTOCOL } from '../proto/assignment.ts';
import type { Credentials } from '../proto/credentials.ts';
import type { AgentMessageInput } from '../proto/gen/shoal/dispatcher/v1/AgentMessage.ts';
import type { Assignments } from '../proto/gen/shoal/dispatcher/v1/Assignments.ts';
import type { ClusterNews } from '../proto/gen/shoal/dispatcher/v1/ClusterNews.ts';
import type { GuestsPlaced } from '../proto/gen/shoal/dispatcher/v1/GuestsPlaced.ts';
import type { ManagerMessage } from '../proto/gen/shoal/dispatcher/v1/ManagerMessage.ts';
import type { OpenStream } from '../proto/gen/shoal/dispatcher/v1/OpenStream.ts';
import type { GuestPlace, GuestRequest } from '../proto/control.ts';
import type { NodeDescription } from '../proto/objects.ts';
import { Channel, fromStatus } from '../proto/rpc.ts';
import { Dispatcher } from '../proto/services.ts';
import type { StatusReport } from './reporter.ts';

export interface SessionGreeting {
  readonly sessionId: string;
  readonly previousSessionId: string;
  readonly description: NodeDescription;
  readonly dataAddress: string; // '': as the manager sees this node
  readonly dataPort: number;
  readonly appliedIndex: number;
}

export interface SessionEvents {
  /** The manager took the session; statuses may flow. */
  readonly onWelcome: (session: AgentSession) => void;
  readonly onNews: (news: ClusterNews) => void;
  /** Resolves with the applied index, or undefined while the set is not whole. */
  readonly onAssignments: (assignments: Assignments) => Promise<number | undefined>;
  readonly onOpenStream: (open: OpenStream) => void;
}

export interface SessionDeps {
  readonly credentials: Credentials;
  readonly clock: Clock;
  readonly log: Log;
  /** What the node says of itself by now. */
  readonly describe: () => NodeDescription;
}

const WELCOME_WITHIN_MS = 1_500;
/** A manager that says nothing for this long beyond a beat is gone, even if the connection does not know it yet. */
const SILENCE_MAX_MS = 900;
const SECOND_LOOK_MS = 50;
const GUESTS_WITHIN_MS = 3_000;
/** A manager that knows no leader for this long is likely cut off; another may not be. */
const LEADERLESS_MAX_MS = 2_500;

type Stream = ClientDuplexStream<AgentMessageInput, ManagerMessage>;

export class AgentSession {
  readonly address: string;
  readonly #stream: Stream;
  readonly #deps: SessionDeps;
  readonly #events: SessionEvents;
  readonly #over = new AbortController();
  #welcome = false;
  #beats = 0;
  #heardMs: number;
  #leaderSeenMs: number;
  #requests = 0;
  readonly #awaiting = new Map<number, (settled: boolean) => void>();
  readonly #placing = new Map<number, (answer: GuestsPlaced | undefined) => void>();
  #assigning: Promise<void> = Promise.resolve();
  #described: Buffer = Buffer.alloc(0);

  private constructor(address: string, stream: Stream, deps: SessionDeps, events: SessionEvents) {
    this.address = address;
    this.#stream = stream;
    this.#deps = deps;
    this.#events = events;
    this.#heardMs = deps.clock.monotonicMs();
    this.#leaderSeenMs = this.#heardMs;
  }

  /** Runs a session with the manager at `address` until it ends; always rejects, with the reason. */
  static async run(
    address: string,
    greeting: SessionGreeting,
    deps: SessionDeps,
    events: SessionEvents,
    abort: AbortSignal,
  ): Promise<never> {
    using channel = new Channel(address, deps.credentials.channelCredentials());
    const session = new AgentSession(address, channel.stream(Dispatcher.Session), deps, events);
    return await session.#run(greeting, abort);
  }

  sendStatuses(reports: readonly StatusReport[]): void {
    const encoded = reports.map(({ taskId, status }) => ({ taskId, status: encodeJson(status) }));
    this.#write({ statuses: { reports: encoded } });
  }

  refuseStream(streamId: string, reason: string): void {
    this.#write({ streamRefused: { streamId, reason } });
  }

  /** True once every other ready node has applied `index`. */
  async awaitOthers(index: number, withinMs: number): Promise<boolean> {
    const requestId = ++this.#requests;
    return await new Promise<boolean>((resolve) => {
      const done = (settled: boolean): void => {
        timer.cancel();
        this.#awaiting.delete(requestId);
        resolve(settled);
      };
      const timer = this.#deps.clock.after(withinMs, () => done(false));
      this.#awaiting.set(requestId, done);
      this.#write({ awaitOthers: { requestId, index, timeoutMs: withinMs } });
    });
  }

  /** All containers of no service, as they are to be; resolves with their places. */
  async setGuests(guests: readonly GuestRequest[]): Promise<readonly GuestPlace[]> {
    const requestId = ++this.#requests;
    return await new Promise<readonly GuestPlace[]>((resolve, reject) => {
      const done = (answer: GuestsPlaced | undefined): void => {
        timer.cancel();
        this.#placing.delete(requestId);
        if (!answer) reject(new CodedError('unavailable', `${this.address} does not answer`));
        else if (answer.error !== '') reject(new CodedError('unavailable', answer.error));
        else resolve(parseGuestPlaces(answer.body));
      };
      const timer = this.#deps.clock.after(GUESTS_WITHIN_MS, () => done(undefined));
      this.#placing.set(requestId, done);
      this.#write({ guests: { requestId, body: encodeJson({ guests }) } });
    });
  }

  async #run(greeting: SessionGreeting, abort: AbortSignal): Promise<never> {
    const { clock } = this.#deps;
    const onAbort = (): void => this.#end(new CodedError('aborted', 'the agent stops'));
    abort.addEventListener('abort', onAbort, { once: true });
    const welcome = clock.after(WELCOME_WITHIN_MS, () => {
      if (!this.#welcome) this.#end(new CodedError('unavailable', `${this.address} does not answer`));
    });
    try {
      return await new Promise<never>((_resolve, reject) => {
        this.#over.signal.addEventListener('abort', () => reject(this.#over.signal.reason), { once: true });
        this.#listen();
        if (abort.aborted) onAbort();
        else this.#greet(greeting);
      });
    } finally {
      welcome.cancel();
      abort.removeEventListener('abort', onAbort);
      for (const done of this.#awaiting.values()) done(false);
      for (const done of this.#placing.values()) done(undefined);
    }
  }

  #listen(): void {
    const stream = this.#stream;
    stream.on('data', (message: ManagerMessage) => {
      try {
        this.#take(message);
      } catch (error) {
        this.#end(error);
      }
    });
    stream.on('error', (error: ServiceError) => this.#end(fromStatus(error, this.address)));
    stream.on('end', () => this.#end(new CodedError('unavailable', `${this.address} closed the session`)));
  }

  #greet({ description, ...greeting }: SessionGreeting): void {
    const protocol = { ...PROTOCOL, features: [...PROTOCOL.features] };
    this.#described = encodeJson(description);
    this.#write({ hello: { ...greeting, protocol, description: this.#described } });
  }

  #take(message: ManagerMessage): void {
    this.#heardMs = this.#deps.clock.monotonicMs();
    if (message.welcome) {
      agreeOnProtocol(message.welcome.protocol, 'the manager');
      this.#welcome = true;
      if (message.welcome.news) this.#events.onNews(message.welcome.news);
      this.#events.onWelcome(this);
      this.#beatAfter(message.welcome.heartbeatMs);
    } else if (message.heartbeatReply) {
      if (message.heartbeatReply.leaderKnown) this.#leaderSeenMs = this.#heardMs;
      this.#beatAfter(message.heartbeatReply.nextMs);
    } else if (message.assignments) this.#assign(message.assignments);
    else if (message.othersApplied) {
      this.#awaiting.get(message.othersApplied.requestId)?.(message.othersApplied.settled);
    } else if (message.openStream) this.#events.onOpenStream(message.openStream);
    else if (message.guestsPlaced) this.#placing.get(message.guestsPlaced.requestId)?.(message.guestsPlaced);
    else if (message.news) this.#events.onNews(message.news);
    else fail('invalid', 'a message of an unknown kind came from the manager');
  }

  /** Sets are applied in order; each is acknowledged when it is in force. */
  #assign(assignments: Assignments): void {
    const apply = async (): Promise<void> => {
      if (this.#over.signal.aborted) return;
      const index = await this.#events.onAssignments(assignments);
      if (index !== undefined) this.#write({ applied: { index } });
    };
    this.#assigning = this.#assigning.then(apply).catch((error: unknown) => this.#end(error));
  }

  #beatAfter(ms: number): void {
    const { clock } = this.#deps;
    clock.after(ms, () => {
      if (this.#over.signal.aborted) return;
      this.#write({ heartbeat: { sequence: ++this.#beats, ...this.#describedAnew() } });
      const sentMs = clock.monotonicMs();
      // Looked at twice: after a stall of this process the first look comes before the answer that is waiting is read.
      clock.after(SILENCE_MAX_MS, () => {
        if (this.#heardMs >= sentMs) return;
        clock.after(SECOND_LOOK_MS, () => {
          if (this.#heardMs < sentMs) this.#end(new CodedError('unavailable', `${this.address} fell silent`));
        });
      });
      if (sentMs - this.#leaderSeenMs > LEADERLESS_MAX_MS) {
        this.#end(new CodedError('unavailable', `${this.address} knows no leader`));
      }
    });
  }

  /** A manager of an earlier version does not look at it, and hears of it with the next greeting. */
  #describedAnew(): { readonly description?: Buffer } {
    const description = encodeJson(this.#deps.describe());
    if (description.equals(this.#described)) return {};
    this.#described = description;
    return { description };
  }

  #write(message: AgentMessageInput): void {
    if (!this.#over.signal.aborted) this.#stream.write(message);
  }

  #end(error: unknown): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort(error);
    this.#stream.cancel();
  }
}
