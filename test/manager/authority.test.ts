// Who may call what, from outside: with real certificates and a raw client, every method of every service.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { credentials as grpcCredentials, type ServiceDefinition } from '@grpc/grpc-js';
import { codeOf } from '../../base/errors.ts';
import { newId } from '../../base/id.ts';
import { systemRandom } from '../../base/random.ts';
import { AUTHORITY, rolesFor } from '../../manager/authority.ts';
import type { Credentials } from '../../proto/credentials.ts';
import type { NodeRole } from '../../proto/objects.ts';
import { Channel, RemoteError } from '../../proto/rpc.ts';
import { CertificateRequests, Certificates, Control, Dispatcher, Managers } from '../../proto/services.ts';
import { startTestManager, type TestManager } from '../support/test-manager.ts';

const SERVICES: readonly ServiceDefinition[] = [Certificates, Dispatcher, Managers, Control];
const METHODS = SERVICES.flatMap((service) => Object.values(service));

/** The methods that each role may call, written out: the table has to agree, and so has the wire. */
const WORKERS_MAY = [
  '/shoal.ca.v1.Certificates/RenewCertificate',
  '/shoal.dispatcher.v1.Dispatcher/Bytes',
  '/shoal.dispatcher.v1.Dispatcher/Session',
];

type AnyMethod = (typeof METHODS)[number];

/** Calls the method with an empty message; the code of what comes back. */
async function answerOf(channel: Channel, method: AnyMethod): Promise<string> {
  const empty = { ...method, requestSerialize: () => Buffer.alloc(0), responseDeserialize: () => ({}) } as never;
  if (!method.requestStream && !method.responseStream) {
    const call = channel.call(empty, {} as never, { withinMs: 2_000 });
    return await call.then(
      () => 'answered',
      (error: unknown) => describeError(error),
    );
  }
  const stream = channel.stream<never, never, never, never>(empty);
  return await new Promise((resolve) => {
    stream.on('data', () => {});
    stream.on('error', (error: { code: number; details: string }) => resolve(`${error.code} ${error.details}`));
    stream.on('end', () => resolve('answered'));
    stream.write({} as never);
    stream.end();
  });
}

const describeError = (error: unknown): string =>
  `${error instanceof RemoteError ? '' : 'connection: '}${codeOf(error)} ${(error as Error).message}`;

const isRefusal = (answer: string): boolean => /is not for a|not part of this cluster/.test(answer);

async function refusedMethods(manager: TestManager, credentials: Credentials): Promise<string[]> {
  using channel = new Channel(manager.controlAddress, credentials.channelCredentials());
  const refused: string[] = [];
  for (const method of METHODS) if (isRefusal(await answerOf(channel, method))) refused.push(method.path);
  return refused;
}

describe('the authority table', () => {
  it('names every method of every service between nodes', () => {
    for (const { path } of METHODS) assert.notDeepEqual(rolesFor(path), [], `${path} is in no entry`);
    assert.deepEqual(rolesFor('/shoal.dispatcher.v1.Dispatcher/Unheard'), []);
  });

  it('has no entry for a method that does not exist', () => {
    const paths = METHODS.map(({ path }) => path);
    for (const entry of Object.keys(AUTHORITY))
      assert.ok(
        paths.some((path) => path.startsWith(entry)),
        entry,
      );
  });

  it('lets a worker renew, report and open streams, and nothing else', () => {
    const may = METHODS.map(({ path }) => path).filter((path) => rolesFor(path).includes('worker'));
    assert.deepEqual(may.sort(), WORKERS_MAY);
  });

  it('does not cover the open listener, whose methods ask for a token instead', () => {
    for (const { path } of Object.values(CertificateRequests)) assert.deepEqual(rolesFor(path), []);
  });
});

describe('the control port', function () {
  this.timeout(20_000);

  it('holds the table against a worker and against a manager, method by method', async () => {
    await using manager = await startTestManager();
    const asked: readonly [NodeRole, Credentials][] = [
      ['worker', await manager.worker()],
      ['manager', await manager.node('manager')],
    ];
    for (const [role, credentials] of asked) {
      const expected = METHODS.map(({ path }) => path).filter((path) => !rolesFor(path).includes(role));
      assert.deepEqual(await refusedMethods(manager, credentials), expected, role);
    }
  });

  it('refuses every method to a certificate of our authority for another organisation', async () => {
    await using manager = await startTestManager();
    const own = await manager.worker();
    const stranger = await manager.sign({
      nodeId: own.identity.nodeId,
      role: 'manager',
      clusterId: newId<'cluster'>(systemRandom),
    });
    using channel = new Channel(manager.controlAddress, manager.trusting(stranger));
    for (const method of METHODS) assert.match(await answerOf(channel, method), /of another cluster/, method.path);
  });

  it('refuses every method to a node that the store does not know', async () => {
    await using manager = await startTestManager();
    const unknown = await manager.sign({ nodeId: newId<'node'>(systemRandom), role: 'manager' });
    const refused = await refusedMethods(manager, unknown);
    assert.deepEqual(
      refused,
      METHODS.map(({ path }) => path),
    );
  });

  it('refuses every method to a known node that shows another key', async () => {
    await using manager = await startTestManager();
    const { identity } = await manager.node('manager');
    const copied = await manager.sign({ nodeId: identity.nodeId, role: 'manager' });
    using channel = new Channel(manager.controlAddress, copied.channelCredentials());
    for (const method of METHODS) assert.match(await answerOf(channel, method), /has been replaced/, method.path);
  });

  it('refuses a demoted manager although its certificate is still good', async () => {
    await using manager = await startTestManager();
    const demoted = await manager.node('manager');
    await manager.store.update((tx) => {
      const node = tx.nodes.get(demoted.identity.nodeId);
      if (node) tx.nodes.put({ ...node, role: 'worker' });
    });
    using channel = new Channel(manager.controlAddress, demoted.channelCredentials());
    for (const method of METHODS.filter(({ path }) => !rolesFor(path).includes('worker'))) {
      assert.match(await answerOf(channel, method), /is a worker/, method.path);
    }
  });

  it('does not shake hands with a foreign authority, no certificate or plain text', async () => {
    await using manager = await startTestManager();
    await using other = await startTestManager();
    const foreign = await other.worker();
    const [first] = METHODS as [AnyMethod];
    const nobody = grpcCredentials.createSsl(null, null, null, { rejectUnauthorized: false });
    for (const credentials of [manager.trusting(foreign), nobody, grpcCredentials.createInsecure()]) {
      using channel = new Channel(manager.controlAddress, credentials);
      assert.match(await answerOf(channel, first), /^connection: /);
    }
    const [host = '', port = ''] = manager.controlAddress.split(':');
    const closed = new Promise<void>((resolve, reject) => {
      const socket = connect(Number(port), host, () => socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'));
      socket.on('close', () => resolve());
      socket.on('error', () => resolve());
      socket.setTimeout(3_000, () => reject(new Error('the connection was kept')));
    });
    await closed;
  });
});
