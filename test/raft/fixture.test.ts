import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { systemRandom } from '../../base/random.ts';
import { systemDisk } from '../../base/system-disk.ts';
import { inspectDirectory } from '../../manager/raft/inspect.ts';
import { Storage } from '../../manager/raft/storage.ts';

const FIXTURES = resolve(import.meta.dirname, '../../../test/raft/fixtures');

describe('directories of earlier versions', () => {
  for (const format of ['format-1']) {
    it(`opens ${format} and finds all of it`, async () => {
      const directory = await mkdtemp(join(tmpdir(), 'shoal-fixture-'));
      try {
        await cp(join(FIXTURES, format), directory, { recursive: true });
        const disk = systemDisk(directory);
        const found = await inspectDirectory(disk);
        assert.deepEqual([found.clusterId, found.nodeId, found.tornBytes], ['fixturecluster', 'fixturenode', 0]);
        const { storage, initial } = await Storage.open({
          disk,
          random: systemRandom,
          clusterId: 'fixturecluster',
          nodeId: 'fixturenode',
        });
        assert.deepEqual(initial.hardState, { term: 3, vote: 'othernode', commit: 5 });
        assert.deepEqual(initial.snapshot, {
          index: 3,
          term: 2,
          membership: {
            members: [{ id: 'fixturenode', address: '192.0.2.1:2379', learner: false }],
            removed: ['formernode'],
          },
        });
        const entries = initial.entries.map(({ index, term, kind, bytes }) => [
          index,
          term,
          kind,
          Buffer.from(bytes).toString(),
        ]);
        assert.deepEqual(entries.slice(1), [
          [2, 2, 'noop', ''],
          [3, 2, 'data', 'data 3'],
          [4, 2, 'data', 'data 4'],
          [5, 3, 'noop', ''],
          [6, 3, 'data', 'data 6'],
        ]);
        assert.deepEqual(entries[0]?.slice(0, 3), [1, 1, 'membership']);
        const chunks = (await storage.readCurrent())?.chunks.map(({ kind, bytes }) => [
          kind,
          Buffer.from(bytes).toString(),
        ]);
        assert.deepEqual(chunks, [
          ['first', 'chunk one'],
          ['second', 'chunk two'],
        ]);
        await storage.close();
      } finally {
        await rm(directory, { recursive: true });
      }
    });
  }
});
