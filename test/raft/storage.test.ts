import assert from 'node:assert/strict';
import type { DiskFile } from '../../base/disk.ts';
import { codeOf, sentenceOf } from '../../base/errors.ts';
import { seededRandom } from '../../base/random.ts';
import type { Entry, HardState } from '../../manager/raft/core/types.ts';
import { inspectDirectory } from '../../manager/raft/inspect.ts';
import { Storage, type StorageDeps } from '../../manager/raft/storage.ts';
import { MemoryDisk, SmallDisk } from './memory-disk.ts';

const OWNER = { clusterId: 'cluster', nodeId: 'n1' };
const entry = (index: number, term = 1): Entry => ({
  index,
  term,
  kind: 'data',
  bytes: Buffer.from(`entry ${index} of ${term}`),
});
const state = (term: number, commit: number, vote?: string): HardState => ({ term, vote, commit });

function depsOf(disk: MemoryDisk, more: Partial<StorageDeps> = {}): StorageDeps {
  return { disk, random: seededRandom(1), ...OWNER, ...more };
}

/** A log with these batches of entries, each one a durable write of its own. */
async function written(batches: readonly (readonly Entry[])[], more: Partial<StorageDeps> = {}): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  await Storage.create(depsOf(disk, more), undefined);
  const { storage } = await Storage.open(depsOf(disk, more));
  for (const entries of batches) {
    await storage.save({ snapshot: undefined, entries, hardState: state(1, entries[0]?.index ?? 0, 'n2') });
  }
  return disk;
}

class FailingDisk extends MemoryDisk {
  fails = false;

  override async create(path: string): Promise<DiskFile> {
    const file = await super.create(path);
    return { ...file, sync: () => (this.fails ? Promise.reject(new Error('EIO')) : file.sync()) };
  }
}

/** After so many changes nothing more reaches it. */
class CrashingDisk extends MemoryDisk {
  stepsLeft = Number.POSITIVE_INFINITY;

  #step(): void {
    this.stepsLeft -= 1;
    if (this.stepsLeft < 0) throw new Error('crashed');
  }

  override async create(path: string): Promise<DiskFile> {
    this.#step();
    const file = await super.create(path);
    return {
      ...file,
      append: async (bytes) => {
        this.#step();
        await file.append(bytes);
      },
    };
  }

  override async rename(from: string, to: string): Promise<void> {
    this.#step();
    await super.rename(from, to);
  }

  override async remove(path: string): Promise<void> {
    this.#step();
    await super.remove(path);
  }
}

const notGiven = (error: unknown): boolean => /was not given/.test(sentenceOf(error));

const indexes = (entries: readonly Entry[]): number[] => entries.map(({ index }) => index);

describe('the keys of the log', () => {
  const [oldKey, newKey] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];

  /** A directory with a snapshot and entries after it. */
  async function withSnapshot(nodeKeys: readonly Buffer[]): Promise<{ disk: MemoryDisk; storage: Storage }> {
    const disk = new MemoryDisk();
    await Storage.create(depsOf(disk, { nodeKeys }), undefined);
    const { storage } = await Storage.open(depsOf(disk, { nodeKeys }));
    const entries = [entry(1), entry(2), entry(3)];
    await storage.save({ snapshot: undefined, entries, hardState: state(1, 3) });
    const writer = await storage.beginSnapshot({ index: 2, term: 1, membership: { members: [], removed: [] } });
    await writer.write({ kind: 'state', bytes: Buffer.from('all of it') });
    await writer.finish();
    await storage.publishOwn(writer);
    return { disk, storage };
  }

  async function assertWhole(disk: MemoryDisk, nodeKeys: readonly Buffer[]): Promise<void> {
    const { storage, initial } = await Storage.open(depsOf(disk, { nodeKeys }));
    assert.deepEqual(indexes(initial.entries), [1, 2, 3]);
    const [chunk] = (await storage.readCurrent())?.chunks ?? [];
    assert.equal(Buffer.from(chunk?.bytes ?? []).toString(), 'all of it');
  }

  it('are sealed with the key of the node, without which nothing opens', async () => {
    const { disk } = await withSnapshot([oldKey]);
    await assert.rejects(Storage.open(depsOf(disk.clone())), notGiven);
    await assert.rejects(Storage.open(depsOf(disk.clone(), { nodeKeys: [newKey] })), notGiven);
    await assertWhole(disk, [oldKey]);
  });

  it('are sealed anew for another key of the node', async () => {
    const { disk, storage } = await withSnapshot([oldKey]);
    await storage.rekey({ nodeKeys: [newKey], rotate: false });
    await assertWhole(disk, [newKey]);
    await assert.rejects(Storage.open(depsOf(disk, { nodeKeys: [oldKey] })), notGiven);
  });

  it('are taken from the first format, which lay open, and sealed', async () => {
    const { disk } = await withSnapshot([]);
    await assertWhole(disk, [oldKey]);
    await assert.rejects(Storage.open(depsOf(disk)), notGiven);
  });

  it('leave nothing that the former data key opens after a rotation', async () => {
    const { disk, storage } = await withSnapshot([]);
    const before = disk.clone();
    await storage.rekey({ nodeKeys: [], rotate: true });
    await storage.save({ snapshot: undefined, entries: [], hardState: state(2, 3) });
    const mixed = disk.clone();
    mixed.files.set('data-key', before.files.get('data-key') ?? Buffer.alloc(0));
    await assert.rejects(Storage.open(depsOf(mixed)), /sealed with another data key/);
    await assertWhole(disk, []);
  });

  it('survive a crash at every step of a rotation', async () => {
    const { disk } = await withSnapshot([oldKey]);
    const seen = new Set<number>();
    for (let steps = 0; ; steps += 1) {
      const crashing = new CrashingDisk(disk.clone().files);
      const { storage } = await Storage.open(depsOf(crashing, { nodeKeys: [oldKey] }));
      crashing.stepsLeft = steps;
      const isDone = await storage.rekey({ nodeKeys: [newKey, oldKey], rotate: true }).then(
        () => true,
        () => false,
      );
      await assertWhole(crashing.clone(), [newKey, oldKey]);
      seen.add(steps);
      if (isDone) break;
    }
    assert.ok(seen.size > 15, `${seen.size} steps`);
  });
});

describe('the durable log', () => {
  it('gives back what was written: entries, term, vote and commit', async () => {
    const disk = await written([[entry(1), entry(2)], [entry(3)]]);
    const { initial } = await Storage.open(depsOf(disk));
    assert.deepEqual(indexes(initial.entries), [1, 2, 3]);
    assert.deepEqual(Buffer.from(initial.entries[2]?.bytes ?? []), Buffer.from('entry 3 of 1'));
    assert.deepEqual(initial.hardState, state(1, 3, 'n2'));
  });

  it('lets later entries replace earlier ones', async () => {
    const disk = await written([[entry(1), entry(2), entry(3)], [entry(2, 4)]]);
    const { initial } = await Storage.open(depsOf(disk));
    assert.deepEqual(
      initial.entries.map(({ index, term }) => [index, term]),
      [
        [1, 1],
        [2, 4],
      ],
    );
  });

  it('holds nothing in plain', async () => {
    const disk = await written([[entry(1)]]);
    for (const [path, bytes] of disk.files) assert.ok(!bytes.includes('entry 1'), `${path} shows its content`);
  });

  it('goes on over many segments and restarts', async () => {
    const disk = new MemoryDisk();
    const deps = depsOf(disk, { segmentBytesMax: 300 });
    await Storage.create(deps, undefined);
    for (let life = 0; life < 4; life += 1) {
      const { storage, initial } = await Storage.open(deps);
      assert.equal(initial.entries.length, life * 10);
      for (let at = 1; at <= 10; at += 1) {
        const index = life * 10 + at;
        await storage.save({ snapshot: undefined, entries: [entry(index)], hardState: state(1, index) });
      }
    }
    assert.ok(disk.file(/\.wal$/).endsWith('.wal'));
    assert.equal((await inspectDirectory(disk)).entries.length, 40);
  });

  it('comes back with a clean prefix wherever its last segment is cut, and refuses a cut in what it began with', async () => {
    const disk = await written([[entry(1)], [entry(2)], [entry(3), entry(4)]]);
    const path = disk.file(/\.wal$/);
    const whole = disk.files.get(path) ?? Buffer.alloc(0);
    const seen: string[] = [];
    for (let length = 0; length <= whole.length; length += 1) {
      const cut = disk.clone();
      cut.files.set(path, whole.subarray(0, length));
      const outcome = await outcomeOf(cut);
      if (outcome !== seen.at(-1)) seen.push(outcome);
      assert.equal(await outcomeOf(cut), outcome, 'and stays so');
    }
    assert.deepEqual(seen, ['refused', '', '1', '1,2', '1,2,3,4']);
  });

  it('never takes a flipped bit for something else: it is refused, or the last batch is cut off', async () => {
    const disk = await written([[entry(1)], [entry(2)], [entry(3)]]);
    const path = disk.file(/\.wal$/);
    const whole = disk.files.get(path) ?? Buffer.alloc(0);
    const outcomes = new Map<string, number>();
    for (let bit = 0; bit < whole.length * 8; bit += 3) {
      const spoiled = disk.clone();
      const bytes = Buffer.from(whole);
      bytes.writeUInt8((bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3);
      spoiled.files.set(path, bytes);
      const outcome = await outcomeOf(spoiled);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    assert.deepEqual([...outcomes.keys()].sort(), ['1,2', 'refused']);
  });

  it('tells damage to the last batch from a torn end after a clean stop', async () => {
    const disk = await written([[entry(1)]]);
    const { storage } = await Storage.open(depsOf(disk));
    await storage.save({ snapshot: undefined, entries: [entry(2)], hardState: state(1, 2) });
    await storage.close();
    const path = disk.file(/\.wal$/);
    const bytes = disk.files.get(path) ?? Buffer.alloc(0);
    bytes.writeUInt8((bytes[bytes.length - 60] ?? 0) ^ 1, bytes.length - 60);
    assert.equal(await outcomeOf(disk), 'refused');
  });

  it('refuses a log that lacks a segment, is that of another node, or has another key', async () => {
    const deps = { segmentBytesMax: 200 };
    const disk = await written(
      Array.from({ length: 12 }, (_, at) => [entry(at + 1)]),
      deps,
    );
    const names = await disk.list('log');
    assert.ok(names.length > 2);
    const lacking = disk.clone();
    await lacking.remove(`log/${names[1]}`);
    await assert.rejects(Storage.open(depsOf(lacking)), /lacks segment/);
    await assert.rejects(Storage.open(depsOf(disk.clone(), { nodeId: 'n2' })), /that of node n1/);
    const rekeyed = disk.clone();
    rekeyed.files.set('data-key', Buffer.from(Buffer.alloc(32, 7).toString('base64')));
    await assert.rejects(Storage.open(depsOf(rekeyed)), /sealed with another data key/);
    const swapped = disk.clone();
    const [a, b] = [`log/${names[1]}`, `log/${names[2]}`];
    const [first, second] = [disk.files.get(a), disk.files.get(b)];
    assert.ok(first && second);
    swapped.files.set(a, second).set(b, first);
    await assert.rejects(Storage.open(depsOf(swapped)), /its number is not that of its name/);
  });

  it('writes nothing more after a flush that failed', async () => {
    const disk = new FailingDisk();
    await Storage.create(depsOf(disk), undefined);
    const { storage } = await Storage.open(depsOf(disk));
    await storage.save({ snapshot: undefined, entries: [entry(1)], hardState: state(1, 1) });
    disk.fails = true;
    await assert.rejects(storage.save({ snapshot: undefined, entries: [entry(2)], hardState: state(1, 2) }), /EIO/);
    disk.fails = false;
    await assert.rejects(storage.save({ snapshot: undefined, entries: [entry(3)], hardState: state(1, 3) }), /EIO/);
  });

  it('waits for space on a full disk, and goes on where it stood', async () => {
    const disk = new SmallDisk();
    let waited = 0;
    let found = 0;
    const space = {
      wait: async (): Promise<void> => {
        waited += 1;
        if (waited === 3) disk.bytesLeft = Number.POSITIVE_INFINITY;
      },
      found: () => {
        found += 1;
      },
    };
    await Storage.create(depsOf(disk), undefined);
    const { storage } = await Storage.open(depsOf(disk, { space }));
    await storage.save({ snapshot: undefined, entries: [entry(1)], hardState: state(1, 1) });
    disk.bytesLeft = 20;
    await storage.save({ snapshot: undefined, entries: [entry(2)], hardState: state(1, 2) });
    assert.deepEqual([waited, found], [3, 1]);
    await storage.save({ snapshot: undefined, entries: [entry(3)], hardState: state(1, 3) });
    assert.equal(await outcomeOf(disk), '1,2,3');
  });

  it('leaves nothing behind of a segment that did not fit', async () => {
    const disk = new SmallDisk();
    const deps = depsOf(disk, { segmentBytesMax: 100 });
    await Storage.create(deps, undefined);
    const { storage } = await Storage.open({
      ...deps,
      space: {
        wait: async () => {
          assert.equal(disk.files.has('log/0000000000000003.wal.tmp'), false);
          disk.bytesLeft = Number.POSITIVE_INFINITY;
        },
        found: () => undefined,
      },
    });
    disk.bytesLeft = 30;
    await storage.save({ snapshot: undefined, entries: [entry(1)], hardState: state(1, 1) });
    assert.equal(await outcomeOf(disk), '1');
  });

  it('refuses a newer format, untouched', async () => {
    const disk = await written([[entry(1)]]);
    disk.files.set('format', Buffer.from('9\n'));
    const before = [...disk.files.keys()];
    await assert.rejects(
      Storage.open(depsOf(disk)),
      (error) => codeOf(error) === 'invalid' && /format 9/.test(sentenceOf(error)),
    );
    assert.deepEqual([...disk.files.keys()], before);
  });

  it('forgets what a snapshot holds, and refuses a snapshot with a flipped bit', async () => {
    const deps = { segmentBytesMax: 200 };
    const disk = await written(
      Array.from({ length: 12 }, (_, at) => [entry(at + 1)]),
      deps,
    );
    const { storage } = await Storage.open(depsOf(disk, deps));
    for (let index = 13; index <= 20; index += 1) {
      await storage.save({ snapshot: undefined, entries: [entry(index)], hardState: state(1, index) });
    }
    const membership = { members: [{ id: 'n1', address: 'a:1', learner: false }], removed: ['n0'] };
    const writer = await storage.beginSnapshot({ index: 18, term: 1, membership });
    await writer.write({ kind: 'state', bytes: Buffer.from('all of it') });
    await writer.finish();
    await storage.publishOwn(writer);
    await storage.forgetUpTo(16);
    const { storage: again, initial } = await Storage.open(depsOf(disk, deps));
    assert.deepEqual(initial.snapshot, { index: 18, term: 1, membership });
    assert.ok(initial.base.index > 0 && initial.base.index <= 16);
    assert.equal(initial.entries.at(-1)?.index, 20);
    assert.deepEqual(
      (await again.readCurrent())?.chunks.map(({ kind, bytes }) => [kind, Buffer.from(bytes).toString()]),
      [['state', 'all of it']],
    );
    const path = disk.file(/\.snap$/);
    const bytes = disk.files.get(path) ?? Buffer.alloc(0);
    for (let at = 0; at < bytes.length; at += 1) {
      const spoiled = disk.clone();
      const copy = Buffer.from(bytes);
      copy.writeUInt8((copy[at] ?? 0) ^ 0x10, at);
      spoiled.files.set(path, copy);
      await assert.rejects(Storage.open(depsOf(spoiled, deps)), `byte ${at}`);
    }
  });
});

async function outcomeOf(disk: MemoryDisk): Promise<string> {
  try {
    return indexes((await Storage.open(depsOf(disk))).initial.entries).join();
  } catch (error) {
    assert.match(sentenceOf(error), /damaged|newer|does not know|another data key|format/);
    return 'refused';
  }
}
