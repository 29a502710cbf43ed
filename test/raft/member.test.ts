// The loop around the core: what it does with what comes while its disk is busy.
import assert from 'node:assert/strict';
import { silentLog } from '../../base/log.ts';
import type { Raft } from '../../manager/raft/core/raft.ts';
import type { Refusal } from '../../manager/raft/core/types.ts';
import { Member } from '../../manager/raft/member.ts';
import type { Storage } from '../../manager/raft/storage.ts';
import { coreOf, settle, voters } from './core-group.ts';

/** A leader by itself, whose disk finishes no write. */
function onBusyDisk(raft: Raft): { member: Member; refused: Map<number, Refusal> } {
  const refused = new Map<number, Refusal>();
  const member = new Member({
    raft,
    storage: { save: () => new Promise<void>(() => undefined) } as unknown as Storage,
    log: silentLog,
    snapshotIntervalEntries: 1_000,
    logEntriesForSlowFollowers: 0,
    peers: { send: () => undefined, membershipChanged: () => undefined },
    machine: {
      apply: () => undefined,
      restore: () => undefined,
      readsConfirmed: () => undefined,
      requestSnapshot: () => undefined,
      failed: (ids, reason) => {
        if (reason.kind === 'refused') for (const id of ids) refused.set(id, reason.refusal);
      },
    },
    onProgress: () => undefined,
    onFatal: (error) => assert.fail(String(error)),
  });
  return { member, refused };
}

describe('the loop around the core', () => {
  it('counts proposals that wait for the disk as uncommitted, and refuses more than the bound', () => {
    const raft = coreOf('a', voters('a'), { limits: { uncommittedBytesMax: 1_000 } });
    raft.tick();
    settle(raft);
    assert.equal(raft.role, 'leader');
    const { member, refused } = onBusyDisk(raft);
    for (let id = 1; id <= 10; id += 1) member.propose([{ id, bytes: Buffer.alloc(168) }]);
    assert.deepEqual([...refused.keys()], [6, 7, 8, 9, 10]);
    assert.deepEqual(new Set(refused.values()), new Set(['too-much-uncommitted']));
  });

  it('takes one that is over the bound when nothing else is under way', () => {
    const raft = coreOf('a', voters('a'), { limits: { uncommittedBytesMax: 1_000 } });
    raft.tick();
    settle(raft);
    const { member, refused } = onBusyDisk(raft);
    member.propose([{ id: 1, bytes: Buffer.alloc(2_000) }]);
    member.propose([{ id: 2, bytes: Buffer.alloc(1) }]);
    assert.deepEqual([...refused.keys()], [2]);
  });
});
