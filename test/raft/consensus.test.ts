import assert from 'node:assert/strict';
import { CodedError } from '../../base/errors.ts';
import { TestGroup, until } from './support.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const coded =
  (code: string, message: RegExp) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof CodedError);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };

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

  it('refuses to begin a cluster where one already is, and to go on where none is', async () => {
    await using group = await TestGroup.create();
    await group.grow(1);
    await group.stop('manager1');
    await assert.rejects(group.start('manager1', 'bootstrap'), coded('conflict', /already holds the consensus log/));
    await assert.rejects(group.start('manager2', 'restart'), coded('not-found', /the log of this manager is gone/));
  });

  describe('with three managers', () => {
    let group: TestGroup;
    let removed: string;
    before(async () => {
      group = await TestGroup.create();
      await group.grow(3);
    });
    after(() => group[Symbol.asyncDispose]());

    it('applies the same entries on all', async () => {
      const leader = group.leader();
      await Promise.all(['a', 'b', 'c'].map((text) => leader.consensus.propose(bytes(text), {})));
      for (const { journal, id } of group.managers) {
        await until(() => journal.entries.length === 3, `${id} has applied all`);
        assert.deepEqual(journal.entries, leader.journal.entries);
      }
      assert.deepEqual(leader.consensus.status().reachable.toSorted(), ['manager1', 'manager2', 'manager3']);
    });

    it('sends who asks a follower to the leader', async () => {
      const follower = group.followers()[0];
      assert.ok(follower);
      const toLeader = coded('unavailable', new RegExp(`the leader is ${group.leader().id}`));
      await assert.rejects(follower.consensus.propose(bytes('d'), {}), toLeader);
      await assert.rejects(follower.consensus.readBarrier({}), toLeader);
      await assert.rejects(follower.consensus.transferLeadership(), toLeader);
    });

    it('hands leadership over when asked, and elects nobody twice', async () => {
      const [from, to] = [group.leader(), group.followers()[0]];
      assert.ok(to);
      const { term } = from.consensus.status();
      await from.consensus.transferLeadership(to.id);
      await until(() => to.consensus.status().role === 'leader', 'the other leads');
      assert.equal(to.consensus.status().term, term + 1);
      await to.consensus.propose(bytes('after'), {});
    });

    it('takes new certificates without a break', async () => {
      const { term } = group.leader().consensus.status();
      for (const { id, consensus } of group.managers) {
        consensus.setCertificate(await group.authority.issue(id, { clusterId: group.clusterId }));
      }
      for (let write = 0; write < 20; write += 1) await group.leader().consensus.propose(bytes('renewed'), {});
      assert.equal(group.leader().consensus.status().term, term);
    });

    it('refuses to remove the leader until it has handed over', async () => {
      const leader = group.leader();
      await assert.rejects(
        leader.consensus.removeMember(leader.id, {}),
        coded('unavailable', /handed leadership over to/),
      );
      await until(
        () => group.managers.some(({ id, consensus }) => id !== leader.id && consensus.status().role === 'leader'),
        'another leads',
      );
      await group.leader().consensus.removeMember(leader.id, {});
      await until(() => leader.consensus.status().role === 'removed', 'the removed one knows');
      await group.stop(leader.id);
      removed = leader.id;
    });

    it('takes a removed manager back under its old id, with the log that it had', async () => {
      const back = await group.start(removed, 'join');
      assert.notEqual(back.consensus.status().role, 'removed');
      const { raftAddress } = back.options.advertise;
      await group.leader().consensus.addMember({ nodeId: back.id, raftAddress }, {});
      await group.leader().consensus.propose(bytes('together again'), {});
      await until(() => back.journal.texts.at(-1) === 'together again', 'it has caught up');
      assert.equal(back.consensus.status().role, 'follower');
      await group.leader().consensus.removeMember(back.id, {});
      await until(() => back.consensus.status().role === 'removed', 'it is out again and knows');
      await group.stop(back.id);
    });

    it('replaces one manager by another in one step', async () => {
      const [leader, leaving] = [group.leader(), group.followers()[0]];
      assert.ok(leaving);
      const newcomer = await group.start('manager5', 'join');
      const { raftAddress } = newcomer.options.advertise;
      await leader.consensus.replaceMember(leaving.id, { nodeId: newcomer.id, raftAddress }, {});
      const members = leader.consensus.status().members.map(({ nodeId, learner }) => ({ nodeId, learner }));
      assert.deepEqual(
        members.toSorted((a, b) => a.nodeId.localeCompare(b.nodeId)),
        [leader.id, newcomer.id].toSorted().map((nodeId) => ({ nodeId, learner: false })),
      );
      await until(() => leaving.consensus.status().role === 'removed', 'the replaced one knows');
      await group.stop(leaving.id);
      const again = leader.consensus.replaceMember(leaving.id, { nodeId: newcomer.id, raftAddress }, {});
      await assert.rejects(again, coded('not-found', /is not a manager/));
    });

    it('refuses a removal that would leave no majority, with the arithmetic', async () => {
      const [leader, other] = [group.leader(), group.followers()[0]];
      assert.ok(other);
      const third = await group.start('manager4', 'join');
      const { raftAddress } = third.options.advertise;
      await leader.consensus.addMember({ nodeId: third.id, raftAddress }, {});
      await group.stop(third.id);
      await until(() => !leader.consensus.status().reachable.includes(third.id), 'its loss is noticed');
      const refused = coded('conflict', /would leave 1 of 2 managers reachable, 2 needed/);
      await assert.rejects(leader.consensus.removeMember(other.id, {}), refused);
      await leader.consensus.removeMember(third.id, {});
    });

    it('fails writes and reads with the arithmetic when the majority is gone', async () => {
      const [leader, other] = [group.leader(), group.followers()[0]];
      assert.ok(other);
      await group.stop(other.id);
      const startMs = performance.now();
      await assert.rejects(
        leader.consensus.propose(bytes('lost'), {}),
        coded('unknown-outcome', /1 of 2 managers reachable, 2 needed/),
      );
      await assert.rejects(
        leader.consensus.propose(bytes('no'), {}),
        coded('unavailable', /no quorum: 1 of 2 managers reachable, 2 needed/),
      );
      await assert.rejects(leader.consensus.readBarrier({}), coded('unavailable', /no quorum: 1 of 2/));
      assert.ok(performance.now() - startMs < 2_000);
    });
  });

  it('brings a new manager up to date by a snapshot, and restarts from one', async () => {
    await using group = await TestGroup.create({
      overrides: { snapshotIntervalEntries: 200, logEntriesForSlowFollowers: 10 },
    });
    const [first] = await group.grow(1);
    assert.ok(first);
    for (let round = 0; round < 10; round += 1) {
      await Promise.all(Array.from({ length: 50 }, (_, at) => first.consensus.propose(bytes(`${round}/${at}`), {})));
    }
    const second = await group.start('manager2', 'join');
    await first.consensus.addMember({ nodeId: second.id, raftAddress: second.options.advertise.raftAddress }, {});
    assert.ok(second.journal.restoredAt > 0, 'it came by a snapshot');
    await until(() => second.journal.entries.length === 500, 'all is there');
    assert.deepEqual(second.journal.entries, first.journal.entries);
    const again = await group.restart(second.id);
    await until(() => again.journal.entries.length === 500, 'all is there again');
    assert.ok(again.journal.restoredAt > 0);
    assert.deepEqual(again.journal.entries, first.journal.entries);
  });
});
