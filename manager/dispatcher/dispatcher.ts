// The dispatcher of one manager: sessions of agents on it, what they must do, and the way to the leader's desk. Runs on
// every manager; the desk works only while this one leads.
import type { Clock } from '../../base/clock.ts';
import { CodedError, fail } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { together } from '../../base/together.ts';
import { encodeJson, parseGuestRequests } from '../../proto/assignment.ts';
import type { ControlReply, ControlRequest } from '../../proto/control.ts';
import type { DispatcherHandlers } from '../../proto/gen/shoal/dispatcher/v1/Dispatcher.ts';
import type { OpenStreamInput } from '../../proto/gen/shoal/dispatcher/v1/OpenStream.ts';
import type { Identity } from '../../proto/identity.ts';
import type { ClusterSpec, NodeId, NodeRole } from '../../proto/objects.ts';
import { type LeaderLink, unaryHandler } from '../../proto/rpc.ts';
import type { Store } from '../store/contract.ts';
import { Assignments } from './assignments.ts';
import { Desk, type SessionBeat } from './desk.ts';
import { LogBroker } from './log-broker.ts';
import { Session } from './session.ts';
import { Streams } from './streams.ts';
import { parseRegistration, parseReport, Upstream } from './upstream.ts';
import type { ManagersHandlers } from '../../proto/gen/shoal/dispatcher/v1/Managers.ts';

export interface DispatcherDeps {
  readonly store: Store;
  readonly leader: LeaderLink;
  readonly leaderKnown: () => boolean;
  /** Changes with the leader. */
  readonly term: () => number;
  readonly managerId: NodeId;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Brings to the leader what a node says of its containers that no service owns. */
  readonly setGuests: (request: ControlRequest<'SetGuests'>, abort: AbortSignal) => Promise<ControlReply<'SetGuests'>>;
  /** What the certificate of a node should say. */
  readonly roleOf: (nodeId: NodeId) => NodeRole;
  /** Control address of this manager. */
  readonly address: () => string;
  /** Asks the other managers to bring a request to an agent; true if one of them holds its session. */
  readonly askOthers: (nodeId: NodeId, open: OpenStreamInput, abort: AbortSignal) => Promise<boolean>;
}

type Identify = (call: { getAuthContext(): unknown }) => Identity;

/** The handlers of `Managers` that concern agents; membership is the manager's own business. */
export type AgentDeskHandlers = Pick<ManagersHandlers, 'Register' | 'Report' | 'AwaitApplied' | 'AskForStream'>;

export class AgentDispatcher {
  readonly desk: Desk;
  readonly logs: LogBroker;
  readonly #deps: DispatcherDeps;
  readonly #assignments: Assignments;
  readonly #upstream: Upstream;
  readonly #streams: Streams;
  readonly #sessions = new Map<NodeId, Session>();
  /** Ended since the leader was last told. */
  #ended: Session[] = [];
  #ready: () => void = () => {};
  /** Resolves when the first scan of the store is in. */
  readonly ready = new Promise<void>((resolve) => {
    this.#ready = resolve;
  });

  constructor(deps: DispatcherDeps) {
    const { store, clock, random, log } = deps;
    this.#deps = deps;
    this.#assignments = new Assignments(store);
    this.desk = new Desk({ store, clock, log, index: () => this.#assignments.index });
    this.#upstream = new Upstream({
      ...deps,
      desk: this.desk,
      beats: (all) => this.#beats(all),
      index: () => this.#assignments.index,
    });
    this.#streams = new Streams({
      clock,
      random,
      address: deps.address,
      ask: async (nodeId, open, abort) => this.ask(nodeId, open) || (await deps.askOthers(nodeId, open, abort)),
    });
    this.logs = new LogBroker({ store, streams: this.#streams, clock });
  }

  /** While this manager runs. */
  async run(abort: AbortSignal): Promise<void> {
    using _advance = this.#assignments.onAdvance(() => this.#upstream.beat());
    try {
      await together(abort, [
        (both) => this.#assignments.run(both, this.#ready),
        (both) => this.#upstream.run(both),
        (both) => this.#watchNodes(both),
      ]);
    } finally {
      for (const session of this.#sessions.values()) {
        session.end(new CodedError('unavailable', 'this manager stops; go to another'));
      }
    }
  }

  /** Asks an agent whose session is held here to open a stream; false when there is none. */
  ask(nodeId: NodeId, open: OpenStreamInput): boolean {
    const session = this.#sessions.get(nodeId);
    session?.openStream(open);
    return session !== undefined;
  }

  handlers(identify: Identify): DispatcherHandlers {
    return {
      Session: (stream) => {
        const identity = identify(stream);
        const session = new Session(identity, stream, this.#sessionDeps(identity.nodeId));
        session.serve(addressOf(stream.getPeer()), () => this.#admit(session));
      },
      Bytes: (stream) => this.#streams.accept(identify(stream), stream),
    };
  }

  managerHandlers(): AgentDeskHandlers {
    return {
      Register: unaryHandler(async (request, _call, abort) => ({
        version: await this.desk.register(parseRegistration(request), abort),
      })),
      Report: unaryHandler(async (request, _call, abort) => {
        await this.desk.report(parseReport(request), abort);
        return {};
      }),
      AwaitApplied: unaryHandler(async ({ exceptNodeId, index, timeoutMs }, _call, abort) => ({
        settled: await this.desk.awaitApplied(exceptNodeId, index, timeoutMs, abort),
      })),
      AskForStream: unaryHandler(async ({ nodeId, open }) => ({
        asked: this.ask(nodeId as NodeId, open ?? fail('invalid', 'which stream?')),
      })),
    };
  }

  #sessionDeps(nodeId: NodeId) {
    return {
      ...this.#deps,
      assignments: this.#assignments,
      upstream: this.#upstream,
      setGuests: (node: NodeId, session: string, body: Uint8Array, abort: AbortSignal) =>
        this.#setGuests(node, session, body, abort),
      news: () => this.#news(nodeId),
      timing: () => this.#timing(),
      streamRefused: (streamId: string, reason: string) => this.#streams.refused(nodeId, streamId, reason),
    };
  }

  async #setGuests(node: NodeId, session: string, body: Uint8Array, abort: AbortSignal): Promise<Buffer> {
    const guests = parseGuestRequests(body);
    const has = [...this.#deps.store.view().guests.all()].some(({ nodeId }) => nodeId === node);
    if (guests.length === 0 && !has) return encodeJson({ places: [] });
    return encodeJson(await this.#deps.setGuests({ node, session, guests }, abort));
  }

  #admit(session: Session): void {
    const older = this.#sessions.get(session.nodeId);
    this.#sessions.set(session.nodeId, session);
    older?.end(new CodedError('forbidden', `node ${session.nodeId} is represented by another session`));
  }

  /** Each ended session is reported once more, as ended. */
  #beats(all: boolean): SessionBeat[] {
    for (const [nodeId, session] of this.#sessions) {
      if (!session.ended) continue;
      this.#sessions.delete(nodeId);
      this.#ended.push(session);
    }
    const ended = this.#ended.splice(0);
    return [...this.#sessions.values(), ...ended].flatMap((session) => session.takeBeat(all) ?? []);
  }

  async #watchNodes(abort: AbortSignal): Promise<void> {
    const { changes } = this.#deps.store.viewAndWatch(['node', 'cluster'], { abort });
    for await (const change of changes) {
      if (change.kind === 'node') this.#sessions.get(change.object.id)?.recheck();
      else for (const session of this.#sessions.values()) session.recheck();
      if (concernsAll(change)) for (const session of this.#sessions.values()) session.tellNews();
      else if (change.kind === 'node') this.#sessions.get(change.object.id)?.tellNews();
    }
  }

  #news(nodeId: NodeId) {
    const view = this.#deps.store.view();
    const [cluster] = view.clusters.all();
    const managerAddresses = [...view.nodes.all()].flatMap((node) =>
      node.manager ? [node.manager.controlAddress] : [],
    );
    return {
      managerAddresses: managerAddresses.sort(),
      role: this.#deps.roleOf(nodeId),
      rootsPem: [...(cluster?.rootCertificates ?? [])],
    };
  }

  #timing(): ClusterSpec['dispatcher'] {
    const [cluster] = this.#deps.store.view().clusters.all();
    return (cluster ?? fail('unavailable', 'this manager has not received the cluster yet')).spec.dispatcher;
  }
}

/** Managers or roots changed: every agent should know. */
function concernsAll(change: { kind: string; object?: unknown; previous?: unknown }): boolean {
  if (change.kind !== 'node') return true;
  const addresses = (node: unknown): string => JSON.stringify((node as { manager?: unknown } | undefined)?.manager);
  return addresses(change.object) !== addresses(change.previous);
}

/** The host of gRPC's `host:port`. */
function addressOf(peer: string): string {
  const host = peer.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  return host.startsWith('::ffff:') ? host.slice(7) : host;
}
