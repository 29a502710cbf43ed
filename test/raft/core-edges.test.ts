// The core at its edges: what comes late, twice, from nowhere, or to somebody whom it does not concern.
import assert from 'node:assert/strict';
import { seededRandom } from '../../base/random.ts';
import { RaftLog } from '../../manager/raft/core/log.ts';
import { changed, decodeChange, encodeChange, NO_MEMBERS, refusalOf } from '../../manager/raft/core/membership.ts';
import { MembershipHistory } from '../../manager/raft/core/membership-history.ts';
import { Progress } from '../../manager/raft/core/progress.ts';
import { Raft } from '../../manager/raft/core/raft.ts';
import { type Append, DEFAULT_LIMITS, type InitialState, type Message } from '../../manager/raft/core/types.ts';
import { isUpToDate } from '../../manager/raft/core/voting.ts';
import { CoreGroup, coreOf, EMPTY, entriesOf, settle, voters } from './core-group.ts';

const trio = voters('a', 'b', 'c');
const text = (...texts: string[]): Uint8Array[] => texts.map((one) => Buffer.from(one));
const blank: InitialState = { hardState: EMPTY, snapshot: undefined, base: { index: 0, term: 0 }, entries: [] };

function leading(): { group: CoreGroup; leader: Raft } {
  const group = CoreGroup.of('a', 'b', 'c');
  const leader = group.elect('a');
  group.tick('a', 2);
  group.run();
  return { group, leader };
}

describe('the core at its edges', () => {
  it('refuses everything that only a leader does', () => {
    const raft = coreOf('a', trio);
    assert.equal(raft.propose(text('x')), 'not-leader');
    assert.equal(raft.proposeChange({ op: 'remove', id: 'b' }), 'not-leader');
    assert.equal(raft.read(1), 'not-leader');
    assert.equal(raft.transferLeadership('b'), 'not-leader');
    raft.unreachable('b');
    raft.snapshotReported('b', true);
    assert.equal(raft.leading, undefined);
    assert.equal(raft.ready(), undefined);
  });

  it('ignores what is for somebody else, and late answers of earlier terms', () => {
    const raft = coreOf('a', trio, { hardState: { term: 7 } });
    const envelope = { from: 'b', to: 'a', term: 3 };
    const late: Message[] = [
      { ...envelope, type: 'vote-request', lastIndex: 9, lastTerm: 9, transfer: true },
      { ...envelope, type: 'vote-response', granted: true },
      { ...envelope, type: 'append-response', index: 1, rejected: false, hintIndex: 0, hintTerm: 0 },
      { ...envelope, type: 'heartbeat-response', round: 1 },
      { ...envelope, type: 'timeout-now' },
      { ...envelope, to: 'c', term: 9, type: 'timeout-now' },
    ];
    for (const message of late) raft.step(message);
    assert.deepEqual(settle(raft).messages, []);
    raft.step({ ...envelope, type: 'pre-vote-request', lastIndex: 9, lastTerm: 9, transfer: false });
    const [answer] = settle(raft).messages;
    assert.equal(answer?.type === 'pre-vote-response' && answer.granted, false);
    assert.equal(answer?.term, 7);
  });

  it('moves to a newer term that an answer tells of', () => {
    for (const type of ['vote-response', 'pre-vote-response'] as const) {
      const raft = coreOf('a', trio);
      raft.step({ type, from: 'b', to: 'a', term: 9, granted: false });
      assert.equal(raft.term, 9);
    }
    const { leader } = leading();
    leader.step({ type: 'heartbeat-response', from: 'b', to: 'a', term: 9, round: 1 });
    assert.equal(leader.role, 'follower');
  });

  it('hands out nothing committed when asked not to', () => {
    const raft = coreOf('a', trio, { terms: [1, 1], hardState: { commit: 3 } });
    assert.equal(raft.ready({ withCommitted: false }), undefined);
    assert.equal(raft.ready()?.committed.length, 2);
  });

  it('accepts a snapshot of what it has as news of the commit index only', () => {
    const raft = coreOf('a', trio, { terms: [1, 1, 1] });
    raft.step({ type: 'snapshot', from: 'b', to: 'a', term: 1, snapshot: { index: 3, term: 1, membership: trio } });
    assert.equal(raft.committed, 3);
    assert.equal(raft.log.lastIndex, 4);
  });

  it('says what it knows as leader', () => {
    const { group, leader } = leading();
    const { leading: side } = leader;
    assert.deepEqual(side?.reachable(), ['a', 'b', 'c']);
    assert.equal(side.transferee, undefined);
    assert.ok(['b', 'c'].includes(side.successor() ?? ''));
    assert.equal(side.progressOf('b')?.state, 'replicate');
    assert.deepEqual(side.progressOf('b')?.inflight, { messages: 0, bytes: 0 });
    group.cut.add('b').add('c');
    group.tick('a', 10);
    assert.equal(leader.transferLeadership('x'), 'not-a-member');
    assert.equal(leader.transferLeadership('b'), undefined);
    assert.equal(side.transferee, 'b');
    assert.equal(leader.proposeChange({ op: 'remove', id: 'c' }), 'transferring');
  });

  it('goes back to probing a member that can not be reached', () => {
    const { leader } = leading();
    leader.propose(text('x'));
    assert.equal(leader.leading?.progressOf('b')?.inflight.messages, 1);
    leader.unreachable('b');
    assert.equal(leader.leading?.progressOf('b')?.state, 'probe');
    leader.unreachable('b');
    leader.unreachable('nobody');
  });

  it('ends a hand-over to a member that is removed, and catches up a successor first', () => {
    const { group, leader } = leading();
    group.cut.add('b');
    leader.propose(text('x'));
    group.run();
    leader.transferLeadership('b');
    group.cut.delete('b');
    group.tick('a', 2);
    group.run();
    assert.equal(group.core('b').role, 'leader');
  });

  it('has a bound on waiting reads', () => {
    const group = new CoreGroup(['a', 'b', 'c'].map((id) => coreOf(id, trio, { limits: { waitingReadsMax: 1 } })));
    const leader = group.elect('a');
    group.run();
    assert.equal(leader.read(1), undefined);
    assert.equal(leader.read(2), 'too-many-reads');
  });

  it('ignores answers that can not be of its log, or come from nobody it knows', () => {
    const { leader } = leading();
    const answer = { type: 'append-response', to: 'a', term: leader.term, hintIndex: 0, hintTerm: 0 } as const;
    leader.step({ ...answer, from: 'b', index: 999, rejected: false });
    leader.step({ ...answer, from: 'x', index: 1, rejected: false });
    leader.step({ ...answer, from: 'b', index: 1, rejected: false });
    leader.step({ ...answer, from: 'b', index: 1, rejected: true });
    leader.step({ type: 'heartbeat-response', from: 'x', to: 'a', term: leader.term, round: 1 });
    assert.equal(leader.leading?.progressOf('b')?.match, leader.log.lastIndex);
    leader.snapshotReported('b', true);
    assert.equal(leader.leading?.progressOf('b')?.state, 'replicate');
  });

  it('sends a snapshot again that did not arrive', () => {
    const { group, leader } = leading();
    group.cut.add('c');
    for (let at = 0; at < 5; at += 1) leader.propose(text(`${at}`));
    group.run();
    leader.compact({ index: leader.applied, term: leader.term, membership: leader.membership }, leader.applied);
    leader.unreachable('c');
    group.tick('a', 2);
    const sent = (): Message[] => settle(leader).messages.filter(({ type }) => type === 'snapshot');
    leader.step({ type: 'heartbeat-response', from: 'c', to: 'a', term: leader.term, round: 1 });
    assert.equal(sent().length, 1);
    assert.equal(leader.leading?.progressOf('c')?.state, 'snapshot');
    leader.snapshotReported('c', false);
    leader.step({ type: 'heartbeat-response', from: 'c', to: 'a', term: leader.term, round: 1 });
    assert.equal(sent().length, 1);
  });

  it('sends no snapshot to who has been silent', () => {
    const { group, leader } = leading();
    group.cut.add('c');
    for (let at = 0; at < 12; at += 1) {
      leader.propose(text(`${at}`));
      group.tick('a', 2);
      group.run();
    }
    leader.compact({ index: leader.applied, term: leader.term, membership: leader.membership }, leader.applied);
    leader.unreachable('c');
    leader.propose(text('x'));
    assert.equal(settle(leader).messages.filter(({ type }) => type === 'snapshot').length, 0);
  });
});

describe('the log at its edges', () => {
  const log = (): RaftLog => new RaftLog({ ...blank, entries: entriesOf([1, 1, 2, 2]) });

  it('keeps at least what it is asked to, by count and by bytes', () => {
    assert.equal(log().baseKeeping(4, 2, 1_000), 2);
    assert.equal(log().baseKeeping(4, 100, 80), 2);
    assert.equal(log().baseKeeping(4, 100, 1_000), 0);
  });

  it('is compacted once, and not behind what it gave up', () => {
    const one = log();
    one.commitTo(4);
    one.appliedTo(4);
    const at = (index: number) => ({ index, term: one.termAt(index) ?? 0, membership: trio });
    one.compact(at(3), 2);
    assert.equal(one.base.index, 2);
    one.compact(at(3), 3);
    assert.equal(one.base.index, 2);
    one.compact(at(4), 1);
    assert.equal(one.base.index, 2);
    assert.equal(one.snapshot?.index, 4);
    assert.equal(one.lastIndexWithin(9, 0), 2);
  });

  it('counts a write as durable up to the first entry that was replaced', () => {
    const one = log();
    one.merge(entriesOf([3, 3], 3));
    one.markStable(entriesOf([1, 1, 2, 2]));
    assert.equal(one.stable, 2);
    one.markStable(entriesOf([3, 3], 3));
    assert.equal(one.stable, 4);
    assert.equal(one.merge([]), 0);
  });
});

describe('memberships at their edges', () => {
  it('are changed only by what makes sense', () => {
    const boot = { op: 'bootstrap', id: 'a', address: 'x' } as const;
    const alone = changed(NO_MEMBERS, boot);
    assert.equal(alone.members.length, 1);
    assert.equal(refusalOf(alone, boot), 'already-member');
    assert.equal(refusalOf(alone, { op: 'add-learner', id: 'a', address: 'x' }), 'already-member');
    assert.equal(refusalOf(alone, { op: 'set-address', id: 'b', address: 'x' }), 'not-a-member');
    assert.equal(refusalOf(alone, { op: 'promote', id: 'a' }), 'not-a-learner');
    assert.equal(refusalOf(alone, { op: 'promote', id: 'b' }), 'not-a-member');
    assert.equal(refusalOf(alone, { op: 'remove', id: 'b' }), 'not-a-member');
    assert.equal(refusalOf(alone, { op: 'remove', id: 'a' }), 'last-voter');
    assert.equal(changed(alone, { op: 'promote', id: 'a' }), alone);
    assert.equal(changed(alone, { op: 'set-address', id: 'a', address: 'y' }).members[0]?.address, 'y');
  });

  it('are read back as written, and nothing else is', () => {
    const change = { op: 'set-address', id: 'a', address: 'x' } as const;
    assert.deepEqual(decodeChange(encodeChange(change)), change);
    assert.throws(() => decodeChange(Buffer.from('{"op":"add-learner","id":"a"}')), /names an address/);
    assert.throws(() => decodeChange(Buffer.from('{"op":"other","id":"a"}')), /membership change 'other'/);
    assert.throws(() => decodeChange(Buffer.from('{"op":"remove"}')), /names a member/);
  });

  it('are known as of earlier indexes until those are forgotten', () => {
    const history = new MembershipHistory(undefined);
    const entry = (index: number, change: Parameters<typeof encodeChange>[0]) =>
      ({ index, term: 1, kind: 'membership', bytes: encodeChange(change) }) as const;
    assert.equal(history.apply(entry(1, { op: 'bootstrap', id: 'a', address: 'a' })), true);
    assert.equal(history.apply(entry(2, { op: 'promote', id: 'a' })), false);
    assert.equal(history.apply(entry(3, { op: 'add-learner', id: 'b', address: 'b' })), true);
    assert.equal(history.at(2).members.length, 1);
    assert.equal(history.index, 3);
    history.forgetBefore(3);
    assert.throws(() => history.at(2), /is known/);
  });
});

describe('progress at its edges', () => {
  it('lets one more append go when a heartbeat is answered and the window is full', () => {
    const progress = new Progress(1, 0);
    progress.becomeReplicate();
    const limits = { ...DEFAULT_LIMITS, inflightMessagesMax: 1 };
    progress.sent(1, 10);
    assert.equal(progress.isPaused(limits), true);
    progress.heartbeatAnswered(limits);
    assert.equal(progress.isPaused(limits), false);
    progress.sent(1, 0);
    assert.equal(progress.inflight.messages, 0);
  });

  it('believes no late refusal', () => {
    const progress = new Progress(5, 0);
    assert.equal(progress.rejected(2, 1), false);
    progress.becomeReplicate();
    progress.matched(4);
    assert.equal(progress.rejected(3, 1), false);
    assert.equal(progress.rejected(9, 1), true);
    progress.becomeSnapshot(8);
    assert.equal(progress.isPaused(DEFAULT_LIMITS), true);
    assert.equal(progress.rejected(8, 1), false);
    progress.snapshotFailed();
    assert.equal(progress.next, 5);
  });
});

describe('voting at its edges', () => {
  const request = {
    type: 'vote-request',
    from: 'b',
    to: 'a',
    term: 9,
    lastIndex: 2,
    lastTerm: 1,
    transfer: false,
  } as const;

  it('lets a removed member vote by the log that it had when it was removed', () => {
    const removed = { members: voters('b', 'c').members, removed: ['a'] };
    const log = new RaftLog({ ...blank, entries: entriesOf([1, 1, 5]) });
    assert.equal(isUpToDate({ id: 'a', log, membership: removed, membershipIndex: 2 }, request), true);
    assert.equal(isUpToDate({ id: 'a', log, membership: trio, membershipIndex: 2 }, request), false);
    assert.equal(isUpToDate({ id: 'a', log, membership: removed, membershipIndex: 9 }, request), false);
  });

  it('tells a rejected leader where to look', () => {
    const raft = coreOf('a', trio, { terms: [1, 3, 3] });
    const append: Append = { ...request, type: 'append', prevIndex: 9, prevTerm: 2, entries: [], commit: 0 };
    raft.step(append);
    const [answer] = settle(raft).messages;
    assert.ok(answer?.type === 'append-response' && answer.rejected);
    assert.deepEqual([answer.hintIndex, answer.hintTerm], [2, 1]);
  });

  it('knows a snapshot that it is about to install', () => {
    const raft = new Raft({ id: 'd', limits: DEFAULT_LIMITS, random: seededRandom(1), initial: blank });
    const snapshot = { index: 5, term: 2, membership: trio };
    raft.step({ type: 'snapshot', from: 'a', to: 'd', term: 2, snapshot });
    assert.equal(raft.isRestoring(snapshot), true);
    const ready = raft.ready() ?? assert.fail();
    assert.equal(raft.isRestoring(snapshot), true);
    assert.equal(raft.isRestoring({ ...snapshot, index: 4 }), false);
    raft.advance(ready);
    assert.equal(raft.isRestoring(snapshot), false);
    assert.throws(() => raft.advance(ready), /in the order/);
  });
});
