// One agent's stream on this manager: takes heartbeats, statuses and acknowledgements, sends assignments, news and
// requests. Every message is checked against the store first: a node that was removed, got another certificate or
// another session is refused, and the stream closed.
import { isIP } from 'node:net';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { CodedError, codeOf, fail, sentenceOf } from '../../base/errors.ts';
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { asInteger } from '../../base/parse.ts';
import type { Random } from '../../base/random.ts';
import { agreeOnProtocol, parseDescription, parseStatus, PROTOCOL } from '../../proto/assignment.ts';
import type { AgentMessage } from '../../proto/gen/shoal/dispatcher/v1/AgentMessage.ts';
import type { AssignmentInput } from '../../proto/gen/shoal/dispatcher/v1/Assignment.ts';
import type { AwaitOthers } from '../../proto/gen/shoal/dispatcher/v1/AwaitOthers.ts';
import type { ClusterNewsInput } from '../../proto/gen/shoal/dispatcher/v1/ClusterNews.ts';
import type { Guests } from '../../proto/gen/shoal/dispatcher/v1/Guests.ts';
import type { Hello } from '../../proto/gen/shoal/dispatcher/v1/Hello.ts';
import type { ManagerMessageInput } from '../../proto/gen/shoal/dispatcher/v1/ManagerMessage.ts';
import type { OpenStreamInput } from '../../proto/gen/shoal/dispatcher/v1/OpenStream.ts';
import type { Statuses } from '../../proto/gen/shoal/dispatcher/v1/Statuses.ts';
import type { Identity } from '../../proto/identity.ts';
import type { ClusterSpec, NodeId, TaskId } from '../../proto/objects.ts';
import { toStatus } from '../../proto/rpc.ts';
import type { Store } from '../store/contract.ts';
import type { Assignments, Delta, Item } from './assignments.ts';
import type { Registration, SessionBeat } from './desk.ts';
import type { Upstream } from './upstream.ts';

export type SessionStream = ServerDuplexStream<AgentMessage, ManagerMessageInput>;

export interface SessionDeps {
  readonly store: Store;
  readonly assignments: Assignments;
  readonly upstream: Upstream;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly leaderKnown: () => boolean;
  /** Makes true what the agent says of its containers that no service owns; answers with their places. */
  readonly setGuests: (nodeId: NodeId, session: string, body: Uint8Array, abort: AbortSignal) => Promise<Buffer>;
  readonly news: (nodeId: NodeId) => ClusterNewsInput;
  readonly timing: () => ClusterSpec['dispatcher'];
  /** The agent refused to open a stream. */
  readonly streamRefused: (streamId: string, reason: string) => void;
}

const HELLO_WITHIN_MS = 5_000;
const HEARTBEAT_JITTER = 0.1;
const MESSAGE_BYTES_MAX = 1_000_000;
const AWAIT_MS_MAX = 5_000;
/** An agent that has seen more than this manager is not sent back in time; it waits this long, then goes elsewhere. */
const BEHIND_MAX_MS = 1_000;

export class Session {
  readonly nodeId: NodeId;
  readonly #identity: Identity;
  readonly #stream: SessionStream;
  readonly #deps: SessionDeps;
  readonly #abort = new AbortController();
  #sessionId = '';
  /** The store knows this session from this version on; before, this manager is only behind. */
  #knownFrom = Number.POSITIVE_INFINITY;
  #heardMs: number;
  /** Something happened that the leader has not been told. */
  #changed = true;
  #applied = 0;
  #sent = 0;
  #unsent = new Map<string, Item>();
  #blocked = false;
  #lastNews = '';
  #following: Disposable | undefined;
  #registration: Registration | undefined;
  #isDescribing = false;

  constructor(identity: Identity, stream: SessionStream, deps: SessionDeps) {
    this.nodeId = identity.nodeId;
    this.#identity = identity;
    this.#stream = stream;
    this.#deps = deps;
    this.#heardMs = deps.clock.monotonicMs();
  }

  get sessionId(): string {
    return this.#sessionId;
  }

  get ended(): boolean {
    return this.#abort.signal.aborted;
  }

  /** What the leader should know of this session: undefined when it knows already. */
  takeBeat(all: boolean): SessionBeat | undefined {
    if (!this.#changed && !all) return undefined;
    this.#changed = false;
    return {
      nodeId: this.nodeId,
      sessionId: this.#sessionId,
      ageMs: this.#deps.clock.monotonicMs() - this.#heardMs,
      appliedIndex: this.#applied,
      idle: this.#applied >= this.#sent && this.#unsent.size === 0,
      ended: this.ended,
    };
  }

  /** Serves the stream until it ends. `onReady` is called when the session may speak for its node. */
  serve(address: string, onReady: () => void): void {
    const hello = this.#deps.clock.after(HELLO_WITHIN_MS, () =>
      this.#close(new CodedError('deadline', 'no greeting came')),
    );
    let greeted = false;
    this.#stream.on('data', (message: AgentMessage) => {
      if (greeted) return this.#onMessage(message);
      greeted = true;
      hello.cancel();
      this.#stream.pause();
      this.#begin(message.hello, address, onReady).catch((error: unknown) => this.#close(error));
    });
    this.#stream.once('end', () => this.#close(undefined));
    this.#stream.once('cancelled', () => {
      hello.cancel();
      this.#close(new CodedError('aborted', 'the agent went away'));
    });
  }

  /** Ends the stream with a reason that the agent will read. */
  end(error: CodedError): void {
    this.#close(error);
  }

  /** Called when the node's record changed: ends the stream if the session may no longer speak for it. */
  recheck(): void {
    try {
      this.#refuseIfReplaced();
    } catch (error) {
      this.#close(error);
    }
  }

  openStream(open: OpenStreamInput): void {
    this.#write({ openStream: open });
  }

  tellNews(): void {
    const news = this.#deps.news(this.nodeId);
    const text = JSON.stringify(news);
    if (text === this.#lastNews) return;
    this.#lastNews = text;
    this.#write({ news });
  }

  #onMessage(message: AgentMessage): void {
    try {
      this.#refuseIfReplaced();
      this.#take(message);
    } catch (error) {
      this.#close(error);
    }
  }

  async #begin(hello: Hello | null | undefined, address: string, onReady: () => void): Promise<void> {
    await this.#greet(hello ?? fail('invalid', 'a session begins with a greeting'), address);
    if (this.ended) return;
    onReady();
    this.#start();
    this.#stream.resume();
  }

  async #greet(hello: Hello, address: string): Promise<void> {
    agreeOnProtocol(hello.protocol, 'the agent');
    if (!/^[0-9a-z]{25}$/.test(hello.sessionId)) fail('invalid', 'the session id is not an id');
    this.#sessionId = hello.sessionId;
    this.#applied = hello.appliedIndex;
    this.#registration = {
      nodeId: this.nodeId,
      sessionId: hello.sessionId,
      previousSessionId: hello.previousSessionId,
      keyDigest: this.#identity.keyDigest,
      description: parseDescription(hello.description),
      address,
      ...dataPathOf(hello, address),
    };
    this.#knownFrom = await this.#deps.upstream.register(this.#registration, this.#abort.signal);
    await this.#deps.assignments.reached(hello.appliedIndex, BEHIND_MAX_MS, this.#deps.clock, this.#abort.signal);
  }

  #start(): void {
    const { assignments } = this.#deps;
    this.#stream.on('drain', () => this.#onDrain());
    const news = this.#deps.news(this.nodeId);
    this.#lastNews = JSON.stringify(news);
    this.#write({ welcome: { protocol: PROTOCOL_MESSAGE, heartbeatMs: this.#nextBeatMs(), news } });
    this.#following = assignments.follow(this.nodeId, (delta) => this.#onDelta(delta));
    this.#sendDelta(assignments.since(this.nodeId, this.#applied));
  }

  #take(message: AgentMessage): void {
    this.#heardMs = this.#deps.clock.monotonicMs();
    this.#changed = true;
    if (message.heartbeat) {
      const { leaderKnown } = this.#deps;
      const { sequence, description } = message.heartbeat;
      if (description.length > 0) this.#describe(description);
      this.#write({ heartbeatReply: { sequence, nextMs: this.#nextBeatMs(), leaderKnown: leaderKnown() } });
    } else if (message.statuses) this.#takeStatuses(message.statuses);
    else if (message.applied) this.#takeApplied(message.applied.index);
    else if (message.awaitOthers) this.#awaitOthers(message.awaitOthers);
    else if (message.guests) this.#setGuests(message.guests);
    else if (message.streamRefused) {
      this.#deps.streamRefused(message.streamRefused.streamId, message.streamRefused.reason);
    } else fail('invalid', `a session message of an unknown kind came from node ${this.nodeId}`);
  }

  /** One at a time, of several the last. One that can not be stored ends the session: the next greets with it. */
  #describe(bytes: Uint8Array): void {
    if (!this.#registration) return;
    const description = parseDescription(bytes);
    this.#registration = { ...this.#registration, previousSessionId: this.#sessionId, description };
    if (!this.#isDescribing) void this.#register();
  }

  async #register(): Promise<void> {
    this.#isDescribing = true;
    try {
      let told: Registration | undefined;
      while (this.#registration && told !== this.#registration && !this.ended) {
        told = this.#registration;
        await this.#deps.upstream.register(told, this.#abort.signal);
      }
    } catch (error) {
      this.#close(error);
    } finally {
      this.#isDescribing = false;
    }
  }

  #takeStatuses({ reports }: Statuses): void {
    const parsed = reports.map(({ taskId, status }) => ({
      nodeId: this.nodeId,
      taskId: taskId as TaskId,
      status: parseStatus(status),
    }));
    for (const { taskId } of parsed) {
      const task = this.#deps.store.view().tasks.get(taskId);
      if (task && task.nodeId !== this.nodeId) {
        fail('forbidden', `node ${this.nodeId} reports on task ${taskId}, which is not its own`);
      }
    }
    this.#deps.upstream.report(parsed);
  }

  #takeApplied(index: number): void {
    if (index > this.#sent) fail('invalid', `node ${this.nodeId} has applied index ${index}, which was never sent`);
    this.#applied = Math.max(this.#applied, index);
    this.#deps.upstream.beat();
  }

  #awaitOthers({ requestId, index, timeoutMs }: AwaitOthers): void {
    void this.#deps.upstream
      .awaitApplied(this.nodeId, index, Math.min(timeoutMs, AWAIT_MS_MAX), this.#abort.signal)
      .catch(() => false)
      .then((settled) => this.#write({ othersApplied: { requestId, settled } }));
  }

  #setGuests({ requestId, body }: Guests): void {
    void this.#deps.setGuests(this.nodeId, this.#sessionId, body, this.#abort.signal).then(
      (places) => this.#write({ guestsPlaced: { requestId, body: places } }),
      (error: unknown) => this.#write({ guestsPlaced: { requestId, error: sentenceOf(error) } }),
    );
  }

  #refuseIfReplaced(): void {
    const view = this.#deps.store.view();
    const node = view.nodes.get(this.nodeId);
    if (!node) {
      if (view.version >= this.#knownFrom) fail('forbidden', `node ${this.nodeId} was removed from the cluster`);
      return;
    }
    const { keyDigest } = this.#identity;
    if (node.certificateKeyDigest !== keyDigest && node.previousCertificateKeyDigest !== keyDigest) {
      fail('forbidden', `the certificate of node ${this.nodeId} has been replaced`);
    }
    if (view.version >= this.#knownFrom && node.sessionId !== this.#sessionId) {
      fail('forbidden', `node ${this.nodeId} is represented by another session`);
    }
  }

  // ---- Sending ----

  #onDelta(delta: Delta): void {
    if (delta.from === 0) {
      this.#unsent.clear();
      this.#sendDelta(delta);
      return;
    }
    this.#changed = true;
    for (const item of delta.items) this.#unsent.set(`${item.kind} ${item.id}`, item);
    if (!this.#blocked) this.#flush();
  }

  #onDrain(): void {
    this.#blocked = false;
    if (this.#unsent.size > 0) this.#flush();
  }

  #flush(): void {
    const items = [...this.#unsent.values()];
    this.#unsent.clear();
    this.#sendDelta({ from: this.#sent, to: this.#deps.assignments.index, items });
  }

  #sendDelta({ from, to, items }: Delta): void {
    let changes: AssignmentInput[] = [];
    let bytes = 0;
    const send = (more: boolean): void => {
      this.#write({ assignments: { full: from === 0, fromIndex: from, toIndex: to, changes, more } });
      changes = [];
      bytes = 0;
    };
    for (const { kind, id, version, body } of items) {
      const encoded = body?.();
      if (bytes + (encoded?.length ?? 0) > MESSAGE_BYTES_MAX) send(true);
      bytes += encoded?.length ?? 0;
      changes.push(encoded ? { kind, id, version, body: encoded } : { kind, id, version, removed: true });
    }
    send(false);
    this.#sent = to;
    this.#changed = true;
  }

  #write(message: ManagerMessageInput): void {
    if (this.ended) return;
    if (!this.#stream.write(message)) this.#blocked = true;
  }

  #nextBeatMs(): number {
    const { heartbeatMs } = this.#deps.timing();
    const jitter = 1 + HEARTBEAT_JITTER * (2 * this.#deps.random.fraction() - 1);
    return Math.round(heartbeatMs * jitter);
  }

  #close(error: unknown): void {
    if (this.ended) return;
    this.#changed = true;
    this.#following?.[Symbol.dispose]();
    this.#abort.abort(new CodedError('aborted', 'the session is over'));
    if (error === undefined || this.#stream.destroyed) this.#stream.end();
    else {
      if (codeOf(error) !== 'aborted') this.#deps.log.warn('session ended', { nodeId: this.nodeId, error });
      this.#stream.emit('error', toStatus(error));
    }
    this.#deps.upstream.beat();
  }
}

const PROTOCOL_MESSAGE = { ...PROTOCOL, features: [...PROTOCOL.features] };

/** Other nodes make links, rules and lines of it: it is an address and a port, or the node is told that it is not. */
function dataPathOf(hello: Hello, seen: string): { readonly dataAddress: string; readonly dataPort: number } {
  const dataAddress = hello.dataAddress === '' ? seen : ipOf(hello.dataAddress);
  const dataPort = asInteger(hello.dataPort, 'the data path port', { min: 0, max: 65_535 });
  return { dataAddress, dataPort };
}

function ipOf(text: string): string {
  if (isIP(text) === 0 || !/^[0-9a-fA-F:.]+$/.test(text)) {
    return fail('invalid', `the data path address ${JSON.stringify(text)} is not an IP address`);
  }
  return text;
}
