import assert from 'node:assert/strict';
import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import { newId } from '../../base/id.ts';
import { systemRandom } from '../../base/random.ts';
import { encodeJson, PROTOCOL } from '../../proto/assignment.ts';
import type { Credentials } from '../../proto/credentials.ts';
import type { AgentMessageInput } from '../../proto/gen/shoal/dispatcher/v1/AgentMessage.ts';
import type { ManagerMessage } from '../../proto/gen/shoal/dispatcher/v1/ManagerMessage.ts';
import type { NodeId } from '../../proto/objects.ts';
import { Channel } from '../../proto/rpc.ts';
import { Dispatcher } from '../../proto/services.ts';
import { FakeExecutor } from '../support/fake-executor.ts';
import { assign, stateOf } from '../support/tasks.ts';
import { startTestManager, type TestManager } from '../support/test-manager.ts';
import { until } from '../support/until.ts';

const protocol = { ...PROTOCOL, features: [...PROTOCOL.features] };
const description = encodeJson(new FakeExecutor().describe());

/** A session by hand: what a node may say that an honest agent would not. */
class RawSession {
  readonly messages: ManagerMessage[] = [];
  readonly #channel: Channel;
  readonly #stream: ClientDuplexStream<AgentMessageInput, ManagerMessage>;
  #end = '';

  constructor(manager: TestManager, credentials: Credentials) {
    this.#channel = new Channel(manager.controlAddress, credentials.channelCredentials());
    this.#stream = this.#channel.stream(Dispatcher.Session);
    this.#stream.on('data', (message: ManagerMessage) => this.messages.push(message));
    this.#stream.on('error', (error: ServiceError) => {
      this.#end = error.details;
    });
  }

  static async open(manager: TestManager, credentials: Credentials, previousSessionId = ''): Promise<RawSession> {
    const session = new RawSession(manager, credentials);
    session.hello({ previousSessionId });
    await until('an answer to the greeting', () => session.messages.length > 0 || session.#end !== '');
    return session;
  }

  readonly id = newId<'session'>(systemRandom);

  hello(changes: NonNullable<AgentMessageInput['hello']> = {}): void {
    this.send({
      hello: {
        protocol,
        sessionId: this.id,
        previousSessionId: '',
        description,
        dataAddress: '',
        dataPort: 0,
        appliedIndex: 0,
        ...changes,
      },
    });
  }

  send(message: AgentMessageInput): void {
    this.#stream.write(message);
  }

  async endedWith(words: RegExp): Promise<void> {
    await until(`the session ends (${words})`, () => this.#end !== '');
    assert.match(this.#end, words);
    this.close();
  }

  close(): void {
    this.#stream.on('error', () => {});
    this.#stream.cancel();
    this.#channel[Symbol.dispose]();
  }
}

const ready = (manager: TestManager, nodeId: NodeId) =>
  manager.store.view().nodes.get(nodeId)?.status.state === 'ready';

describe('a session', () => {
  it('begins with a greeting in a protocol that both speak', async () => {
    await using manager = await startTestManager();
    const early = new RawSession(manager, await manager.worker());
    early.send({ heartbeat: { sequence: 1 } });
    await early.endedWith(/begins with a greeting/);
    const future = new RawSession(manager, await manager.worker());
    future.hello({ protocol: { minimum: 7, maximum: 9, features: [] } });
    await future.endedWith(/speaks protocol 7 to 9; this node speaks 1 to 1/);
  });

  it('is refused a description that is none', async () => {
    await using manager = await startTestManager();
    const session = new RawSession(manager, await manager.worker());
    session.hello({ description: Buffer.from('{"hostname": 7}') });
    await session.endedWith(/description\.platform must be an object/);
  });

  it('is refused a data path address or port that is none', async () => {
    await using manager = await startTestManager();
    for (const [changes, words] of [
      [{ dataAddress: '192.0.2.1\nend' }, /the data path address "192\.0\.2\.1\\nend" is not an IP address/],
      [{ dataAddress: 'node2.example' }, /is not an IP address/],
      [{ dataAddress: 'fe80::1%eth0' }, /is not an IP address/],
      [{ dataPort: 65_536 }, /the data path port must be/],
    ] as const) {
      const session = new RawSession(manager, await manager.worker());
      session.hello(changes);
      await session.endedWith(words);
    }
    const session = new RawSession(manager, await manager.worker());
    session.hello({ dataAddress: '2001:db8::1', dataPort: 65_535 });
    await until('it is welcome', () => session.messages.length > 0);
    session.close();
  });

  it('may describe its node anew with a heartbeat, and ends when that is no description', async () => {
    await using manager = await startTestManager();
    const credentials = await manager.worker();
    const session = await RawSession.open(manager, credentials);
    const said = () => manager.store.view().nodes.get(credentials.identity.nodeId)?.description;
    await until('it is described', () => said() !== undefined);
    const lives = { net1: 'ab'.repeat(16) };
    const wireguardPorts = { net1: 61_440 };
    const description = encodeJson({ ...said(), encryption: ['esp', 'tunnel'], lives, wireguardPorts });
    session.send({ heartbeat: { sequence: 1, description } });
    await until('it is described anew', () => said()?.encryption?.includes('esp') === true);
    assert.deepEqual([said()?.lives, said()?.wireguardPorts], [lives, wireguardPorts]);
    const many = Array.from({ length: 50 }, (_, at) => ({ ...lives, [`n${at}`]: 'cd'.repeat(16) }));
    for (const each of many) {
      session.send({ heartbeat: { sequence: 2, description: encodeJson({ ...said(), lives: each }) } });
    }
    await until('it is as was said last', () => said()?.lives?.['n49'] !== undefined);
    session.send({ heartbeat: { sequence: 2 } });
    await until('all are answered', () => session.messages.filter((each) => each.heartbeatReply).length === 52);
    session.send({ heartbeat: { sequence: 3, description: Buffer.from('{"hostname": 7}') } });
    await session.endedWith(/description\.platform must be an object/);
    assert.deepEqual(said()?.lives, many.at(-1));
  });

  it('may report on its own tasks only', async () => {
    await using manager = await startTestManager();
    const [mine, other] = [await manager.worker(), await manager.worker()];
    const task = await assign(manager, other.identity.nodeId);
    const session = await RawSession.open(manager, mine);
    const status = encodeJson({ state: 'failed', atMs: 1, message: 'made up' });
    session.send({ statuses: { reports: [{ taskId: task, status }] } });
    await session.endedWith(/which is not its own/);
    assert.equal(stateOf(manager, task), 'assigned');
  });

  it('does not see the tasks of others', async () => {
    await using manager = await startTestManager();
    const [mine, other] = [await manager.worker(), await manager.worker()];
    await assign(manager, other.identity.nodeId);
    const own = await assign(manager, mine.identity.nodeId);
    const session = await RawSession.open(manager, mine);
    await until('assignments come', () => session.messages.some(({ assignments }) => assignments));
    const changes = session.messages.flatMap(({ assignments }) => assignments?.changes ?? []);
    const ids = changes.filter(({ kind }) => kind === 'task').map(({ id }) => id);
    assert.deepEqual(ids, [own]);
    session.close();
  });

  it('ends when its node is removed', async () => {
    await using manager = await startTestManager();
    const credentials = await manager.worker();
    const session = await RawSession.open(manager, credentials);
    await manager.store.update((tx) => tx.nodes.remove(credentials.identity.nodeId));
    await session.endedWith(/was removed from the cluster/);
  });

  it('of a copied identity is refused while the first one lives', async () => {
    await using manager = await startTestManager();
    const credentials = await manager.worker();
    const first = await RawSession.open(manager, credentials);
    const copy = await RawSession.open(manager, credentials);
    await copy.endedWith(/is its identity copied/);
    first.send({ heartbeat: { sequence: 1 } });
    await until('the first one is answered', () => first.messages.some(({ heartbeatReply }) => heartbeatReply));
    first.close();
  });

  it('that was copied with its session ends the original, which then can not come back', async () => {
    await using manager = await startTestManager();
    const credentials = await manager.worker();
    const first = await RawSession.open(manager, credentials);
    const copy = await RawSession.open(manager, credentials, first.id);
    await first.endedWith(/represented by another session/);
    const back = await RawSession.open(manager, credentials, newId<'session'>(systemRandom));
    await back.endedWith(/is its identity copied/);
    copy.close();
  });

  it('can be opened anew at once when the last one ended', async () => {
    await using manager = await startTestManager();
    const credentials = await manager.worker();
    (await RawSession.open(manager, credentials)).close();
    await until('it is taken', async () => {
      const next = await RawSession.open(manager, credentials);
      const taken = next.messages.some(({ welcome }) => welcome);
      next.close();
      return taken;
    });
  });

  it('may not acknowledge what was never sent', async () => {
    await using manager = await startTestManager();
    const session = await RawSession.open(manager, await manager.worker());
    session.send({ applied: { index: 1_000_000 } });
    await session.endedWith(/was never sent/);
  });
});

describe('a silent node', function () {
  this.timeout(10_000);

  it('is down after its time, and ready again with its next session', async () => {
    await using manager = await startTestManager({ dispatcher: { nodeDownAfterMs: 300, heartbeatMs: 100 } });
    const credentials = await manager.worker();
    const { nodeId } = credentials.identity;
    const session = await RawSession.open(manager, credentials);
    await until('it is ready', () => ready(manager, nodeId));
    await until('it is down', () => manager.store.view().nodes.get(nodeId)?.status.state === 'down');
    assert.ok((manager.store.view().nodes.get(nodeId)?.orphanAtMs ?? 0) > Date.now());
    session.send({ heartbeat: { sequence: 1 } });
    await until('it is ready again', () => ready(manager, nodeId));
    assert.equal(manager.store.view().nodes.get(nodeId)?.orphanAtMs, undefined);
    session.close();
  });
});
