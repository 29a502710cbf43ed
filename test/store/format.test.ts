// Logs and snapshots of earlier versions are read for ever. Recordings: test/support/record-store-format.ts.
import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ManualClock } from '../../base/manual-clock.ts';
import type { ReplicatedStore, SnapshotChunk } from '../../manager/store/contract.ts';
import { createStore } from '../../manager/store/store.ts';
import { createMemoryProposer } from '../support/memory-proposer.ts';
import { objectsIn, type Recording } from '../support/record-store-format.ts';

const FOLDER = fileURLToPath(new URL('../../../test/store/fixtures/', import.meta.url));

const empty = (): ReplicatedStore => createStore({ proposer: createMemoryProposer(), clock: new ManualClock() });

async function* chunksOf({ snapshot }: Recording): AsyncGenerator<SnapshotChunk> {
  for (const { kind, bytes } of snapshot.chunks) yield { kind, bytes: Buffer.from(bytes, 'base64') };
}

describe('a recording of an earlier version', () => {
  for (const name of readdirSync(FOLDER)) {
    const recording = JSON.parse(readFileSync(FOLDER + name, 'utf8')) as Recording;

    it(`${name}: its log gives the same objects`, () => {
      const store = empty();
      for (const [position, entry] of recording.entries.entries())
        store.apply(position + 1, Buffer.from(entry, 'base64'));
      assert.deepEqual(objectsIn(store), recording.objects);
    });

    it(`${name}: its snapshot gives the same objects`, async () => {
      const store = empty();
      await store.restore(recording.snapshot.index, chunksOf(recording));
      assert.deepEqual(objectsIn(store), recording.objects);
    });
  }

  it('is there for the first format', () => assert.ok(readdirSync(FOLDER).includes('format-1.json')));
});
