// Replacing one member by another: two memberships in force at once, and nothing decided by one of them alone.
import assert from 'node:assert/strict';
import {
  changed,
  decodeChange,
  encodeChange,
  leavingOf,
  quorumsOf,
  refusalOf,
  votersOf,
} from '../../manager/raft/core/membership.ts';
import { hasMajority, majorityValue, voteResult } from '../../manager/raft/core/quorum.ts';
import type { Raft } from '../../manager/raft/core/raft.ts';
import { CoreGroup, coreOf, EMPTY, voters } from './core-group.ts';

const trio = voters('a', 'b', 'c');
const withLearner = { members: [...trio.members, { id: 'd', address: 'd', learner: true }], removed: [] };
const joint = changed(withLearner, { op: 'replace', id: 'd', replaces: 'c' });
const votes = (one: string, other: string, granted: boolean): Map<string, boolean> =>
  new Map([one, other].map((id) => [id, granted]));
const ids = (raft: Raft): string[] => raft.membership.members.map(({ id }) => id);

/** a, b and c with d learning, `leader` leading. */
function withNewcomer(leader = 'a'): { group: CoreGroup; leader: Raft } {
  const newcomer = coreOf('d', withLearner);
  const group = new CoreGroup([...['a', 'b', 'c'].map((id) => coreOf(id, withLearner)), newcomer]);
  const raft = group.elect(leader);
  group.tick(leader, 2);
  group.run();
  return { group, leader: raft };
}

describe('a joint membership', () => {
  it('has two sets of voters until it is settled, and then one', () => {
    assert.deepEqual(quorumsOf(joint), [
      ['a', 'b', 'd'],
      ['a', 'b', 'c'],
    ]);
    assert.deepEqual([...votersOf(joint)].sort(), ['a', 'b', 'c', 'd']);
    assert.deepEqual(leavingOf(joint), ['c']);
    const settled = changed(joint, { op: 'settle', id: 'c' });
    assert.deepEqual(quorumsOf(settled), [['a', 'b', 'd']]);
    assert.deepEqual(settled.removed, ['c']);
    assert.equal(settled.outgoing, undefined);
  });

  it('takes no other change, and is begun only by a learner in a voter’s place', () => {
    assert.equal(refusalOf(joint, { op: 'remove', id: 'a' }), 'change-in-progress');
    assert.equal(refusalOf(withLearner, { op: 'settle', id: 'a' }), 'not-a-member');
    assert.equal(refusalOf(withLearner, { op: 'replace', id: 'a', replaces: 'b' }), 'not-a-learner');
    assert.equal(refusalOf(withLearner, { op: 'replace', id: 'd', replaces: 'x' }), 'not-a-member');
    assert.equal(refusalOf(withLearner, { op: 'replace', id: 'x', replaces: 'a' }), 'not-a-member');
  });

  it('is written in full', () => {
    for (const change of [
      { op: 'replace', id: 'd', replaces: 'c' },
      { op: 'settle', id: 'c' },
    ] as const) {
      assert.deepEqual(decodeChange(encodeChange(change)), change);
    }
  });

  it('counts what a majority of both sets has', () => {
    const matches = new Map([
      ['a', 9],
      ['b', 3],
      ['c', 7],
      ['d', 5],
    ]);
    assert.equal(
      majorityValue([['a', 'b', 'c']], (id) => matches.get(id) ?? 0),
      7,
    );
    assert.equal(
      majorityValue(quorumsOf(joint), (id) => matches.get(id) ?? 0),
      5,
    );
    assert.equal(
      hasMajority(quorumsOf(joint), (id) => 'bcd'.includes(id)),
      true,
    );
    assert.equal(
      hasMajority(quorumsOf(joint), (id) => 'cd'.includes(id)),
      false,
    );
    assert.equal(voteResult(quorumsOf(joint), votes('b', 'd', true)), 'open');
    assert.equal(voteResult(quorumsOf(joint), votes('b', 'c', false)), 'lost');
    assert.equal(voteResult(quorumsOf(joint), votes('a', 'b', true)), 'won');
  });
});

describe('replacing a member', () => {
  it('is one step for who asks: the leader ends it by itself', () => {
    const { group, leader } = withNewcomer();
    assert.equal(leader.proposeChange({ op: 'replace', id: 'd', replaces: 'c' }), undefined);
    group.run();
    assert.deepEqual(ids(leader), ['a', 'b', 'd']);
    for (const id of ['b', 'd']) assert.deepEqual(group.core(id).membership, leader.membership);
    assert.deepEqual(leader.membership.removed, ['c']);
    assert.equal(group.core('d').isVoter, true);
  });

  it('commits nothing in between without a majority of the old voters', () => {
    const { group, leader } = withNewcomer();
    leader.proposeChange({ op: 'replace', id: 'd', replaces: 'c' });
    // The joint membership comes into force at a, b and d; then b and c are gone.
    group.runUntil(() => leader.membership.outgoing !== undefined);
    group.cut.add('b').add('c');
    leader.propose([Buffer.from('x')]);
    group.run();
    assert.deepEqual(group.dataOf('a'), []);
    assert.notEqual(leader.membership.outgoing, undefined);
    group.cut.delete('b');
    group.tick('a', 2);
    group.run();
    assert.deepEqual(group.dataOf('a'), ['x']);
    assert.deepEqual(ids(leader), ['a', 'b', 'd']);
  });

  it('is ended by the next leader when the one who began it is gone', () => {
    const { group, leader } = withNewcomer();
    leader.proposeChange({ op: 'replace', id: 'd', replaces: 'c' });
    group.runUntil(() => group.core('b').membership.outgoing !== undefined);
    group.cut.add('a');
    const next = group.elect('b');
    group.tick('b', 2);
    group.run();
    group.tick('b', 2);
    group.run();
    assert.deepEqual(ids(next), ['a', 'b', 'd']);
  });

  it('makes a leader step down that is the one to go', () => {
    const group = new CoreGroup(['a', 'b', 'c', 'd'].map((id) => coreOf(id, joint)));
    const leaving = group.elect('c');
    group.run();
    group.tick('c', 2);
    group.run();
    assert.notEqual(leaving.role, 'leader');
    assert.deepEqual(leaving.membership.removed, ['c']);
    assert.ok(['a', 'b', 'd'].some((id) => group.core(id).role === 'leader'));
  });

  it('is refused for the leader itself and for a learner that lags', () => {
    const { group, leader } = withNewcomer();
    assert.equal(leader.proposeChange({ op: 'replace', id: 'd', replaces: 'a' }), 'is-leader');
    group.cut.add('d');
    leader.propose(Array.from({ length: 100 }, () => Buffer.from('x')));
    group.run();
    assert.equal(leader.proposeChange({ op: 'replace', id: 'd', replaces: 'c' }), 'not-caught-up');
  });

  it('survives a restart in the middle', () => {
    const raft = coreOf('b', joint, { hardState: { ...EMPTY, term: 3, commit: 1 } });
    assert.equal(raft.isVoter, true);
    assert.deepEqual(raft.membership.outgoing, ['a', 'b', 'c']);
    const leaving = coreOf('c', joint);
    assert.equal(leaving.isVoter, true);
  });
});
