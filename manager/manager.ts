// One manager: joins consensus, store, control, dispatcher and certificate authority, and opens its listeners. The parts
// do not know each other; what flows between them is written here.
import { Background } from '../base/background.ts';
import type { Clock } from '../base/clock.ts';
import { fail } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { Scope } from '../base/scope.ts';
import type { ClusterControl, ManagerState } from '../proto/control.ts';
import type { Credentials } from '../proto/credentials.ts';
import { newJoinToken } from '../proto/join-token.ts';
import type { Cluster, ClusterId, ManagerAddresses, Node, NodeId } from '../proto/objects.ts';
import { Certificates, Control as ControlService, Dispatcher, Managers } from '../proto/services.ts';
import { unaryHandler } from '../proto/rpc.ts';
import { type Authority, identify } from './authority.ts';
import { certificateRequestsHandlers, certificatesHandlers } from './ca/handlers.ts';
import { certificateRole, Issuer } from './ca/issuer.ts';
import { createControl } from './control/control.ts';
import { AgentDispatcher } from './dispatcher/dispatcher.ts';
import { ForwardedControl } from './forward.ts';
import { CLUSTER_LOOPS, LeaderLoops } from './leader-loops.ts';
import { LeaderCalls } from './leader-link.ts';
import { openListeners } from './listeners.ts';
import { Peers } from './peers.ts';
import type { Consensus, ConsensusOptions, ConsensusStatus } from './raft/contract.ts';
import { FollowerReads } from './read-index.ts';
import { startConsensus } from './raft/driver.ts';
import { admitManager, dismissManager, rolesLoop } from './roles.ts';
import type { Draft, ReplicatedStore } from './store/contract.ts';
import { createStore } from './store/store.ts';
import { backupOf, takeOverCluster } from './take-over.ts';

export interface ManagerOptions {
  readonly nodeId: NodeId;
  readonly clusterId: ClusterId;
  readonly directory: string; // consensus keeps its log here
  readonly nodeKeys: readonly Uint8Array[]; // what its data keys are sealed with
  readonly credentials: Credentials;
  readonly addresses: ManagerAddresses; // as others reach this manager
  readonly listen: { readonly join: string; readonly control: string; readonly raft: string };
  readonly start: ManagerStart;
  readonly consensus: Pick<ConsensusOptions, 'timing' | 'snapshotIntervalEntries' | 'logEntriesForSlowFollowers'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** This manager was taken out of the raft group: it is none any more. */
  readonly onRemoved: () => void;
}

export type ManagerStart =
  | { readonly kind: 'bootstrap'; readonly cluster: Draft<Cluster>; readonly node: Draft<Node> }
  | { readonly kind: 'join' }
  /** The log was made to have this manager only; all others are lost. `node`: its record, where the state has none. */
  | { readonly kind: 'take-over'; readonly node?: Draft<Node> }
  | { readonly kind: 'restart' };

export interface Manager extends AsyncDisposable {
  readonly control: ClusterControl;
  /** All managers as this one knows them, by the address that a join command would name. */
  managers(): readonly { readonly nodeId: NodeId; readonly address: string }[];
  status(): ConsensusStatus;
  /** The cluster's unlock key as this manager knows it, now and on every change; '' while managers do not lock. */
  unlockKeys(abort: AbortSignal): AsyncIterable<string>;
  /** As `Consensus.logId`. */
  readonly logId: string;
  /** The cluster's state as a file. */
  backup(abort: AbortSignal): AsyncIterable<Uint8Array>;
  /** As `Consensus.rekey`. */
  rekey(options: { nodeKeys: readonly Uint8Array[]; rotate: boolean }): Promise<void>;
  /** Asks the leader to demote this manager; resolves when it has left the raft group. */
  retire(abort: AbortSignal): Promise<void>;
}

/** Resolves when the listeners are open and, for a new cluster, its first objects are committed. */
export async function startManager(options: ManagerOptions): Promise<Manager> {
  await using owned = new Scope();
  const { credentials, clock, log, nodeId } = options;
  const { store, consensus } = await openState(options, owned);
  const peers = owned.own(new Peers({ nodeId, store, credentials }));
  const leader = new LeaderCalls({ nodeId, consensus, clock, channelTo: (id) => peers.to(id) });
  const dispatcher = new AgentDispatcher({
    ...options,
    store,
    leader,
    leaderKnown: () => consensus.status().leaderId !== undefined,
    term: () => consensus.status().term,
    managerId: nodeId,
    roleOf: (id) => roleOf(store, id),
    address: () => options.addresses.controlAddress,
    askOthers: (id, open, abort) => peers.ask(id, open, abort),
    setGuests: (request, abort) => forwarded.call('SetGuests', request, { abort }),
  });
  const reads = new FollowerReads(consensus);
  const control = createControl({
    ...options,
    store,
    members: () => members(store, consensus.status(), reads.reachable),
    applied: () => dispatcher.desk.applied(),
    newJoinToken: (cluster) => newJoinToken(cluster.rootCertificates[0] ?? '', options.random),
  });
  const forwarded = new ForwardedControl({ nodeId, control, consensus, leader, reads, store, logs: dispatcher.logs });
  if (options.start.kind === 'bootstrap') await found(store, consensus, options.start);
  if (options.start.kind === 'take-over')
    await takeOverCluster({ store, consensus, clock }, { ...options, node: options.start.node });
  owned.own(
    await openListeners({
      joinListen: options.listen.join,
      controlListen: options.listen.control,
      credentials,
      authority: authorityOf(options, store),
      ...services({ options, store, consensus, leader, dispatcher, forwarded }),
    }),
  );
  const background = owned.own(
    new Background({ onFailure: (name, error) => log.error('a part of the manager failed', { name, error }) }),
  );
  background.run('dispatcher', (abort) => dispatcher.run(abort));
  await dispatcher.ready;
  owned.own(
    new LeaderLoops({
      ...options,
      store,
      consensus,
      loops: [
        ...CLUSTER_LOOPS,
        { name: 'desk', run: (_store, { abort }) => dispatcher.desk.run(abort) },
        rolesLoop(consensus, nodeId),
      ],
    }),
  );
  const scope = owned.handOver();
  return {
    control: forwarded,
    managers: () => [...store.view().nodes.all()].flatMap(toManagerAddress),
    status: () => consensus.status(),
    unlockKeys: (abort) => unlockKeys(store, abort),
    rekey: (how) => consensus.rekey(how),
    logId: consensus.logId,
    backup: (abort) => backupOf({ store, consensus }, { ...options, abort }),
    retire: (abort) => retire({ nodeId, consensus, store, leader }, clock, abort),
    [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
  };
}

interface Parts {
  readonly options: ManagerOptions;
  readonly store: ReplicatedStore;
  readonly consensus: Consensus;
  readonly leader: LeaderCalls;
  readonly dispatcher: AgentDispatcher;
  readonly forwarded: ForwardedControl;
}

/** Store and consensus need each other: the store proposes, consensus applies. */
async function openState(
  options: ManagerOptions,
  owned: Scope,
): Promise<{ store: ReplicatedStore; consensus: Consensus }> {
  const { credentials, clock, log, addresses } = options;
  const found: { consensus?: Consensus } = {};
  const started = (): Consensus => found.consensus ?? fail('unavailable', 'this manager is starting');
  const store = createStore({ proposer: { propose: (entry, how) => started().propose(entry, how) }, clock, log });
  const running = await startConsensus(
    {
      ...options.consensus,
      nodeId: options.nodeId,
      clusterId: options.clusterId,
      directory: options.directory,
      nodeKeys: options.nodeKeys,
      listenAddress: options.listen.raft,
      advertise: addresses,
      certificate: credentials.material,
      start: options.start.kind === 'take-over' ? 'restart' : options.start.kind,
    },
    { stateMachine: store, clock, log },
  );
  found.consensus = running;
  owned.own(running);
  owned.own(credentials.onChange((material) => running.setCertificate(material)));
  owned.own(
    running.onStatus(({ role }) => {
      if (role === 'removed') options.onRemoved();
    }),
  );
  return { store, consensus: running };
}

async function* unlockKeys(store: ReplicatedStore, abort: AbortSignal): AsyncGenerator<string> {
  const { changes } = store.viewAndWatch(['cluster'], { abort });
  const known = (): string[] => [...store.view().clusters.all()].map(({ unlockKey }) => unlockKey ?? '');
  yield* known();
  for await (const _change of changes) yield* known();
}

async function found(
  store: ReplicatedStore,
  { logId }: Consensus,
  { cluster, node }: Extract<ManagerStart, { kind: 'bootstrap' }>,
): Promise<void> {
  await store.update((tx) => {
    tx.clusters.put(cluster);
    tx.nodes.put({ ...node, raftLogId: logId });
  });
}

/** Until the cluster's objects have arrived here, a caller's certificate has to do. */
function authorityOf({ clusterId }: ManagerOptions, store: ReplicatedStore): Authority {
  return { clusterId, view: () => store.view(), current: () => store.view().clusters.size > 0 };
}

function services({ options, store, consensus, leader, dispatcher, forwarded }: Parts) {
  const issuer = new Issuer({ ...options, store });
  const ca = { store, issuer, leader, clock: options.clock };
  const membership = membershipHandlers({ options, store, consensus, leader });
  return {
    requests: certificateRequestsHandlers(ca),
    services: [
      [Certificates, { ...certificatesHandlers(ca, identify) }],
      [Dispatcher, { ...dispatcher.handlers(identify) }],
      [Managers, { ...dispatcher.managerHandlers(), ...membership }],
      [ControlService, { ...forwarded.handlers(identify) }],
    ] as const,
  };
}

const JOIN_WITHIN_MS = 10_000;

/** A manager asks for itself only; whoever it asks passes that on to the leader. */
function membershipHandlers({ store, consensus, leader }: Pick<Parts, 'options' | 'store' | 'consensus' | 'leader'>) {
  return {
    Join: unaryHandler<JoinMessage, Record<string, never>>(async (request, call, abort) => {
      const { nodeId, logId, ...addresses } = request;
      refuseOthers(nodeId, call, store);
      await leader.run({
        local: () => admitManager({ nodeId: nodeId as NodeId, addresses, logId }, { store, consensus }, abort),
        remote: async (channel) => {
          await channel.call(Managers.Join, request, { withinMs: JOIN_WITHIN_MS, abort });
        },
        repeatable: true,
        abort,
      });
      return {};
    }),
    ReadIndex: unaryHandler<unknown, { index: number; reachable: string[] }>(async (_request, _call, abort) => {
      if (consensus.status().role !== 'leader') fail('unavailable', 'this manager does not lead');
      const index = await consensus.readBarrier({ abort });
      return { index, reachable: [...consensus.status().reachable] };
    }),
    Leave: unaryHandler<{ nodeId: string }, Record<string, never>>(async (request, call, abort) => {
      refuseOthers(request.nodeId, call, store);
      await leader.run({
        local: () => dismissManager(request.nodeId as NodeId, { store, consensus }, abort),
        remote: async (channel) => {
          await channel.call(Managers.Leave, request, { withinMs: JOIN_WITHIN_MS, abort });
        },
        repeatable: true,
        abort,
      });
      return {};
    }),
  };
}

type JoinMessage = ManagerAddresses & { readonly nodeId: string; readonly logId: string };

/** Another manager may pass a request on, but only one that is a member already. */
function refuseOthers(nodeId: string, call: { getAuthContext(): unknown }, store: ReplicatedStore): void {
  const from = identify(call).nodeId;
  if (from === nodeId || store.view().nodes.get(from)?.manager) return;
  fail('forbidden', `node ${from} may not speak for node ${nodeId}`);
}

const RETIRE_LOOK_MS = 50;

async function retire(
  { nodeId, consensus, store, leader }: Pick<Parts, 'consensus' | 'store' | 'leader'> & { nodeId: NodeId },
  clock: Clock,
  abort: AbortSignal,
): Promise<void> {
  await leader.run({
    local: (signal) => dismissManager(nodeId, { store, consensus }, signal),
    remote: async (channel, signal) => {
      await channel.call(Managers.Leave, { nodeId }, { withinMs: JOIN_WITHIN_MS, abort: signal });
    },
    repeatable: true,
    abort,
  });
  const isOut = (): boolean =>
    consensus.status().role === 'removed' || store.view().nodes.get(nodeId)?.manager === undefined;
  while (!isOut()) await clock.sleep(RETIRE_LOOK_MS, { abort });
}

function roleOf(store: ReplicatedStore, nodeId: NodeId) {
  const node = store.view().nodes.get(nodeId);
  return node ? certificateRole(node) : 'worker';
}

/** Only the leader knows who is reachable; elsewhere it is what it said last. */
function members(store: ReplicatedStore, status: ConsensusStatus, told: readonly NodeId[]): ManagerState[] {
  const reachable = status.role === 'leader' ? status.reachable : told;
  return status.members.flatMap(({ nodeId }) => {
    const addresses = store.view().nodes.get(nodeId)?.manager;
    if (!addresses) return [];
    return [{ nodeId, leader: nodeId === status.leaderId, reachable: reachable.includes(nodeId), addresses }];
  });
}

const toManagerAddress = (node: Node) => (node.manager ? [{ nodeId: node.id, address: node.manager.joinAddress }] : []);
