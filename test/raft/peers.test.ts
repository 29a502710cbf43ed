import assert from 'node:assert/strict';
import { connect as connectPlainly, type Socket } from 'node:net';
import { connect } from 'node:tls';
import type { CertificateMaterial } from '../../manager/raft/contract.ts';
import { decodeFrame, encodeFrame } from '../../manager/raft/wire.ts';
import { TestAuthority, TestGroup, type TestManager } from './support.ts';

function frameOf(body: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}

function reach(manager: TestManager, material: CertificateMaterial | undefined): Socket {
  const [host, port] = manager.options.listenAddress.split(':');
  if (!material) return connectPlainly(Number(port), host);
  const { certificatePem: cert, keyPem: key, rootsPem } = material;
  return connect({ host, port: Number(port), cert, key, ca: [...rootsPem], rejectUnauthorized: false });
}

/** What the manager answers to these bytes until it ends the connection: its goodbye, or why the connection broke. */
async function sayBytes(
  manager: TestManager,
  material: CertificateMaterial | undefined,
  bytes: Uint8Array,
): Promise<string> {
  const socket = reach(manager, material);
  let unread = Buffer.alloc(0);
  try {
    return await new Promise<string>((resolve) => {
      socket.on('data', (chunk: Buffer) => {
        unread = Buffer.concat([unread, chunk]);
        for (let end = lengthOf(unread); end <= unread.length; end = lengthOf(unread)) {
          const { name, body } = decodeFrame(unread.subarray(4, end));
          unread = unread.subarray(end);
          const { reason, message } = body as { reason: string; message: string };
          if (name === 'goodbye') resolve(`${reason}: ${message}`);
        }
      });
      socket.on('error', (error) => resolve(`broken: ${error.message}`));
      socket.on('end', () => resolve('ended'));
      socket.on('close', () => resolve('closed'));
      socket.write(bytes);
    });
  } finally {
    socket.destroy();
  }
}

const lengthOf = (unread: Buffer): number => (unread.length < 4 ? Number.POSITIVE_INFINITY : 4 + unread.readUInt32BE());

const say = (
  manager: TestManager,
  material: CertificateMaterial | undefined,
  frames: readonly object[],
): Promise<string> => sayBytes(manager, material, Buffer.concat(frames.map((frame) => frameOf(encodeFrame(frame)))));

const hello = (fields: object = {}): object => ({
  hello: {
    protocol_min: 2,
    protocol_max: 2,
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
    assert.match(await say(manager, material, [hello()]), /ended|closed|broken/);
    assert.match(await say(manager, undefined, [hello()]), /ended|closed|broken/);
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
    assert.match(await say(manager, await issue(), [hello({ purpose: 'INSTALL_SNAPSHOT' })]), /not known as a member/);
  });

  it('refuses a stream that does not begin with hello, or speaks another version', async () => {
    assert.match(
      await say(manager, await issue(), [{ batch: { messages: [] } }]),
      /first message of a stream must be hello/,
    );
    assert.match(
      await say(manager, await issue(), [hello({ protocol_min: 7, protocol_max: 9 })]),
      /speaks raft protocol 2 to 2/,
    );
  });

  it('refuses bytes that are no frame, frames of a stranger that are too large, and who says nothing', async () => {
    const material = await issue();
    assert.match(
      await sayBytes(manager, material, frameOf(Buffer.from('ffff', 'hex'))),
      /refused: a frame that can not/,
    );
    assert.match(
      await sayBytes(manager, material, Buffer.from('7fffffff', 'hex')),
      /refused: a frame of 2147483647 bytes is over the limit/,
    );
    assert.match(await sayBytes(manager, material, frameOf(Buffer.alloc(0))), /refused: body/);
    assert.match(await sayBytes(manager, material, Buffer.alloc(0)), /refused: no hello came/);
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
