import assert from 'node:assert/strict';
import { CodedError } from '../../base/errors.ts';
import { TestGroup, until } from './support.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

describe('consensus over real streams and files', function () {
  this.timeout(20_000);

  it('commits, applies and reads with one manager, and remembers after a restart', async () => {
    await using group = await TestGroup.create();
    const [alone] = await group.grow(1);
    assert.ok(alone);
    const index = await alone.consensus.propose(bytes('a'), {});
    await alone.consensus.readBarrier({});
    assert.deepEqual(alone.journal.entries, [{ index, text: 'a' }]);
    const again = await group.restart(alone.id);
    await until(() => again.consensus.status().role === 'leader', 'leader again');
    assert.deepEqual(again.journal.texts, ['a']);
  });

  it('applies the same entries on three managers, and refuses proposals on followers by name of the leader', async () => {
    await using group = await TestGroup.create();
    await group.grow(3);
    const leader = group.leader();
    await Promise.all(['a', 'b', 'c'].map((text) => leader.consensus.propose(bytes(text), {})));
    for (const { journal, id } of group.managers) {
      await until(() => journal.entries.length === 3, `${id} has applied all`);
      assert.deepEqual(journal.entries, leader.journal.entries);
    }
    const follower = group.followers()[0];
    assert.ok(follower);
    await assert.rejects(follower.consensus.propose(bytes('d'), {}), (error: CodedError) => {
      assert.equal(error.code, 'unavailable');
      assert.match(error.message, new RegExp(`the leader is ${leader.id}`));
      return true;
    });
  });
});
