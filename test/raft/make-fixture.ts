// Writes the directory that every later version must be able to open: node dist/test/raft/make-fixture.js DIRECTORY
// Run once for each format; what it wrote is kept in test/raft/fixtures.
import process from 'node:process';
import { systemRandom } from '../../base/random.ts';
import { systemDisk } from '../../base/system-disk.ts';
import type { Entry } from '../../manager/raft/core/types.ts';
import { Storage } from '../../manager/raft/storage.ts';

const [directory] = process.argv.slice(2);
if (!directory) throw new Error('which directory?');
const disk = systemDisk(directory);
await disk.makeDirectory('.');
const deps = { disk, random: systemRandom, clusterId: 'fixturecluster', nodeId: 'fixturenode' };
await Storage.create(deps, { raftAddress: '192.0.2.1:2379' });
const { storage } = await Storage.open(deps);
const entries = [2, 3, 4, 5, 6].map(
  (index): Entry => ({
    index,
    term: index < 5 ? 2 : 3,
    kind: index === 2 || index === 5 ? 'noop' : 'data',
    bytes: Buffer.from(index === 2 || index === 5 ? '' : `data ${index}`),
  }),
);
await storage.save({
  snapshot: undefined,
  entries: entries.slice(0, 3),
  hardState: { term: 2, vote: 'fixturenode', commit: 4 },
});
const membership = {
  members: [{ id: 'fixturenode', address: '192.0.2.1:2379', learner: false }],
  removed: ['formernode'],
};
const writer = await storage.beginSnapshot({ index: 3, term: 2, membership });
await writer.write({ kind: 'first', bytes: Buffer.from('chunk one') });
await writer.write({ kind: 'second', bytes: Buffer.from('chunk two') });
await writer.finish();
await storage.publishOwn(writer);
await storage.save({
  snapshot: undefined,
  entries: entries.slice(3),
  hardState: { term: 3, vote: 'othernode', commit: 5 },
});
await storage.close();
