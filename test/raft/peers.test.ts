import assert from 'node:assert/strict';
import { Client, type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import type { CertificateMaterial } from '../../manager/raft/contract.ts';
import { raftService } from '../../manager/raft/wire.ts';
import { TestAuthority, TestGroup, type TestManager } from './support.ts';

const SERVICE = raftService();

/** What the manager answers to these messages until it ends the stream: its goodbye, or why the stream broke. */
async function say(
  manager: TestManager,
  material: CertificateMaterial | undefined,
  messages: readonly object[],
  method: 'Exchange' | 'InstallSnapshot' = 'Exchange',
): Promise<string> {
  const tls = material
    ? credentials.createSsl(
        Buffer.from(material.rootsPem.join('\n')),
        Buffer.from(material.keyPem),
        Buffer.from(material.certificatePem),
        { rejectUnauthorized: false, checkServerIdentity: () => undefined },
      )
    : credentials.createInsecure();
  const client = new Client(manager.options.listenAddress, tls, { 'grpc.ssl_target_name_override': 'manager' });
  const definition = SERVICE[method];
  assert.ok(definition);
  const stream = client.makeBidiStreamRequest(
    definition.path,
    definition.requestSerialize,
    definition.responseDeserialize,
  ) as ClientDuplexStream<object, { body: string; goodbye?: { reason: string; message: string } }>;
  try {
    return await new Promise<string>((resolve) => {
      stream.on('data', ({ body, goodbye }) => {
        if (body === 'goodbye') resolve(`${goodbye?.reason}: ${goodbye?.message}`);
      });
      stream.on('error', (error) => resolve(error.message));
      stream.on('end', () => resolve('ended'));
      for (const message of messages) stream.write(message);
    });
  } finally {
    stream.cancel();
    client.close();
  }
}

const hello = (fields: object = {}): object => ({
  hello: {
    protocol_min: 1,
    protocol_max: 1,
    cluster_id: 'testcluster',
    from: 'manager2',
    to: 'manager1',
    raft_address: '127.0.0.1:1',
    ...fields,
  },
});

describe('the listener for other managers', function () {
  this.timeout(20_000);
  let group: TestGroup;
  let manager: TestManager;
  const issue = (role?: string, clusterId = 'testcluster'): Promise<CertificateMaterial> =>
    group.authority.issue('manager2', { clusterId, ...(role ? { role } : {}) });
  before(async () => {
    group = await TestGroup.create();
    [manager] = (await group.grow(1)) as [TestManager];
  });
  after(() => group[Symbol.asyncDispose]());

  it('refuses a worker', async () => {
    assert.match(
      await say(manager, await issue('shoal-worker'), [hello()]),
      /refused: the certificate is not that of a manager/,
    );
  });

  it('refuses a manager of another cluster', async () => {
    assert.match(
      await say(manager, await issue(undefined, 'other'), [hello()]),
      /refused: .*not that of a manager of this cluster/,
    );
    assert.match(
      await say(manager, await issue(), [hello({ cluster_id: 'other' })]),
      /this is a manager of cluster testcluster/,
    );
  });

  it('refuses who has a certificate of somebody else’s authority, or none', async () => {
    const foreign = await TestAuthority.create();
    const material = await foreign.issue('manager2', { clusterId: 'testcluster' });
    assert.match(await say(manager, material, [hello()]), /UNAVAILABLE|closed|dropped/i);
    assert.match(await say(manager, undefined, [hello()]), /UNAVAILABLE|closed|dropped/i);
  });

  it('refuses one who calls itself by another name than its certificate does, or asks for another manager', async () => {
    assert.match(
      await say(manager, await issue(), [hello({ from: 'manager1' })]),
      /certificate is that of manager2, not of manager1/,
    );
    assert.match(
      await say(manager, await issue(), [hello({ to: 'manager9' })]),
      /this is manager manager1, not manager9/,
    );
  });

  it('refuses who knows of a later epoch while it holds a log of an earlier one', async () => {
    assert.match(
      await say(manager, await issue(), [hello({ epoch: 1 })]),
      /refused: the cluster began anew \(epoch 1\) without this manager, whose log is of epoch 0/,
    );
  });

  it('refuses a manager that is no member while it has a leader', async () => {
    assert.match(await say(manager, await issue(), [hello()]), /manager2 is not known as a member here/);
    assert.match(await say(manager, await issue(), [hello()], 'InstallSnapshot'), /not known as a member/);
  });

  it('refuses a stream that does not begin with hello, or speaks another version', async () => {
    assert.match(
      await say(manager, await issue(), [{ batch: { messages: [] } }]),
      /first message of a stream must be hello/,
    );
    assert.match(
      await say(manager, await issue(), [hello({ protocol_min: 7, protocol_max: 9 })]),
      /speaks raft protocol 1 to 1/,
    );
  });

  it('tells a removed member so, and takes nothing from it any more', async () => {
    const second = await group.start('manager2', 'join');
    await manager.consensus.addMember({ nodeId: second.id, raftAddress: second.options.listenAddress }, {});
    const gap = { prev_index: 0, prev_term: 0, entries: [{ index: 9, term: 1, kind: 'DATA' }], commit: 0 };
    const broken = say(manager, await issue(), [hello(), { batch: { messages: [{ term: 1, append: gap }] } }]);
    assert.match(await broken, /refused: entry 9 does not follow on 0/);
    const open = say(manager, await issue(), [hello()]);
    await manager.consensus.removeMember(second.id, {});
    assert.match(await open, /removed: manager2 was removed/);
    assert.match(await say(manager, await issue(), [hello()]), /removed: manager2 was removed/);
    assert.equal(manager.consensus.status().role, 'leader');
  });
});
