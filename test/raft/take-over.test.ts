import assert from 'node:assert/strict';
import { sentenceOf } from '../../base/errors.ts';
import { seededRandom } from '../../base/random.ts';
import { readBackup, writeBackup } from '../../manager/raft/backup-file.ts';
import type { SnapshotChunk } from '../../manager/raft/contract.ts';
import { encodeChange, type MembershipChange } from '../../manager/raft/core/membership.ts';
import { Raft } from '../../manager/raft/core/raft.ts';
import { DEFAULT_LIMITS, type Entry } from '../../manager/raft/core/types.ts';
import { Storage, type StorageDeps } from '../../manager/raft/storage.ts';
import { seedDirectory, seizeDirectory } from '../../manager/raft/take-over.ts';
import { MemoryDisk } from './memory-disk.ts';

const depsOf = (disk: MemoryDisk): StorageDeps => ({ disk, random: seededRandom(1), clusterId: 'c', nodeId: 'n1' });

const change = (index: number, what: MembershipChange): Entry => ({
  index,
  term: 2,
  kind: 'membership',
  bytes: encodeChange(what),
});

/** n1 and n2 vote, n3 learns; entry 6 is not known to be committed. */
async function ofThree(): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  await Storage.create(depsOf(disk), { raftAddress: 'a:1' });
  const { storage } = await Storage.open(depsOf(disk));
  const entries: Entry[] = [
    change(2, { op: 'add-learner', id: 'n2', address: 'b:1' }),
    change(3, { op: 'promote', id: 'n2' }),
    change(4, { op: 'add-learner', id: 'n3', address: 'c:1' }),
    { index: 5, term: 2, kind: 'data', bytes: Buffer.from('committed') },
    { index: 6, term: 2, kind: 'data', bytes: Buffer.from('perhaps acknowledged') },
  ];
  await storage.save({ snapshot: undefined, entries, hardState: { term: 2, vote: 'n2', commit: 5 } });
  await storage.close();
  return disk;
}

/** Started from the directory and left to itself: who it then takes for members, as the leader. */
async function aloneOn(disk: MemoryDisk): Promise<{ epoch: number; raft: Raft }> {
  const { storage, initial } = await Storage.open(depsOf(disk));
  const raft = new Raft({ id: 'n1', limits: DEFAULT_LIMITS, random: seededRandom(2), initial });
  for (let round = 0; round < 40; round += 1) {
    raft.tick();
    for (let ready = raft.ready(); ready; ready = raft.ready()) {
      if (ready.write) await storage.save(ready.write);
      raft.advance(ready);
    }
  }
  await storage.close();
  return { epoch: storage.epoch, raft };
}

describe('a member that takes over alone', () => {
  it('leads with all of its log, in a later epoch, and has removed the others', async () => {
    const disk = await ofThree();
    await seizeDirectory(depsOf(disk), { raftAddress: 'd:1' });
    const { epoch, raft } = await aloneOn(disk);
    assert.equal(epoch, 1);
    assert.equal(raft.role, 'leader');
    assert.deepEqual(raft.membership, {
      members: [{ id: 'n1', address: 'd:1', learner: false }],
      removed: ['n2', 'n3'],
    });
    assert.ok(raft.term > 2);
    assert.ok(raft.applied > 6, 'what was perhaps acknowledged is committed');
  });

  it('may do so again, after an attempt that broke off or for good measure', async () => {
    const disk = await ofThree();
    await seizeDirectory(depsOf(disk), { raftAddress: 'a:1' });
    await seizeDirectory(depsOf(disk), { raftAddress: 'a:1' });
    const { epoch, raft } = await aloneOn(disk);
    assert.deepEqual([epoch, raft.role], [2, 'leader']);
  });

  it('begins with the state of a backup', async () => {
    const disk = new MemoryDisk();
    const chunks = [{ kind: 'state', bytes: Buffer.from('all') }];
    await seedDirectory(depsOf(disk), { raftAddress: 'a:1', index: 900, term: 7, epoch: 3, former: ['n7'], chunks });
    const { storage } = await Storage.open(depsOf(disk));
    assert.equal(Buffer.from((await storage.readCurrent())?.chunks[0]?.bytes ?? []).toString(), 'all');
    await storage.close();
    const { epoch, raft } = await aloneOn(disk);
    assert.deepEqual([epoch, raft.role], [3, 'leader']);
    assert.ok(raft.applied > 900 && raft.term > 7);
    assert.deepEqual(raft.membership.removed, ['n7']);
  });
});

describe('a backup file', () => {
  const META = { clusterId: 'c', index: 12, term: 3, epoch: 0, members: ['n1'], createdAtMs: 5 };
  const CHUNKS: SnapshotChunk[] = [
    { kind: 'node', bytes: Buffer.from('secret one') },
    { kind: 'end', bytes: Buffer.alloc(200, 1) },
  ];

  async function made(unlockKey: Uint8Array | undefined): Promise<Buffer> {
    async function* chunks(): AsyncGenerator<SnapshotChunk> {
      yield* CHUNKS;
    }
    const parts: Uint8Array[] = [];
    for await (const part of writeBackup(META, chunks(), { unlockKey, random: seededRandom(3) })) parts.push(part);
    return Buffer.concat(parts);
  }

  for (const [what, key] of [
    ['open', undefined],
    ['sealed', Buffer.alloc(32, 4)],
  ] as const) {
    it(`gives back what went in, ${what}, and no byte of it may change or be missing`, async () => {
      const file = await made(key);
      assert.ok(!file.includes('secret one'));
      const { meta, chunks } = readBackup(file, key);
      assert.deepEqual(meta, META);
      assert.deepEqual(
        chunks.map(({ kind, bytes }) => [kind, Buffer.from(bytes).toString('hex')]),
        CHUNKS.map(({ kind, bytes }) => [kind, Buffer.from(bytes).toString('hex')]),
      );
      for (let at = 0; at < file.length; at += 7) {
        assert.throws(() => readBackup(file.subarray(0, at), key), `cut at ${at}`);
        const spoiled = Buffer.from(file);
        spoiled.writeUInt8(spoiled.readUInt8(at) ^ 0x10, at);
        assert.ok(isRefusedOrSame(spoiled, key), `byte ${at}`);
      }
    });
  }

  it('is refused with another key, and when it is something else', async () => {
    const file = await made(Buffer.alloc(32, 4));
    assert.throws(() => readBackup(file, undefined), /opens with the unlock key/);
    assert.throws(() => readBackup(file, Buffer.alloc(32, 5)), /invalid key provided/);
    assert.throws(() => readBackup(Buffer.from('#!/bin/sh\n'), undefined), /not a backup/);
  });

  /** The first line repeats what is sealed further on; only that counts. */
  function isRefusedOrSame(file: Buffer, key: Uint8Array | undefined): boolean {
    try {
      assert.deepEqual(readBackup(file, key).meta, META);
      return true;
    } catch (error) {
      return sentenceOf(error) !== '';
    }
  }
});
