// One manager with everything that agents meet, in this process, on a store of its own that commits at once.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ChannelCredentials } from '@grpc/grpc-js';
import { Agent } from '../../agent/agent.ts';
import type { Executor } from '../../agent/executor.ts';
import { enrol } from '../../agent/enrolment.ts';
import { EMPTY_MEMORY, LocalDb } from '../../agent/local-db.ts';
import { Remotes } from '../../agent/remotes.ts';
import { Background } from '../../base/background.ts';
import { systemClock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import { newId } from '../../base/id.ts';
import { type Log, silentLog } from '../../base/log.ts';
import { seededRandom, systemRandom } from '../../base/random.ts';
import { Scope } from '../../base/scope.ts';
import { identify } from '../../manager/authority.ts';
import { createAuthority, parseRequest, signRequest } from '../../manager/ca/authority.ts';
import { certificateRequestsHandlers, certificatesHandlers } from '../../manager/ca/handlers.ts';
import { certificateRole, Issuer } from '../../manager/ca/issuer.ts';
import { AgentDispatcher } from '../../manager/dispatcher/dispatcher.ts';
import { openListeners } from '../../manager/listeners.ts';
import type { ReplicatedStore } from '../../manager/store/contract.ts';
import { materialOf, newCertificateRequest, newKeyPair } from '../../proto/certificate-request.ts';
import { Credentials } from '../../proto/credentials.ts';
import { identityOfPem } from '../../proto/identity.ts';
import { newJoinToken } from '../../proto/join-token.ts';
import type { ClusterId, ClusterSpec, NodeId, NodeRole } from '../../proto/objects.ts';
import { type LeaderLink, unaryHandler } from '../../proto/rpc.ts';
import { Certificates, Control, Dispatcher, Managers } from '../../proto/services.ts';
import { createMemoryStore } from './memory-store.ts';
import { aCluster, aClusterSpec, aNode } from './objects.ts';

export interface TestManager extends AsyncDisposable {
  readonly store: ReplicatedStore;
  readonly dispatcher: AgentDispatcher;
  readonly clusterId: ClusterId;
  readonly controlAddress: string;
  readonly joinAddress: string;
  readonly tokens: { worker: string; manager: string };
  readonly log: Log;
  /** Material signed by this cluster's authority for anybody. */
  sign(subject: { nodeId: NodeId; role: NodeRole; clusterId?: ClusterId }): Promise<Credentials>;
  /** A worker that is known to the store, as if it had joined. */
  worker(): Promise<Credentials>;
  node(role: NodeRole): Promise<Credentials>;
  /** For dialling this manager with somebody's certificate, whatever that says about its own cluster. */
  trusting(credentials: Credentials): ChannelCredentials;
  /** A whole agent that joined with the worker's token. */
  agent(executor: Executor, options?: { directory?: string; credentials?: Credentials }): Promise<TestAgent>;
}

export interface TestAgent {
  readonly agent: Agent;
  readonly nodeId: NodeId;
  readonly directory: string;
  readonly credentials: Credentials;
}

const direct: LeaderLink = { run: (work) => work.local(work.abort ?? new AbortController().signal) };

export async function startTestManager(
  options: { dispatcher?: Partial<ClusterSpec['dispatcher']>; log?: Log } = {},
): Promise<TestManager> {
  const log = options.log ?? silentLog;
  await using owned = new Scope();
  const means = { clock: systemClock, random: systemRandom };
  const { store } = createMemoryStore({ clock: systemClock });
  const clusterId = newId<'cluster'>(systemRandom);
  const authority = await createAuthority(clusterId, means);
  const sign = async (subject: { nodeId: NodeId; role: NodeRole; clusterId?: ClusterId }): Promise<Credentials> => {
    const keys = await newKeyPair();
    const request = await parseRequest(await newCertificateRequest(keys));
    const certificatePem = await signRequest(authority, request, { clusterId, ...subject }, 3_600_000, means);
    return new Credentials(materialOf({ certificatePem, rootsPem: [authority.rootPem] }, keys));
  };
  const managerId = newId<'node'>(systemRandom);
  const credentials = await sign({ nodeId: managerId, role: 'manager' });
  const tokens = {
    worker: newJoinToken(authority.rootPem, systemRandom),
    manager: newJoinToken(authority.rootPem, systemRandom),
  };
  const spec = aClusterSpec();
  await store.update((tx) => {
    tx.clusters.put(
      aCluster({
        id: clusterId,
        rootCertificates: [authority.rootPem],
        rootKey: authority.keyPem,
        tokens,
        spec: { ...spec, dispatcher: { ...spec.dispatcher, ...options.dispatcher } },
      }),
    );
  });
  let controlAddress = '';
  const dispatcher = new AgentDispatcher({
    store,
    leader: direct,
    leaderKnown: () => true,
    term: () => 1,
    managerId,
    ...means,
    log,
    roleOf: (nodeId) => {
      const node = store.view().nodes.get(nodeId);
      return node ? certificateRole(node) : 'worker';
    },
    address: () => controlAddress,
    setGuests: async () => ({ places: [] }),
    askOthers: () => Promise.resolve(false),
  });
  const issuer = new Issuer({ store, ...means, log });
  const ca = { store, issuer, leader: direct, clock: systemClock };
  const unsupported = unaryHandler(() => Promise.reject(new CodedError('not-implemented', 'not in this test')));
  const listeners = owned.own(
    await openListeners({
      joinListen: '127.0.0.1:0',
      controlListen: '127.0.0.1:0',
      credentials,
      authority: { clusterId, view: () => store.view(), current: () => true },
      requests: certificateRequestsHandlers(ca),
      services: [
        [Certificates, { ...certificatesHandlers(ca, identify) }],
        [Dispatcher, { ...dispatcher.handlers(identify) }],
        [Managers, { ...dispatcher.managerHandlers(), Join: unsupported, Leave: unsupported }],
        [Control, Object.fromEntries(Object.keys(Control).map((name) => [name, unsupported]))],
      ],
    }),
  );
  controlAddress = `127.0.0.1:${listeners.controlPort}`;
  const joinAddress = `127.0.0.1:${listeners.joinPort}`;
  await store.update((tx) => {
    tx.nodes.put(
      aNode({
        id: managerId,
        role: 'manager',
        spec: { name: '', labels: {}, role: 'manager', availability: 'drain' },
        status: { state: 'down', message: '', address: '', sinceMs: 0 },
        certificateKeyDigest: credentials.identity.keyDigest,
        manager: { joinAddress, controlAddress, raftAddress: '' },
      }),
    );
  });
  const background = owned.own(
    new Background({ onFailure: (name, error) => log.error('test manager part failed', { name, error }) }),
  );
  background.run('dispatcher', (abort) => dispatcher.run(abort));
  background.run('desk', (abort) => dispatcher.desk.run(abort));
  await dispatcher.ready;

  const node = async (role: NodeRole): Promise<Credentials> => {
    const id = newId<'node'>(systemRandom);
    const own = await sign({ nodeId: id, role });
    const status = { state: 'unknown', message: '', address: '', sinceMs: 0 } as const;
    const spec = { name: '', labels: {}, role, availability: 'active' } as const;
    const { keyDigest } = own.identity;
    await store.update((tx) => tx.nodes.put(aNode({ id, spec, role, status, certificateKeyDigest: keyDigest })));
    return own;
  };

  let agents = 0;
  let scope = owned; // agents come later than the hand-over
  const startAgent = async (
    executor: Executor,
    given: { directory?: string; credentials?: Credentials } = {},
  ): Promise<TestAgent> => {
    const directory = given.directory ?? (await temporaryDirectory(scope));
    const db = new LocalDb({ directory, clock: systemClock, log });
    const own =
      given.credentials ??
      new Credentials(
        (await enrol({ remoteAddresses: [joinAddress], token: tokens.worker, availability: 'active' })).material,
      );
    const random = seededRandom(++agents);
    const agent = new Agent({
      credentials: own,
      executor,
      db,
      memory: (await db.load()) ?? EMPTY_MEMORY,
      remotes: new Remotes({ random, addresses: [controlAddress] }),
      clock: systemClock,
      random,
      log,
      dataAddress: `10.0.0.${agents}`,
      dataPort: 4789,
      onRole: () => {},
    });
    agent.start();
    scope.defer(() => agent.stop());
    return { agent, directory, credentials: own, nodeId: identityOfPem(own.material.certificatePem).nodeId };
  };
  const result: TestManager = {
    store,
    dispatcher,
    clusterId,
    controlAddress,
    joinAddress,
    tokens,
    log,
    sign,
    worker: () => node('worker'),
    node,
    trusting: ({ material }) =>
      ChannelCredentials.createSsl(
        Buffer.from(authority.rootPem),
        Buffer.from(material.keyPem),
        Buffer.from(material.certificatePem),
        { checkServerIdentity: () => undefined },
      ),
    agent: startAgent,
    [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
  };
  scope = owned.handOver();
  return result;
}

async function temporaryDirectory(owned: Scope): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-agent-'));
  owned.defer(() => rm(directory, { recursive: true, force: true }));
  return directory;
}
